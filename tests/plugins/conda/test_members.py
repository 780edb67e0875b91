"""What a package holds: nothing that an unpacking client would write outside of its folder."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, strategies as st

from repocore.errors import InvalidPackageError
from repocore.plugins.conda.limits import ArchiveLimits
from repocore.plugins.conda.members import Contents, check_path
from repocore.plugins.conda.tars import Kind, TarMember

LIMITS = ArchiveLimits(members=50, path=200, depth=10)
PARTS = st.sampled_from(["a", "b", "c"])
PATHS = st.lists(PARTS, min_size=1, max_size=3).map("/".join)
TARGETS = st.lists(st.sampled_from(["a", "b", "c", "..", "..", ".", ""]), max_size=5).map("/".join)
MEMBERS = st.one_of(
    st.builds(TarMember, PATHS, st.just(Kind.FILE), st.integers(0, 9), st.just("")),
    st.builds(TarMember, PATHS, st.just(Kind.FOLDER), st.just(0), st.just("")),
    st.builds(TarMember, PATHS, st.just(Kind.SYMLINK), st.just(0), TARGETS.filter(bool)),
    st.builds(TarMember, PATHS, st.just(Kind.HARD_LINK), st.just(0), PATHS),
)


def link(path: str, target: str) -> TarMember:
    return TarMember(path, Kind.SYMLINK, 0, target)


def file(path: str, size: int = 1) -> TarMember:
    return TarMember(path, Kind.FILE, size, "")


def folder(path: str) -> TarMember:
    return TarMember(path, Kind.FOLDER, 0, "")


def taken(*members: TarMember) -> Contents:
    contents = Contents(LIMITS)
    for member in members:
        contents.add(member)
    contents.close()
    return contents


def unpack(root: Path, members: list[TarMember]) -> None:
    """As the most trusting of clients does: in order, through whatever is there."""
    for member in members:
        path = root / member.path
        path.parent.mkdir(parents=True, exist_ok=True)
        match member.kind:
            case Kind.FILE:
                path.write_bytes(b"x" * member.size)
            case Kind.FOLDER:
                path.mkdir(exist_ok=True)
            case Kind.SYMLINK:
                path.symlink_to(member.target)
            case Kind.HARD_LINK:
                path.hardlink_to(root / member.target)


def leads_nowhere(path: Path) -> bool:
    """Whether it is a link in a circle: the system refuses those, `realpath` makes one up."""
    try:
        path.stat()
    except OSError as problem:
        return problem.errno == errno.ELOOP
    return False


@given(st.lists(MEMBERS, max_size=8))
@example([link("a", "a//a")])
@example([link("a", "b/.."), link("b", "c/.."), file("c/a")])
@example([link("a/b", ".."), link("c", "a/b/../..")])
@example([link("c", "a/b/../.."), link("a/b", "..")])
@example([link("a/b", "."), file("a/b/c")])
@example([link("a", "b"), link("b/c", ".."), link("c", "a/c/..")])
@example([link("a/a/a", "b/../.."), link("a", ".")])
@example([file("a"), link("a/a/a", "b/../..")])
def test_what_is_taken_stays_inside(members):
    """Unpacked for real, no path and no link of an accepted package leaves its folder."""
    try:
        taken(*members)
    except InvalidPackageError:
        return
    with tempfile.TemporaryDirectory() as outside:
        root = Path(outside).resolve() / "x" / "package"
        root.mkdir(parents=True)
        unpack(root, members)
        for member in members:
            if leads_nowhere(root / member.path):
                continue
            real = Path(os.path.realpath(root / member.path))
            assert real == root or root in real.parents, members
        assert {path.name for path in Path(outside).iterdir()} == {"x"}
        assert [path.name for path in (root.parent).iterdir()] == ["package"]


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("lib/libz.so", "libz.so.1"),
        ("bin/z", "../lib/z"),
        ("lib64", "lib"),
        ("a/b/c", "../../lib/./z"),
        ("lib/x", "../share/../lib/y"),
        ("a", "b/"),
        ("lib/broken", ""),  # an old builder left targets out
        ("a/b", ".."),
    ],
)
def test_links_that_stay_inside_are_taken(path, target):
    """Upwards, through folders, and to what is not there."""
    taken(link(path, target))


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("a", ".."),
        ("a", "/etc"),
        ("a/b", "../.."),
        ("a/b", "../../package/x"),
        ("a", "b/../.."),
        ("a", "C:/x"),
        ("a", "\\\\host\\share"),
        ("a/b/c", "..\\..\\..\\x"),
        ("a", ".. /x"),
        ("a", ". ./x"),
        ("a", "x/.../y"),
        ("a", "x\ny"),
        ("a", "x" * 201),
    ],
)
def test_links_that_lead_outside_are_refused(path, target):
    """On Unix, or in the spelling of Windows."""
    with pytest.raises(InvalidPackageError):
        taken(link(path, target))


@pytest.mark.parametrize(
    "members",
    [
        [link("a", "b"), file("a/x")],
        [file("a/x"), link("a", "b")],
        [file("a"), file("a/x")],
        [link("a/b", "x"), folder("a/b/c")],
        [link("b", "a/.."), link("a", "c/d")],
        [link("a", "b"), link("b/c", ".."), link("c", "a/c/..")],
        [link("c", "a/c/.."), link("b/c", ".."), link("a", "b")],
        [link("a/a/a", "b/../.."), link("a", ".")],
        [file("a"), link("a/a/a", "b/../..")],
    ],
)
def test_nothing_lies_behind_a_link(members):
    """In whichever order they come."""
    with pytest.raises(InvalidPackageError, match="below a path"):
        taken(*members)


@pytest.mark.parametrize("second", [file("a"), file("a", 2), link("a", "b"), folder("a")])
@pytest.mark.parametrize("size", [0, 1, 70_000])
def test_one_path_is_one_thing(second, size):
    """Twice the same is refused, too, whatever its size."""
    with pytest.raises(InvalidPackageError, match="twice"):
        taken(file("a", size), second)


def test_a_folder_may_be_told_twice():
    """Some builders do, and nothing depends on it; the package's own is no member."""
    contents = taken(folder("./"), folder("."), folder("a/"), folder("a"), file("./a/b"))
    assert len(contents) == 2


