"""Decisions: the first tier, then the first rule, and surveys that agree with them."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from repocore import (
    Action,
    Effect,
    Grain,
    Principal,
    RejectedError,
    Repository,
    Resource,
    Rule,
    Survey,
    Tier,
)
from repocore.model.decisions import (
    check_grain,
    decide,
    scope_allows,
    scope_survey,
    survey,
)
from repocore.model.rule_index import RuleIndex

PATTERNS = [
    "**",
    "conan/main",
    "conan",
    "conan/*/a/**",
    "conan/main/a/1",
    "conan/main/b",
    "conan/main/a/2@u/c",
    "x/y",
    "con*/main/**",
    "*/m?in",
    "conan/other/**",
]
RULES = st.lists(
    st.builds(
        Rule,
        subject=st.sampled_from(["*", "+", "anonymous", "user:ann", "group:team"]),
        actions=st.frozensets(st.sampled_from([Action.READ, Action.WRITE]), min_size=1),
        pattern=st.sampled_from(PATTERNS),
        effect=st.sampled_from(Effect),
        tier=st.sampled_from([tier for tier in Tier if tier is not Tier.ROLE]),
    ),
    max_size=6,
)
PRINCIPALS = st.sampled_from(
    [Principal(name=None), Principal(name="ann"), Principal(name="b", groups=frozenset({"team"}))]
)
MAIN = Repository(format="conan", name="main")
RESOURCES = st.builds(
    Resource,
    st.just("conan"),
    st.just("main"),
    st.sampled_from(["a", "b"]),
    st.sampled_from(["1", "2@u/c"]),
)


def in_order(rules, principal, *, private: bool) -> list[Rule]:
    """What is left to ask of all rules."""
    return RuleIndex(rules).concerning(principal, Action.READ, "conan", "main", private=private)


@given(RULES, PRINCIPALS, RESOURCES, st.booleans())
def test_the_first_tier_with_an_opinion_decides(rules, principal, resource, private) -> None:
    """Each tier is asked for its first match; the site's is deaf to private repositories."""
    expected = None
    for tier in Tier:
        if private and tier is Tier.SITE:
            continue
        own = [rule for rule in rules if rule.tier is tier]
        expected = decide(own, principal, Action.READ, resource)
        if expected is not None:
            break
    ordered = in_order(rules, principal, private=private)
    assert decide(ordered, principal, Action.READ, resource) is expected


@given(RULES, PRINCIPALS, RESOURCES)
def test_a_survey_agrees_with_every_decision(rules, principal, resource) -> None:
    """ALL and NONE are promises about each package and version."""
    ordered = in_order(rules, principal, private=False)
    answer = survey(ordered, principal, Action.READ, MAIN)
    allowed = decide(ordered, principal, Action.READ, resource) is True
    assert answer is Survey.MIXED or (answer is Survey.ALL) == allowed


@given(RULES, RESOURCES)
def test_a_scope_allows_what_one_of_its_rules_does(rules, resource) -> None:
    """A scope only allows; without one there is no limit; its survey agrees."""
    allowed = scope_allows(tuple(rules), Action.READ, resource)
    assert allowed == any(
        decide([r], Principal(name="ann", groups=frozenset({"team"})), Action.READ, resource)
        is not None
        for r in rules
        if r.subject != "anonymous"
    ) or any(r.subject == "anonymous" for r in rules)
    answer = scope_survey(tuple(rules), Action.READ, MAIN)
    assert answer is Survey.MIXED or (answer is Survey.ALL) == allowed
    assert scope_allows(None, Action.READ, resource)
    assert scope_survey(None, Action.READ, MAIN) is Survey.ALL


class Coarse:
    read_grain = Grain.REPOSITORY


class Fine:
    read_grain = Grain.PACKAGE


def test_a_rule_that_is_too_fine_for_its_format_is_refused() -> None:
    """One index names every package: a finer READ would be a promise that nobody keeps."""
    read = frozenset({Action.READ})
    formats = {"coarse": Coarse(), "fine": Fine()}
    with pytest.raises(RejectedError, match="finer than coarse"):
        check_grain(Rule(subject="*", actions=read, pattern="coarse/main/zlib/**"), formats)
    for pattern in ("coarse/main/**", "fine/main/zlib/**", "**", "other/main/x"):
        check_grain(Rule(subject="*", actions=read, pattern=pattern), formats)
    write = frozenset({Action.WRITE})
    check_grain(Rule(subject="*", actions=write, pattern="coarse/main/zlib/**"), formats)
