"""Dependencies: what is understood means what clients take it for; nothing hangs on the rest."""

from __future__ import annotations

import pytest
from hypothesis import assume, given, strategies as st

from repocore.plugins.conda.matching import newest_first, parse_spec, starts_with

VERSIONS = st.sampled_from(
    [
        "1",
        "1.0",
        "1.2",
        "1.2.0",
        "1.2.3",
        "1.2.10",
        "1.20",
        "1.2.3.4",
        "2.0",
        "2.0a1",
        "2.0rc1",
        "2.0.post1",
        "2.0.dev1",
        "1!0.1",
        "1.2+a.1",
        "0.4.1b",
        "10",
        "1.2_3",
    ]
)
OPERATORS = st.sampled_from(["", "==", ">=", "<=", ">", "<", "=", "!="])
ATOMS = st.builds("{}{}".format, OPERATORS, VERSIONS) | st.builds(
    "{}{}.*".format, st.sampled_from(["", "=", "!="]), VERSIONS
)
ATOMS |= st.builds("~={}".format, VERSIONS.filter(lambda v: "." in v and "+" not in v))
ASKED = st.recursive(
    ATOMS | st.just("*"),
    lambda inner: (
        st.builds("{},{}".format, inner, inner)
        | st.builds("{}|{}".format, inner, inner)
        | st.builds("({}|{}),{}".format, inner, inner, ATOMS)
    ),
    max_leaves=4,
)
BUILDS = st.sampled_from(["h0_0", "py312_1", "py312h0_0", "0"])
ASKED_BUILDS = BUILDS | st.sampled_from(
    ["*", "py*", "*_0", "py312*_0", "py*h*_0", "h*h", "py312*1"]
)


@given(st.one_of(ASKED, st.builds("{} {}".format, ASKED, ASKED_BUILDS)), VERSIONS, BUILDS)
def test_a_spec_means_what_clients_take_it_for(asked, version, build):
    """The same versions and builds as a real client's."""
    rattler = pytest.importorskip("rattler", reason="py-rattler is not installed")
    text = f"some-name {asked}"
    try:
        theirs = rattler.MatchSpec(text, strict=False)
    except Exception:  # it does not read it
        assume(False)
        raise
    record = rattler.PackageRecord(
        name="some-name",
        version=version,
        build=rattler.package.BuildString(build),
        build_number=0,
        subdir="noarch",
    )
    spec = parse_spec(text)
    assert spec is not None
    assert spec.name == "some-name"
    assert spec.matches(version, build, 0) is theirs.matches(record)


@pytest.mark.parametrize(
    ("text", "version", "matches"),
    [
        ("a", "1.0", True),
        ("a=1.2", "1.2.3", True),
        ("a=1.2", "1.20", False),
        ("a==1.2", "1.2.0", True),
        ("a ==1.2", "1.2.3", False),
        ("a 1.2", "1.2.3", False),
        ("a 1.2*", "1.2.3", True),
        ("a >=1.2, <2", "1.9", True),
        ("a>=1.2,<2", "2.0", False),
        ("a 1.2|1.3", "1.3", True),
        ("conda-forge::a >=3", "2", False),
        ("a[version='>=3']", "2", False),
        ("a[version='>=3', build_number=0]", "3", True),
        ("a[build_number=1]", "3", False),
        ("a ~=1.4.2", "1.4.10", True),
        ("a ~=1.4.2", "1.5", False),
        ("a 1.0+local", "1.0+local", True),
    ],
)
def test_every_way_to_write_a_spec(text, version, matches):
    """With and without spaces, operators, brackets and channels."""
    spec = parse_spec(text)
    assert spec is not None
    assert spec.name == "a"
    assert spec.matches(version, "h0_0", 0) is matches


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a ^1\\.(2|3)$",
        "a 1.*.3",
        "a >=",
        "a ((((1",
        "a " + "(" * 500 + "1" + ")" * 500,
        "a * ^(x+)+$",
        "a ~=1",
        "[]",
        "a[url=https://a.example]",
        "a >=x.y-z",
    ],
)
def test_what_is_not_understood_is_nothing(text):
    """Neither an error nor a guess; a regular expression of a package is never run."""
    assert parse_spec(text) is None


@pytest.mark.parametrize("pattern", ["*a*a*a*a*a*a*a*a*b", "a*", "*"])
def test_a_pattern_of_builds_takes_no_time(pattern):
    """However many stars it has."""
    spec = parse_spec(f"a * {pattern}")
    assert spec is not None
    assert spec.matches("1", "a" * 5000, 0) is (pattern != "*a*a*a*a*a*a*a*a*b")


@given(VERSIONS, VERSIONS)
def test_a_version_is_of_its_own_series(version, other):
    """And of that of no other epoch; text that is no version is of none."""
    assert starts_with(version, version)
    assert not starts_with(f"7!{version.rpartition('!')[2]}", other)
    assert not starts_with("no version", other)


def test_the_best_is_the_newest():
    """Version first, then build number, then the time; odd fields count as nothing."""
    ranks = [
        newest_first("1.9", {"build_number": 9}),
        newest_first("1.10", {"build_number": "x", "timestamp": None}),
        newest_first("1.10", {"build_number": 1}),
        newest_first("1.10", {"build_number": 1, "timestamp": 5}),
    ]
    assert ranks == sorted(ranks)
