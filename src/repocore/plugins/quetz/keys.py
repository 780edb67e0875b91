"""``/api/api-keys``: tokens, and accounts of their own for keys that have roles.

A key without roles is a token that may do what its maker may.  A key with roles is a service
account that holds them, with one token; whoever may not give roles, but has all that they let do,
gets a token of their own account that is narrowed to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, cast

import attrs

from repocore.errors import AccessDeniedError, MissingError, NotAuthenticatedError, RejectedError
from repocore.http import Request, Response
from repocore.model import ROLES, Action, Binding, Resource, Rule, Tier, Token
from repocore.plugins.quetz.answers import Fields, Listing, no_such, signed_in
from repocore.plugins.quetz.server_roles import (
    OWN_ROLES,
    bind,
    channel_role,
    held,
    package_role,
    role_word,
)
from repocore.plugins.quetz.terms import require_signature
from repocore.plugins.quetz.users import KEY_ACCOUNT, key_account, key_accounts
from repocore.registry import TOKEN_PREFIX, Session

__all__ = ["KEYS", "KeyRole", "create", "delete"]

_MARK: Final = "…"
_MOST_ROLES: Final = 100
_MOST_KEYS: Final = 200
_MARGIN: Final = timedelta(seconds=5)
_FOREIGN: Final = "imported-"


@attrs.frozen
class KeyRole:
    """A role that a key has."""

    channel: str
    package: str | None
    role: str

    def binding(self, account: str) -> Binding:
        """What it comes to; raises `RejectedError`."""
        if self.package is None:
            return channel_role(account, self.role, self.channel)
        return package_role(account, self.role, self.channel, self.package)

    @property
    def resource(self) -> Resource:
        """Where it holds."""
        return Resource("conda", self.channel, self.package)

    @property
    def actions(self) -> frozenset[Action]:
        """What it lets do."""
        return {**ROLES, **OWN_ROLES}[self.binding("any").role].actions

    def fields(self) -> dict[str, Any]:
        """The role, as clients have it."""
        return {"channel": self.channel, "package": self.package, "role": self.role}


def _in_the_name_of(session: Session) -> Session:
    """Who asks, doing what belongs to a key of theirs and takes an administrator otherwise."""
    principal = session.principal
    return session.registry.session(attrs.evolve(principal, trusted=True, scope=None))


# ------------------------------------------------------------------------------------------- lists


def _all(session: Session, _request: Request) -> Sequence[Token]:
    name = signed_in(session)
    session.accounts.get(name)  # a token that is narrower than its account learns of no other
    house = session.registry.session(session.registry.admin(), source=session.source)
    own = house.accounts.tokens(name)
    keyed = [
        one for account in key_accounts(session, name) for one in house.accounts.tokens(account)
    ]
    return [one for one in (*own, *keyed) if one.revoked_at is None]


def _described(session: Session, token: Token) -> dict[str, Any]:
    return {**_fields(token, _roles(session, token)), "key": _masked(token)}


KEYS: Final = Listing(_all, _described, "List one's API keys, by the beginning of each.")


def _fields(token: Token, roles: Sequence[KeyRole] | None) -> dict[str, Any]:
    end = token.expires_at
    return {
        "description": token.name,
        "time_created": token.created_at.date().isoformat(),
        "expire_at": None if end is None else (end - timedelta(microseconds=1)).date().isoformat(),
        "roles": None if roles is None else [one.fields() for one in roles],
    }


def _masked(token: Token) -> str:
    """What can be told of a key: enough to know which one it is."""
    known = f"{_FOREIGN}{token.id}" if token.declared else f"{TOKEN_PREFIX}{token.prefix}"
    return f"{known}{_MARK}"


def _roles(session: Session, token: Token) -> list[KeyRole] | None:
    if token.account.startswith(KEY_ACCOUNT):
        return [
            KeyRole(str(one.channel), one.package, one.role)
            for where in ("channel", "package")
            for one in held(session, where=where)
            if one.account == token.account
        ]
    if token.rules is None:
        return None
    return [role for rule in token.rules if (role := _role_of(rule)) is not None]


def _role_of(rule: Rule) -> KeyRole | None:
    """The role that a rule of a scope stands for; None for one that was made elsewhere."""
    fields = rule.pattern.removesuffix("/**").split("/")
    if fields[0] != "conda" or len(fields) not in {2, 3}:
        return None
    package = fields[2] if len(fields) > 2 else None  # noqa: PLR2004 - conda, channel, package
    for word in ("owner", "maintainer", "member"):
        if package is not None and word == "member":
            break
        role = KeyRole(fields[1], package, word)
        if role.actions <= rule.actions:
            return role
    return None


# ------------------------------------------------------------------------------------------ making


def create(session: Session, request: Request) -> Response:
    """Make an API key; it is shown in this answer and never again."""
    name = signed_in(session)
    require_signature(session)
    fields = Fields.of(request, "description", "time_created", "expire_at", "roles")
    description = fields.text("description", "")
    roles = _read_roles(fields.values.get("roles"))
    lifetime = _lifetime(fields)
    if not roles:
        token, secret = session.accounts.create_token(name, description, lifetime=lifetime)
    elif all(session.allowed(Action.MANAGE, role.resource) for role in roles):
        token, secret = _with_account(session, name, description, roles, lifetime)
    else:
        rules = _scope(session, name, roles)
        token, secret = session.accounts.create_token(
            name, description, rules=rules, lifetime=lifetime
        )
    return Response.json({**_fields(token, roles or None), "key": secret}, 201)


def _read_roles(given: object) -> list[KeyRole]:
    if given is None:
        return []
    if not isinstance(given, list) or len(cast("list[object]", given)) > _MOST_ROLES:
        message = f"`roles` is a list of up to {_MOST_ROLES}."
        raise RejectedError(message)
    return [_read_role(one) for one in cast("list[object]", given)]


def _read_role(given: object) -> KeyRole:
    if not isinstance(given, dict):
        message = "A role has a `channel`, maybe a `package`, and a `role`."
        raise RejectedError(message)
    fields = Fields(cast("Mapping[str, Any]", given))
    role = KeyRole(
        fields.text("channel"),
        fields.text("package", "") or None,
        role_word(fields.values.get("role")),
    )
    role.binding("any")  # raises for what cannot be given
    return role


def _lifetime(fields: Fields) -> timedelta | None:
    written = fields.text("expire_at", "")
    if not written:
        return None
    try:
        last = date.fromisoformat(written[:10])
    except ValueError as error:
        message = "`expire_at` is a date, such as 2026-12-31; the key is good through that day."
        raise RejectedError(message) from error
    end = datetime.combine(last, time(), UTC) + timedelta(days=1)
    # It counts from when it is stored, which is a little later.
    return end - datetime.now(UTC) - _MARGIN


def _with_account(
    session: Session,
    owner: str,
    description: str,
    roles: Iterable[KeyRole],
    lifetime: timedelta | None,
) -> tuple[Token, str]:
    """An account of the key's own; nothing is left where a role cannot be given."""
    session.accounts.get(owner)  # as for a key without roles: not by a token of narrow scope
    known = session.registry.access.repositories
    for role in roles:
        if role.resource.repository is None or f"conda/{role.channel}" not in known:
            raise no_such(f"Channel {role.channel}")
    if len(key_accounts(session, owner)) >= _MOST_KEYS:
        message = f"There are {_MOST_KEYS} keys with roles; delete those that nobody needs."
        raise RejectedError(message)
    acting = _in_the_name_of(session)
    account = key_account(owner)
    acting.accounts.add(account, service=True)
    try:
        for role in roles:
            bind(session, role.binding(account))
        return acting.accounts.create_token(account, description, lifetime=lifetime)
    except BaseException:
        acting.accounts.remove(account)
        raise


