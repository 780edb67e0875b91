"""``/api/users``: people, their server roles, and where they hold others."""

from __future__ import annotations

import hashlib
import secrets
import uuid
from collections.abc import Sequence
from typing import Any, Final

from repocore.errors import AccessDeniedError, MissingError, RejectedError
from repocore.http import Request, Response
from repocore.model import Account, Action, Resource
from repocore.plugins.quetz.answers import Fields, Listing, no_such, signed_in
from repocore.plugins.quetz.server_roles import (
    Held,
    bind,
    held,
    role_word,
    server_role,
    unbind,
)
from repocore.registry import Session

__all__ = [
    "CHANNELS",
    "KEY_ACCOUNT",
    "PACKAGES",
    "USERS",
    "accounts_of",
    "administers_channels",
    "delete",
    "describe",
    "get",
    "get_role",
    "identifier",
    "key_account",
    "key_accounts",
    "keys_of",
    "me",
    "people",
    "profile",
    "put_role",
]

#: How the accounts of keys with roles are named.
KEY_ACCOUNT: Final = "quetz-key-"
#: Of the identifiers that answers have, and nothing else does.
_SPACE: Final = uuid.UUID("4f7f5b5e-9c0f-5f0f-8c58-1f6b6e7f2d11")


def identifier(*words: object) -> str:
    """The identifier of a thing in answers, always the same for the same words."""
    return str(uuid.uuid5(_SPACE, "\n".join(map(str, words))))


def administers_channels(session: Session) -> bool:
    """Whether the asker may do everything in every channel: quetz's owners and maintainers."""
    return session.allowed(Action.ADMIN, Resource("conda"))


def accounts_of(session: Session) -> dict[str, Account]:
    """Every account by name, whoever asks; the caller decides who is told."""
    house = session.registry.session(session.registry.admin(), source=session.source)
    return {account.name: account for account in house.accounts.list()}


def keys_of(owner: str) -> str:
    """How the names of the accounts begin that the keys of somebody have."""
    return f"{KEY_ACCOUNT}{hashlib.sha256(owner.encode()).hexdigest()[:12]}-"


def key_account(owner: str) -> str:
    """A name for the account of a key that somebody makes; nobody has it yet."""
    return f"{keys_of(owner)}{secrets.token_hex(6)}"


def key_accounts(session: Session, owner: str) -> list[str]:
    """The accounts of the keys with roles that somebody has made."""
    start = keys_of(owner)
    return [name for name in accounts_of(session) if name.startswith(start)]


def people(session: Session, *, where: str) -> list[Held]:
    """As `held`, without the accounts that keys with roles of their own have."""
    return [one for one in held(session, where=where) if not one.account.startswith(KEY_ACCOUNT)]


def profile(name: str) -> dict[str, str]:
    """What is told of somebody everywhere."""
    return {"name": name, "avatar_url": ""}


def describe(session: Session, name: str) -> dict[str, Any]:
    """A user, as clients take it apart; one may be known to another authenticator alone."""
    house = session.registry.session(session.registry.admin(), source=session.source)
    try:
        made = house.accounts.get(name).created_at.isoformat()
    except MissingError:
        made = ""
    return {"id": identifier("user", name, made), "username": name, "profile": profile(name)}


def _readable(session: Session, request: Request) -> str:
    """The name in the path, if the asker may be told of it; raises `AccessDeniedError`."""
    me_, name = signed_in(session), request.fields["username"]
    if name == me_ or administers_channels(session):
        if name != me_ and name not in accounts_of(session):
            raise no_such(f"User {name}")
        return name
    raise AccessDeniedError


def _all(session: Session, request: Request) -> Sequence[str]:
    me_ = signed_in(session)
    if not administers_channels(session):
        names = [me_]
    else:
        names = [name for name in accounts_of(session) if not name.startswith(KEY_ACCOUNT)]
    wanted = request.query.get("q", "").casefold()
    return [name for name in sorted(names) if wanted in name.casefold()]


USERS: Final = Listing(_all, describe, "List users; those who administer no channels see one.")


def get(session: Session, request: Request) -> Response:
    """Show a user."""
    return Response.json(describe(session, _readable(session, request)))


def delete(session: Session, request: Request) -> Response:
    """Delete a user with keys and roles; for administrators of the site."""
    signed_in(session)
    session.require(Action.ADMIN, Resource())
    name = request.fields["username"]
    if name not in accounts_of(session):
        raise no_such(f"User {name}")
    for account in (*key_accounts(session, name), name):
        session.accounts.remove(account)
    return Response.json(None)


def me(session: Session, _request: Request) -> Response:
    """Show who is asking."""
    name = signed_in(session)
    user = {key: value for key, value in describe(session, name).items() if key != "profile"}
    return Response.json({**profile(name), "user": user})


# ------------------------------------------------------------------------------------------ roles


def _server_roles(session: Session, name: str) -> list[Held]:
    return [one for one in held(session, where="server") if one.account == name]


def get_role(session: Session, request: Request) -> Response:
    """Show the server role of a user."""
    name = _readable(session, request)
    found = _server_roles(session, name)
    return Response.json({"role": found[0].role if found else None})


def put_role(session: Session, request: Request) -> Response:
    """Give a user a server role in the place of the one before; null takes it back."""
    signed_in(session)
    session.require(Action.ADMIN, Resource())
    name = request.fields["username"]
    if name not in accounts_of(session):
        raise no_such(f"User {name}")
    fields = Fields.of(request, "role")
    if "role" not in fields.values:
        message = "Say which `role`; null is none."
        raise RejectedError(message)
    word = fields.values["role"]
    before = [binding for one in _server_roles(session, name) for binding in one.bindings]
    made = None if word is None else bind(session, server_role(name, role_word(word)))
    unbind(session, [one for one in before if made is None or one.id != made.id])
    return Response.json(None)


def _channels(session: Session, request: Request) -> Sequence[Held]:
    name = _readable(session, request)
    return [one for one in held(session, where="channel") if one.account == name]


def _packages(session: Session, request: Request) -> Sequence[Held]:
    name = _readable(session, request)
    return [one for one in held(session, where="package") if one.account == name]


CHANNELS: Final = Listing(
    _channels,
    lambda _, one: {"name": one.channel, "role": one.role},
    "List the channels in which a user holds a role.",
)
PACKAGES: Final = Listing(
    _packages,
    lambda _, one: {"name": one.package, "channel_name": one.channel, "role": one.role},
    "List the packages on which a user holds a role.",
)
