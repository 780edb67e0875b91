"""A route and its description, in one line each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypedDict, Unpack

from repocore.http import Admits, Request, Response, Route
from repocore.model import Action
from repocore.registry import Session

__all__ = ["TOP", "Described", "Handler", "route"]

TOP: Final = "/api/v1"

Handler = Callable[[Session, Request], Response]


class Described(TypedDict, total=False):
    """What a route takes and answers, as `Route` has it."""

    query: type
    body: type
    answers: Mapping[int, Any]
    errors: Mapping[type[Exception], int]


def route(
    method: str,
    path: str,
    handler: Handler,
    permission: Action | Admits,
    **described: Unpack[Described],
) -> Route[Session]:
    """A route below ``/api/v1``; the first line of its handler's documentation is its summary."""
    return Route(
        method=method,
        template=f"{TOP}/{path}" if path else TOP,
        handler=handler,
        summary=(handler.__doc__ or "").strip().splitlines()[0],
        permission=permission,
        **described,
    )
