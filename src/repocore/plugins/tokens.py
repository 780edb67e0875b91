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
        case Bearer(value):
            # One whose secret was made elsewhere has no form by which it is known.
            return _principal(registry, value, ANYBODY, ours=value.startswith(TOKEN_PREFIX))
        case Password(username, password):
            ours = password.startswith(TOKEN_PREFIX)
            return _principal(registry, password, username, ours=ours)
        case _:
            return None


def _principal(
    registry: Registry, secret: str, username: str, *, ours: bool = True
) -> Principal | None:
    accounts = registry.session(registry.admin()).accounts
    token = accounts.find_token(secret)
    if token is None:
        if username != ANYBODY or not ours:
            return None  # another's: a password, a signed token
        message = "The token is not valid."
        raise NotAuthenticatedError(message)
    if username not in {ANYBODY, token.account} and not ours:
        return None  # somebody's password, which is a token of somebody else
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
