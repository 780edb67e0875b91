"""The authenticator of a directory (LDAP): search for the name, then sign in as what was found.

It runs where ``[plugins.ldap]`` names ``urls``, and is asked after those that need no network.  A
name that the directory does not have is left to the next; a known name with a wrong password is
refused; a directory that does not answer is neither, and refuses for now (`AuthenticatorError`).

The user's name here is what the directory says that it is, and not what was typed: directories
take `ALICE` for `alice`, rules do not.  Who has typed something else is asked for under that name
from all other authenticators first, so that nobody gets by another spelling what an account's own
password would have refused.
"""

from __future__ import annotations

import hashlib
import secrets
import sys
import time
import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from repocore.errors import ConfigurationError, NotAuthenticatedError
from repocore.markers import hookimpl
from repocore.model import Credentials, Password, Principal
from repocore.plugins.ldap.settings import LdapSettings
from repocore.registry import Registry

if TYPE_CHECKING:
    from repocore.plugins.ldap.directory import Directory, Person

__all__ = [
    "LdapSettings",
    "repocore_authenticate",
    "repocore_settings",
    "repocore_shutdown",
    "repocore_startup",
]

_MOST: Final = 10_000
_WRONG: Final = "Wrong user or password."

_opened: weakref.WeakKeyDictionary[Registry, _SignIn] = weakref.WeakKeyDictionary()


@hookimpl
def repocore_settings() -> Mapping[str, type]:
    """``[plugins.ldap]`` is `LdapSettings`."""
    return {"ldap": LdapSettings}


@hookimpl
def repocore_startup(registry: Registry) -> None:
    """Get ready for the directory of the settings; it is not asked before somebody signs in.

    Raises `ConfigurationError` for a table without ``urls``.
    """
    settings: LdapSettings = registry.plugin_settings("ldap")
    if settings.urls:
        from repocore.plugins.ldap.directory import (  # noqa: PLC0415 - it imports an optional package
            Directory,
        )

        _opened[registry] = _SignIn(settings, Directory(settings))
    elif "ldap" in registry.settings.plugins.tables:
        raise ConfigurationError(problems=("plugins.ldap.urls: is missing",))


@hookimpl
def repocore_shutdown(registry: Registry) -> None:
    """Close the connections.  Idempotent."""
    if sign_in := _opened.pop(registry, None):
        sign_in.directory.close()


@hookimpl(trylast=True)
def repocore_authenticate(registry: Registry, credentials: Credentials) -> Principal | None:
    """Who has that name and password in the directory; an unknown name is left to the next.

    Raises `NotAuthenticatedError` for a wrong or empty password, for a name that the directory has
    twice, and for members of none of the allowed groups; `AuthenticatorError` where the directory
    cannot be asked.
    """
    sign_in = _opened.get(registry)
    if sign_in is None or not isinstance(credentials, Password):
        return None
    return sign_in.remembered(credentials, lambda name: _others(registry, name, credentials))


def _others(registry: Registry, name: str, typed: Password) -> Principal | None:
    """What all others say of the name that the directory has for somebody who typed another."""
    if name == typed.username:
        return None
    ask = registry.plugins.subset_hook_caller("repocore_authenticate", [sys.modules[__name__]])
    return ask(registry=registry, credentials=Password(name, typed.password))


class _SignIn:
    """Who has signed in lately, and the directory that is asked about everybody else."""

    def __init__(self, settings: LdapSettings, directory: Directory) -> None:
        self.directory = directory
        self._allowed = frozenset(settings.allowed_groups)
        self._span = settings.cache.total_seconds()
        self._salt = secrets.token_bytes(32)
        self._known: dict[bytes, tuple[Principal, float]] = {}

    def remembered(
        self, typed: Password, others: Callable[[str], Principal | None]
    ) -> Principal | None:
        """The principal of a password that was right lately, else what the directory says now.

        What was wrong is not remembered, and nothing is kept of a password but a keyed hash.
        """
        if not typed.password or "\0" in typed.password or not _is_text(typed.password):
            raise NotAuthenticatedError(_WRONG)
        key = self._key(typed)
        found = self._known.get(key)
        if found is not None and found[1] > time.monotonic():
            return found[0]
        person = self.directory.find(typed.username) if _is_text(typed.username) else None
        if person is None:
            return None
        if elsewhere := others(person.name):
            return elsewhere
        principal = self._verified(person, typed.password)
        if self._span:
            if len(self._known) >= _MOST:
                self._known.clear()
            self._known[key] = (principal, time.monotonic() + self._span)
        return principal

    def _verified(self, person: Person, password: str) -> Principal:
        if not self.directory.verify(person, password):
            raise NotAuthenticatedError(_WRONG)
        if self._allowed and self._allowed.isdisjoint(person.groups):
            message = "This user is in none of the groups that may sign in here."
            raise NotAuthenticatedError(message)
        return Principal(name=person.name, groups=person.groups, via="ldap")

    def _key(self, typed: Password) -> bytes:
        text = f"{len(typed.username)}:{typed.username}{typed.password}"
        raw = text.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(raw, key=self._salt).digest()


def _is_text(value: str) -> bool:
    """Whether it is UTF-8 on the wire, as names and passwords of a directory are (RFC 4513)."""
    return not any("\ud800" <= letter <= "\udfff" for letter in value)
