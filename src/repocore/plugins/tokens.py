"""The authenticator of API tokens: as a header, in a URL, or in the place of a password."""

from __future__ import annotations

from repocore.errors import MissingError, NotAuthenticatedError
from repocore.markers import hookimpl
from repocore.model import ApiKey, Bearer, Credentials, Password, Principal
from repocore.registry import TOKEN_PREFIX, Registry

__all__ = ["repocore_authenticate"]

#: The user name of those who send a token and no name.
ANYBODY = "__token__"


@hookimpl
def repocore_authenticate(registry: Registry, credentials: Credentials) -> Principal | None:
    """The account of a token, narrowed to the token's scope.

    As a password, it goes with its account's name or ``__token__``.  Raises
    `NotAuthenticatedError` for one that is revoked, expired or not known.
    """
    match credentials:
        case ApiKey(value):
            return _principal(registry, value, ANYBODY)
        case Bearer(value) if value.startswith(TOKEN_PREFIX):
            return _principal(registry, value, ANYBODY)
        case Password(username, password) if password.startswith(TOKEN_PREFIX):
            return _principal(registry, password, username)
        case _:
            return None


def _principal(registry: Registry, secret: str, username: str) -> Principal | None:
    accounts = registry.session(registry.admin()).accounts
    token = accounts.find_token(secret)
    if token is None:
        if username != ANYBODY:
            return None  # a password that only looks like a token
        message = "The token is not valid."
        raise NotAuthenticatedError(message)
    if username not in {ANYBODY, token.account}:
        message = "The token belongs to another account."
        raise NotAuthenticatedError(message)
    try:
        account = accounts.get(token.account)
    except MissingError as error:
        message = "The token's account is gone."
        raise NotAuthenticatedError(message) from error
    return Principal(
        name=account.name,
        groups=account.groups,
        scope=token.rules,
        via="token",
        token_id=token.id,
        expires=None if token.expires_at is None else token.expires_at.timestamp(),
    )
