"""The first start of an installation: a repository, an administrator, rules.

It is decided under a lock in the data folder, and a word in the same file says how far it came:

    (nothing)  nobody has started here
    making     a start is under way, or died on the way: the next one goes on
    made       an administrator exists, and a password was shown; nothing has served yet
    served     all is done; no later start makes anything

So two servers that start at once on an empty folder make one password, and a password that was
made and never shown is told of.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import attrs

from repocore.config import Settings
from repocore.errors import AlreadyExistsError, MissingError
from repocore.model import Action, Effect, Rule, Tier
from repocore.registry import Registry, Session

__all__ = ["ADMIN", "FirstStart", "first_start", "reading_rule"]

ADMIN: Final = "admin"
#: Formats that get a repository ``main`` where their plugin is there.
_STARTING: Final = ("conan", "conda")
_FILE: Final = ".first-start"
# Without what is mistaken for something else, and without what a command line takes for an option.
_LETTERS: Final = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


def reading_rule(address: str) -> Rule:
    """The rule that lets everyone read a repository; a rule of that repository goes before it."""
    return Rule(subject="*", actions=frozenset({Action.READ}), pattern=f"{address}/**")


def _everything(administrator: str) -> Rule:
    return Rule(
        subject=f"user:{administrator}",
        actions=frozenset(Action),
        pattern="**",
        tier=Tier.REPOSITORY,
    )


@contextmanager
def first_start(
    settings: Settings, environ: Mapping[str, str], administrator: str = ADMIN
) -> Generator[FirstStart]:
    """Make the data folder and hold the lock of its first start, until `FirstStart.shown`.

    The administrator has another name where somebody else has the usual one already.
    Raises `OSError` where the folder cannot be made or written.
    """
    settings.data.mkdir(parents=True, exist_ok=True)
    handle = os.open(settings.data / _FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        given = environ.get("REPOCORE_ADMIN_PASSWORD") or None
        yield FirstStart(handle, settings, given, administrator)
    finally:
        # A worker that was forked meanwhile shares the lock, and must not keep it.
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_UN)
            os.close(handle)


@attrs.define(eq=False)
class FirstStart:
    """What this start still has to make, and what has to be said of it."""

    _handle: int
    _settings: Settings
    _given: str | None = attrs.field(repr=False)
    administrator: str
    #: The administrator's password, if this start made one that nobody has seen.
    password: str | None = attrs.field(default=None, repr=False)
    #: Whether this start made the administrator.
    made: bool = False
    #: Whether an administrator exists whose password nobody was shown.
    unseen: bool = False
    _final: str = "served"

    def prepare(self, registry: Registry, *, everyone_reads: bool | None) -> None:
        """Make what is missing.  Idempotent, also after a crash anywhere within.

        ``everyone_reads`` is what a server says that only this machine reaches; None is for a
        start that serves nothing.
        """
        word = self._word()
        # What a replica has is its primary's: it makes nothing of its own.
        if word == "served" or registry.following:
            return
        self._final = "made" if everyone_reads is None else "served"
        session = registry.session(registry.admin())
        if word in {"", "making"}:
            # Asked before the word is written: afterwards, what is there may be half of ours.
            governed = not word and _is_governed(registry, session, self.administrator)
            self._write("making")
            _make_repositories(registry, session)
            if not governed:
                _store(session, _everything(self.administrator))
                self._make_administrator(session)
        if everyone_reads:
            self._open_reading(registry, session)

    def _make_administrator(self, session: Session) -> None:
        password = self._given or "".join(secrets.choice(_LETTERS) for _ in range(20))
        try:
            session.accounts.add(self.administrator, password)
        except AlreadyExistsError:
            if self._given:
                session.accounts.set_password(self.administrator, self._given)
            else:
                self.unseen = True
            return
        self.made = True
        self.password = None if self._given else password

    def _open_reading(self, registry: Registry, session: Session) -> None:
        """Let everyone read what a first start has made, unless somebody has made rules already."""
        wanted = [reading_rule(address) for address in _starting(registry)]
        stored = session.accounts.rules()
        known = {_shape(rule) for rule in (_everything(self.administrator), *wanted)}
        if self._settings.rule or any(_shape(rule) not in known for rule in stored):
            return
        there = {repository.address for repository in session.repositories.list()}
        for rule in wanted:
            if rule.pattern.removesuffix("/**") in there:
                _store(session, rule)

    def shown(self) -> None:
        """What had to be said has been said: note it, and let the next start go on.  Idempotent."""
        if self._handle < 0:
            return
        if self._word() != "served":
            self._write(self._final)
        fcntl.flock(self._handle, fcntl.LOCK_UN)
        self._handle = -1

    def described(self) -> dict[str, Any]:
        """The same as `lines`, for programs."""
        value: dict[str, Any] = {"administrator_made": self.made}
        if self.password:
            value["administrator"] = {"name": self.administrator, "password": self.password}
        if self.unseen:
            value["password_unseen"] = self.administrator
        return value

    def lines(self) -> list[str]:
        """What a person must be told of this start; nothing where it made nothing."""
        name = self.administrator
        if self.password:
            return [
                "The administrator's account, shown this once:",
                f"  user      {name}",
                f"  password  {self.password}",
            ]
        if self.unseen:
            return [
                f"The account {name} was made by a start that ended before showing its password.",
                f"  repocore user password {name}    sets one",
            ]
        if self.made:
            return [f"The administrator {name} has the password of REPOCORE_ADMIN_PASSWORD."]
        return []

    def _word(self) -> str:
        return os.pread(self._handle, 16, 0).decode("ascii", "replace").strip()

    def _write(self, word: str) -> None:
        # One write of one length: a crash leaves the old word or the new one.
        os.pwrite(self._handle, f"{word:<8}\n".encode(), 0)
        os.fsync(self._handle)


def _is_governed(registry: Registry, session: Session, administrator: str) -> bool:
    """Whether somebody may administer already, or has made an account of that name."""
    for rule in registry.access.rules:
        if rule.effect is Effect.ALLOW and Action.ADMIN in rule.actions:
            return True
    try:
        session.accounts.get(administrator)
    except MissingError:
        return False
    return True


def _starting(registry: Registry) -> list[str]:
    return [f"{name}/main" for name in _STARTING if name in registry.formats]


def _make_repositories(registry: Registry, session: Session) -> None:
    starting = _starting(registry)
    if any(made.address not in starting for made in session.repositories.list()):
        return  # somebody has furnished it otherwise
    for address in starting:
        # Another machine may share the catalog and start at this moment.
        with contextlib.suppress(AlreadyExistsError):
            session.repositories.create(address)


def _store(session: Session, rule: Rule) -> None:
    if _shape(rule) not in {_shape(stored) for stored in session.accounts.rules()}:
        session.accounts.add_rule(rule)


def _shape(rule: Rule) -> Rule:
    return attrs.evolve(rule, id=None)
