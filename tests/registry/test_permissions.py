"""Why somebody may, and who may."""

from __future__ import annotations

import pytest
from hypothesis import given, settings as hypothesis_settings

import repocore
from repocore import AccessDeniedError, Action, Principal, Resource, Rule
from repocore.model import Binding, Effect, Tier, actions_of
from repocore.testing import strategies, temporary_registry

MAIN = Resource("conan", "main")
ZLIB = Resource("conan", "main", "zlib", "1.3")


def test_the_rule_that_decides_is_named(house) -> None:
    """With its tier and its number; denies as well."""
    room = house.admin.accounts
    room.add("ann", "right", groups=["dev"])
    site = house.allow("+", "read", "conan/**")
    denied = room.add_rule(
        Rule(
            subject="group:dev",
            actions=actions_of(["read"]),
            pattern="conan/main/zlib/**",
            effect=Effect.DENY,
            tier=Tier.DENY,
        )
    )
    found = house.admin.permissions.explain("ann", Action.READ, MAIN)
    assert (found.allowed, found.tier, found.rule) == (True, "site", site)
    assert found.text == f"allowed by rule {site.id}, tier site: + read conan/**"
    found = house.admin.permissions.explain("ann", Action.READ, ZLIB)
    assert (found.allowed, found.tier, found.rule) == (False, "deny", denied)
    found = house.admin.permissions.explain("ann", Action.WRITE, ZLIB)
    assert (found.allowed, found.tier, found.rule) == (False, "nothing", None)


def test_the_role_that_decides_is_named(house) -> None:
    """Also that of a group which only another authenticator knows."""
    made = house.admin.roles.bind(Binding(subject="group:crew", role="editor", pattern="conan/*"))
    found = house.admin.permissions.explain("zoe", Action.WRITE, MAIN, groups=["crew"])
    expected = f"allowed: group:crew holds editor on conan/* (binding {made.id})"
    assert (found.tier, found.text) == ("role", expected)
    assert not house.admin.permissions.explain("zoe", Action.WRITE, MAIN).allowed


def test_another_authorizer_is_told_of(house) -> None:
    """Rules did not decide that."""

    class Generous:
        @repocore.hookimpl(tryfirst=True)
        def repocore_authorize(self, principal: Principal) -> bool | None:
            return True if principal.name == "zoe" else None

    house.registry.close()
    with repocore.open_registry(settings=house.settings, plugins=[Generous()]) as registry:
        room = registry.session(registry.admin()).permissions
        found = room.explain("zoe", Action.DELETE, MAIN)
        assert (found.allowed, found.tier) == (True, "plugin")
        assert room.explain("ann", Action.DELETE, MAIN).tier == "nothing"


def test_everybody_who_may_is_listed(house) -> None:
    """Those who are not signed in, accounts, and names that only rules know."""
    house.admin.accounts.add("ann", "right", groups=["dev"])
    house.admin.accounts.add("bob", "right")
    house.allow("*", "read", "conan/main/**")
    house.allow("user:zoe", "write", "conan/main/**")
    house.admin.roles.bind(Binding(subject="group:dev", role="maintainer", pattern="conan/main"))
    found = {one.name: one for one in house.admin.permissions.who(MAIN)}
    assert list(found) == ["anonymous", "ann", "bob", "zoe"]
    assert found["bob"].actions == (Action.READ,)
    assert found["zoe"].actions == (Action.READ, Action.WRITE)
    assert Action.PROMOTE in found["ann"].actions
    assert {one.tier for one in found["ann"].why} == {"role"}
    assert [one.name for one in house.admin.permissions.who(Resource("conan", "none"))] == []


def test_one_may_ask_about_oneself_and_about_what_one_manages(house) -> None:
    """Nobody else learns who may what."""
    house.admin.roles.bind(Binding(subject="user:ann", role="owner", pattern="conan/main"))
    house.allow("+", "read", "conan/**")
    ann, bob = house.as_("ann"), house.as_("bob")
    assert ann.permissions.explain("bob", Action.READ, MAIN).allowed
    assert bob.permissions.explain("bob", Action.READ, MAIN).allowed
    assert [one.name for one in ann.permissions.who(MAIN)] == ["ann"]
    for session, what in ((bob, MAIN), (ann, Resource()), (ann, Resource("conan", "other"))):
        with pytest.raises(AccessDeniedError):
            session.permissions.explain("ann" if session is bob else "bob", Action.READ, what)
        with pytest.raises(AccessDeniedError):
            list(session.permissions.who(what))


@hypothesis_settings(max_examples=20)
@given(rule=strategies.rules())
def test_an_explanation_is_the_decision(rule) -> None:
    """Whatever the rule, what is explained is what holds."""
    with temporary_registry() as registry:
        admin = registry.session(registry.admin())
        admin.accounts.add_rule(rule)
        for name in ("ann", "bob", None):
            principal = Principal(name=name, via="test")
            session = registry.session(principal)
            for action in (Action.READ, Action.WRITE):
                found = admin.permissions.explain(name, action, MAIN)
                assert found.allowed == session.allowed(action, MAIN)


def test_a_narrow_token_asks_about_nobody(house) -> None:
    """Not even about its own account: what it does not reach, it does not learn of."""
    house.allow("user:ann", "all", "conan/main/**")
    scope = (Rule(subject="*", actions=frozenset({Action.READ}), pattern="conan/main/**"),)
    explain = house.as_("ann", scope=scope).permissions.explain
    with pytest.raises(AccessDeniedError):
        explain("ann", Action.READ, Resource("conan", "main"))
    assert (
        house.as_("ann").permissions.explain("ann", Action.READ, Resource("conan", "main")).allowed
    )
