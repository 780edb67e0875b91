"""Answers, made of shapes, with their tags; and the conditions that requests set (RFC 9110)."""

from __future__ import annotations

import enum
import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final, cast

import attrs

from repocore.errors import MissingError, NotAuthenticatedError, PreconditionFailedError
from repocore.http import Request, Response
from repocore.registry import Session

__all__ = [
    "plain",
    "require_absent",
    "require_account",
    "require_match",
    "tag_of",
    "tagged",
    "tagged_but",
    "tagged_text",
]

_THERE: Final = "It is there already; leave out If-None-Match to change it."


def plain(value: Any) -> Any:
    """A shape as JSON has it; times are ISO 8601 in UTC."""
    if value is None or isinstance(value, str | int):
        return value
    names = _names_of(cast("type", value.__class__))
    if names is not None:
        return {name: plain(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return {name: plain(one) for name, one in items}
    if isinstance(value, tuple | list):
        return [plain(one) for one in cast("list[Any]", value)]
    if isinstance(value, enum.Enum):
        return value.value
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value


@cache
def _names_of(kind: type) -> tuple[str, ...] | None:
    """The fields of a shape; None for another type."""
    if not attrs.has(kind):
        return None
    return tuple(field.name for field in attrs.fields(cast("Any", kind)))


def require_account(session: Session) -> None:
    """Raise `NotAuthenticatedError` for a stranger."""
    if session.principal.anonymous:
        raise NotAuthenticatedError


def tag_of(value: Any) -> str:
    """A strong validator (RFC 9110 section 8.8) of a shape: equal for equal bytes only."""
    return _tag(_bytes(value))


def tagged(request: Request, value: Any, status: int = 200) -> Response:
    """A shape with its ETag; 304 to a GET of somebody who has it already."""
    return tagged_text(request, _bytes(value), status)


def tagged_text(request: Request, body: bytes, status: int = 200) -> Response:
    """As `tagged`, of JSON that is written already."""
    tag = _tag(body)
    asked = request.headers.get("If-None-Match")
    if request.method in {"GET", "HEAD"} and asked is not None and _names(asked, tag, weak=True):
        return Response(304, b"", (("ETag", tag),))
    return Response(status, body, (("Content-Type", "application/json"), ("ETag", tag)))


def tagged_but(request: Request, value: Any, **clocks: Any) -> Response:
    """As `tagged`, of a shape with fields that change by themselves: with these values it has the
    tag, which is a weak one (RFC 9110 section 8.8.1).
    """
    told = tagged(request, attrs.evolve(value, **clocks))
    if told.status == 304:  # noqa: PLR2004 - not modified
        return told
    tag = next(field for name, field in told.headers if name == "ETag")
    fields = (("Content-Type", "application/json"), ("ETag", f"W/{tag}"))
    return Response(told.status, _bytes(value), fields)


def require_match(request: Request, current: Callable[[], Any]) -> None:
    """Return unless ``If-Match`` names another state than what ``current`` returns.

    Without the field nothing is asked.  Raises `PreconditionFailedError`, and what ``current``
    raises other than `MissingError`, which is no match either (section 13.1.1).
    """
    asked = request.headers.get("If-Match")
    if asked is None:
        return
    try:
        tag = tag_of(current())
    except MissingError as error:
        raise PreconditionFailedError("It is not there any more.") from error
    if not _names(asked, tag, weak=False):
        raise PreconditionFailedError


def require_absent(request: Request, there: Callable[[], bool]) -> None:
    """Return unless ``If-None-Match: *`` was sent, and it is there; for a PUT that only makes.

    Raises `PreconditionFailedError`.
    """
    asked = request.headers.get("If-None-Match")
    if asked is not None and asked.strip() == "*" and there():
        raise PreconditionFailedError(_THERE)


def _names(field: str, tag: str, *, weak: bool) -> bool:
    """Whether a list of tags has this one; our tags have no comma in them."""
    if field.strip() == "*":
        return True
    listed = (item.strip() for item in field.split(","))
    return any((item.removeprefix("W/") if weak else item) == tag for item in listed)


def _bytes(value: Any) -> bytes:
    return json.dumps(plain(value), ensure_ascii=False, separators=(", ", ": ")).encode()


def _tag(body: bytes) -> str:
    return f'"{hashlib.sha256(body).hexdigest()[:32]}"'
