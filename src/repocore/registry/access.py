"""What a process remembers of accounts, rules and repositories, and of whom it has verified.

All of it belongs to one access version, the number that every change of access bumps.  The hot
statements bring the current number with their rows, so a change made by any process is noticed
with the next request, and everything remembered is dropped at once.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs

from repocore.catalog import Catalog, accounts, repositories, roles
from repocore.catalog.rows import StoredRepository
from repocore.model import (
    ROLES,
    Action,
    ApiKey,
    Bearer,
    Binding,
    Credentials,
    Password,
    Principal,
    Resource,
    Role,
    Rule,
    Tier,
)
from repocore.model.roles import binding_rules
from repocore.model.rule_index import RuleIndex

__all__ = ["Access", "AccessBook", "Declared"]

_MOST: Final = 10_000
#: Principals whose lists of repositories are remembered; each may be long.
_MOST_LISTS: Final = 200
#: Seconds after which a verified secret is verified again.
_REMEMBERED: Final = 60.0
_TIERS: Final = tuple(Tier)


@attrs.frozen(eq=False)
class Access:
    """The rules, roles and repositories of one access version."""

    version: int
    #: In the order in which they are asked; within a tier those of the settings go first.
    rules: tuple[Rule, ...]
    repositories: Mapping[str, StoredRepository]
    #: Those that are always there, those of the catalog, and those of the settings.
    roles: Mapping[str, Role]
    #: Who holds them; those of the settings go first.  What they come to is among the rules.
    bindings: tuple[Binding, ...]
    #: The rules, by whom they concern and where.
    index: RuleIndex
    #: The addresses that the site's rules do not reach.
    private: frozenset[str]
    #: The versions that last changed the rules and the repositories.
    parts: tuple[int, int]
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
                held = (before.rules, before.roles, before.bindings, before.index)
            else:
                held = self._load_rules(connection)
        rules, known, bindings, index = held
        return Access(
            version=version,
            rules=rules,
            repositories=found,
            roles=known,
            bindings=bindings,
            index=index,
            private=private,
            parts=(parts[0], parts[1]),
        )

    def _load_rules(
        self, connection: Any
    ) -> tuple[tuple[Rule, ...], Mapping[str, Role], tuple[Binding, ...], RuleIndex]:
        known = {**ROLES, **roles.roles(connection), **self._declared.roles}
        bindings = (*self._declared.bindings, *roles.bindings(connection))
        held = binding_rules(bindings, known)
        everything = (*self._declared.rules, *accounts.rules(connection, self._stored), *held)
        rules = tuple(sorted(everything, key=_place))
        return rules, known, bindings, RuleIndex(rules)

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
        decisions = self.known.decisions
        key = (principal, action, resource)
        answer = decisions.get(key)
        if answer is None:
            answer = ask()
            if len(decisions) >= _MOST:
                decisions.clear()
            decisions[key] = answer
        return answer

    def readable(self, principal: Principal, ask: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
        """The remembered addresses that somebody may read something of, or what ``ask`` says."""
        if self.forgetful:
            return ask()
        remembered = self.known.readable
        found = remembered.get(principal)
        if found is None:
            found = ask()
            if len(remembered) >= _MOST_LISTS:
                remembered.clear()
            remembered[principal] = found
        return found

    def verify(self, credentials: Credentials, ask: Callable[[], Principal]) -> Principal:
        """The principal of credentials that were verified lately, or what ``ask`` says now."""
        key = self._key(credentials)
        if key is None:
            return ask()
        verified = self.known.verified
        found = verified.get(key)
        if found is not None and found[1] > time.time():
            return found[0]
        principal = ask()
        until = time.time() + _REMEMBERED
        if principal.expires is not None:
            until = min(until, principal.expires)
        if len(verified) >= _MOST:
            verified.clear()
        verified[key] = (principal, until)
        return principal

    def _key(self, credentials: Credentials) -> bytes | None:
        """A keyed hash: the memory of the process holds no secret for longer than a request."""
        match credentials:
            case Password(username, password):
                text = f"p{len(username)}:{username}{password}"
            case ApiKey(value):
                text = f"k{value}"
            case Bearer(value):
                text = f"b{value}"
            case _:
                return None
        return hashlib.blake2b(text.encode(errors="replace"), key=self._salt).digest()


def _place(rule: Rule) -> int:
    return _TIERS.index(rule.tier)
