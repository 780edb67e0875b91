"""The last Conan 1 client, with revisions and without: what it removes at each level."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.clients, pytest.mark.slow]


def filled(writer, name):
    """A reference on the server with two packages; their ids by flavour."""
    reference = f"{name}/1.0@ho/stable"
    for flavour in ("sweet", "sour"):
        writer.note(reference, "text", "-o", f"{name}:flavour={flavour}")
    writer.run("upload", reference, "-r=house", "--all", "-c")
    found = writer.packages(reference).values()
    return reference, {package["options"]["flavour"]: package["id"] for package in found}


def test_packages_go_by_id_by_query_and_all(writer):
    """One package by its id, some by a query, then all; the recipe stays."""
    reference, ids = filled(writer, "sifted")
    writer.run("remove", "-f", "-r=house", reference, "-p", ids["sweet"])
    assert set(writer.packages(reference)) == {ids["sour"]}
    writer.run("upload", reference, "-r=house", "--all", "-c")
    assert set(writer.packages(reference)) == set(ids.values())
    writer.run("remove", "-f", "-r=house", reference, "-q", "flavour=sour")
    assert set(writer.packages(reference)) == {ids["sweet"]}
    writer.run("upload", reference, "-r=house", "--all", "-c")
    writer.run("remove", "-f", "-r=house", reference, "-p")
    assert writer.packages(reference) == {}
    assert writer.searched("sifted*") == {reference}


def test_recipes_go_by_reference_and_by_pattern(writer):
    """A reference goes with its packages; a pattern takes all that it matches, and no more."""
    for reference in ("heap/1.0@ho/stable", "heap/1.1@ho/stable", "heaped/1.0@ho/stable"):
        writer.note(reference, "text")
    writer.run("upload", "heap*", "-r=house", "--all", "-c")
    writer.run("remove", "-f", "-r=house", "heap/1.0@ho/stable")
    assert writer.searched("heap*") == {"heap/1.1@ho/stable", "heaped/1.0@ho/stable"}
    writer.run("remove", "-f", "-r=house", "heap/*")
    assert writer.searched("heap*") == {"heaped/1.0@ho/stable"}
    assert "not found" in writer.refused("remove", "-f", "-r=house", "heap/1.0@ho/stable").lower()


def test_outdated_packages_are_told_and_go(old_house, writer):
    """Packages of an earlier recipe are outdated; without revisions `--outdated` removes them."""
    reference, ids = filled(writer, "outdated")
    assert writer.packages(reference, "--outdated") == {}
    writer.run("export", writer.chart("another text"), reference)
    writer.run("upload", reference, "-r=house", "-c")
    if old_house.revisions:
        # They belong to the revision before, and are neither listed nor outdated.
        assert writer.packages(reference) == {}
        return
    assert set(writer.packages(reference, "--outdated")) == set(ids.values())
    assert all(package["outdated"] for package in writer.packages(reference).values())
    writer.run("remove", "-f", "-r=house", reference, "--outdated")
    assert writer.packages(reference) == {}
    assert writer.searched("outdated*") == {reference}


def test_a_revision_goes_and_the_one_before_is_the_latest(old_house, writer, visitor):
    """With revisions, one recipe or package revision goes alone."""
    reference = "stacked/1.0@ho/stable"
    texts = ["first", "second"]
    for text in texts:
        writer.note(reference, text)
        writer.run("upload", reference, "-r=house", "--all", "-c")
    if not old_house.revisions:
        writer.run("remove", "-f", "-r=house", reference)
        assert writer.searched("stacked*") == set()
        return
    newer, older = writer.listed_revisions(reference)
    writer.run("remove", "-f", "-r=house", f"{reference}#{newer}")
    assert writer.listed_revisions(reference) == [older]
    visitor.run("install", reference, "-r=house")
    assert visitor.texts(reference) == {"sweet": "first"}
    (package,) = writer.packages(reference)
    writer.run("remove", "-f", "-r=house", f"{reference}#{older}", "-p", package)
    assert writer.packages(reference) == {}
    writer.run("remove", "-f", "-r=house", f"{reference}#{older}")
    assert writer.searched("stacked*") == set()
