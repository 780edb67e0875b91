"""``/api/v1/releases``: yank, delete, copy and promote releases, several in one transaction.

Each takes an object of JSON: ``repository`` is an address, ``releases`` a list of objects with
``partition`` and ``name`` (of a channel the subdir and the file name), ``target`` the address that
is copied or promoted to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, TypeGuard, cast

import attrs

from repocore.errors import RejectedError
from repocore.http import Request, Response, Route
from repocore.model import Action, File, Release
from repocore.registry import Session

__all__ = ["copy", "delete", "promote", "routes", "unyank", "yank"]

_UNFIT: Final = re.compile("[\0-\x1f\x7f\ud800-\udfff]")


def routes() -> Iterable[Route[Session]]:
    """Five routes of the site."""
    for handler, permission in (
        (yank, Action.YANK),
        (unyank, Action.YANK),
        (delete, Action.DELETE),
        (copy, Action.WRITE),
        (promote, Action.PROMOTE),
    ):
        yield Route(
            method="POST",
            template=f"/api/v1/releases/{handler.__name__}",
            handler=handler,
            summary=(handler.__doc__ or "").strip().splitlines()[0],
            permission=permission,
        )


def yank(session: Session, request: Request) -> Response:
    """Take releases out of every list and index; whoever knows their names still gets them."""
    return _yank(session, request, yanked=True)


def unyank(session: Session, request: Request) -> Response:
    """Put yanked releases back into the lists and indexes."""
    return _yank(session, request, yanked=False)


def _yank(session: Session, request: Request, *, yanked: bool) -> Response:
    wanted = _read(request)
    found = session.releases.yank_all(wanted.repository, wanted.releases, yanked)
    return Response.json({"releases": [_release(one) for one in found]})


def delete(session: Session, request: Request) -> Response:
    """Delete releases with their files."""
    wanted = _read(request)
    count = session.releases.delete_named(wanted.repository, wanted.releases)
    return Response.json({"deleted": count})


def copy(session: Session, request: Request) -> Response:
    """Have releases in ``target``, too; WRITE there is asked for, no bytes are moved."""
    return _copy(session, request, promote=False)


def promote(session: Session, request: Request) -> Response:
    """Copy releases to ``target`` with PROMOTE in the place of WRITE."""
    return _copy(session, request, promote=True)


def _copy(session: Session, request: Request, *, promote: bool) -> Response:
    wanted = _read(request, target=True)
    made = session.releases.copy(wanted.repository, wanted.releases, wanted.target, promote=promote)
    return Response.json({"repository": wanted.target, "files": [_file(file) for file in made]})


def _release(release: Release) -> dict[str, Any]:
    return {
        "partition": release.partition,
        "name": release.name,
        "package": release.package,
        "version": release.version,
        "released_at": _time(release.released_at),
        "yanked_at": _time(release.yanked_at),
    }


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _file(file: File) -> dict[str, Any]:
    return {"path": str(file.path), "sha256": file.digest, "size": file.size}


@attrs.frozen
class _Wanted:
    """What a request asks for; ``target`` is empty where none is needed."""

    repository: str
    releases: list[tuple[str, str]]
    target: str


def _read(request: Request, *, target: bool = False) -> _Wanted:
    """The request; raises `RejectedError` with what it has to be, and `TooLargeError`."""
    fields = request.json("repository", "releases", *(["target"] if target else []))
    return _Wanted(
        _text(fields.get("repository"), "repository"),
        [_pair(one) for one in _list(fields.get("releases"))],
        _text(fields.get("target"), "target") if target else "",
    )


def _text(value: object, name: str) -> str:
    if isinstance(value, str):
        return value
    message = f"`{name}` has to be an address, for example conda/main."
    raise RejectedError(message)


def _list(value: object) -> list[object]:
    if isinstance(value, list) and value:
        return cast("list[object]", value)
    message = "`releases` has to be a list of one or more."
    raise RejectedError(message)


def _pair(value: object) -> tuple[str, str]:
    if isinstance(value, dict):
        fields = cast("dict[str, object]", value)
        partition, name = fields.get("partition"), fields.get("name")
        if len(fields) == 2 and _is_name(partition) and _is_name(name):  # noqa: PLR2004 - these two
            return partition, name
    message = "Each of `releases` has to have a `partition` and a `name`, and nothing else."
    raise RejectedError(message)


def _is_name(value: object) -> TypeGuard[str]:
    """Whether it is a text that a database can look for."""
    return isinstance(value, str) and not _UNFIT.search(value)
