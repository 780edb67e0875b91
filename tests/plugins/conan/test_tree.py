"""The data folder of a conan_server: both layouts, and all that may be wrong with one."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st
from old_tree import INFO, OldTree, write
from tests_manifest import manifest

from repocore.plugins.conan.tree import Finding, TreeReference, references

ZLIB = "zlib/1.3/_/_"


@pytest.fixture
def tree(tmp_path: Path) -> OldTree:
    return OldTree(tmp_path / "data")


def only(tree: OldTree) -> TreeReference:
    [found] = references(tree.root)
    assert isinstance(found, TreeReference)
    return found


def names(found: TreeReference) -> list[str]:
    return [revision.name for revision in found.revisions]


def told(found: TreeReference) -> list[str]:
    return [str(finding) for finding in found.findings]


def at(*fields: int) -> datetime:
    return datetime(*fields, tzinfo=UTC)


def test_revisions_in_the_order_of_the_index(tree):
    """Not by name and not by time; both ways to write a time are read."""
    tree.recipe(ZLIB, "bbb", 1795217619.711656)
    tree.recipe(ZLIB, "aaa", "2024-01-01T00:00:00Z")
    tree.package(ZLIB, "aaa", "p1", "x", "2024-01-02T00:00:00+00:00")
    tree.package(ZLIB, "aaa", "p1", "y", 1_700_000_000)
    found = only(tree)
    assert (names(found), told(found)) == (["bbb", "aaa"], [])
    assert found.revisions[0].time == datetime(2026, 11, 20, 23, 33, 39, 711656, tzinfo=UTC)
    assert found.revisions[1].time == at(2024, 1, 1)
    [(package_id, packages)] = found.revisions[1].packages
    assert package_id == "p1"
    assert [(one.name, one.time) for one in packages] == [
        ("x", at(2024, 1, 2)),
        ("y", at(2023, 11, 14, 22, 13, 20)),
    ]
    files = [(str(file.file.path), file.size) for file in packages[0].files]
    assert files == [
        ("zlib/1.3/_/_/aaa/package/p1/x/conan_package.tgz", 10),
        ("zlib/1.3/_/_/aaa/package/p1/x/conaninfo.txt", len(INFO)),
        ("zlib/1.3/_/_/aaa/package/p1/x/conanmanifest.txt", len(manifest("lib/libz.a"))),
    ]


def test_data_from_before_revisions(tree):
    """Files directly below the channel, and packages without revisions, are revision 0."""
    folder = tree.root / "zlib/1.3/u/c"
    write(folder / "export", {"conanfile.py": b"x"}, "conanfile.py")
    files = {"conan_package.tgz": b"b", "conaninfo.txt": b""}
    write(folder / "package" / "p1", files, "lib/libz.a")
    found = only(tree)
    assert (names(found), told(found)) == (["0"], [])
    [(_, [package])] = found.revisions[0].packages
    assert str(package.files[0].file.path) == "zlib/1.3/u/c/0/package/p1/0/conan_package.tgz"
    manifest_time = (folder / "export" / "conanmanifest.txt").stat().st_mtime
    assert found.revisions[0].time == datetime.fromtimestamp(manifest_time, UTC)


def test_revision_0_without_an_index(tree):
    """It is the only one, and said to be repaired."""
    tree.recipe(ZLIB, "0", index=False)
    found = only(tree)
    assert names(found) == ["0"]
    assert told(found) == [
        "zlib/1.3/_/_/revisions.txt: missing; revisions are ordered by their manifests' times"
    ]


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'{"revisions": ', b"\xff", b"[" * 9000]
)
def test_index_that_cannot_be_read(tree, content):
    """Revisions are in the order in which their manifests were written."""
    for time, rrev in enumerate(("bbb", "aaa"), 1_700_000_000):
        folder = tree.recipe(ZLIB, rrev)
        os.utime(folder / "export" / "conanmanifest.txt", (time, time))
    (tree.root / ZLIB / "revisions.txt").write_bytes(content)
    assert names(only(tree)) == ["bbb", "aaa"]
    assert "cannot be read" in told(only(tree))[0]


@pytest.mark.parametrize("entry", [1, None, {}, {"revision": 3}, ["aaa"]])
def test_entry_that_is_none(tree, entry):
    """It is left out, and the others stay."""
    tree.recipe(ZLIB, "aaa")
    index = tree.root / ZLIB / "revisions.txt"
    entries = json.loads(index.read_text())["revisions"]
    index.write_text(json.dumps({"revisions": [entry, *entries]}))
    assert names(only(tree)) == ["aaa"]
    assert "an entry of it is none" in told(only(tree))[0]


@pytest.mark.parametrize("time", [None, "yesterday", True, 1e300, [], "9" * 400])
def test_time_that_is_none(tree, time):
    """The manifest's is taken."""
    folder = tree.recipe(ZLIB, "aaa", time)
    os.utime(folder / "export" / "conanmanifest.txt", (1_700_000_000, 1_700_000_000))
    assert only(tree).revisions[0].time == at(2023, 11, 14, 22, 13, 20)


