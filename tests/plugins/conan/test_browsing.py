"""Recipes and packages as people look at them."""

from __future__ import annotations

import pytest
from conan_protocol import Client, principal
from hypothesis import given, strategies as st

from repocore import (
    AccessDeniedError,
    Action,
    InvalidPathError,
    RejectedError,
    ReleaseMissingError,
    Rule,
)
from repocore.plugins.conan.browsing import (
    PackageInfo,
    commands,
    default_repository,
    find,
    parse_info,
    view,
)
from repocore.plugins.conan.search import MOST_PATTERN

CONAN2 = """\
[settings]
arch=x86_64
os=Linux
[options]
shared=True
flags=-O2 -DX=1
[requires]
zlib/1.3.Z
bzip2/1.0.8#a1:b2
"""
CONAN1 = """\
[settings]
    os=Linux
    compiler.version=12

[requires]
    zlib/1.Y.Z

[options]
    shared=False

[full_settings]
    os=Linux
    os_build=Linux

[full_requires]
    zlib/1.2.11:5ab84d6acfe1f23c4fae0ab88f26e3a396351ac9

[full_options]
    shared=False
    zlib:shared=False

[recipe_hash]
    05c8f0d31c21e1b2ebfb9a9d1bb1fc41

[env]
"""


# -------------------------------------------------------------------------------------- reading


def test_both_forms_are_read():
    """Settings, options and what was required, of Conan 2 and of Conan 1."""
    assert parse_info(CONAN2) == PackageInfo(
        settings={"arch": "x86_64", "os": "Linux"},
        options={"shared": "True", "flags": "-O2 -DX=1"},
        requires=("zlib/1.3.Z", "bzip2/1.0.8#a1:b2"),
        conan1=False,
    )
    assert parse_info(CONAN1) == PackageInfo(
        settings={"os": "Linux", "compiler.version": "12"},
        options={"shared": "False"},
        requires=("zlib/1.2.11",),
        conan1=True,
    )
    assert parse_info("") == PackageInfo(settings={}, options={}, requires=(), conan1=False)


@given(st.text(max_size=200) | st.text("[]=:\n setingopr_hx", max_size=200))
def test_any_text_is_read(text):
    """Whatever somebody uploads as conaninfo.txt is looked at without an error."""
    info = parse_info(text)
    assert not any("\n" in name for name in [*info.settings, *info.options, *info.requires])


# ---------------------------------------------------------------------------------------- search


def test_a_pattern_finds_what_the_client_would(conan: Client) -> None:
    """As the client's search: parts of references, whatever the case, in the order of versions."""
    for reference in ("zlib/1.10/_/_", "zlib/1.9/_/_", "Zlog/2.0/team/_", "png/1.6/team/main"):
        conan.recipe("r1", reference)

    def found(pattern: str) -> list[str]:
        return list(find(conan.session, conan.repository, pattern))

    assert found("zl*") == ["zlib/1.9", "zlib/1.10", "Zlog/2.0@team"]
    assert found("zlib/1.9") == ["zlib/1.9"]
    assert found("*@team*") == ["png/1.6@team/main", "Zlog/2.0@team"]
    assert found("zli") == []
    assert len(found("*")) == 4
    with pytest.raises(InvalidPathError):
        found("z" * (MOST_PATTERN + 1))


def test_what_may_not_be_read_is_not_found(conan: Client) -> None:
    """A search tells of nothing that its reader may not see."""
    conan.recipe("r1")
    conan.recipe("r1", "png/1.6/_/_")
    reader = conan.as_(principal(Action.READ, pattern="conan/main/png/**"))
    everything = Rule(
        subject="user:someone", actions=frozenset({Action.READ}), pattern="conan/main/**"
    )
    conan.session.accounts.add_rule(everything)
    assert list(find(reader.session, conan.repository, "*")) == ["png/1.6"]
    with pytest.raises(AccessDeniedError):
        view(reader.session, conan.repository, "zlib/1.3")


def test_the_repository_that_is_meant(conan: Client) -> None:
    """The only one; among several conan/main; else it must be named."""
    room = conan.session.repositories
    assert default_repository(conan.session) == "conan/main"
    room.create("conan/other")
    assert default_repository(conan.session) == "conan/main"
    room.create("conan/third")
    room.delete("conan/main")
    try:
        with pytest.raises(RejectedError, match=r"conan/other, conan/third"):
            default_repository(conan.session)
        room.delete("conan/third")
        assert default_repository(conan.session) == "conan/other"
        room.delete("conan/other")
        with pytest.raises(RejectedError, match="none"):
            default_repository(conan.session)
    finally:
        room.create("conan/main")


