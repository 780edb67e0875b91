"""The routes of the site itself: whether it serves, and what it is."""

from __future__ import annotations

from collections.abc import Iterator

from repocore.http import Admits, Request, Response, Route
from repocore.registry import Registry, Session

__all__ = ["front", "health", "ready", "site_routes"]


def health(_session: Session, _request: Request) -> Response:
    """Answer 200 as long as the process serves; asks nothing of anybody."""
    return Response.text("ok\n")


def ready(session: Session, _request: Request) -> Response:
    """Answer 200 when the catalog answers too."""
    session.repositories.list()
    return Response.text("ok\n")


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


def site_routes(registry: Registry) -> Iterator[Route[Session]]:
    """Every route of the site; without pages (``web.pages``) there is no front page."""
    for template, handler, admits in (
        ("/healthz", health, Admits.ANYONE),
        ("/readyz", ready, Admits.ANYONE),
        ("/", front, Admits.READERS),
    ):
        if template == "/" and not registry.settings.web.pages:
            continue
        summary = (handler.__doc__ or "").strip().splitlines()[0]
        yield Route(
            method="GET", template=template, handler=handler, summary=summary, permission=admits
        )