def test_revision_that_stands_twice(tree):
    """The last place counts, as in the lists of the server that wrote it."""
    tree.recipe(ZLIB, "aaa", 1)
    tree.recipe(ZLIB, "bbb", 2)
    tree.index(tree.root / ZLIB, "aaa", 3)
    found = only(tree)
    assert names(found) == ["bbb", "aaa"]
    assert found.revisions[1].time == datetime.fromtimestamp(3, UTC)
    assert "stands twice" in told(found)[0]


def test_index_and_folders_that_differ(tree):
    """An entry without a folder is left out; a folder without an entry is the newest."""
    tree.recipe(ZLIB, "aaa", 1)
    tree.recipe(ZLIB, "lost", index=False)
    tree.index(tree.root / ZLIB, "gone", 2)
    found = only(tree)
    assert names(found) == ["aaa", "lost"]
    assert told(found) == [
        "zlib/1.3/_/_/gone: left out, it is in the index without a folder",
        "zlib/1.3/_/_/lost: taken in as the newest, though in no index",
    ]


def test_package_whose_revisions_were_deleted(tree):
    """An empty index is no package."""
    tree.recipe(ZLIB, "aaa")
    folder = tree.root / ZLIB / "aaa" / "package" / "p1"
    folder.mkdir(parents=True)
    (folder / "revisions.txt").write_text('{"revisions": []}')
    found = only(tree)
    assert found.revisions[0].packages == ()
    assert told(found) == ["zlib/1.3/_/_/aaa/package/p1: left out, its revisions were deleted"]


@pytest.mark.parametrize(
    ("missing", "what"),
    [
        ("export/conanmanifest.txt", "conanmanifest.txt is missing"),
        ("export/conanfile.py", "conanfile.py is missing"),
        ("export/conan_export.tgz", "conan_export is missing"),
        ("package/p1/x/conan_package.tgz", "conan_package is missing"),
        ("package/p1/x/conaninfo.txt", "conaninfo.txt is missing"),
    ],
)
def test_upload_that_was_never_finished(tree, missing, what):
    """It is left out, with what it lacks."""
    folder = tree.recipe(ZLIB, "aaa")
    write(folder / "export", {"conan_export.tgz": b"x"}, "conanfile.py", "header.h")
    tree.package(ZLIB, "aaa", "p1", "x")
    (folder / missing).unlink()
    found = only(tree)
    assert [finding.skipped for finding in found.findings] == [True]
    assert what in told(found)[0]
    whole = found.revisions if missing.startswith("export") else found.revisions[0].packages
    assert whole == ()


def test_files_that_are_none_of_the_protocol(tree, tmp_path):
    """Strays, links and sockets are left out; metadata is taken, at any depth."""
    folder = tree.recipe(ZLIB, "aaa") / "export"
    (folder / "metadata" / "logs").mkdir(parents=True)
    (folder / "metadata" / "logs" / "a b.txt").write_bytes(b"log")
    (folder / "stray.txt").write_bytes(b"x")
    (folder / "metadata" / "link").symlink_to("/etc/passwd")
    (folder / "metadata" / "back\\slash").write_bytes(b"x")
    found = only(tree)
    taken = ["/".join(file.file.name) for file in found.revisions[0].files]
    assert taken == ["conanfile.py", "conanmanifest.txt", "metadata/logs/a b.txt"]
    assert len(found.findings) == 3
    assert all(finding.skipped for finding in found.findings)


@pytest.mark.parametrize("reference", ["z lib/1.3/_/_", "zlib/1.3/_/stable", "..a/1.0./_/_"])
def test_reference_that_is_none(tree, reference):
    """It is told, and the others are taken."""
    tree.recipe(reference, "aaa")
    tree.recipe(ZLIB, "aaa")
    found = list(references(tree.root))
    assert len(found) == 2
    [finding] = [one for one in found if isinstance(one, Finding)]
    assert finding.where == reference
    assert finding.skipped


def test_revision_of_a_strange_name(tree):
    """One that no client could ask for is left out."""
    tree.recipe(ZLIB, "a b")
    found = only(tree)
    assert found.revisions == ()
    assert "is not a Conan" in told(found)[0]


def test_other_folders_are_passed_over(tree):
    """What is the server's own, and what is ours, is no package."""
    tree.recipe(ZLIB, "aaa")
    for folder in ("plugins/authenticator", "a/b/c/d", "repocore/blobs/sha256/aa"):
        (tree.root / folder).mkdir(parents=True)
    (tree.root / "server.conf").touch()
    ours = OldTree(tree.root / "repocore")
    ours.recipe("png/1.0/_", "aaa")
    found = list(references(tree.root, tree.root / "repocore"))
    assert [str(one.reference) for one in found if isinstance(one, TreeReference)] == ["zlib/1.3"]
    assert list(references(tree.root / "server.conf")) == []


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=60))
def test_any_index_is_read(tmp_path_factory, content):
    """Whatever lies there, the revisions that have folders are found."""
    tree = OldTree(tmp_path_factory.mktemp("tree"))
    tree.recipe(ZLIB, "aaa", index=False)
    (tree.root / ZLIB / "revisions.txt").write_bytes(content)
    assert names(only(tree)) == ["aaa"]