def test_hard_links_are_of_files_before_them():
    """They have the size of those."""
    hard = TarMember("b", Kind.HARD_LINK, 0, "./a")
    assert taken(file("a", 7), hard).size_of(hash("b")) == 7
    for others in ([], [folder("a")], [link("a", "c")]):
        with pytest.raises(InvalidPackageError, match="hard link"):
            taken(*others, hard)


def test_members_are_counted():
    """One more than the limit is too much."""
    taken(*(file(f"f{number}") for number in range(50)))
    with pytest.raises(InvalidPackageError, match="more than 50"):
        taken(*(file(f"f{number}") for number in range(51)))


@pytest.mark.parametrize(
    "path",
    [
        "lib/libz.so.1",
        "share/man/man3/B::Op_private.3",
        "lib/systemd/system-systemd\\x2dcryptsetup.slice",
        "a/.hidden",
        "a/..b",
        "a b/c d",
        "ünïcode/文",
        "information/x",
        "a/info/x",
        "info/index.json",
        "a/conda-meta/x",
        "a" * 200,
        "/".join("a" * 11),
    ],
)
def test_honest_paths_are_taken(path):
    """Names as they are found in packages."""
    assert check_path(path, LIMITS) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/a",
        "a//b",
        "a/",
        "a/../b",
        "..",
        ".",
        "a/./b",
        "\\a",
        "a\\..\\b",
        "c:a",
        "a/.. /b",
        "a/ /b",
        "a/.../b",
        "a\x00b",
        "a\nb",
        "a\x7f",
        "conda-meta",
        "conda-meta/history",
        "CONDA-META/x",
        "conda-meta. /x",
        "conda-meta\\x",
        "Info/index.json",
        "info./x",
        "info\\x",
        "info/repodata_record.json",
        "info/Repodata_Record.json",
        "info/repodata_record.json.",
        "a" * 201,
        "é" * 101,
        "/".join("a" * 12),
    ],
)
def test_other_paths_are_refused(path):
    """What leads elsewhere, or is another path on some system, or belongs to the client."""
    with pytest.raises(InvalidPackageError):
        check_path(path, LIMITS)


@given(st.text("ab./\\ :~\n", max_size=12))
def test_a_path_that_is_taken_is_below_the_package(path):
    """By the rules of Unix, and by those of Windows without the dots and spaces it drops."""
    try:
        check_path(path, LIMITS)
    except InvalidPackageError:
        return
    for parts in (path.split("/"), path.replace("\\", "/").split("/")):
        assert all(part.rstrip(". ") for part in parts)
    assert not os.path.isabs(path)  # noqa: PTH117 - of a text, not of a path
