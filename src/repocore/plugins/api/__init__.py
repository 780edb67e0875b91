"""repocore's own API, ``/api/v1``: what people and programs do with a registry, as JSON.

Each module has the routes of one room.  What a route takes and answers stands in attrs classes, by
which it reads and writes; ``openapi.json`` and the page of the API are made from the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from repocore.http import Route
from repocore.markers import hookimpl
from repocore.plugins.api import (
    access,
    accounts,
    events,
    files,
    jobs,
    packages,
    releases,
    replica,
    replication,
    repositories,
    rules,
    statistics,
    tokens,
    uploads,
)
from repocore.plugins.api.pages import Pages
from repocore.registry import Registry, Session

__all__ = ["repocore_routes"]

_ROOMS = (
    repositories,
    packages,
    releases,
    files,
    uploads,
    statistics,
    jobs,
    accounts,
    tokens,
    access,
    rules,
    events,
    replica,
    replication,
)


@hookimpl
def repocore_routes(registry: Registry) -> Iterable[Route[Session]]:
    """The routes of every room; none where ``web.api`` is off."""
    return tuple(_routes(registry)) if registry.settings.web.api else ()


def _routes(registry: Registry) -> Iterator[Route[Session]]:
    for room in _ROOMS:
        yield from room.routes()
    yield from Pages(registry).routes()
