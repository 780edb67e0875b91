"""``release``."""

from __future__ import annotations

import io

import pytest

from repocore import open_registry
from repocore.cli import releases as commands

MAIN, STABLE = "conan/main", "conan/stable"


@pytest.fixture
def stocked(house):
    """Three revisions of one recipe, one of another, and a second repository."""
    house("repo", "create", STABLE)
    with open_registry(house.data) as registry:
        files = registry.session(registry.admin()).files
        for name, number in (("zlib", 1), ("zlib", 2), ("zlib", 3), ("png", 1)):
            base = f"{name}/1.3/_/_/r{number}/export"
            files.put(MAIN, f"{base}/conanfile.py", io.BytesIO(b"x" * number))
            files.put(MAIN, f"{base}/conanmanifest.txt", io.BytesIO(b"1\n"))
    return house


def names(house, address: str = MAIN, *words: str) -> list[str]:
    """``package:revision`` of what is there, yanked or not."""
    return [
        f"{one['package']}:{one['name']}" for one in house.json("release", "list", address, *words)
    ]


def test_all_are_listed_or_those_that_are_named(stocked):
    """By partition and name; a name may be a pattern."""
    assert names(stocked) == ["png:r1", "zlib:r1", "zlib:r2", "zlib:r3"]
    assert names(stocked, MAIN, "zlib/1.3@_/_/r2", "*/r1") == ["zlib:r2", "png:r1", "zlib:r1"]
    heading, first, *_ = stocked("release", "list", MAIN).stdout.splitlines()
    assert heading.split() == ["RELEASE", "PUBLISHED", "(UTC)"]
    assert first.startswith("png/1.3@_/_/r1 ")


def test_one_is_shown_with_its_files(stocked):
    """Every field, and every file with its digest."""
    told = stocked.json("release", "show", MAIN, "zlib/1.3@_/_/r3")
    assert (told["package"], told["version"], told["yanked_at"]) == ("zlib", "1.3@_/_", None)
    assert [file["size"] for file in told["files"]] == [3, 2]
    assert "conanmanifest.txt" in stocked("release", "show", MAIN, "zlib/1.3@_/_/r3").stdout


def test_a_dry_run_tells_the_names_and_changes_nothing(stocked):
    """Each in a line, and how many; as JSON one document."""
    for verb in ("yank", "unyank", "delete", "copy", "promote"):
        more = ("--to", STABLE) if verb in {"copy", "promote"} else ()
        words = ("release", verb, MAIN, "zlib/*/r[12]", "--dry-run", *more)
        assert stocked(*words).stdout.splitlines() == [
            "zlib/1.3@_/_/r1",
            "zlib/1.3@_/_/r2",
            f"2 releases of {MAIN}; nothing was changed.",
        ]
        assert stocked.json(*words)["dry_run"] is True
    assert len(names(stocked)) == 4
    assert names(stocked, STABLE) == []


def test_a_yanked_release_is_marked_and_can_be_put_back(stocked):
    """It is asked for before; `--yes` answers."""
    asked = stocked("release", "yank", MAIN, "zlib/1.3@_/_/r1", typed="y\n")
    assert asked.stdout == f"Yanked 1 release of {MAIN}.\n"
    assert f"Yank 1 release of {MAIN}?" in asked.stderr
    assert "zlib/1.3@_/_/r1" in asked.stderr
    assert names(stocked, MAIN, "--yanked") == ["zlib:r1"]
    assert "yanked" in stocked("release", "list", MAIN).stdout
    assert "yanked    no" not in stocked("release", "show", MAIN, "zlib/1.3@_/_/r1").stdout
    stocked("release", "unyank", MAIN, "*/r1", "--yes")
    assert names(stocked, MAIN, "--yanked") == []


def test_no_is_taken_for_an_answer(stocked):
    """Nothing is deleted without a yes."""
    stocked("release", "delete", MAIN, "*", typed="n\n", status=1)
    assert len(names(stocked)) == 4


def test_many_are_deleted_in_parts(stocked, monkeypatch):
    """No transaction is longer than the bound; what is told is cut, what is done is not."""
    monkeypatch.setattr(commands, "AT_ONCE", 2)
    monkeypatch.setattr(commands, "_TOLD", 1)
    done = stocked("release", "delete", MAIN, "zlib/*", typed="y\n")
    assert done.stdout == f"Deleted 3 releases of {MAIN}.\n"
    assert "and 2 more" in done.stderr
    assert names(stocked) == ["png:r1"]


def test_copies_are_in_the_other_repository(stocked):
    """To copy and to promote come to the same for an administrator."""
    done = stocked("release", "copy", MAIN, "zlib/*/r1", "--to", STABLE, "--yes")
    assert done.stdout == f"Copied 1 release of {MAIN} to {STABLE}.\n"
    told = stocked.json("release", "promote", MAIN, "png/1.3@_/_/r1", "--to", STABLE, "--yes")
    assert told == {"dry_run": False, "releases": ["png/1.3@_/_/r1"]}
    assert names(stocked, STABLE) == ["png:r1", "zlib:r1"]
    assert len(names(stocked)) == 4


def test_patterns_copy_nothing_that_is_yanked(stocked):
    """Nor is it copied by its name."""
    stocked("release", "yank", MAIN, "zlib/*/r1", "--yes")
    stocked("release", "copy", MAIN, "*/*/r1", "--to", STABLE, "--yes")
    assert names(stocked, STABLE) == ["png:r1"]
    told = stocked.refused("release", "copy", MAIN, "zlib/1.3@_/_/r1", "--to", STABLE, "--yes")
    assert "is yanked" in told["error"]


@pytest.mark.parametrize("name", ["zlib/1.3@_/_/r9", "zlib/*/r9", "zlib", "**/none"])
def test_a_name_that_means_nothing_is_an_error(stocked, name):
    """Beside others, too: then nothing is changed."""
    told = stocked.refused("release", "delete", MAIN, "zlib/1.3@_/_/r1", name, "--yes")
    assert told["kind"] == "ReleaseMissingError"
    assert name in told["error"]
    assert len(names(stocked)) == 4
