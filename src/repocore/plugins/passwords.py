"""The authenticator of accounts with passwords (argon2id)."""

from __future__ import annotations

from repocore.markers import hookimpl
from repocore.model import Credentials, Password, Principal
from repocore.registry import Registry

__all__ = ["repocore_authenticate"]


@hookimpl
def repocore_authenticate(registry: Registry, credentials: Credentials) -> Principal | None:
    """The account of a name and its password; an unknown name is left to the next authenticator.

    Raises `NotAuthenticatedError` for a wrong password and for a disabled account.
    """
    if not isinstance(credentials, Password):
        return None
    accounts = registry.session(registry.admin()).accounts
    account = accounts.verify(credentials.username, credentials.password)
    if account is None:
        return None
    return Principal(name=account.name, groups=account.groups, via="password")
