"""Patterns, rules and principals."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, strategies as st

from repocore import Action, Pattern, Principal, RejectedError, Resource, Rule, actions_of

FIELD = st.text("ab*?.", min_size=1, max_size=4).filter(lambda text: "**" not in text)
NAME = st.text("ab.", min_size=1, max_size=4)


@given(st.tuples(FIELD, FIELD, FIELD), st.tuples(NAME, NAME, NAME))
def test_fields_are_compared_one_by_one(fields, names) -> None:
    """A pattern matches if each of its fields does, and `*` stays inside its field."""
    expected = all(
        re.fullmatch(re.escape(field).replace(r"\*", ".*").replace(r"\?", "."), name)
        for field, name in zip(fields, names, strict=True)
    )
    assert Pattern.compile("/".join(fields)).matches(Resource(*names)) == bool(expected)


@pytest.mark.parametrize("version", ["1.0", "1.0@", "1.0@_/_", "1.0@_"])
@pytest.mark.parametrize("pattern", ["1.0", "1.0@", "1.0@_/_"])
def test_a_missing_user_or_channel_is_an_underscore(version: str, pattern: str) -> None:
    """Three spellings of one Conan version are one."""
    resource = Resource("conan", "main", "zlib", version)
    assert Pattern.compile(f"conan/main/zlib/{pattern}").matches(resource)
    other = Resource("conan", "main", "zlib", "1.0@user/channel")
    assert not Pattern.compile(f"conan/main/zlib/{pattern}").matches(other)


@pytest.mark.parametrize(
    ("pattern", "resource", "matches"),
    [
        ("**", Resource(), True),
        ("conan/main", Resource("conan", "main", "zlib", "1"), True),
        ("conan/main/**", Resource("conan", "main"), True),
        ("conan/main/zlib/**", Resource("conan", "main"), False),
        ("conan/main/z*/1.*@*/*", Resource("conan", "main", "zlib", "1.3@u/c"), True),
        ("conan/main/zlib/*", Resource("conan", "main", "zlib", "1.3@u/c"), False),
        ("conda/main/**", Resource("conan", "main", "zlib"), False),
    ],
)
def test_a_pattern_means_what_the_reference_says(pattern, resource, matches) -> None:
    """Fields that are left out, and `**`, match any rest."""
    assert Pattern.compile(pattern).matches(resource) is matches


def test_a_literal_pattern_knows_only_the_lone_star() -> None:
    """Where a field is literal, `z*` is a name."""
    pattern = Pattern.compile("conan/main/z*/*", literal=True)
    assert pattern.matches(Resource("conan", "main", "z*", "1"))
    assert not pattern.matches(Resource("conan", "main", "zlib", "1"))


@pytest.mark.parametrize("text", ["", "/", "a//b", "a/**/b", "a/b/c/d/e", "a/b@c"])
def test_what_is_no_pattern_is_refused_with_an_example(text: str) -> None:
    """The sentence shows how one is written."""
    with pytest.raises(RejectedError, match="write format/name"):
        Pattern.compile(text)


@given(NAME, NAME, NAME)
def test_what_covers_a_repository_matches_all_in_it(kind, name, package) -> None:
    """True means all of it, False none of it."""
    for text in (f"{kind}/{name}", f"{kind}/*", f"{kind}/{name}/b"):
        covers = Pattern.compile(text).covers(kind, name)
        if covers is not None:
            resource = Resource(kind, name, package, "1")
            assert Pattern.compile(text).matches(resource) is covers


@pytest.mark.parametrize("subject", ["", "ann", "user:", "team:x", "group"])
def test_what_is_no_subject_is_refused(subject: str) -> None:
    """A rule for nobody is a mistake."""
    with pytest.raises(RejectedError, match="subject"):
        Rule(subject=subject, actions=frozenset(Action), pattern="**")


def test_subjects_mean_whom_they_say() -> None:
    """Everyone, the signed in, the anonymous, a user, a group."""
    ann = Principal(name="ann", groups=frozenset({"team"}))
    nobody = Principal(name=None)
    meant = {
        "*": (1, 1),
        "+": (1, 0),
        "anonymous": (0, 1),
        "user:ann": (1, 0),
        "group:team": (1, 0),
    }
    for subject, (signed_in, anonymous) in meant.items():
        assert ann.is_subject(subject) == bool(signed_in)
        assert nobody.is_subject(subject) == bool(anonymous)
    assert not ann.is_subject("user:bob")


def test_actions_are_read_by_name() -> None:
    """`all` is every action, another word an error."""
    assert actions_of(["read", "write"]) == {Action.READ, Action.WRITE}
    assert actions_of(["all"]) == frozenset(Action)
    with pytest.raises(RejectedError, match=r"read, write.*; 'reed' is none"):
        actions_of(["read", "reed"])
