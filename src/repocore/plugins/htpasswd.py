"""The authenticator of an htpasswd file: names and bcrypt hashes, as ``htpasswd -B`` writes them.

It runs where ``[plugins.htpasswd]`` names a ``file``.  A line is ``name:hash``; empty lines and
those that start with ``#`` are none.  Other kinds of hashes are refused at start, because all of
them are guessed far too quickly.  The file may be changed while the server runs: a line that is
wrong then is logged, and whoever stands in it cannot sign in until it is right.

The work for a known name (one bcrypt hash) is not repeated for an unknown one.  Whoever guesses
learns nothing by the clock that the answer would not say: an unknown name is left to the next
authenticator, whose words, time and verdict are its own.
"""

from __future__ import annotations

import logging
import re
import time
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Generic, TypeVar

import attrs

from repocore.errors import AuthenticatorError, ConfigurationError, NotAuthenticatedError
from repocore.markers import hookimpl
from repocore.model import Credentials, Password, Principal
from repocore.registry import Registry

__all__ = [
    "HtpasswdSettings",
    "repocore_authenticate",
    "repocore_settings",
    "repocore_shutdown",
    "repocore_startup",
]

T = TypeVar("T")

LOG = logging.getLogger(__name__)

#: What bcrypt takes of a password; what comes after it would not count.
_LONGEST: Final = 72
#: A file that was changed more lately than this may change again under the same time stamp.
_SETTLED_NS: Final = 2_000_000_000

_BCRYPT = re.compile(r"\$2[aby]\$(?:0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}")
_OTHERS: Final = (
    (re.compile(r"\$apr1\$"), "an MD5 hash ($apr1$)"),
    (re.compile(r"\{SHA\}"), "an unsalted SHA-1 hash ({SHA})"),
    (re.compile(r"\$[156]\$"), "a hash of crypt()"),
    (re.compile(r"\$2"), "a damaged bcrypt hash"),
    (re.compile(r"[./A-Za-z0-9]{13}\Z"), "a hash of the old crypt(), or a plain password"),
)
_PLAIN: Final = "a plain password, or a hash of an unknown kind"


# ------------------------------------------------------------------------------------- settings


def _readable(path: Path | None) -> None:
    """Raise `ValueError` for the first line of the users' file that is of no use."""
    if path is not None:
        _first_problem(path, _read_users)


def _readable_groups(path: Path | None) -> None:
    if path is not None:
        _first_problem(path, _read_groups)


@attrs.frozen(kw_only=True)
class HtpasswdSettings:
    """``[plugins.htpasswd]``; the paths are relative to the settings file."""

    file: Path | None = attrs.field(
        default=None,
        metadata={"help": "The file of names and bcrypt hashes.", "check": _readable},
    )
    group_file: Path | None = attrs.field(
        default=None,
        metadata={
            "help": "The file of groups, each line `group: name name`; or none.",
            "check": _readable_groups,
        },
    )

    def __attrs_post_init__(self) -> None:
        if self.file is not None:
            _checker()
        elif self.group_file is not None:
            message = "`group_file` is of no use without `file`"
            raise ValueError(message)


@hookimpl
def repocore_settings() -> Mapping[str, type]:
    """``[plugins.htpasswd]`` is `HtpasswdSettings`."""
    return {"htpasswd": HtpasswdSettings}


# ---------------------------------------------------------------------------------------- hooks

_opened: weakref.WeakKeyDictionary[Registry, _UserFile] = weakref.WeakKeyDictionary()


@hookimpl
def repocore_startup(registry: Registry) -> None:
    """Open the files that the settings name.  Raises `ConfigurationError` for a table without."""
    settings: HtpasswdSettings = registry.plugin_settings("htpasswd")
    if settings.file is not None:
        _opened[registry] = _UserFile(settings.file, settings.group_file)
    elif "htpasswd" in registry.settings.plugins.tables:
        raise ConfigurationError(problems=("plugins.htpasswd.file: is missing",))


@hookimpl
def repocore_shutdown(registry: Registry) -> None:
    """Forget the files.  Idempotent."""
    _opened.pop(registry, None)


@hookimpl
def repocore_authenticate(registry: Registry, credentials: Credentials) -> Principal | None:
    """Who stands in the file with that password; an unknown name is left to the next.

    Raises `NotAuthenticatedError` for a wrong, an empty and a too long password, and
    `AuthenticatorError` where the file cannot be read any more.
    """
    users = _opened.get(registry)
    if users is None or not isinstance(credentials, Password):
        return None
    return users.find(credentials.username, credentials.password)


# ---------------------------------------------------------------------------------------- files


