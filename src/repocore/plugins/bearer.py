"""Signed tokens (JWT, RFC 7519): what a login gives, and what proves it afterwards.

One algorithm, HS256, with keys of the catalog; a key in or named by the token itself is never
used for more than to choose among ours.  A token that was issued for an API token dies with it.

Whoever another authenticator knows (LDAP, PAM, a plugin) may have no account: such a token says
so, and lasts until it expires.  Groups that the account does not have are those that they had at
their login.  An account of that name that is disabled ends it at once.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import attrs
import jwt

from repocore.config import says
from repocore.errors import MissingError, NotAuthenticatedError
from repocore.markers import hookimpl
from repocore.model import Account, Bearer, Credentials, Principal, Rule, SigningKey
from repocore.registry import Registry

__all__ = [
    "BearerSettings",
    "repocore_authenticate",
    "repocore_issue",
    "repocore_redeem",
    "repocore_settings",
]

PURPOSE: Final = "bearer"
_ALGORITHM: Final = "HS256"
_CLAIMS: Final = ["aud", "exp", "iat", "iss", "jti", "sub"]


@attrs.frozen(kw_only=True)
class BearerSettings:
    """``[plugins.bearer]``."""

    issuer: str = attrs.field(
        default="repocore", metadata=says("Who we say that we are, in tokens.")
    )
    audiences: tuple[str, ...] = attrs.field(
        default=("conan", "repocore"),
        metadata=says("For whom a token may have been issued to be accepted here."),
    )
    leeway: float = attrs.field(
        default=0.0, metadata=says("Seconds that another server's clock may be off.")
    )


@hookimpl
def repocore_settings() -> Mapping[str, type]:
    """``[plugins.bearer]`` is `BearerSettings`."""
    return {"bearer": BearerSettings}


@hookimpl
def repocore_issue(
    registry: Registry, principal: Principal, audience: str, lifetime: timedelta
) -> str:
    """Sign a token for the principal; a token that it used itself goes with it."""
    key = registry.session(registry.admin()).accounts.signing_keys(PURPOSE)[0]
    issued = int(time.time())
    expires = issued + max(1, int(lifetime.total_seconds()))
    if principal.expires is not None:
        expires = min(expires, int(principal.expires))
    claims: dict[str, Any] = {
        "sub": principal.name,
        "aud": audience,
        "iss": registry.plugin_settings("bearer").issuer,
        "iat": issued,
        "exp": expires,
        "jti": secrets.token_urlsafe(16),
    }
    if principal.token_id is not None:
        claims["tok"] = principal.token_id
    account = _account(registry, str(principal.name))
    if account is None:
        claims["via"] = principal.via
    if others := principal.groups - (account.groups if account else frozenset()):
        claims["groups"] = sorted(others)
    return jwt.encode(claims, key.secret, algorithm=_ALGORITHM, headers={"kid": str(key.id)})


@hookimpl
def repocore_authenticate(registry: Registry, credentials: Credentials) -> Principal | None:
    """Who a signed token was issued for; None for what is no signed token.

    Raises `NotAuthenticatedError` for one that is expired, forged, for somebody else, or whose
    account or API token is gone.
    """
    if not isinstance(credentials, Bearer) or credentials.value.count(".") != 2:  # noqa: PLR2004 - header.claims.signature
        return None
    settings: BearerSettings = registry.plugin_settings("bearer")
    return _principal(registry, _verify(registry, credentials.value, settings.audiences))


@hookimpl
def repocore_redeem(registry: Registry, token: str, audience: str) -> Principal:
    """Who a token of that audience was issued for; as `repocore_authenticate` otherwise."""
    return _principal(registry, _verify(registry, token, (audience,)))


def _principal(registry: Registry, claims: Mapping[str, Any]) -> Principal:
    name = str(claims["sub"])
    account = _account(registry, name)
    if account is None and "via" not in claims:
        message = "The account of this login is gone."
        raise NotAuthenticatedError(message)
    # Somebody else may have the name now; both clocks are rounded to whole seconds.
    if account and "via" not in claims and claims["iat"] + 1 < account.created_at.timestamp():
        message = "The account of this login is gone; another one has its name."
        raise NotAuthenticatedError(message)
    scope, token_id = _scope(registry, claims)
    return Principal(
        name=name,
        groups=frozenset(claims.get("groups", ())),  # the registry adds the account's
        scope=scope,
        via="bearer",
        token_id=token_id,
        expires=float(claims["exp"]),
    )


def _verify(registry: Registry, value: str, audiences: tuple[str, ...]) -> dict[str, Any]:
    settings: BearerSettings = registry.plugin_settings("bearer")
    keys = registry.session(registry.admin()).accounts.signing_keys(PURPOSE)
    try:
        for key in _likely(keys, value):
            try:
                return jwt.decode(
                    value,
                    key.secret,
                    algorithms=[_ALGORITHM],
                    audience=audiences,
                    issuer=settings.issuer,
                    leeway=settings.leeway,
                    options={"require": _CLAIMS},
                )
            except jwt.InvalidSignatureError:
                continue
    except jwt.ExpiredSignatureError as error:
        message = "The login has expired; log in again."
        raise NotAuthenticatedError(message) from error
    # Whatever a hostile token makes of the parser, it proves nothing.
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        message = "The login is not valid; log in again."
        raise NotAuthenticatedError(message) from error
    message = "The login is not valid; log in again."
    raise NotAuthenticatedError(message)


def _likely(keys: tuple[SigningKey, ...], value: str) -> list[SigningKey]:
    """Our keys, the one that the token names first: a hint, never a key."""
    named = jwt.get_unverified_header(value).get("kid")
    return sorted(keys, key=lambda key: str(key.id) != named)


def _account(registry: Registry, name: str) -> Account | None:
    try:
        account = registry.session(registry.admin()).accounts.get(name)
    except MissingError:
        return None
    if account.disabled:
        message = "The account of this login is disabled."
        raise NotAuthenticatedError(message)
    return account


def _scope(
    registry: Registry, claims: Mapping[str, Any]
) -> tuple[tuple[Rule, ...] | None, int | None]:
    number = claims.get("tok")
    if number is None:
        return None, None
    token = registry.session(registry.admin()).accounts.get_token(int(number))
    if token is None or token.account != claims["sub"]:
        message = "The token of this login is gone."
        raise NotAuthenticatedError(message)
    return token.rules, token.id
