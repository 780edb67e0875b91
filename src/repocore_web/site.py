"""The routes of the site itself: whether it serves, and what it is."""

from __future__ import annotations

from collections.abc import Iterator

from repocore.http import Request, Response, Route
from repocore.registry import Registry, Session

__all__ = ["front", "health", "ready", "site_routes"]


def health(_session: Session, _request: Request) -> Response:
    """Answer 200 as long as the process serves; asks nothing of anybody."""
    return Response.text("ok\n")


def ready(session: Session, _request: Request) -> Response:
    """Answer 200 when the catalog answers too."""
    _ = session.principal
    return Response.text("ok\n")


def front(session: Session, request: Request) -> Response:
    """Say what this is, which repositories the caller may read, and how to use them."""
    lines = ["This is repocore, a package repository.", ""]
    repositories = session.repositories.list()
    if not repositories:
        lines.append("Nothing here can be read without signing in.")
    for repository in repositories:
        lines.append(f"{repository.address}  {repository.description}".rstrip())
        if repository.format == "conan":
            lines.append(
                f"  conan remote add {repository.name} {request.base_url}/{repository.address}"
            )
    return Response.text("\n".join([*lines, ""]))


def site_routes(_registry: Registry) -> Iterator[Route[Session]]:
    """Every route of the site."""
    for template, handler in (("/healthz", health), ("/readyz", ready), ("/", front)):
        summary = (handler.__doc__ or "").strip().splitlines()[0]
        yield Route(method="GET", template=template, handler=handler, summary=summary)
