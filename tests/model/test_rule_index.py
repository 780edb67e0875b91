"""The index of rules: what it leaves out has nothing to say."""

from __future__ import annotations

from hypothesis import given, strategies as st

from repocore import Action, Pattern, Principal, Resource, Rule, Tier
from repocore.model.rule_index import RuleIndex

READ = frozenset({Action.READ})
FORMATS = ["conan", "conda"]
NAMES = ["main", "other", "m"]
FIELDS = st.sampled_from([*NAMES, "*", "m*", "oth?r"])
PATTERNS = st.one_of(
    st.just("**"),
    st.sampled_from([*FORMATS, "con*", "*"]),
    st.builds("{}/{}".format, st.sampled_from([*FORMATS, "*", "cond?"]), FIELDS),
    st.builds("{}/{}/**".format, st.sampled_from([*FORMATS, "*"]), FIELDS),
    st.builds("{}/{}/zlib/1.3@u/c".format, st.sampled_from([*FORMATS, "*"]), FIELDS),
)
SUBJECTS = st.sampled_from(["*", "+", "anonymous", "user:ann", "user:bob", "group:a", "group:b"])
RULES = st.lists(
    st.builds(Rule, subject=SUBJECTS, actions=st.just(READ), pattern=PATTERNS), max_size=20
)
PRINCIPALS = st.builds(
    Principal,
    name=st.sampled_from([None, "ann", "bob"]),
    groups=st.frozensets(st.sampled_from(["a", "b"])),
)


@given(RULES, PRINCIPALS, st.sampled_from(FORMATS), st.sampled_from(NAMES))
def test_every_rule_that_matches_is_there(rules, principal, format, name) -> None:
    """In the order in which they were given, for a package and for the whole repository."""
    found = RuleIndex(rules).concerning(principal, Action.READ, format, name, private=False)
    for resource in (Resource(format, name), Resource(format, name, "zlib", "1.3@u/c")):
        matching = [rule for rule in rules if says(rule, principal, resource)]
        assert [rule for rule in found if says(rule, principal, resource)] == matching


def says(rule: Rule, principal: Principal, resource: Resource) -> bool:
    return principal.is_subject(rule.subject) and Pattern.compile(rule.pattern).matches(resource)


def test_rules_of_the_site_itself() -> None:
    """A question about no repository meets those that name none."""
    anywhere = Rule(subject="user:ann", actions=READ, pattern="**")
    there = Rule(subject="user:ann", actions=READ, pattern="conda/main")
    index = RuleIndex([there, anywhere])
    ann = Principal(name="ann")
    assert index.concerning(ann, Action.READ, None, None, private=False) == [anywhere]
    assert index.concerning(ann, Action.WRITE, None, None, private=False) == []


def test_of_many_few_are_looked_at() -> None:
    """Those of other repositories and of other people are passed over."""
    rules = [
        Rule(subject=f"user:u{person}", actions=READ, pattern=f"conda/r{number}/**")
        for number in range(100)
        for person in range(10)
    ]
    index = RuleIndex([*rules, Rule(subject="*", actions=READ, pattern="**", tier=Tier.SITE)])
    found = index.concerning(Principal(name="u3"), Action.READ, "conda", "r7", private=False)
    assert [rule.pattern for rule in found] == ["conda/r7/**", "**"]
    private = index.concerning(Principal(name="u3"), Action.READ, "conda", "r7", private=True)
    assert private == []
