"""Specs: one form of each in repodata v3, that says what the package says."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from repocore.errors import InvalidPackageError
from repocore.plugins.conda.specs import bracket_form, check_spec, is_conditional

SPECS = {
    "foo": "foo",
    "FOO": "foo",
    " foo ": "foo",
    "__unix": "__unix",
    "foo >=2 py*": 'foo[version=">=2",build="py*"]',
    "foo ==1.0": 'foo[version="==1.0"]',
    "foo=1.2": 'foo[version="1.2.*"]',
    "foo =1.2": 'foo[version="1.2.*"]',
    "foo =1.2.*": 'foo[version="1.2.*"]',
    "foo 1.2.*": 'foo[version="1.2.*"]',
    "foo 1.2": 'foo[version="==1.2"]',
    "foo 1.0 h123_0": 'foo[version="==1.0",build="h123_0"]',
    "foo=1.2=py_0": 'foo[version="==1.2",build="py_0"]',
    "foo * *_cpython": 'foo[version="*",build="*_cpython"]',
    "foo *": 'foo[version="*"]',
    "foo>=2,<3|5": 'foo[version=">=2,<3|==5"]',
    "foo >= 2, < 3": 'foo[version=">=2,<3"]',
    "foo !=1.2": 'foo[version="!=1.2"]',
    "foo ~=1.2": 'foo[version="~=1.2"]',
    "foo[version='>=2']": 'foo[version=">=2"]',
    "foo >=2 [when=__unix]": 'foo[version=">=2",when="__unix"]',
    'foo >=2[when="python>=3.12"]': 'foo[version=">=2",when="python>=3.12"]',
    "foo[build_number='>=3',build='x*',version=1.2.*]": (
        'foo[version="1.2.*",build="x*",build_number=">=3"]'
    ),
    "foo[extras=[a,b], flags=[x]]": "foo[extras=[a,b],flags=[x]]",
    'foo[flags="a,b"]': "foo[flags=[a,b]]",
    "foo[when='python[version=\">=3\"]']": "foo[when='python[version=\">=3\"]']",
}


@pytest.mark.parametrize("spec", SPECS)
def test_the_form_is_that_of_repodata_v3(spec):
    """A bare name, or a name and its fields between brackets; and that is its own form."""
    assert bracket_form(spec) == SPECS[spec]
    assert bracket_form(SPECS[spec]) == SPECS[spec]


@pytest.mark.parametrize("spec", sorted(spec for spec in SPECS if "flags" not in spec))
def test_the_form_says_the_same(spec):
    """A client reads the same from both forms."""
    match_spec = pytest.importorskip("rattler").MatchSpec
    before, after = match_spec(spec), match_spec(SPECS[spec])
    assert before.name.as_package_name() == after.name.as_package_name()
    assert str(before.version) == str(after.version)
    assert before.build == after.build


@pytest.mark.parametrize(
    "spec",
    [
        "",
        "*",
        "foo*",
        "conda-forge::foo",
        "foo[]",
        "foo[",
        "foo]",
        "foo[version=]",
        "foo[version='']",
        "foo[channel=x]",
        "foo[md5=0]",
        "foo[version=1,version=2]",
        "foo 1[version=2]",
        "foo[version=1,]",
        "foo[version=1 build=2]",
        "foo[extras=[a b]]",
        "foo 1 2 3",
        "foo[version=1] x",
    ],
)
def test_what_repodata_v3_cannot_say_is_refused(spec):
    """A channel, a glob for a name, empty brackets and other fields."""
    with pytest.raises(InvalidPackageError):
        bracket_form(spec)


@given(st.text("of o=<>![]\"',|*1.when()", max_size=60))
def test_any_text_has_a_form_or_none(spec):
    """Nothing else is raised, and what comes out goes in again."""
    try:
        form = bracket_form(spec)
    except InvalidPackageError:
        return
    assert bracket_form(form) == form


@pytest.mark.parametrize("piece", ["[", "foo[version=", ",", "a=", "when ", '"', " ", "("])
def test_long_specs_are_no_work(piece):
    """The work is in proportion to the length."""
    spec = "f" + piece * 20_000
    is_conditional(spec)
    with pytest.raises(InvalidPackageError):
        bracket_form(f"{spec}%")


@pytest.mark.parametrize("spec", [None, 1, "", " ", "a\nb", "a\x00", "a" * 5000])
def test_what_no_client_reads_is_refused(spec):
    """A spec is a text of one line."""
    with pytest.raises(InvalidPackageError):
        check_spec(spec)


def test_conditions_are_seen():
    """What makes a package one of the third revision."""
    assert is_conditional("foo[when=__unix]")
    assert is_conditional("foo >=1 [version=1, extras=[a]]")
    assert not is_conditional("foo[version=1]")
    assert not is_conditional("whenever >=1")
