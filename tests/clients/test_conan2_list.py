"""What the real Conan 2 client lists and searches."""

from __future__ import annotations

import json

import pytest

pytestmark = pytest.mark.clients


def test_search_finds_by_pattern(conan, shipyard, published):
    """`conan search` lists the references that a pattern matches, in any case, and no more."""
    client = conan()
    for pattern, found in (
        ("ti*", {"tide/1.0", "tide/1.1"}),
        ("tide/1.1", {"tide/1.1"}),
        ("TIDE/*", {"tide/1.0", "tide/1.1"}),
        ("*/2.0", {"harbor/2.0"}),
    ):
        assert client.searched(pattern) == found
    for pattern in ("tid", "ide*", "tide/2*"):
        assert client.searched(pattern) == set()


def test_list_goes_down_level_by_level(conan, shipyard, published):
    """References, revisions, packages and package revisions are listed by their patterns."""
    client = conan()
    static, shared = shipyard.made[0], shipyard.made[1]
    assert set(client.listed("tide/*")) == {"tide/1.0", "tide/1.1"}
    assert list(client.recipe_revisions("tide/1.0")) == [static.recipe_revision]
    packages = client.packages(static.recipe)
    assert set(packages) == {static.package_id, shared.package_id}
    assert list(packages[shared.package_id]["revisions"]) == [shared.package_revision]
    assert packages[shared.package_id]["info"]["options"]["shared"] == "True"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("options.shared=True", 1),
        pytest.param("build_type=Release", 2, marks=pytest.mark.slow),
        pytest.param("os=Windows", 0, marks=pytest.mark.slow),
    ],
)
def test_list_filters_packages_by_query(conan, shipyard, published, query, count):
    """A package query chooses among the packages by the settings and options that were uploaded."""
    found = conan().listed("tide/1.0:*", f"-p={query}")
    (revision,) = found["tide/1.0"]["revisions"].values()
    assert len(revision.get("packages", {})) == count


@pytest.mark.slow
def test_header_only_package_has_an_empty_description(conan, shipyard, published):
    """A package whose conaninfo.txt is empty is listed, and has neither settings nor options."""
    gauge = next(package for package in shipyard.made if package.reference == "gauge/1.2")
    (found,) = conan().packages(gauge.recipe).values()
    assert list(found["revisions"]) == [gauge.package_revision]
    assert not found["info"]


@pytest.mark.slow
def test_revisions_are_listed_with_their_times(conan):
    """Every revision has the time at which it was published; a later one has a later time."""
    client = conan("writer")
    made = []
    for text in ("one", "two", "three"):
        made.append(conan.note(client, "dated/1.0", text).recipe_revision)
        client.run("upload", "dated/1.0", "-r=house", "-c")
    times = client.recipe_revisions("dated/1.0")
    assert list(times) == made
    assert sorted(set(times.values())) == list(times.values())


@pytest.mark.slow
def test_list_tells_users_and_channels_apart(conan):
    """A pattern finds references by user and channel, and without either."""
    client = conan("writer")
    for place in ("", "@crew", "@crew/stable", "@other/stable"):
        conan.note(client, f"berth/1.0{place}", place)
    client.run("upload", "berth/*", "-r=house", "-c")
    assert set(client.listed("berth/*")) == {
        "berth/1.0",
        "berth/1.0@crew",
        "berth/1.0@crew/stable",
        "berth/1.0@other/stable",
    }
    assert set(client.listed("berth/*@crew/*")) >= {"berth/1.0@crew/stable"}
    assert set(client.listed("berth/1.0@other/stable")) == {"berth/1.0@other/stable"}


@pytest.mark.slow
def test_package_list_is_found_in_the_remote(conan, shipyard, published):
    """`conan pkglist find-remote` finds what a local list names."""
    local = shipyard.client.saved("list", "tide/1.0:*#*")
    found = conan().json("pkglist", "find-remote", local)["house"]
    wanted = json.loads(local.read_text())["Local Cache"]["tide/1.0"]["revisions"]
    assert set(found["tide/1.0"]["revisions"]) == set(wanted)


@pytest.mark.slow
def test_graph_finds_every_binary(conan, shipyard, published):
    """`conan graph info` would download each binary of the program, and build none."""
    nodes = conan().json("graph", "info", "--requires=harbor/2.0", "-r=house")["graph"]["nodes"]
    binaries = {node["ref"].split("#")[0]: node["binary"] for node in nodes.values()}
    assert binaries["harbor/2.0"] == "Download"
    assert not {"Missing", "Invalid"} & set(binaries.values())
