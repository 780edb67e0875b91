"""The contract of authorizers: ours keeps it, and broken ones are found."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import repocore
from repocore import Action, Effect, Rule, Settings, Survey, Tier, hookimpl
from repocore.plugins import rules
from repocore.testing import authorizer_contract

READ = frozenset({Action.READ})
SOME = (
    Rule(subject="user:bob", actions=READ, pattern="**", effect=Effect.DENY, tier=Tier.DENY),
    Rule(subject="+", actions=READ, pattern="conan/main/**"),
    Rule(subject="*", actions=READ, pattern="conan/*/a/**"),
)


@contextlib.contextmanager
def opened(plugin=None) -> Iterator[tuple[repocore.Registry, object]]:
    with (
        tempfile.TemporaryDirectory() as folder,
        repocore.open_registry(
            settings=Settings(data=Path(folder)), plugins=[plugin] if plugin else []
        ) as registry,
    ):
        for rule in SOME:
            registry.session(registry.admin()).accounts.add_rule(rule)
        yield registry, plugin or rules


TestRules = authorizer_contract(opened)


class Good:
    @hookimpl
    def repocore_authorize(self, principal, action, resource):
        if resource.package == "ab":
            return False
        return None if principal.anonymous else action is Action.READ

    @hookimpl
    def repocore_survey(self, principal, action):
        if principal.anonymous or action is not Action.READ:
            return Survey.NONE
        return Survey.MIXED


class Truthy(Good):
    @hookimpl
    def repocore_authorize(self, principal):
        return principal.name or ""


class Moody(Good):
    turns = itertools.cycle([True, False])

    @hookimpl
    def repocore_authorize(self):
        return next(self.turns)


class Fussy(Good):
    @hookimpl
    def repocore_authorize(self, principal):
        return principal.via == "test"


class SaysAll(Good):
    @hookimpl
    def repocore_survey(self):
        return Survey.ALL


class SaysNone(Good):
    @hookimpl
    def repocore_survey(self):
        return Survey.NONE


class SaysTrue(Good):
    @hookimpl
    def repocore_survey(self):
        return True


def run(plugin) -> None:
    tests = authorizer_contract(lambda: opened(plugin))()
    for name, function in inspect.getmembers(tests, inspect.ismethod):
        if name.startswith("test_"):
            function()


def test_a_good_authorizer_passes() -> None:
    """One that denies a package and surveys honestly."""
    run(Good())


@pytest.mark.parametrize("broken", [Truthy, Moody, Fussy, SaysAll, SaysNone, SaysTrue])
@pytest.mark.usefixtures("any_failure")
def test_a_broken_authorizer_is_found(broken) -> None:
    """Each breaks one promise, and the contract says so."""
    with pytest.raises((AssertionError, BaseExceptionGroup)):
        run(broken())
