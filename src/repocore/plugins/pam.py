"""The authenticator of the system's own users, through PAM.

It runs where ``[plugins.pam]`` names a ``service``, which is a file of ``/etc/pam.d``.  The
system's database of users (NSS) says who is known and in which groups; the service's ``auth`` and
``account`` lines say whether the password is right and the account may be used.  Sessions and
credentials of the process are left alone.

A name is what the database says that it is: another spelling of it is somebody else, and unknown.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from repocore.errors import AuthenticatorError, ConfigurationError, NotAuthenticatedError
from repocore.markers import hookimpl
from repocore.model import Credentials, Password, Principal
from repocore.registry import Registry

__all__ = [
    "PamSettings",
    "repocore_authenticate",
    "repocore_settings",
    "repocore_shutdown",
    "repocore_startup",
]

_SERVICE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
#: Where Linux-PAM looks for a service; without the first there is one file for all of them.
_PLACES: Final = ("/etc/pam.d", "/usr/lib/pam.d", "/usr/share/pam.d", "/usr/etc/pam.d")

#: The bytes of an answer that modules accept (PAM_MAX_RESP_SIZE).
_LONGEST: Final = 511
_UNKNOWN: Final = 10
#: Verdicts on the user, by the numbers of Linux-PAM: permission denied, authentication error,
#: insufficient credentials, too many tries, a new password is due, the account has expired,
#: credentials expired, more is asked than a password, the password has expired.
_REFUSED: Final = frozenset({6, 7, 8, 11, 12, 13, 16, 19, 27})
_WRONG: Final = "Wrong user or password."


def _named(service: str | None) -> None:
    if service is None:
        return
    if not _SERVICE.fullmatch(service):
        message = "expected the name of a file of /etc/pam.d"
        raise ValueError(message)
    places = [Path(place) for place in _PLACES]
    if places[0].is_dir() and not any((place / service).exists() for place in places):
        message = f"there is no PAM service of that name; make /etc/pam.d/{service}"
        raise ValueError(message)


@attrs.frozen(kw_only=True)
class PamSettings:
    """``[plugins.pam]``."""

    service: str | None = attrs.field(
        default=None,
        metadata={"help": "The PAM service that decides: a file of /etc/pam.d.", "check": _named},
    )
    allowed_groups: tuple[str, ...] = attrs.field(
        default=(),
        metadata={"help": "Only their members may sign in; without any, everybody may."},
    )

    def __attrs_post_init__(self) -> None:
        if self.service is not None:
            _package()


def _package() -> Any:
    """The package for PAM; raises `ValueError` where it, or PAM itself, is not installed."""
    try:
        import pamela  # noqa: PLC0415 - an optional package, only where it is used
    except ImportError as error:
        message = "needs the package pamela; pip install 'repocore[pam]'"
        raise ValueError(message) from error
    except (OSError, AttributeError) as error:  # it looks for the library while it is imported
        message = "this system has no PAM library (libpam)"
        raise ValueError(message) from error
    return pamela


@hookimpl
def repocore_settings() -> Mapping[str, type]:
    """``[plugins.pam]`` is `PamSettings`."""
    return {"pam": PamSettings}


_opened: weakref.WeakKeyDictionary[Registry, _SystemUsers] = weakref.WeakKeyDictionary()


@hookimpl
def repocore_startup(registry: Registry) -> None:
    """Get ready to ask the service; raises `ConfigurationError` for a table without one."""
    settings: PamSettings = registry.plugin_settings("pam")
    if settings.service is not None:
        _opened[registry] = _SystemUsers(settings.service, frozenset(settings.allowed_groups))
    elif "pam" in registry.settings.plugins.tables:
        raise ConfigurationError(problems=("plugins.pam.service: is missing",))


@hookimpl
def repocore_shutdown(registry: Registry) -> None:
    """Forget the service.  Idempotent."""
    _opened.pop(registry, None)


@hookimpl(trylast=True)
def repocore_authenticate(registry: Registry, credentials: Credentials) -> Principal | None:
    """The system's user of that name and password; an unknown name is left to the next.

    It is asked late: what stands behind PAM may be a network, and it takes its time over a wrong
    password.  Raises `NotAuthenticatedError` where the service refuses, and for an empty password;
    `AuthenticatorError` where it does not work.
    """
    users = _opened.get(registry)
    if users is None or not isinstance(credentials, Password):
        return None
    return users.find(credentials.username, credentials.password)


class _SystemUsers:
    """The users of the system, as one PAM service lets them in."""

    def __init__(self, service: str, allowed: frozenset[str]) -> None:
        self._service = service
        self._allowed = allowed
        self._pam = _package()

    def find(self, name: str, password: str) -> Principal | None:
        """Whoever has that name and password; None for an unknown name.

        Raises `NotAuthenticatedError`, `AuthenticatorError`.
        """
        entry = _entry(name)
        if entry is None or not self._lets_in(name, password):
            return None
        groups = _groups(name, entry.pw_gid)
        if self._allowed and self._allowed.isdisjoint(groups):
            message = "This user is in none of the groups that may sign in here."
            raise NotAuthenticatedError(message)
        return Principal(name=name, groups=groups, via="pam")

    def _lets_in(self, name: str, password: str) -> bool:
        """True, or False where the service does not know the name."""
        secret = password.encode("utf-8", "surrogatepass")
        # A module that lets people without a password in must not let everybody in; and what is
        # behind a byte 0 would not be looked at.
        if not secret or b"\0" in secret or len(secret) > _LONGEST:
            raise NotAuthenticatedError(_WRONG)
        try:
            self._pam.authenticate(name, (secret,), service=self._service, resetcred=0)
        except self._pam.PAMError as error:
            if error.errno == _UNKNOWN:
                return False
            if error.errno in _REFUSED:
                raise NotAuthenticatedError(_WRONG) from error
            message = "The system cannot check passwords just now; try again later."
            raise AuthenticatorError(message) from error
        return True


def _entry(name: str) -> pwd.struct_passwd | None:
    try:
        entry = pwd.getpwnam(name)
    except (KeyError, ValueError):  # a byte 0, or what the system cannot encode
        return None
    return entry if entry.pw_name == name else None


def _groups(name: str, primary: int) -> frozenset[str]:
    """The names of all groups; one without a name is left out."""
    names: set[str] = set()
    for number in os.getgrouplist(name, primary):
        try:
            names.add(grp.getgrgid(number).gr_name)
        except KeyError:
            continue
    return frozenset(names)
