"""Releases: when they are seen, in which order, and how they go."""

from __future__ import annotations

import pytest
from tests_manifest import manifest

from repocore import (
    AccessDeniedError,
    NotAuthenticatedError,
    ReleaseMissingError,
    RepositoryMissingError,
)

MAIN = "conan/main"
ZLIB = "zlib/1.3@_/_"
RECIPE = "zlib/1.3/_/_/r1/export"


def names(house) -> list[str]:
    return [release.name for release in house.admin.releases.list(MAIN, ZLIB)]


def test_a_release_is_seen_with_the_file_that_makes_it_whole(house) -> None:
    """The manifest may come first; the last file that it speaks of publishes."""
    base = "zlib/1.3/_/_/r1/export"
    house.put(f"{base}/conanmanifest.txt", manifest("conanfile.py", "export_source/a.c"))
    house.put(f"{base}/conanfile.py", b"recipe")
    assert names(house) == []
    house.put(f"{base}/conan_sources.tgz", b"archive")
    assert names(house) == ["r1"]


def test_the_newest_is_the_last_that_was_published(house) -> None:
    """Lists are newest first, times grow with serials, and `latest` is the first of the list."""
    for rrev in ("r3", "r1", "r2"):
        house.recipe(rrev)
    found = house.admin.releases.list(MAIN, ZLIB)
    assert [release.name for release in found] == ["r2", "r1", "r3"]
    times = [release.released_at for release in found]
    assert times == sorted(times, reverse=True)
    assert len(set(times)) == 3
    assert house.admin.releases.latest(MAIN, ZLIB).name == "r2"
    assert house.admin.releases.newest(MAIN, ZLIB) == ("r2", times[0])


def test_an_older_release_that_is_announced_again_is_the_newest(house) -> None:
    """It moves to the front once; announcing the newest again changes nothing."""
    for rrev in ("r1", "r2", "r3"):
        house.recipe(rrev)
    house.recipe("r1")
    assert names(house) == ["r1", "r3", "r2"]
    before = house.admin.releases.list(MAIN, ZLIB)
    house.recipe("r1")
    assert house.admin.releases.list(MAIN, ZLIB) == before


def test_metadata_changes_neither_order_nor_time(house) -> None:
    """Metadata may come with the release, or later, as often as one likes."""
    house.recipe("r1")
    house.recipe("r2")
    before = house.admin.releases.list(MAIN, ZLIB)
    house.put("zlib/1.3/_/_/r1/export/metadata/log", b"one")
    house.put("zlib/1.3/_/_/r1/export/metadata/log", b"two")
    assert house.admin.releases.list(MAIN, ZLIB) == before


def test_a_deleted_release_goes_with_all_that_hangs_on_it(house) -> None:
    """A recipe revision takes its packages along, in one step."""
    house.recipe("r1")
    house.recipe("r2")
    house.package("r1", "p1")
    house.admin.releases.delete(MAIN, ZLIB, "r1")
    assert names(house) == ["r2"]
    assert house.admin.releases.list(MAIN, f"{ZLIB}#r1:pid") == []
    assert all("/r2/" in path for path, _ in house.listing())
    with pytest.raises(ReleaseMissingError):
        house.admin.releases.delete(MAIN, ZLIB, "r1")


def test_a_release_comes_back_when_it_is_uploaded_whole_again(house) -> None:
    """After a deletion the same revision starts as a draft, and is the newest when whole."""
    house.recipe("r1")
    house.recipe("r2")
    house.admin.releases.delete(MAIN, ZLIB, "r1")
    house.put("zlib/1.3/_/_/r1/export/conanmanifest.txt", manifest("conanfile.py"))
    assert names(house) == ["r2"]
    house.put("zlib/1.3/_/_/r1/export/conanfile.py", b"recipe r1")
    assert names(house) == ["r1", "r2"]


def test_all_of_a_partition_and_all_children_are_counted(house) -> None:
    """Deleting many says how many; nothing to delete is zero, not an error."""
    house.recipe("r1")
    house.package("r1", "p1")
    house.package("r1", "p2")
    house.package("r1", "p1", package_id="other")
    assert house.admin.releases.delete_all(MAIN, f"{ZLIB}#r1:pid") == 2
    assert house.admin.releases.delete_children(MAIN, ZLIB, "r1") == 1
    assert house.admin.releases.delete_children(MAIN, ZLIB, "r1") == 0
    assert house.admin.releases.delete_all(MAIN, ZLIB) == 1


def test_children_are_the_newest_of_each_partition(house) -> None:
    """A package with two revisions is listed once, by the newer."""
    house.recipe("r1")
    house.package("r1", "p1")
    house.package("r1", "p2")
    found = house.admin.releases.children(MAIN, ZLIB, "r1")
    assert [(child.partition, child.name) for child in found] == [(f"{ZLIB}#r1:pid", "p2")]


def test_a_yanked_release_is_served_but_listed_nowhere(house) -> None:
    """Yanking takes it out of lists, `latest` and search, and back in."""
    house.recipe("r1")
    house.admin.releases.yank(MAIN, ZLIB, "r1")
    assert names(house) == []
    assert list(house.admin.releases.packages(MAIN)) == []
    with house.admin.files.open(MAIN, "zlib/1.3/_/_/r1/export/conanfile.py") as stream:
        assert stream.read() == b"recipe r1"
    house.admin.releases.yank(MAIN, ZLIB, "r1", False)
    assert names(house) == ["r1"]