class _UserFile:
    """The users and groups of two files, which are read again when they change."""

    def __init__(self, users: Path, groups: Path | None) -> None:
        self._users = _Watched(users, _read_users)
        self._groups = None if groups is None else _Watched(groups, _read_groups)
        self._check = _checker()

    def find(self, name: str, password: str) -> Principal | None:
        """Whoever has that name and password; None for an unknown name.

        Raises `NotAuthenticatedError`, `AuthenticatorError`.
        """
        users = self._users.read()
        if name not in users:
            return None
        raw = password.encode("utf-8", "surrogatepass")
        if len(raw) > _LONGEST:
            message = (
                f"Passwords have at most {_LONGEST} bytes here; "
                "ask for a shorter one to be set with `htpasswd -B`."
            )
            raise NotAuthenticatedError(message)
        hashed = users[name]
        # A byte 0 ends a password for some who write such files, and not for others.
        if hashed is None or not raw or b"\0" in raw or not self._check(raw, hashed):
            message = "Wrong user or password."
            raise NotAuthenticatedError(message)
        members = {} if self._groups is None else self._groups.read()
        return Principal(name=name, groups=members.get(name, frozenset()), via="htpasswd")


@attrs.define
class _Watched(Generic[T]):
    """A file's content, parsed again whenever its time, size or inode is another."""

    _path: Path
    _parse: Callable[[str], tuple[T, list[str]]]
    _known: tuple[tuple[int, int, int] | None, T] | None = None

    def read(self) -> T:
        """What the file says now.

        A line that is of no use is logged.  Raises `AuthenticatorError` where the file is gone.
        """
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            known = self._known
            if known is not None and known[0] == stamp:
                return known[1]
            made, problems = self._parse(_text(self._path))
        except OSError as error:
            message = "The list of users cannot be read just now; try again later."
            raise AuthenticatorError(message) from error
        for problem in problems:
            LOG.warning("%s: %s", self._path.name, problem)
        settled = time.time_ns() - status.st_mtime_ns > _SETTLED_NS
        self._known = (stamp if settled else None, made)
        return made


def _read_users(text: str) -> tuple[dict[str, bytes | None], list[str]]:
    """The hash of each name, None where the line is of no use, and what is wrong with such lines.

    No sentence repeats a part of a hash.
    """
    users: dict[str, bytes | None] = {}
    problems: list[str] = []
    for number, line in _lines(text):
        name, _, rest = line.partition(":")
        hashed = rest.partition(":")[0].strip()
        problem = _problem(name, hashed) or ("repeats a name" if name in users else None)
        if problem:
            problems.append(f"line {number} {problem}")
        users[name] = None if problem else hashed.encode("ascii")
    return users, problems


def _problem(name: str, hashed: str) -> str | None:
    if not name or not hashed:
        return "is not of the form `name:hash`; write it with `htpasswd -B`"
    if _BCRYPT.fullmatch(hashed):
        return None
    kind = next((words for start, words in _OTHERS if start.match(hashed)), _PLAIN)
    return f"has {kind}, where bcrypt is wanted; set that password again with `htpasswd -B`"


def _read_groups(text: str) -> tuple[dict[str, frozenset[str]], list[str]]:
    """The groups of each name, and what is wrong with lines that are of no use."""
    groups: dict[str, set[str]] = {}
    problems: list[str] = []
    for number, line in _lines(text):
        group, colon, names = line.partition(":")
        if not group.strip() or not colon:
            problems.append(f"line {number} is not of the form `group: name name`")
            continue
        for name in names.split():
            groups.setdefault(name, set()).add(group.strip())
    return {name: frozenset(found) for name, found in groups.items()}, problems


def _lines(text: str) -> list[tuple[int, str]]:
    numbered = enumerate(text.split("\n"), 1)
    return [(n, line.rstrip("\r")) for n, line in numbered if line.strip() and line[0] != "#"]


def _text(path: Path) -> str:
    # What is not UTF-8 is no name that anybody sends, and no hash.
    return path.read_text(encoding="utf-8", errors="replace")


def _first_problem(path: Path, parse: Callable[[str], tuple[object, list[str]]]) -> None:
    try:
        _, problems = parse(_text(path))
    except OSError as error:
        message = f"the file {path.name} cannot be read: {error.strerror}"
        raise ValueError(message) from error
    if problems:
        message = f"of the file {path.name}, {problems[0]}"
        raise ValueError(message)


def _checker() -> Callable[[bytes, bytes], bool]:
    """``bcrypt.checkpw``; raises `ValueError` where the package is not installed."""
    try:
        from bcrypt import checkpw  # noqa: PLC0415 - an optional package, only where it is used
    except ImportError as error:
        message = "needs the package bcrypt; pip install 'repocore[htpasswd]'"
        raise ValueError(message) from error
    return checkpw