# ------------------------------------------------------------------------------------------ show


def test_a_recipe_is_seen_with_its_packages(conan: Client) -> None:
    """Revisions newest first with their times, each package with what its newest revision says."""
    conan.recipe("r1")
    conan.package("r1", "old", "p0")
    conan.recipe("r2")
    conan.package("r2", "linux", "p1", b"[settings]\nos=Windows\n")
    conan.package("r2", "linux", "p2", CONAN2.encode())
    conan.package("r2", "other", "p3")
    for prev in ("p1", "p2"):
        path = f"zlib/1.3/_/_/r2/package/linux/{prev}/conaninfo.txt"
        conan.session.files.open(conan.repository, path).close()
    recipe = view(conan.session, conan.repository, "zlib/1.3")
    assert (recipe.reference, recipe.revision, recipe.newest) == ("zlib/1.3", "r2", True)
    assert [one.revision for one in recipe.revisions] == ["r2", "r1"]
    assert recipe.revisions[0].time > recipe.revisions[1].time
    assert recipe.files == 2
    linux, other = recipe.packages
    assert [one.revision for one in linux.revisions] == ["p2", "p1"]
    assert linux.downloads == 2
    assert linux.info == parse_info(CONAN2)
    assert (linux.files, other.package_id, other.downloads) == (3, "other", 0)
    assert linux.bytes > len(CONAN2)


def test_an_older_revision_is_seen_by_its_name(conan: Client) -> None:
    """With its own packages, and commands that name it."""
    conan.recipe("r1")
    conan.package("r1", "old", "p0")
    conan.recipe("r2")
    recipe = view(conan.session, conan.repository, "zlib/1.3#r1")
    assert [one.package_id for one in recipe.packages] == ["old"]
    assert not recipe.newest
    assert commands(recipe, "house")[0] == "conan install --requires=zlib/1.3#r1 -r house"


def test_commands_are_those_of_the_client(conan: Client) -> None:
    """Of the one that has made the packages."""
    conan.recipe("r1")
    conan.package("r1", "pid", "p1", CONAN1.encode())
    recipe = view(conan.session, conan.repository, "zlib/1.3")
    assert commands(recipe, "house") == (
        "conan install zlib/1.3@ -r house",
        "conan download zlib/1.3@ -r house",
        "conan remove zlib/1.3@ -r house",
    )
    conan.package("r1", "new", "p1", CONAN2.encode())
    recipe = view(conan.session, conan.repository, "zlib/1.3")
    assert commands(recipe, "house") == (
        "conan install --requires=zlib/1.3 -r house",
        'conan download "zlib/1.3#r1:*" -r house',
        'conan remove "zlib/1.3#r1" -r house',
    )


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("zlib/1.4", "There is no recipe zlib/1.4 in conan/main; did you mean zlib/1.3?"),
        ("zlib", "There is no recipe zlib in conan/main; did you mean zlib/1.3?"),
        ("zlob/1.3", "There is no recipe zlob/1.3 in conan/main; did you mean zlib?"),
        ("boost/1.3", "There is no recipe boost/1.3 in conan/main."),
        ("zlib/1.3#no", "zlib/1.3 has no revision no; it has r2, r1."),
    ],
)
def test_what_is_not_there_is_told_with_what_is_near(conan: Client, asked, told) -> None:
    """Other versions of the name, names like it, or the revisions that there are."""
    conan.recipe("r1")
    conan.recipe("r2")
    conan.recipe("r1", "tide/1.0/_/_")
    with pytest.raises(ReleaseMissingError) as caught:
        view(conan.session, conan.repository, asked)
    assert str(caught.value) == told


def test_the_newest_of_many_versions_are_near(conan: Client) -> None:
    """Three are enough for a sentence."""
    for version in ("1.9", "1.10", "1.2", "1.11"):
        conan.recipe("r1", f"zlib/{version}/_/_")
    with pytest.raises(ReleaseMissingError, match=r"zlib/1.11, zlib/1.10 or zlib/1.9\?"):
        view(conan.session, conan.repository, "zlib/2.0")


def test_what_cannot_be_a_reference_is_refused(conan: Client) -> None:
    """With the reason."""
    with pytest.raises(InvalidPathError):
        view(conan.session, conan.repository, "zlib/../x")
