"""Take over a quetz: people, channels, roles and keys; then the packages of each channel.

What is there already is passed over, so that a move that was cut off goes on, and a second one
takes what has come since.  The old deployment is only read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Final

import attrs

from repocore.errors import AlreadyExistsError, RejectedError, RepocoreError
from repocore.model import (
    Action,
    Binding,
    Policy,
    Rule,
    check_account_name,
    split_address,
)
from repocore.plugins.quetz.old_database import OldChannel, OldDatabase, OldKey, OldMember, OldUser
from repocore.plugins.quetz.server_roles import (
    WORDS,
    bind,
    channel_role,
    package_role,
    server_role,
)
from repocore.plugins.quetz.users import keys_of
from repocore.registry import Session

__all__ = ["MoveReport", "move_access"]

_LISTED: Final = 1000
#: No token lives longer.
_LONGEST: Final = timedelta(days=36_500)
_UNFIT: Final = re.compile(r"[^A-Za-z0-9._@+-]+")
_READ: Final = frozenset({Action.READ})


@attrs.define
class MoveReport:
    """What was taken over, and what was left out."""

    users: int = 0
    identities: int = 0
    channels: int = 0
    roles: int = 0
    keys: int = 0
    packages: int = 0
    bytes: int = 0
    #: What was there already: channels, accounts, keys, packages.
    known: int = 0
    downloads: int = 0
    skipped: int = 0
    findings: list[str] = attrs.field(factory=list[str])

    def skip(self, what: str, why: str) -> None:
        """Count something that was left out, and list it if there are not too many."""
        self.skipped += 1
        self.note(what, why)

    def note(self, what: str, why: str) -> None:
        """Say something of what was taken."""
        if len(self.findings) < _LISTED:
            self.findings.append(f"{what}: {why}")


def move_access(
    session: Session | None, database: OldDatabase, report: MoveReport
) -> list[OldChannel]:
    """Take over everything but packages; returns the channels whose packages are to be taken.

    Without a session nothing is written, and the report counts what would be.  Requires ADMIN of
    the site.  Idempotent.  Raises errors of access and of the storage.
    """
    move = _Move(session, report)
    channels = move.take_channels(database.channels())
    members = database.members()
    users = database.users()
    move.take_users(users)
    move.take_members(members)
    move.take_keys(database.api_keys(), users, members)
    return channels


class _Move:
    """One move: who became which account, and which channels came along."""

    def __init__(self, session: Session | None, report: MoveReport) -> None:
        self._session = session
        self._report = report
        self._accounts: dict[str, str] = {}
        self._channels: set[str] = set()

    # ------------------------------------------------------------------------------- channels

    def take_channels(self, channels: Iterable[OldChannel]) -> list[OldChannel]:
        taken = [one for one in channels if self._take_channel(one)]
        self._channels = {one.name for one in taken}
        self._open(taken)
        return taken

    def _take_channel(self, one: OldChannel) -> bool:
        what = f"channel {one.name}"
        if one.mode == "proxy":
            self._report.skip(what, "it stands before another one, and holds nothing of its own")
            return False
        if one.mode:
            self._report.note(what, "it mirrored another one; what it holds is taken, once")
        try:
            address = "/".join(split_address(f"conda/{one.name}"))
            self._make(address, one)
        except RejectedError as error:
            self._report.skip(what, str(error))
            return False
        return True

    def _make(self, address: str, one: OldChannel) -> None:
        session = self._session
        if session is not None and address in session.registry.access.repositories:
            self._report.known += 1
            return
        self._report.channels += 1
        if session is not None:
            session.repositories.create(
                address,
                description=one.description,
                private=one.private,
                policy=Policy(quota=one.size_limit),
                options={"ttl": one.ttl},
            )

    def _open(self, channels: Iterable[OldChannel]) -> None:
        """Let everybody read public channels.

        Where there are no other channels than these, by one rule, which holds for those that
        people make later as well.
        """
        if self._session is None:
            return
        known = self._session.registry.access.repositories
        others = {name for name in known if name.startswith("conda/")}
        others -= {f"conda/{name}" for name in self._channels}
        public = [one.name for one in channels if not one.private]
        wanted = [f"conda/{name}/**" for name in public] if others else ["conda/**"]
        accounts = self._session.accounts
        there = {rule.pattern for rule in accounts.rules() if rule.subject == "*"}
        for pattern in wanted:
            if pattern not in there and (public or pattern != "conda/**"):
                accounts.add_rule(Rule(subject="*", actions=_READ, pattern=pattern))

    # --------------------------------------------------------------------------------- people

    def take_users(self, users: Iterable[OldUser]) -> None:
        taken: set[str] = set()
        for one in users:
            if one.name is None:
                continue  # it is what a key acts as
            if one.deleted:
                self._report.skip(f"user {one.name}", "was deleted, and has left a name")
                continue
            name = self._name(one.name)
            if name is None or name in taken:
                self._report.skip(f"user {one.name}", "nobody can be called that here")
                continue
            taken.add(name)
            self._accounts[one.id] = name
            self._take_user(name, one)

    def _name(self, name: str) -> str | None:
        """The name here: what a name cannot have becomes a hyphen."""
        made = _UNFIT.sub("-", name).strip("-")[:100]
        try:
            check_account_name(made)
        except RejectedError:
            return None
        if made != name:
            self._report.note(f"user {name}", f"is called {made} here")
        return made

    def _take_user(self, name: str, one: OldUser) -> None:
        session = self._session
        try:
            if session is not None:
                session.accounts.add(name, email=one.email)
            self._report.users += 1
        except AlreadyExistsError:
            self._report.known += 1
        for provider, subject in one.identities:
            self._link(name, provider, subject, one)
        if one.role in WORDS:
            self._bind(server_role(name, str(one.role)))

    def _link(self, name: str, provider: str, subject: str, one: OldUser) -> None:
        try:
            if self._session is not None:
                profile = {"name": one.display_name} if one.display_name else {}
                self._session.identities.link(provider, subject, name, profile)
            self._report.identities += 1
        except (AlreadyExistsError, RejectedError) as error:
            self._report.skip(f"identity of {name} at {provider}", str(error))

    # ---------------------------------------------------------------------------------- roles

    def take_members(self, members: Iterable[OldMember]) -> None:
        for one in members:
            account = self._accounts.get(one.user)
            if account is not None and one.channel in self._channels:
                self._give(account, one)

    def _give(self, account: str, one: OldMember) -> None:
        place = one.channel if one.package is None else f"{one.channel}/{one.package}"
        try:
            if one.package is None:
                binding = channel_role(account, one.role, one.channel)
            else:
                binding = package_role(account, one.role, one.channel, one.package)
            self._bind(binding)
        except RejectedError as error:
            self._report.skip(f"{one.role} {account} of {place}", str(error))

    def _bind(self, binding: Binding) -> None:
        if self._session is not None:
            bind(self._session, binding)
        self._report.roles += 1

    # ----------------------------------------------------------------------------------- keys

    def take_keys(
        self, keys: Iterable[OldKey], users: Iterable[OldUser], members: Iterable[OldMember]
    ) -> None:
        named = {one.id for one in users if one.name is not None}
        roles: dict[str, list[OldMember]] = {}
        for member in members:
            if member.user not in named:
                roles.setdefault(member.user, []).append(member)
        for key in keys:
            try:
                self._take_key(key, roles, of_its_own=key.user not in named)
            except RepocoreError as error:
                if not isinstance(error, RejectedError | AlreadyExistsError):
                    raise
                self._skip_key(key, str(error))

    def _skip_key(self, key: OldKey, why: str) -> None:
        owner = self._accounts.get(key.owner) or "somebody who is gone"
        self._report.skip(f"key {key.description!r} of {owner}", why)

    def _take_key(
        self, key: OldKey, roles: Mapping[str, list[OldMember]], *, of_its_own: bool
    ) -> None:
        lifetime = _left(key)
        owner = self._accounts.get(key.owner)
        if owner is None or (not of_its_own and key.user not in self._accounts):
            self._skip_key(key, "its owner was not taken over")
            return
        if lifetime is not None and lifetime <= timedelta(0):
            self._skip_key(key, "it has expired")
            return
        session = self._session
        if session is not None and _is_known(session, key.secret):
            self._report.known += 1
            return
        account = self._accounts.get(key.user, "")
        if of_its_own:
            account = self._account_of(key, owner, roles.get(key.user, []))
        if session is not None:
            session.accounts.create_token(
                account, key.description, lifetime=lifetime, secret=key.secret
            )
        self._report.keys += 1

    def _account_of(self, key: OldKey, owner: str, roles: Iterable[OldMember]) -> str:
        """The service account of a key with roles, with these roles."""
        account = f"{keys_of(owner)}{key.user[:12]}"
        if self._session is not None:
            known = {one.name for one in self._session.accounts.list()}
            if account not in known:
                self._session.accounts.add(account, service=True)
        for role in roles:
            if role.channel in self._channels:
                self._give(account, role)
        return account


def _is_known(session: Session, secret: str) -> bool:
    """Whether there is a token of that secret, good or not."""
    try:
        return session.accounts.find_token(secret) is not None
    except RepocoreError:
        return True


def _left(key: OldKey) -> timedelta | None:
    """How long a key is good: through its last day, which may be beyond what a calendar has."""
    if key.expires is None:
        return None
    end = datetime.combine(key.expires, time(), UTC) + timedelta(days=1)
    return min(end - datetime.now(UTC), _LONGEST)
