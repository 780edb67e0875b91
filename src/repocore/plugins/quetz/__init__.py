"""The quetz plugin: the API of quetz over conda channels, for its clients and for scripts.

A channel is the repository ``conda/<channel>``, a role a binding, an API key a token.  Uploads in
its forms and the addresses ``/get/<channel>`` belong to the conda plugin.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from repocore.http import Admits, Request, Response, Route
from repocore.markers import hookimpl
from repocore.model import Action
from repocore.plugins.quetz import (
    channels,
    jobs,
    keys,
    members,
    metrics,
    packages,
    searching,
    terms,
    users,
)
from repocore.plugins.quetz.answers import Handler, Listing, answering, listed, paged
from repocore.plugins.quetz.settings import QuetzSettings
from repocore.ports import JobHandler
from repocore.registry import Session

__all__ = ["health", "repocore_jobs", "repocore_routes", "repocore_settings"]

_USER: Final = "/api/users/{username}"
_CHANNEL: Final = "/api/channels/{channel}"
_PACKAGE: Final = f"{_CHANNEL}/packages/{{package}}"
_VERSION: Final = f"{_PACKAGE}/versions/{{platform}}/{{filename}}"
_Permission = Action | Admits

#: Lists that have a form with pages, below ``/api/paginated``.
_PAGED: Final[tuple[tuple[str, Listing, _Permission], ...]] = (
    ("/users", users.USERS, Admits.ONESELF),
    ("/users/{username}/channels", users.CHANNELS, Admits.ONESELF),
    ("/users/{username}/packages", users.PACKAGES, Admits.ONESELF),
    ("/channels", channels.CHANNELS, Admits.READERS),
    ("/channels/{channel}/packages", packages.PACKAGES, Action.READ),
    ("/channels/{channel}/packages/{package}/versions", packages.VERSIONS, Action.READ),
)
#: Lists in one form only.
_LISTS: Final[tuple[tuple[str, Handler, _Permission], ...]] = (
    (f"{_CHANNEL}/members", listed(members.CHANNEL), Action.MANAGE),
    (f"{_PACKAGE}/members", listed(members.PACKAGE), Action.MANAGE),
    ("/api/api-keys", listed(keys.KEYS), Admits.ONESELF),
    ("/api/jobs", paged(jobs.JOBS), Admits.ONESELF),
    ("/api/jobs/{job}/tasks", paged(jobs.TASKS), Admits.ONESELF),
)
#: What is read, and looks the same to whoever may not see it as to whoever is not known.
_READING: Final[tuple[tuple[str, Handler, _Permission], ...]] = (
    (_CHANNEL, channels.get, Action.READ),
    (f"{_CHANNEL}/mirrors", channels.list_mirrors, Action.READ),
    (_PACKAGE, packages.get, Action.READ),
    (_VERSION, packages.get_version, Action.READ),
    ("/api/packages/search", searching.packages, Admits.READERS),
    ("/api/channels/search", searching.channels, Admits.READERS),
    ("/metrics/channels/{channel}", metrics.channel, Action.READ),
    (
        "/metrics/channels/{channel}/packages/{package}/versions/{platform}/{filename}",
        metrics.version,
        Action.READ,
    ),
)
_REST: Final[tuple[tuple[str, str, Handler, _Permission], ...]] = (
    ("GET", "/api/me", users.me, Admits.ONESELF),
    ("GET", _USER, users.get, Admits.ONESELF),
    ("DELETE", _USER, users.delete, Action.ADMIN),
    ("GET", f"{_USER}/role", users.get_role, Admits.ONESELF),
    ("PUT", f"{_USER}/role", users.put_role, Action.ADMIN),
    ("POST", "/api/channels", channels.create, Action.CREATE),
    ("PATCH", _CHANNEL, channels.patch, Action.MANAGE),
    ("DELETE", _CHANNEL, channels.delete, Action.ADMIN),
    ("PUT", f"{_CHANNEL}/actions", jobs.act, Action.MANAGE),
    ("POST", f"{_CHANNEL}/mirrors", channels.no_mirrors, Action.MANAGE),
    ("POST", f"{_CHANNEL}/members", members.add, Action.MANAGE),
    ("DELETE", f"{_CHANNEL}/members", members.remove, Action.MANAGE),
    ("POST", f"{_CHANNEL}/packages", packages.create, Action.WRITE),
    ("POST", f"{_CHANNEL}/packages/copy", packages.copy, Action.WRITE),
    ("DELETE", _PACKAGE, packages.delete, Action.DELETE),
    ("POST", f"{_PACKAGE}/members", members.add_to_package, Action.MANAGE),
    ("DELETE", _VERSION, packages.delete_version, Action.DELETE),
    ("POST", "/api/api-keys", keys.create, Admits.ONESELF),
    ("DELETE", "/api/api-keys/{key}", keys.delete, Admits.ONESELF),
    ("POST", "/api/jobs", jobs.create, Action.ADMIN),
    ("GET", "/api/jobs/{job}", jobs.get, Admits.ONESELF),
    ("PATCH", "/api/jobs/{job}", jobs.patch, Admits.ONESELF),
    ("GET", "/api/tos", terms.get, Admits.ANYONE),
    ("GET", "/api/tos/status", terms.status, Admits.ONESELF),
    ("POST", "/api/tos/sign", terms.sign, Admits.ONESELF),
    ("POST", "/api/tos/upload", terms.upload, Action.ADMIN),
)


def health(_session: Session, _request: Request) -> Response:
    """Answer as long as the process serves."""
    return Response.json({"component": "http-server", "status": "ok"})


@hookimpl
def repocore_settings() -> Mapping[str, type]:
    """``[plugins.quetz]`` is `QuetzSettings`."""
    return {"quetz": QuetzSettings}


@hookimpl
def repocore_jobs() -> Mapping[str, JobHandler[Session]]:
    """What actions on channels do."""
    return jobs.handlers()


@hookimpl
def repocore_routes() -> Iterable[Route[Session]]:
    """Every route of quetz's API but those that upload."""
    for method, template, handler, permission in _table():
        yield Route(
            method=method,
            template=template,
            handler=handler,
            summary=(handler.__doc__ or "").strip().splitlines()[0],
            permission=permission,
        )


def _table() -> Iterator[tuple[str, str, Handler, _Permission]]:
    for template, listing, permission in _PAGED:
        yield "GET", f"/api{template}", listed(listing), permission
        yield "GET", f"/api/paginated{template}", paged(listing), permission
    for template, handler, permission in _LISTS:
        yield "GET", template, handler, permission
    for template, handler, permission in _READING:
        yield "GET", template, answering(handler, hiding=True), permission
    for method, template, handler, permission in _REST:
        yield method, template, answering(handler), permission
    for name in ("live", "ready"):
        yield "GET", f"/health/{name}", health, Admits.ANYONE
