"""Roles and bindings: what they come to."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from repocore import Action, Principal, RejectedError, Resource, Rule
from repocore.model import ROLES, Binding, Effect, Role, Tier
from repocore.model.decisions import decide
from repocore.model.roles import binding_rules, check_role_name
from repocore.model.rule_index import RuleIndex

MAIN = Resource("conda", "main", "zlib")
names = st.sampled_from(sorted(ROLES))
subjects = st.sampled_from(["*", "+", "user:ann", "user:bob", "group:dev", "anonymous"])
patterns = st.sampled_from(["**", "conda/main", "conda/main/zlib/**", "conan/**", "conda/*"])
bindings = st.builds(Binding, subject=subjects, role=names, pattern=patterns)


def test_each_role_has_more_than_the_one_before() -> None:
    """Viewer, editor, maintainer, owner."""
    assert list(ROLES) == ["viewer", "editor", "maintainer", "owner"]
    ladder = [role.actions for role in ROLES.values()]
    assert all(low < high for low, high in pairwise(ladder))
    assert ladder[-1] == frozenset(Action)


@pytest.mark.parametrize("name", ["", "Viewer", "1st", "a b", "a" * 65, "a/b"])
def test_names_of_roles_are_plain(name) -> None:
    """They stand in URLs and on command lines."""
    with pytest.raises(RejectedError, match="small letters"):
        check_role_name(name)
    with pytest.raises(RejectedError):
        Role(name=name, actions=frozenset({Action.READ}))
    with pytest.raises(RejectedError):
        Binding(subject="*", role=name)


def test_a_role_lets_do_something() -> None:
    """One without actions is a mistake."""
    with pytest.raises(RejectedError, match="at least one action"):
        Role(name="nothing", actions=frozenset())


def test_a_role_that_is_not_there_cannot_be_held() -> None:
    """The sentence names those that are; where a role is gone nothing comes of its bindings."""
    binding = Binding(subject="user:ann", role="janitor")
    with pytest.raises(RejectedError, match="viewer"):
        binding.rule(ROLES)
    assert binding_rules([binding], ROLES) == []


def test_what_comes_with_a_role_only_allows() -> None:
    """A deny in that tier would depend on an order that bindings have not."""
    given = {"subject": "*", "actions": frozenset({Action.READ}), "pattern": "**"}
    with pytest.raises(RejectedError, match="only allows"):
        Rule(**given, tier=Tier.ROLE, role="viewer", effect=Effect.DENY)
    with pytest.raises(RejectedError, match="binding"):
        Rule(**given, tier=Tier.ROLE)


@given(st.lists(bindings, max_size=5), st.sampled_from(Action), st.sampled_from(["ann", None]))
def test_bindings_are_a_union(some, action, name) -> None:
    """In any order: whoever holds several roles may do what any of them names."""
    principal = Principal(name=name, groups=frozenset({"dev"}) if name else frozenset())
    each = [decide(binding_rules([one], ROLES), principal, action, MAIN) for one in some]
    for order in (some, some[::-1]):
        found = decide(binding_rules(order, ROLES), principal, action, MAIN)
        assert found == (True if True in each else None)


def test_roles_stand_between_the_rules_of_a_repository_and_those_of_the_site() -> None:
    """A repository's deny goes before them; a private repository is within their reach."""
    held = Binding(subject="user:ann", role="editor", pattern="conda/main").rule(ROLES)
    rules = [
        Rule(
            subject="user:ann",
            actions=frozenset({Action.WRITE}),
            pattern="conda/main",
            effect=Effect.DENY,
            tier=tier,
        )
        for tier in (Tier.SITE, Tier.REPOSITORY)
    ]
    ann = Principal(name="ann")
    for private in (True, False):
        for rule, answer in zip(rules, (True, False), strict=True):
            index = RuleIndex([rule, held])
            asked = index.concerning(ann, Action.WRITE, "conda", "main", private=private)
            assert decide(asked, ann, Action.WRITE, MAIN) is answer
