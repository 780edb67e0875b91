"""The authorizer: ordered rules from the settings and the catalog.

First an administrator's denies, then a repository's own rules, then the site's, which stop at a
private repository.  The first rule that matches decides; without one it has no opinion, and
without an opinion it is denied.
"""

from __future__ import annotations

from collections.abc import Iterator
from weakref import WeakKeyDictionary

import attrs

from repocore.markers import hookimpl
from repocore.model import Action, Principal, Repository, Resource, Rule, Survey
from repocore.model.decisions import decide, in_force, survey
from repocore.registry import Access, Registry

__all__ = ["repocore_authorize", "repocore_survey"]

_MOST_BUCKETS = 10_000


@attrs.define(eq=False)
class _Compiled:
    """The rules of one access version, split by who asks for what: few are left to look at."""

    access: Access
    _buckets: dict[tuple[Principal, Action, bool], tuple[Rule, ...]] = attrs.field(
        factory=dict["tuple[Principal, Action, bool]", "tuple[Rule, ...]"]
    )

    def bucket(self, principal: Principal, action: Action, address: str) -> tuple[Rule, ...]:
        """The rules that can concern this principal and action, in order."""
        private = address in self.access.private
        key = (principal, action, private)
        found = self._buckets.get(key)
        if found is None:
            if len(self._buckets) >= _MOST_BUCKETS:
                self._buckets.clear()
            found = tuple(self._concerned(principal, action, private=private))
            self._buckets[key] = found
        return found

    def _concerned(self, principal: Principal, action: Action, *, private: bool) -> Iterator[Rule]:
        for rule in in_force(self.access.rules, private=private):
            if action in rule.actions and principal.is_subject(rule.subject):
                yield rule


# By registry, so that two of them in one process never share a rule.
_compiled: WeakKeyDictionary[Registry, _Compiled] = WeakKeyDictionary()


def _rules(
    registry: Registry, principal: Principal, action: Action, address: str
) -> tuple[Rule, ...]:
    compiled = _compiled.get(registry)
    access = registry.access
    if compiled is None or compiled.access is not access:
        compiled = _compiled[registry] = _Compiled(access)
    return compiled.bucket(principal, action, address)


@hookimpl
def repocore_authorize(
    registry: Registry, principal: Principal, action: Action, resource: Resource
) -> bool | None:
    """What the first matching rule says."""
    address = f"{resource.format}/{resource.repository}"
    return decide(_rules(registry, principal, action, address), principal, action, resource)


@hookimpl
def repocore_survey(
    registry: Registry, principal: Principal, action: Action, repository: Repository
) -> Survey:
    """What the rules say of everything in a repository."""
    rules = _rules(registry, principal, action, repository.address)
    return survey(rules, principal, action, repository)
