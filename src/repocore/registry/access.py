"""What a process remembers of accounts, rules and repositories, and of whom it has verified.

All of it belongs to one access version, the number that every change of access bumps.  The hot
statements bring the current number with their rows, so a change made by any process is noticed
with the next request, and everything remembered is dropped at once.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import attrs

from repocore.catalog import Catalog, accounts, following, repositories, roles
from repocore.catalog.rows import StoredRepository
from repocore.model import (
    ROLES,
    Action,
    Binding,
    Credentials,
    Principal,
    Resource,
    Role,
    Rule,
)
from repocore.model.roles import binding_rules
from repocore.model.rule_index import RuleIndex
from repocore.registry.passwords import fingerprint

__all__ = ["Access", "AccessBook", "Declared"]

K = TypeVar("K")
V = TypeVar("V")

_MOST: Final = 10_000
#: Principals whose lists of repositories are remembered; each may be long.
_MOST_LISTS: Final = 200
#: Seconds after which a verified secret is verified again.
_REMEMBERED: Final = 60.0


@attrs.frozen(eq=False)
class Access:
    """The rules, roles and repositories of one access version."""

    version: int
    repositories: Mapping[str, StoredRepository]
    #: Those that are always there, those of the catalog, and those of the settings.
    roles: Mapping[str, Role]
    #: Who holds them; those of the settings go first.  What they come to is among the rules.
    bindings: tuple[Binding, ...]
    #: The rules, by whom they concern and where; within a tier those of the settings go first.
    index: RuleIndex
    #: The addresses that the site's rules do not reach.
    private: frozenset[str]
    #: The versions that last changed the rules and the repositories.
    parts: tuple[int, int]
    #: Whether it was a replica once, and is none any more.
    promoted: bool = False
    #: What was decided by them; it goes with them, whoever is still at it.
    decisions: dict[tuple[Principal, Action, Resource], bool] = attrs.field(
        factory=dict["tuple[Principal, Action, Resource]", bool]
    )
    readable: dict[Principal, tuple[str, ...]] = attrs.field(
        factory=dict[Principal, "tuple[str, ...]"]
    )
    verified: dict[bytes, tuple[Principal, float]] = attrs.field(
        factory=dict[bytes, "tuple[Principal, float]"]
    )

    @property
    def rules(self) -> tuple[Rule, ...]:
        """In the order in which they are asked."""
        return self.index.rules

    def concerning(
        self, principal: Principal, action: Action, format: str | None, repository: str | None
    ) -> list[Rule]:
        """The rules that may have an opinion on an action in a repository, in order."""
        private = bool(self.private) and f"{format}/{repository}" in self.private
        return self.index.concerning(principal, action, format, repository, private=private)


@attrs.frozen(kw_only=True)
class Declared:
    """What the settings say of access."""

    rules: tuple[Rule, ...] = ()
    roles: Mapping[str, Role] = attrs.field(factory=dict[str, Role])
    bindings: tuple[Binding, ...] = ()


class AccessBook:
    """The remembered access of one registry."""

    def __init__(self, catalog: Catalog, declared: Declared) -> None:
        self._catalog = catalog
        self._declared = declared
        self._lock = threading.Lock()
        self._salt = secrets.token_bytes(16)
        #: The stored rules by their rows.
        self._stored: dict[tuple[Any, ...], Rule] = {}
        #: Whether an authorizer's answers change by themselves, and so are not remembered.
        self.forgetful = False
        self.known = self._load()

    def at(self, version: int) -> bool:
        """Catch up with a version; False where it was not the known one."""
        if version == self.known.version:
            return True
        with self._lock:
            if version != self.known.version:
                self.known = self._load(self.known)
        return False

    def _load(self, before: Access | None = None) -> Access:
        """What is known now; what has not changed since is taken over."""
        with self._catalog.snapshot() as connection:
            version, *parts = accounts.access_state(connection)
            same_rules, same_repositories = (
                (False, False)
                if before is None
                else (part == old for part, old in zip(parts, before.parts, strict=True))
            )
            if before is None or not same_repositories:
                found = repositories.addresses(repositories.everything(connection))
                private = frozenset(name for name, one in found.items() if one.value.private)
            else:
                found, private = before.repositories, before.private
            if before is not None and same_rules:
                held = (before.roles, before.bindings, before.index)
            else:
                held = self._load_rules(connection)
            promoted = following.promoted_at(connection) is not None
        known, bindings, index = held
        return Access(
            version=version,
            repositories=found,
            roles=known,
            bindings=bindings,
            index=index,
            private=private,
            parts=(parts[0], parts[1]),
            promoted=promoted,
        )

    def _load_rules(
        self, connection: Any
    ) -> tuple[Mapping[str, Role], tuple[Binding, ...], RuleIndex]:
        known = {**ROLES, **roles.roles(connection), **self._declared.roles}
        bindings = (*self._declared.bindings, *roles.bindings(connection))
        held = binding_rules(bindings, known)
        stored = accounts.rules(connection, self._stored)
        return known, bindings, RuleIndex((*self._declared.rules, *stored, *held))

    @property
    def declared_roles(self) -> Mapping[str, Role]:
        """The roles of the settings."""
        return self._declared.roles

    def decide(
        self, principal: Principal, action: Action, resource: Resource, ask: Callable[[], bool]
    ) -> bool:
        """The remembered decision, or what ``ask`` says now."""
        if self.forgetful:
            return ask()
        return _remembered(self.known.decisions, (principal, action, resource), _MOST, ask)

    def readable(self, principal: Principal, ask: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
        """The remembered addresses that somebody may read something of, or what ``ask`` says."""
        if self.forgetful:
            return ask()
        return _remembered(self.known.readable, principal, _MOST_LISTS, ask)

    def verify(self, credentials: Credentials, ask: Callable[[], Principal]) -> Principal:
        """The principal of credentials that were verified lately, or what ``ask`` says now."""
        key = fingerprint(credentials, self._salt)
        if key is None:
            return ask()
        verified = self.known.verified
        found = verified.get(key)
        # By a clock that nobody sets: one that is put back would make a minute hours.
        if found is not None and found[1] > time.monotonic() and _lives(found[0]):
            return found[0]
        principal = ask()
        span = _REMEMBERED
        if principal.expires is not None:
            span = min(span, principal.expires - time.time())
        if len(verified) >= _MOST:
            verified.clear()
        verified[key] = (principal, time.monotonic() + span)
        return principal


def _lives(principal: Principal) -> bool:
    return principal.expires is None or principal.expires > time.time()


def _remembered(memory: dict[K, V], key: K, most: int, ask: Callable[[], V]) -> V:
    """What is remembered of a key, or what ``ask`` says now; all goes before it is too much."""
    found = memory.get(key)
    if found is None:
        found = ask()
        if len(memory) >= most:
            memory.clear()
        memory[key] = found
    return found
