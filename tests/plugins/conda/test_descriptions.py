"""What a package says of itself: each field of the type that clients read it with."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from repocore.errors import InvalidPackageError
from repocore.plugins.conda.descriptions import (
    check_index,
    check_link,
    milliseconds,
    normal_run_exports,
    to_revision_3,
)
from repocore.plugins.conda.filenames import PackageFile

FILE = PackageFile.parse("tide-1.0-h1_0.conda")
INDEX = {"name": "tide", "version": "1.0", "build": "h1_0", "build_number": 0}
NOW = 1_700_000_000
DAY = 24 * 3600
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
FIELDS = [
    "arch", "build", "build_number", "constrains", "depends", "extra_depends", "features", "flags",
    "license", "license_family", "name", "noarch", "platform", "purls", "python_site_packages_path",
    "repodata_revision", "schema_version", "subdir", "timestamp", "track_features", "version",
]  # fmt: skip


def check(sent_to: str | None = None, /, **fields: object) -> None:
    check_index({**INDEX, **fields}, FILE, sent_to, NOW)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"depends": [], "constrains": ["zlib >=1.2", "__cuda >=12"]},
        {"subdir": "linux-64"},
        {"noarch": "python"},
        {"noarch": True},
        {"license": None, "features": ""},
        {"track_features": "a b"},
        {"track_features": ["a", "b"]},
        {"python_site_packages_path": "lib/python3.13t/site-packages"},
        {"extra_depends": {"test": ["pytest"]}},
        {"timestamp": 0},
        {"timestamp": NOW * 1000},
        {"timestamp": NOW},
        {"something": {"new": [1]}},
    ],
    ids=str,
)
def test_honest_fields_are_taken(fields):
    """As builders of all years write them."""
    check("linux-64", **fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"build_number": True},
        {"build_number": 1.0},
        {"build_number": None},
        {"depends": None},
        {"depends": {}},
        {"depends": [""]},
        {"depends": ["a\nb"]},
        {"constrains": "a"},
        {"license": ["MIT"]},
        {"noarch": "generik"},
        {"noarch": []},
        {"track_features": {"a": 1}},
        {"flags": "a"},
        {"purls": [1]},
        {"extra_depends": ["a"]},
        {"extra_depends": {"A": ["a"]}},
        {"extra_depends": {"a": "b"}},
        {"extra_depends": {"": []}},
        {"python_site_packages_path": "../lib"},
        {"python_site_packages_path": "/lib"},
        {"python_site_packages_path": "lib\\..\\x"},
        {"python_site_packages_path": "lib/"},
        {"subdir": "noarch/.."},
        {"subdir": "osx-64"},
        {"timestamp": -1},
        {"timestamp": 1.5},
        {"schema_version": "3"},
    ],
    ids=str,
)
def test_fields_of_other_types_are_refused(fields):
    """One of them makes some clients fail on the whole index."""
    with pytest.raises(InvalidPackageError, match=r"index\.json|dependency"):
        check("linux-64", **fields)


@given(st.sampled_from(FIELDS), JSON)
def test_any_value_is_taken_or_refused(field, value):
    """Nothing else is raised, whatever a field holds."""
    index = {**INDEX, field: value}
    try:
        check_index(index, FILE, "linux-64", NOW)
        to_revision_3(index)
    except InvalidPackageError:
        return


@given(JSON, JSON)
def test_other_documents_are_taken_or_refused(link, exports):
    """The same of the links and run exports."""
    for read, value in ((check_link, {"noarch": link}), (normal_run_exports, exports)):
        try:
            read(value)
        except InvalidPackageError:
            continue


@pytest.mark.parametrize(
    ("timestamp", "taken"),
    [
        ((NOW + DAY - 1) * 1000, True),
        ((NOW + DAY + 1) * 1000, False),
        (NOW + DAY - 1, True),
        (NOW + DAY + 1, False),
    ],
)
def test_a_build_of_the_day_after_tomorrow_is_refused(timestamp, taken):
    """In either unit; clocks may differ by a day (CEP 47)."""
    if taken:
        check(timestamp=timestamp)
        return
    with pytest.raises(InvalidPackageError, match="future"):
        check(timestamp=timestamp)


def test_old_timestamps_are_in_seconds():
    """Up to the end of the year 9999."""
    assert milliseconds(1_500_000_000) == 1_500_000_000_000
    assert milliseconds(253_402_300_799) == 253_402_300_799_000
    assert milliseconds(253_402_300_800) == 253_402_300_800


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"schema_version": 2},
        {"depends": ["python >=3.8", "zlib[version='>=1']"]},
        {"flags": [], "extra_depends": {}},
    ],
    ids=str,
)
def test_packages_of_today_stay_as_they_are(fields):
    """No client of old has to know anything new."""
    assert to_revision_3({**INDEX, **fields}) is None


@pytest.mark.parametrize(
    "fields",
    [
        {"schema_version": 3},
        {"repodata_revision": 3},  # as rattler-build says it
        {"flags": ["cuda"]},
        {"extra_depends": {"test": ["pytest"]}},
        {"depends": ["a[when='__unix']"]},
        {"constrains": ["a[extras=[b]]"]},
    ],
    ids=str,
)
def test_packages_of_the_third_revision_are_told(fields):
    """By what they say, and by what they use: old clients must not see them (CEP 48)."""
    assert to_revision_3({**INDEX, **fields}) is not None


def test_specs_get_their_new_form():
    """All of them, and nothing else changes; the package's own index is not touched."""
    index = {
        **INDEX,
        "schema_version": 3,
        "depends": ["python >=3.8", "b"],
        "constrains": ["c 1.*"],
        "extra_depends": {"test": ["pytest >=7"]},
    }
    before = repr(index)
    assert to_revision_3(index) == {
        **INDEX,
        "schema_version": 3,
        "depends": ['python[version=">=3.8"]', "b"],
        "constrains": ['c[version="1.*"]'],
        "extra_depends": {"test": ['pytest[version=">=7"]']},
    }
    assert repr(index) == before


