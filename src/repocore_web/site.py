"""The routes of the site itself: whether it serves, and what it is."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Final

from repocore.errors import StorageError
from repocore.http import Admits, Request, Response, Route
from repocore.model import Action
from repocore.registry import Health, Registry, ReplicaStatus, Session

__all__ = ["front", "health", "ready", "repository", "site_routes"]

#: Names of packages on the page of a repository, and versions that are looked at for them.
_SHOWN: Final = 200
_MOST: Final = 5_000


def health(_session: Session, _request: Request) -> Response:
    """Answer 200 as long as the process serves; asks nothing of anybody."""
    return Response.text("ok\n")


def ready(session: Session, _request: Request) -> Response:
    """Answer 200 when the catalog and the storage answer too, 503 when not, and say which."""
    found = session.registry.health()
    # Where the catalog does not answer, the first line says so, and the last is left out.
    replica = _followed(session) if found.catalog else None
    lines = [
        f"catalog {'ok' if found.catalog else 'failed'}",
        f"storage {'ok' if found.storage else 'failed'}",
        f"queue {_queue(found)}",
        *([] if replica is None else [_replica(replica)]),
        "",
    ]
    serves = found.ok and (replica is None or replica.whole)
    return Response.text("\n".join(lines), 200 if serves else 503)


def _followed(session: Session) -> ReplicaStatus | None:
    """How a replica stands to its primary, as of its last look; None where it follows nobody."""
    registry = session.registry
    if not registry.following:
        return None
    try:
        found = registry.session(registry.admin()).replica.status(ask=False)
    except StorageError:
        return None
    # To ask for it was to hear of a promotion.
    return found if registry.following else None


def _queue(found: Health) -> str:
    if not found.catalog:
        return "unknown"
    return f"{found.waiting} due, the first for {found.wait.total_seconds():.0f} s"


def _replica(found: ReplicaStatus) -> str:
    """How far a replica is behind: it goes on serving what it has, and so it is no reason for 503,
    unless its first copy is not through.  Whom it follows is nobody's business.
    """
    if not found.whole:
        return "replica failed, the first copy is not through yet"
    state = "ok" if found.ok else "behind"
    return f"replica {state}, last even {found.behind.total_seconds():.0f} s ago"


def front(session: Session, request: Request) -> Response:
    """Say what this is, and at which URLs the repositories are that the caller may read."""
    found = session.repositories.list()
    url = request.base_url
    lines = [
        "This is repocore, a package repository.",
        "",
        "Give your package client the URL of a repository:"
        if found
        else "Nothing here can be read without signing in.",
        *(f"  {url}/{one.address}  {one.description}".rstrip() for one in found),
    ]
    return Response.text("\n".join([*lines, ""]))


def repository(session: Session, request: Request) -> Response:
    """Say what a repository is, and which packages it has: the first of them."""
    fields = request.fields
    found = session.repositories.get(f"{fields['format']}/{fields['name']}")
    names = (name for name, _ in session.releases.packages(found.address))
    shown = list(islice(dict.fromkeys(islice(names, _MOST)), _SHOWN + 1))
    lines = [
        f"{found.address}  {found.description}".rstrip(),
        "",
        "Give your package client this URL:",
        f"  {request.base_url}/{found.address}",
        "",
        f"Packages ({'more than ' if len(shown) > _SHOWN else ''}{min(len(shown), _SHOWN)}):",
        *(f"  {name}" for name in shown[:_SHOWN]),
    ]
    return Response.text("\n".join([*lines, ""]))


def site_routes(registry: Registry) -> Iterator[Route[Session]]:
    """Every route of the site; without pages (``web.pages``) there are no pages."""
    for template, handler, admits in (
        ("/healthz", health, Admits.ANYONE),
        ("/readyz", ready, Admits.ANYONE),
        ("/", front, Admits.READERS),
        ("/{format}/{name}", repository, Action.READ),
    ):
        if handler in {front, repository} and not registry.settings.web.pages:
            continue
        summary = (handler.__doc__ or "").strip().splitlines()[0]
        yield Route(
            method="GET", template=template, handler=handler, summary=summary, permission=admits
        )
