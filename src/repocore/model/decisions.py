"""What rules decide: pure functions that the authorizer and every session share.

The tiers are asked in order, and the first with an opinion decides; within a tier the first rule
that matches does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Protocol

from repocore.errors import RejectedError
from repocore.model.access import (
    Action,
    Effect,
    Grain,
    Pattern,
    Principal,
    Resource,
    Rule,
    Survey,
)
from repocore.model.repositories import Repository

__all__ = [
    "Grained",
    "check_grain",
    "compiled",
    "decide",
    "deciding",
    "scope_allows",
    "scope_survey",
    "survey",
]


class Grained(Protocol):
    """As much of a format as a rule must know."""

    @property
    def read_grain(self) -> Grain:
        """The finest resource that READ can tell apart."""
        ...


@lru_cache(maxsize=1 << 16)
def compiled(pattern: str) -> Pattern:
    """A pattern, compiled once; patterns are few and their compilation is pure."""
    return Pattern.compile(pattern)


def decide(
    rules: Iterable[Rule], principal: Principal, action: Action, resource: Resource
) -> bool | None:
    """What ordered rules (tier by tier) say; None where none of them has an opinion."""
    rule = deciding(rules, principal, action, resource)
    return None if rule is None else rule.effect is Effect.ALLOW


def deciding(
    rules: Iterable[Rule], principal: Principal, action: Action, resource: Resource
) -> Rule | None:
    """The first of ordered rules that has an opinion."""
    for rule in rules:
        if (
            action in rule.actions
            and principal.is_subject(rule.subject)
            and compiled(rule.pattern).matches(resource)
        ):
            return rule
    return None


def survey(
    rules: Iterable[Rule], principal: Principal, action: Action, repository: Repository
) -> Survey:
    """What ordered rules say of everything in a repository; without an opinion it is denied."""
    some: set[bool] = set()
    for rule in rules:
        if action not in rule.actions or not principal.is_subject(rule.subject):
            continue
        covers = compiled(rule.pattern).covers(repository.format, repository.name)
        if covers is False:
            continue
        some.add(rule.effect is Effect.ALLOW)
        if covers:
            break
    else:
        some.add(False)
    if len(some) > 1:
        return Survey.MIXED
    return Survey.ALL if True in some else Survey.NONE


def scope_allows(scope: Sequence[Rule] | None, action: Action, resource: Resource) -> bool:
    """Whether a token's scope lets an action through; its subjects are the token's own account."""
    if scope is None:
        return True
    return any(
        action in rule.actions and compiled(rule.pattern).matches(resource) for rule in scope
    )


def scope_survey(scope: Sequence[Rule] | None, action: Action, repository: Repository) -> Survey:
    """What a token's scope lets through of everything in a repository."""
    if scope is None:
        return Survey.ALL
    covers = {
        compiled(rule.pattern).covers(repository.format, repository.name)
        for rule in scope
        if action in rule.actions
    }
    if True in covers:
        return Survey.ALL
    return Survey.MIXED if None in covers else Survey.NONE


def check_grain(rule: Rule, formats: Mapping[str, Grained]) -> None:
    """Refuse a READ rule that is finer than its format can tell apart.

    Raises `RejectedError`: one index of such a repository names every package.
    """
    name = rule.pattern.partition("/")[0]
    format_ = formats.get(name)
    if format_ is None or Action.READ not in rule.actions:
        return
    fine = compiled(rule.pattern).covers(*[*rule.pattern.split("/"), "", ""][:2]) is None
    if fine and format_.read_grain is Grain.REPOSITORY:
        message = (
            f"{rule.pattern!r} is finer than {name} can tell apart: one index names every package. "
            f"Write a rule for the repository, and keep what is private in one of its own."
        )
        raise RejectedError(message)
