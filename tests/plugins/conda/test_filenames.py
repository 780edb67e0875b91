"""File names: one spelling of each package, and nothing that could be another path."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, strategies as st

from repocore.errors import InvalidPathError
from repocore.model import FilePath
from repocore.plugins.conda.filenames import KINDS, PackageFile, check_subdir, is_name, parse_path

# The expressions of CEP 26, as they are printed there, with their words on separators.
CEP_NAME = re.compile(r"^(([a-z0-9])|([a-z0-9_](?!_)))[._-]?([a-z0-9]+(\.|-|_|$))*\Z", re.ASCII)
CEP_BUILD = re.compile(r"^[a-zA-Z0-9_\.+]+\Z")

NAMES = st.from_regex(r"_?[a-z0-9]{1,4}([._-][a-z0-9]{1,4}){0,3}", fullmatch=True)
VERSIONS = st.from_regex(
    r"(1!)?[0-9a-z]{1,3}([._][0-9a-z]{1,3}){0,3}(\+[0-9a-z]{1,3})?", fullmatch=True
)
BUILDS = st.from_regex(r"[a-zA-Z0-9_.+]{1,10}", fullmatch=True)
SUBDIRS = st.sampled_from(["noarch", "linux-64", "osx-arm64", "emscripten-wasm32", "zos-z"])


@st.composite
def files(draw):
    """Files of packages."""
    parts = (draw(NAMES), draw(VERSIONS), draw(BUILDS), draw(st.sampled_from(KINDS)))
    return PackageFile(*parts)


@given(files(), SUBDIRS)
def test_a_path_comes_back(file, subdir):
    """What is printed parses to the same file."""
    path = file.path(subdir)
    assert parse_path(FilePath.parse(str(path))) == (subdir, file)
    assert PackageFile.parse(str(file)) == file
    assert str(file) == f"{file.stem}.{file.kind}"


@given(st.text("ab-_.+!A/\\ 1\n", max_size=30))
def test_one_spelling(text):
    """Whatever parses prints as what was parsed."""
    try:
        file = PackageFile.parse(f"{text}.conda")
    except InvalidPathError:
        return
    assert str(file) == f"{text}.conda"


@given(st.text("ab1._-", min_size=1, max_size=8))
def test_names_are_those_of_cep_26(text):
    """A name passes here if it does there, and has no two separators in a row."""
    separated = re.search(r"[._-]{2}", text) is None
    bare = text.strip("._-") != ""
    assert is_name(text) == bool(CEP_NAME.match(text) and separated and bare)


def test_a_name_may_hold_dashes():
    """A file name is read from its right end."""
    file = PackageFile.parse("font-ttf-dejavu-2.37-hab24e00_0.tar.bz2")
    assert (file.name, file.version, file.build) == ("font-ttf-dejavu", "2.37", "hab24e00_0")
    assert file.kind == "tar.bz2"


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".conda",
        "a.conda",
        "a-1.conda",
        "a-1-0.zip",
        "a-1-0.CONDA",
        "a-1-0.conda\n",
        "a-1-0",
        "-1-0.conda",
        "a--0.conda",
        "a-1-.conda",
        "A-1-0.conda",
        "a-1RC-0.conda",
        "a-1..0-0.conda",
        "a-1%2e-0.conda",
        "a_-_b-1-0.conda",
        "../a-1-0.conda",
        "a-..-0.conda",
        "a-1-0/.conda",
        "é-1-0.conda",
        "a-\u0661-0.conda",  # a digit, but not one of ASCII
        f"{'a' * 65}-1-0.conda",
        f"a-{'1' * 65}-0.conda",
        f"a-1-{'0' * 65}.conda",
        f"a-{2**64}-0.conda",
    ],
)
def test_other_names_are_refused(text):
    """Nothing that CEP 26 does not allow, and no version that a client could not read."""
    with pytest.raises(InvalidPathError):
        PackageFile.parse(text)


@pytest.mark.parametrize("name", ["__cuda", "__glibc", "__"])
def test_virtual_packages_are_refused(name):
    """What a client finds on its machine comes from no channel, and the message says so."""
    with pytest.raises(InvalidPathError, match="virtual package"):
        PackageFile.parse(f"{name}-1-0.conda")


def test_names_as_long_as_may_be():
    """The maxima of CEP 26 fit, and make a segment of a path."""
    file = PackageFile("a" * 64, "1" * 16 + ".1" * 24, "b" * 64, "tar.bz2")
    assert len(str(file.path("noarch").name)) == 64 * 3 + 2 + 8


@pytest.mark.parametrize(
    "subdir", ["", "..", "noarch2", "linux", "linux-", "Linux-64", "a-b-c", "linux-64\n", "a" * 33]
)
def test_other_subdirs_are_refused(subdir):
    """A subdir is noarch, or two words with a dash between them."""
    with pytest.raises(InvalidPathError):
        check_subdir(subdir)


@pytest.mark.parametrize("path", ["a-1-0.conda", "linux-64/x/a-1-0.conda", "x/a-1-0.conda"])
def test_other_paths_are_refused(path):
    """A package lies in a subdir, and nowhere else."""
    with pytest.raises(InvalidPathError):
        parse_path(FilePath.parse(path))


@given(st.integers(1, 5000), st.sampled_from(["a", "a.", "-", "1_", "!"]))
def test_long_names_are_no_work(count, piece):
    """A name of any length is refused in time that its length bounds."""
    with pytest.raises(InvalidPathError):
        PackageFile.parse(f"{piece * (count + 64)}-1-0.conda")
