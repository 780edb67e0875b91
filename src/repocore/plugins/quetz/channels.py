"""``/api/channels``: a channel is a repository of the format conda."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import attrs

from repocore.errors import AccessDeniedError, RejectedError
from repocore.http import Request, Response
from repocore.model import Action, Policy, Repository, Resource
from repocore.plugins.quetz.answers import (
    Fields,
    Listing,
    permitted,
    query_flag,
    signed_in,
)
from repocore.plugins.quetz.contents import package_count
from repocore.plugins.quetz.jobs import ACTIONS, start
from repocore.plugins.quetz.server_roles import bind, channel_role, held
from repocore.plugins.quetz.terms import require_signature
from repocore.plugins.quetz.users import administers_channels
from repocore.registry import Session

__all__ = ["CHANNELS", "create", "delete", "get", "list_mirrors", "no_mirrors", "patch", "readable"]

_NAME: Final = 50
_DESCRIPTION: Final = 300
_MIRRORS: Final = (
    "Channels that mirror others, or stand before them, are not made by this API; upload to this "
    "one, or import what the other holds."
)
_FILTERS: Final = ("includelist", "excludelist", "proxylist")


def readable(session: Session) -> list[Repository]:
    """The channels that the asker may read, by name."""
    return [one for one in session.repositories.list() if one.format == "conda"]


def _all(session: Session, request: Request) -> Sequence[Repository]:
    name = session.principal.name
    found = readable(session)
    if not query_flag(request, "public", default=True):
        mine = {one.channel for one in held(session, where="channel") if one.account == name}
        found = [one for one in found if one.name in mine]
    wanted = request.query.get("q", "").casefold()
    return [one for one in found if wanted in one.name.casefold()]


def _fields(one: Repository) -> dict[str, Any]:
    return {
        "name": one.name,
        "description": one.description,
        "private": one.private,
        "size_limit": one.policy.quota,
        "ttl": one.options.get("ttl", 36000),
        "mirror_channel_url": None,
        "mirror_mode": None,
    }


def _described(session: Session, one: Repository) -> dict[str, Any]:
    members = [each for each in held(session, where="channel") if each.channel == one.name]
    counts = {"members_count": len(members), "packages_count": package_count(session, one)}
    return {**_fields(one), **counts}


CHANNELS: Final = Listing(_all, _described, "List channels: all that one may read.", hiding=True)


def get(session: Session, request: Request) -> Response:
    """Show a channel."""
    return Response.json(_described(session, permitted(session, request, Action.READ)))


def create(session: Session, request: Request) -> Response:
    """Make a channel, which belongs to whoever made it; it is private where nothing is said."""
    name = signed_in(session)
    require_signature(session)
    fields = Fields.of(
        request,
        *("name", "description", "private", "size_limit", "ttl", "metadata", "actions"),
        *("mirror_channel_url", "mirror_mode"),
    )
    channel = _channel_name(fields)
    _refuse_mirror(fields)
    actions = _actions(fields)
    quota = fields.count("size_limit")
    resource = Resource("conda", channel)
    if quota is not None and not administers_channels(session):
        raise AccessDeniedError
    if not any(session.allowed(one, resource) for one in (Action.ADMIN, Action.CREATE)):
        raise AccessDeniedError  # nothing is hidden: there is nothing yet
    if quota is None:
        quota = session.registry.plugin_settings("quetz").channel_quota
    made = session.repositories.create(
        f"conda/{channel}",
        description=fields.text("description", "", most=_DESCRIPTION),
        private=fields.flag("private", default=True),
        policy=Policy(quota=quota),
        options=_options(fields, {}),
    )
    # Who administers the site lacks nothing, but is a member like others who make a channel.
    if session.allowed(Action.MANAGE, resource):
        bind(session, channel_role(name, "owner", channel))
    for action in actions:
        start(session, made, action)
    return Response.json(None, 201)


def _channel_name(fields: Fields) -> str:
    name = fields.text("name", most=_NAME)
    if not name.isascii() or "_" in name or "/" in name:
        message = "A channel is named by letters, digits, dots and hyphens."
        raise RejectedError(message)
    return name


def _refuse_mirror(fields: Fields) -> None:
    """Raises `RejectedError` for what only a mirror has."""
    metadata = fields.values.get("metadata")
    filters: Any = None
    if isinstance(metadata, dict):
        known = cast("Mapping[str, Any]", metadata)
        filters = [known[name] for name in _FILTERS if known.get(name)]
    elif metadata is not None:
        message = "`metadata` has to be an object."
        raise RejectedError(message)
    if fields.text("mirror_channel_url", "") or fields.text("mirror_mode", "") or filters:
        raise RejectedError(_MIRRORS)


def _actions(fields: Fields) -> list[str]:
    given = fields.values.get("actions")
    if given is None:
        return []
    if not isinstance(given, list) or any(one not in ACTIONS for one in cast("list[Any]", given)):
        message = f"`actions` is a list of {', '.join(ACTIONS)}."
        raise RejectedError(message)
    return cast("list[str]", given)


def _options(fields: Fields, before: Mapping[str, Any]) -> dict[str, Any]:
    ttl = fields.count("ttl")
    return dict(before) if ttl is None else {**before, "ttl": ttl}


def patch(session: Session, request: Request) -> Response:
    """Change `private`, `size_limit`, `ttl` or `metadata` of a channel; the rest stays."""
    signed_in(session)
    stored = permitted(session, request, Action.MANAGE)
    fields = Fields.of(request, "private", "size_limit", "ttl", "metadata")
    _refuse_mirror(fields)
    policy = stored.policy
    if "size_limit" in fields.values:
        if not administers_channels(session):
            raise AccessDeniedError
        policy = attrs.evolve(policy, quota=fields.count("size_limit"))
    options = _options(fields, stored.options)
    changed = session.repositories.configure(
        stored.address,
        private=fields.flag("private", default=stored.private),
        policy=None if policy == stored.policy else policy,
        options=None if options == stored.options else options,
    )
    return Response.json(_fields(changed))


def delete(session: Session, request: Request) -> Response:
    """Delete a channel with all its packages."""
    signed_in(session)
    session.repositories.delete(permitted(session, request, Action.ADMIN).address)
    return Response.json(None)


def list_mirrors(session: Session, request: Request) -> Response:
    """List the mirrors of a channel: there are none."""
    permitted(session, request, Action.READ)
    return Response.json([])


def no_mirrors(session: Session, request: Request) -> Response:
    """Refuse a mirror; nobody is told of what is uploaded here."""
    signed_in(session)
    permitted(session, request, Action.MANAGE)
    message = "Mirrors are not registered here; a mirror looks for itself what has come."
    raise RejectedError(message)
