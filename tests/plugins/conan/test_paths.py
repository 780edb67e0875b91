"""Paths: one bijection between Conan's files and the paths of a repository."""

from __future__ import annotations

import pytest
from conan_protocol import ids, references
from hypothesis import given, strategies as st

from repocore import FilePath, InvalidPathError
from repocore.plugins.conan.paths import ConanFile, SourceFile, parse_path, siblings
from repocore.plugins.conan.references import ConanReference

ZLIB = ConanReference("zlib", "1.3")
RECIPE = ["conanfile.py", "conanmanifest.txt", "conan_export.tgz", "conan_sources.tzst"]
PACKAGE = ["conaninfo.txt", "conanmanifest.txt", "conan_package.tgz", "conan_package.txz"]


def metadata():
    words = st.sampled_from(["a", "a b", "x.log", ".hidden", "ä", "sign", "metadata"])
    return st.lists(words, min_size=1, max_size=3).map(lambda rest: ("metadata", *rest))


def files():
    plain = st.builds(
        ConanFile,
        references(),
        ids(),
        st.one_of(st.sampled_from(RECIPE).map(lambda name: (name,)), metadata()),
    )
    packed = st.builds(
        ConanFile,
        references(),
        ids(),
        st.one_of(st.sampled_from(PACKAGE).map(lambda name: (name,)), metadata()),
        ids(),
        ids(),
    )
    sources = st.builds(
        lambda name, end: SourceFile(name + end),
        st.text("0123456789abcdef", min_size=64, max_size=64),
        st.sampled_from(["", ".json"]),
    )
    return st.one_of(plain, packed, sources)


@given(files())
def test_a_file_is_found_again_by_its_path(file):
    """From a file to its path and back."""
    assert parse_path(file.path) == file


SEGMENTS = ["zlib", "1.3", "_", "acme", "r1", "export", "package", "metadata", ".sources"]
SEGMENTS += ["conanfile.py", "conaninfo.txt", "conan_package.tgz"]


@given(st.lists(st.sampled_from([*SEGMENTS, "0" * 64]), min_size=1, max_size=10))
def test_a_path_is_of_conan_in_one_way_only(parts):
    """From a path to a file and back: two paths never mean one file."""
    path = FilePath(tuple(parts))
    try:
        file = parse_path(path)
    except InvalidPathError:
        return
    assert file.path == path


def test_the_tree_is_that_of_conan_server():
    """An exported repository is a data folder."""
    recipe = ConanFile(ZLIB, "r1", ("metadata", "logs", "a.log"))
    package = ConanFile(ZLIB, "r1", ("conaninfo.txt",), "p1", "v1")
    assert str(recipe.path) == "zlib/1.3/_/_/r1/export/metadata/logs/a.log"
    assert str(package.path) == "zlib/1.3/_/_/r1/package/p1/v1/conaninfo.txt"


@pytest.mark.parametrize(
    "name", ["readme.md", "metadata", "conaninfo.txt", "conan_package.tgz", ""]
)
def test_a_recipe_has_the_files_of_the_protocol(name):
    """Other names are refused, and told where they may go."""
    with pytest.raises(InvalidPathError, match="below metadata/"):
        ConanFile(ZLIB, "r1", (name,))


@pytest.mark.parametrize("name", ["conanfile.py", "conan_export.tgz", "conan_package.zip"])
def test_a_package_has_the_files_of_the_protocol(name):
    """Other names are refused."""
    with pytest.raises(InvalidPathError):
        ConanFile(ZLIB, "r1", (name,), "p1", "v1")


@pytest.mark.parametrize(("package_id", "prev"), [(None, "v1"), ("p1", None)])
def test_a_package_file_has_an_id_and_a_revision(package_id, prev):
    """One without the other names no path."""
    with pytest.raises(InvalidPathError):
        ConanFile(ZLIB, "r1", ("conaninfo.txt",), package_id, prev)


def test_metadata_stays_below_its_revision():
    """A dotted segment is no file name."""
    with pytest.raises(InvalidPathError):
        _ = ConanFile(ZLIB, "r1", ("metadata", "..", "conanfile.py")).path


@pytest.mark.parametrize("name", ["0" * 63, "g" * 64, "A" * 64, "0" * 64 + ".txt", "x.json"])
def test_a_source_is_named_by_its_sha256(name):
    """Nothing else is kept among the backup sources."""
    with pytest.raises(InvalidPathError):
        SourceFile(name)


def test_an_archive_has_one_compression():
    """The other two give way to the one that is stored."""
    file = ConanFile(ZLIB, "r1", ("conan_package.txz",), "p1", "v1")
    assert [path.name for path in siblings(file)] == ["conan_package.tgz", "conan_package.tzst"]
    assert siblings(ConanFile(ZLIB, "r1", ("conanfile.py",))) == ()
    assert siblings(ConanFile(ZLIB, "r1", ("metadata", "conan_export.tgz"))) == ()