@pytest.mark.parametrize("field", ["schema_version", "repodata_revision"])
def test_a_later_revision_is_refused(field):
    """Nobody knows yet where its records belong."""
    with pytest.raises(InvalidPackageError, match="revision 4"):
        to_revision_3({**INDEX, field: 4})


@pytest.mark.parametrize(
    "point", ["bsdiff4 = bsdiff4.cli:main", "a=b:c", " a-b.c+d = _x.y1 : z ", "7z = ün.x:ö"]
)
def test_honest_entry_points_are_taken(point):
    """As recipes write them; modules and functions may have any letters, as in Python."""
    check_link({"noarch": {"type": "python", "entry_points": [point]}})


@pytest.mark.parametrize(
    "point",
    [
        "../evil = a:b",
        "/bin/x = a:b",
        "a\\b = a:b",
        ". = a:b",
        ".. = a:b",
        "C:x = a:b",
        "-x = a:b",
        "ünix = a:b",
        "x = a:b; import os",
        "x = a b:c",
        "x = a:b\nimport os",
        "x\n = a:b",
        "x = a:b\n",
        "x = a:b:c",
        "x = a",
        "= a:b",
        "x = :b",
        "x = a:",
        "x = a..b:c",
        "x = 1a:b",
        "x = a:b()",
        "x" * 300 + " = a:b",
        "x = " + "a" * 2000 + ":b",
    ],
)
def test_other_entry_points_are_refused(point):
    """T10: a name that leads elsewhere, or code where a function belongs."""
    with pytest.raises(InvalidPackageError, match="entry point"):
        check_link({"noarch": {"type": "python", "entry_points": [point]}})


@pytest.mark.parametrize(
    ("value", "normal"),
    [
        (None, {}),
        ({}, {}),
        ([], {"weak": []}),
        (["a >=1"], {"weak": ["a >=1"]}),
        ("a", {"weak": ["a"]}),
        ({"strong": ["a"], "weak": "b", "schema_version": 2}, {"strong": ["a"], "weak": ["b"]}),
        ({"noarch": ["a"], "other": ["b"]}, {"noarch": ["a"]}),
    ],
)
def test_run_exports_have_one_form(value, normal):
    """A list is of weak ones (CEP 12)."""
    assert normal_run_exports(value) == normal


@pytest.mark.parametrize(
    "value", [5, {"weak": 5}, {"weak": [5]}, {"weak": {"a": 1}}, [""], ["a\n"]]
)
def test_other_run_exports_are_refused(value):
    """A builder reads them as they are."""
    with pytest.raises(InvalidPackageError):
        normal_run_exports(value)
