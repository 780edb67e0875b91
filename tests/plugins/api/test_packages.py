"""Packages of a repository: names, their latest versions, and what each sees of them."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings, strategies

from repocore import Binding

MAIN = "conan/main"
PATH = f"repositories/{MAIN}/packages"


@pytest.fixture
def stocked(house):
    for reference in ("zlib/1.2/_/_", "zlib/1.10/_/_", "Boost/1.0/_/_", "boost/2.0/_/_"):
        house.recipe(reference)
    house.recipe("fmt/9.0/team/stable")
    return house


def test_packages_are_listed_with_their_latest_versions(stocked) -> None:
    """By name, case aside; the latest is the last in the order of versions."""
    told = [(one["name"], one["latest"], one["versions"]) for one in stocked.walk(PATH)]
    assert told == [
        ("Boost", "1.0@_/_", 1),
        ("boost", "2.0@_/_", 1),
        ("fmt", "9.0@team/stable", 1),
        ("zlib", "1.10@_/_", 2),
    ]


@pytest.mark.parametrize("limit", [1, 2, 3, 4])
def test_pages_have_each_once(stocked, limit) -> None:
    """Also where names differ in their case only."""
    names = [one["name"] for one in stocked.walk(f"{PATH}?limit={limit}")]
    assert names == ["Boost", "boost", "fmt", "zlib"]


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("q=OO", ["Boost", "boost"]),
        ("prefix=Z", ["zlib"]),
        ("prefix=b&q=t", ["Boost", "boost"]),
        ("q=nothing", []),
    ],
)
def test_packages_are_searched(stocked, query, names) -> None:
    """By any part of the name, or its beginning."""
    assert [one["name"] for one in stocked.walk(f"{PATH}?{query}&limit=1")] == names


def test_a_package_is_shown_with_its_versions(stocked) -> None:
    """In their order, page after page; of one name and no other."""
    assert stocked.value(f"{PATH}/zlib") == {"name": "zlib", "latest": "1.10@_/_", "versions": 2}
    versions = stocked.walk(f"{PATH}/zlib/versions?limit=1")
    assert [one["version"] for one in versions] == ["1.2@_/_", "1.10@_/_"]
    assert stocked.value(f"{PATH}/boost")["latest"] == "2.0@_/_"
    for path in (f"{PATH}/zli", f"{PATH}/zlib2", f"{PATH}/zli/versions", f"{PATH}/BOOST"):
        assert stocked.problem(404, path)["title"] == "Missing"


def test_lists_show_what_one_may_read(stocked) -> None:
    """A name of which only some versions may be read has the last of these."""
    stocked.admin.roles.bind(
        Binding(subject="user:carl", role="viewer", pattern=f"{MAIN}/zlib/1.2")
    )
    [told] = stocked.walk(PATH, who="carl")
    assert (told["name"], told["latest"], told["versions"]) == ("zlib", "1.2@_/_", 1)
    assert len(stocked.walk(f"{PATH}/zlib/versions", who="carl")) == 1
    assert stocked.problem(404, f"{PATH}/fmt", who="carl")["title"] == "Missing"
    assert stocked.send(PATH, who=None).status == 401


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=20)
@given(cursor=strategies.text(max_size=30), limit=strategies.integers())
def test_no_cursor_and_no_limit_breaks_anything(stocked, cursor, limit) -> None:
    """They are taken, or refused with what they have to be."""
    answer = stocked.send(f"{PATH}?cursor={quote(cursor, safe='')}&limit={limit}")
    assert answer.status in {200, 400, 422}
    assert answer.status == 422 or not 0 < limit <= 50 or cursor != "x"
