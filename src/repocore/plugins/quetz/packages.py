"""``/api/channels/{channel}/packages``: packages, their versions, and copies of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from repocore.errors import AlreadyExistsError, RejectedError, ReleaseMissingError
from repocore.http import Request, Response
from repocore.model import Action, Repository, Resource
from repocore.plugins.quetz.answers import Fields, Listing, no_such, permitted, signed_in
from repocore.plugins.quetz.contents import (
    Package,
    Version,
    find_package,
    last_change,
    packages_of,
    subdirs_of,
    versions_of,
)
from repocore.plugins.quetz.server_roles import bind, package_role
from repocore.plugins.quetz.users import identifier, profile
from repocore.ports import PlacingFormat
from repocore.registry import Session

__all__ = [
    "PACKAGES",
    "VERSIONS",
    "copy",
    "create",
    "delete",
    "delete_version",
    "describe",
    "get",
    "get_version",
    "ordered",
]

_NAME = re.compile(r"[a-z0-9._-]{1,1500}\Z")
#: Releases in one transaction.
_AT_ONCE: Final = 500
#: By what a list can be ordered, and how.
_ORDERS: Final[dict[str, Callable[[Package], str]]] = {
    "name": lambda one: one.name,
    "summary": lambda one: one.summary,
    "description": lambda one: one.description,
    "url": lambda one: one.url,
    "current_version": lambda one: one.version,
}


def describe(session: Session, one: Package) -> dict[str, Any]:
    """A package, as clients take it apart."""
    channel = session.repositories.get(f"conda/{one.channel}")
    return {
        "name": one.name,
        "summary": one.summary,
        "description": one.description,
        "url": one.url,
        "platforms": list(one.platforms),
        "current_version": one.version,
        "latest_change": last_change(session, channel, one.name),
    }


def _all(session: Session, request: Request) -> Sequence[Package]:
    channel = permitted(session, request, Action.READ)
    wanted = request.query.get("q", "").casefold()
    found = [one for name, one in packages_of(session, channel).items() if wanted in name]
    return ordered(found, request.query.get("order_by", ""))


def ordered(found: Sequence[Package], order: str) -> list[Package]:
    """Packages in the order ``field:asc,field:desc``; raises `RejectedError` for another one."""
    packages = sorted(found, key=lambda one: one.name)
    for part in reversed([part for part in order.split(",") if part]):
        field, _, way = part.partition(":")
        key = _ORDERS.get(field.strip())
        if key is None or way not in {"", "asc", "desc"}:
            message = f"Order by {', '.join(_ORDERS)}, each with :asc or :desc."
            raise RejectedError(message)
        packages.sort(key=key, reverse=way == "desc")
    return packages


PACKAGES: Final = Listing(_all, describe, "List the packages of a channel.", hiding=True)


def _package(session: Session, request: Request) -> tuple[Repository, Package]:
    channel = permitted(session, request, Action.READ)
    return channel, find_package(session, channel, request.fields["package"])


def get(session: Session, request: Request) -> Response:
    """Show a package."""
    return Response.json(describe(session, _package(session, request)[1]))


def create(session: Session, request: Request) -> Response:
    """Own a package before its first file comes; what it is, its files will say."""
    account = signed_in(session)
    channel = permitted(session, request, Action.WRITE)
    fields = Fields.of(
        request,
        *("name", "summary", "description", "url", "platforms", "current_version"),
        "latest_change",
    )
    name = fields.text("name", most=1500)
    if not _NAME.match(name):
        message = "A package is named by small letters, digits, dots, hyphens and underscores."
        raise RejectedError(message)
    if session.allowed(Action.READ, Resource("conda", channel.name)) and name in packages_of(
        session, channel
    ):
        message = f"Package {channel.name}/{name} exists"
        raise AlreadyExistsError(message)
    if session.allowed(Action.MANAGE, Resource("conda", channel.name, name)):
        bind(session, package_role(account, "owner", channel.name, name))
    return Response.json(None, 201)


def delete(session: Session, request: Request) -> Response:
    """Delete a package: every file of it in every subdir."""
    signed_in(session)
    name = request.fields["package"]
    channel = permitted(session, request, Action.DELETE, name)
    format_ = session.registry.formats["conda"]
    # By their paths, since what was withdrawn is in no list.
    house = session.registry.session(session.registry.admin(), source=session.source)
    names = [
        (subdir, file.path.name)
        for subdir in subdirs_of(house, channel)
        for file in house.files.list(channel.address, prefix=f"{subdir}/{name}-")
        if format_.locate(file.path).package == name
    ]
    if not names:
        raise no_such(f"Package {channel.name}/{name}")
    for start in range(0, len(names), _AT_ONCE):
        session.releases.delete_named(channel.address, names[start : start + _AT_ONCE])
    return Response.json(None)


# --------------------------------------------------------------------------------------- versions


def _describe_version(session: Session, one: Version) -> dict[str, Any]:
    address, listed, record = f"conda/{one.channel}", one.listed, one.record
    files = session.releases.files(address, one.platform, listed.name)
    return {
        "id": identifier("version", one.channel, one.platform, listed.name, listed.released_at),
        "channel_name": one.channel,
        "package_name": listed.package,
        "platform": one.platform,
        "version": listed.version,
        "build_string": record.get("build", ""),
        "build_number": record.get("build_number", 0),
        "filename": listed.name,
        "info": dict(record),
        "uploader": profile(files[0].created_by),
        "time_created": one.came.isoformat(),
        "download_count": one.downloads,
    }


def _versions(session: Session, request: Request) -> Sequence[Version]:
    channel, package = _package(session, request)
    found = versions_of(session, channel, package.name)
    since = request.query.get("time_created__ge")
    if request.query.get("version_match_str"):
        message = "Versions are not chosen by a match here; look at the list."
        raise RejectedError(message)
    if since:
        moment = _moment(since)
        found = [one for one in found if one.came >= moment]
    return found


def _moment(written: str) -> datetime:
    try:
        moment = datetime.fromisoformat(written.replace(" ", "+"))
    except ValueError:
        try:
            moment = datetime.fromisoformat(written)
        except ValueError as error:
            message = "A time is written in ISO 8601, such as 2026-11-20T12:00:00."
            raise RejectedError(message) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


VERSIONS: Final = Listing(
    _versions, _describe_version, "List the files of a package, the newest version first.", True
)


def get_version(session: Session, request: Request) -> Response:
    """Show a file of a package."""
    channel, package = _package(session, request)
    place = (request.fields["platform"], request.fields["filename"])
    for one in versions_of(session, channel, package.name):
        if (one.platform, one.listed.name) == place:
            return Response.json(_describe_version(session, one))
    raise no_such(f"Version {place[0]}/{place[1]}")


def delete_version(session: Session, request: Request) -> Response:
    """Delete a file of a package."""
    signed_in(session)
    name = request.fields["package"]
    channel = permitted(session, request, Action.DELETE, name)
    platform, filename = request.fields["platform"], request.fields["filename"]
    missing = no_such(f"Version {platform}/{filename}")
    format_ = session.registry.formats["conda"]
    assert isinstance(format_, PlacingFormat)  # noqa: S101 - conda's is
    try:
        known = format_.locate_named(filename).package
    except RejectedError as error:
        raise missing from error
    if known != name:
        raise missing
    try:
        session.releases.delete(channel.address, platform, filename)
    except ReleaseMissingError as error:
        raise missing from error
    return Response.json(None)


def copy(session: Session, request: Request) -> Response:
    """Have a package of `?source_channel=` here, too: one file of it, or all of a subdir."""
    signed_in(session)
    channel = permitted(session, request, Action.WRITE)
    query = request.query
    source, name = query.get("source_channel", ""), query.get("source_package", "")
    subdir, filename = query.get("subdir"), query.get("filename")
    if not source or not name:
        message = "Say from where: ?source_channel= and ?source_package=."
        raise RejectedError(message)
    addresses = {one.address: one for one in session.repositories.list()}
    found = addresses.get(f"conda/{source}")
    if found is None:
        raise no_such(f"Channel {source}")
    names = [
        (one.platform, one.listed.name)
        for one in versions_of(session, found, find_package(session, found, name).name)
        if subdir in {None, one.platform} and filename in {None, one.listed.name}
    ]
    if not names:
        raise no_such(f"Package {source}/{name}")
    session.releases.copy(found.address, names, channel.address)
    return Response.json(None, 201)