def test_packages_come_in_order_without_doubles(house) -> None:
    """By case-folded name, then by the order of versions; a prefix narrows them."""
    for reference in ("b/1.10/_/_", "b/1.9/_/_", "A/1.0/_/_", "bb/1.0/u/c"):
        house.recipe("r1", reference=reference)
        house.recipe("r2", reference=reference)
    found = list(house.admin.releases.packages(MAIN))
    assert found == [("A", "1.0@_/_"), ("b", "1.9@_/_"), ("b", "1.10@_/_"), ("bb", "1.0@u/c")]
    assert list(house.admin.releases.packages(MAIN, prefix="a")) == [("A", "1.0@_/_")]


def test_reading_and_deleting_need_their_own_permissions(house, reader) -> None:
    """READ shows, DELETE deletes, and neither means the other."""
    house.recipe("r1")
    assert reader.releases.newest(MAIN, ZLIB)[0] == "r1"
    with pytest.raises(AccessDeniedError) as caught:
        reader.releases.delete(MAIN, ZLIB, "r1")
    assert not caught.value.hidden
    with pytest.raises(NotAuthenticatedError):
        house.as_(None).releases.newest(MAIN, ZLIB)
    with pytest.raises(AccessDeniedError) as caught:
        house.as_("stranger").releases.names(MAIN, ZLIB)
    assert caught.value.hidden


def test_nothing_hangs_on_what_is_not_there(house) -> None:
    """A package comes after its recipe, and not after the recipe's deletion."""
    with pytest.raises(ReleaseMissingError, match="upload that first"):
        house.package("r1", "p1")
    house.recipe("r1")
    house.package("r1", "p1")
    house.admin.releases.delete(MAIN, ZLIB, "r1")
    with pytest.raises(ReleaseMissingError, match="upload that first"):
        house.package("r1", "p2")
    house.recipe("r1")
    house.package("r1", "p2")


def test_what_is_not_there_is_missing_in_every_question(house) -> None:
    """Asking by name raises; asking for lists gives empty ones."""
    house.recipe("r1")
    releases = house.admin.releases
    for missing in (
        lambda: releases.newest(MAIN, "none/1@_/_"),
        lambda: releases.files(MAIN, ZLIB, "r2"),
        lambda: releases.children(MAIN, ZLIB, "r2"),
    ):
        with pytest.raises(ReleaseMissingError):
            missing()
    assert releases.names(MAIN, "none/1@_/_") == []
    assert releases.children(MAIN, ZLIB, "r1") == []


def test_names_and_files_of_releases(house) -> None:
    """`names` is the list in short, and `files` are those of one release, by path."""
    house.recipe("r1")
    house.recipe("r2")
    found = house.admin.releases.list(MAIN, ZLIB)
    times = [(release.name, release.released_at) for release in found]
    assert house.admin.releases.names(MAIN, ZLIB) == times
    paths = [str(file.path) for file in house.admin.releases.files(MAIN, ZLIB, "r1")]
    assert paths == [f"{RECIPE}/conanfile.py", f"{RECIPE}/conanmanifest.txt"]


def test_a_writer_is_told_whether_anything_was_uploaded(house, reader) -> None:
    """A draft counts, what was deleted does not, and whoever only reads is not told."""
    exists = house.admin.releases.exists
    assert not exists(MAIN, ZLIB, "r1")
    house.put(f"{RECIPE}/conanfile.py", b"recipe r1")
    assert exists(MAIN, ZLIB, "r1")
    house.recipe("r1")
    assert exists(MAIN, ZLIB, "r1")
    with pytest.raises(AccessDeniedError):
        reader.releases.exists(MAIN, ZLIB, "r1")
    house.admin.releases.delete(MAIN, ZLIB, "r1")
    assert not exists(MAIN, ZLIB, "r1")


def test_packages_are_those_that_may_be_read(house) -> None:
    """Rules filter the list of packages as they filter everything else."""
    house.recipe("r1")
    house.recipe("r1", reference="secret/1.0/_/_")
    house.allow("user:ann", "read", "conan/main/zlib/**")
    assert list(house.as_("ann").releases.packages(MAIN)) == [("zlib", "1.3@_/_")]
    with pytest.raises(AccessDeniedError):
        list(house.as_("stranger").releases.packages(MAIN))
    with pytest.raises(RepositoryMissingError):
        list(house.admin.releases.packages("conan/nowhere"))


def test_a_release_that_is_deleted_while_it_is_yanked_is_missing(house, monkeypatch) -> None:
    """Who yanks is never shown a release that is gone."""
    house.recipe("r1")
    catalog = house.registry._services.catalog
    write = catalog.write

    def then_deleted(work, *rest):
        monkeypatch.setattr(catalog, "write", write)
        done = write(work, *rest)
        house.admin.releases.delete(MAIN, ZLIB, "r1")
        return done

    monkeypatch.setattr(catalog, "write", then_deleted)
    with pytest.raises(ReleaseMissingError):
        house.admin.releases.yank(MAIN, ZLIB, "r1")


def test_a_draft_that_is_deleted_takes_no_serial(house) -> None:
    """Nothing that anybody sees has changed: replicas have nothing to ask for."""
    house.recipe("r1")
    house.put("zlib/1.3/_/_/r2/export/conanfile.py", b"half")
    partition = "zlib/1.3@_/_"
    house.admin.releases.delete("conan/main", partition, "r2")
    number = house.registry.access.repositories["conan/main"].id
    assert house.admin.replication.partitions((0, ""), 10) == [(number, partition, 1)]