def _scope(session: Session, name: str, roles: Iterable[KeyRole]) -> list[Rule]:
    """The rules of a token that is good for these roles and no more.

    Raises `AccessDeniedError` where the asker has not all that a role lets do.
    """
    rules: list[Rule] = []
    for role in roles:
        binding = role.binding(name)
        if not all(session.allowed(action, role.resource) for action in role.actions):
            raise AccessDeniedError
        rules.append(
            Rule(
                subject=binding.subject,
                actions=role.actions,
                pattern=binding.pattern,
                tier=Tier.REPOSITORY,
            )
        )
    return rules


# ---------------------------------------------------------------------------------------- deleting


def delete(session: Session, request: Request) -> Response:
    """Delete an API key: by itself, or by its beginning as the list shows it."""
    name = signed_in(session)
    token = _named(session, request.fields["key"].removesuffix(_MARK))
    if token is None or token.revoked_at is not None:
        raise no_such("The key")
    mine = token.account == name or token.account in key_accounts(session, name)
    if not mine and not session.allowed(Action.ADMIN, Resource()):
        raise no_such("The key")  # others' keys are not there
    session.accounts.get(name)
    acting = _in_the_name_of(session)
    acting.accounts.revoke_token(token.id)
    if token.account.startswith(KEY_ACCOUNT):
        acting.accounts.remove(token.account)
    return Response.json(None)


def _named(session: Session, text: str) -> Token | None:
    """The token of a secret, or of what a list shows of it."""
    house = session.registry.session(session.registry.admin(), source=session.source)
    for token in house.accounts.tokens():
        if text == _masked(token).removesuffix(_MARK):
            return token
    try:
        return house.accounts.find_token(text)
    except (NotAuthenticatedError, MissingError):
        return None
