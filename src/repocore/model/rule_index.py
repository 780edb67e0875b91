"""Rules by whom they concern and where, so that of many few are looked at."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from repocore.model.access import Action, Principal, Rule, Tier

__all__ = ["RuleIndex", "in_order"]

_GLOB: Final = re.compile(r"[*?]")
#: Format and repository of a pattern; None is any.
_Place = tuple[str | None, str | None]
_Entry = tuple[int, Rule]
_TIERS: Final = {tier: number for number, tier in enumerate(Tier)}


class RuleIndex:
    """The rules of one access version, in the order in which they are asked.

    Tier by tier, and within a tier as they were given.
    """

    def __init__(self, rules: Iterable[Rule]) -> None:
        #: All of them, in that order.
        self.rules = tuple(in_order(rules))
        self._subjects: dict[str, dict[_Place, list[_Entry]]] = {}
        for number, rule in enumerate(self.rules):
            places = self._subjects.setdefault(rule.subject, {})
            places.setdefault(_place(rule.pattern), []).append((number, rule))

    def concerning(
        self,
        principal: Principal,
        action: Action,
        format: str | None,
        repository: str | None,
        *,
        private: bool,
    ) -> list[Rule]:
        """The rules that may have an opinion on an action there, in order.

        Those of the site have none on a private repository.
        """
        found: list[_Entry] = []
        where = dict.fromkeys(((format, repository), (format, None), (None, None)))
        for subject in _subjects(principal):
            places = self._subjects.get(subject)
            if places is None:
                continue
            for place in where:
                found += places.get(place, ())
        if len(found) > 1:
            found.sort(key=_number)
        return [
            rule
            for _, rule in found
            if action in rule.actions and not (private and rule.tier is Tier.SITE)
        ]


def in_order(rules: Iterable[Rule]) -> list[Rule]:
    """Rules tier by tier; within a tier they stay as they were given."""
    return sorted(rules, key=lambda rule: _TIERS[rule.tier])


def _number(entry: _Entry) -> int:
    return entry[0]


def _subjects(principal: Principal) -> list[str]:
    if principal.name is None:
        return ["*", "anonymous", *(f"group:{name}" for name in principal.groups)]
    return ["*", "+", f"user:{principal.name}", *(f"group:{name}" for name in principal.groups)]


@lru_cache(maxsize=1 << 16)
def _place(pattern: str) -> _Place:
    """The repository that a pattern names, as far as it does."""
    fields = pattern.partition("@")[0].split("/")
    if _GLOB.search(fields[0]):
        return None, None
    if len(fields) == 1 or _GLOB.search(fields[1]):
        return fields[0], None
    return fields[0], fields[1]
