"""``retention``."""

from __future__ import annotations

import io

import pytest

from repocore import open_registry

POLICY = (
    '[[retention]]\npattern = "conan/main/zlib/**"\nkeep_last = 2\n'
    'keep_downloaded = "90d"\n\n'
    '[[retention]]\npattern = "conan/**"\nkeep_younger = "2w"\n'
)


@pytest.fixture
def stocked(house):
    """Three revisions of a recipe."""
    with open_registry(house.data) as registry:
        files = registry.session(registry.admin()).files
        for number in (1, 2, 3):
            base = f"zlib/1.3/_/_/r{number}/export"
            files.put("conan/main", f"{base}/conanfile.py", io.BytesIO(b"x" * number))
            files.put("conan/main", f"{base}/conanmanifest.txt", io.BytesIO(b"1\n"))
    return house


def left(house) -> int:
    return house.json("stats")["total"]["releases"]


def test_a_dry_run_tells_and_deletes_nothing(stocked):
    """A line for each revision with its reason, and the sum; as JSON one document."""
    words = ("retention", "run", "--pattern", "conan/**", "--keep-last", "1", "--dry-run")
    heading, first, second, summed = stocked(*words).stdout.splitlines()
    assert heading.split() == ["SIZE", "FILES", "UPLOADED", "LAST", "USED", "RELEASE"]
    assert first.endswith("conan/main zlib/1.3@_/_#r1: not the newest")
    assert "#r2" in second
    assert summed == "2 releases (4 files, 7 B) would be deleted; nothing was."
    told = stocked.json(*words)
    assert [one["release"] for one in told["outdated"]] == ["r1", "r2"]
    assert (told["dry_run"], told["releases"], told["files"], told["bytes"]) == (True, 2, 4, 7)
    assert left(stocked) == 3


def test_a_dry_run_of_nothing(stocked):
    """Nothing to delete is a sum of nothing, and a document."""
    words = ("retention", "run", "--pattern", "conan/**", "--keep-last", "9", "--dry-run")
    assert stocked(*words).stdout == "0 releases (0 files, 0 B) would be deleted; nothing was.\n"
    assert stocked.json(*words)["outdated"] == []


def test_a_run_deletes(stocked):
    """What the options keep stays, the rest goes; the second run finds nothing."""
    words = ("retention", "run", "--pattern", "conan/main/zlib/1.*", "--keep-last", "2")
    assert stocked(*words).stdout == "Deleted 1 release (2 files, 3 B).\n"
    assert stocked.json(*words) == {
        "dry_run": False,
        "releases": 0,
        "files": 0,
        "bytes": 0,
        "spared": 0,
    }
    assert left(stocked) == 2


def test_the_settings_say_what_is_kept(stocked):
    """Without options their policies hold, and are listed in order."""
    told = stocked.refused("retention", "run")
    assert "no [[retention]]" in told["error"]
    (stocked.data / "repocore.toml").write_text(POLICY, encoding="utf-8")
    assert stocked.json("retention", "run")["releases"] == 1
    listed = stocked("retention", "list").stdout.splitlines()
    assert listed[1].split() == ["conan/main/zlib/**", "2", "90d", "-", "-", "-", "-"]
    assert listed[2].split() == ["conan/**", "1", "-", "2w", "-", "-", "-"]
    assert [one["pattern"] for one in stocked.json("retention", "list")] == [
        "conan/main/zlib/**",
        "conan/**",
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--keep-last", "2"), "--pattern"),
        (("--pattern", "conan/**"), "Nothing says what is kept"),
        (("--pattern", "conan/**", "--keep-last", "0"), "Nothing says what is kept"),
        (("--pattern", "a/**/b", "--keep-last", "1"), "is not a pattern"),
        (("--pattern", "conan/**", "--keep-younger", "soon"), "a length of time"),
        (("--pattern", "conan/**", "--keep-downloaded", "0"), "more than nothing"),
        (("--pattern", "conan/**", "--keep-size", "much"), "size"),
        (("--pattern", "conan/**", "--keep-size", "0"), "more than nothing"),
        (("--pattern", "conan/**", "--keep-count", "0"), "keep-count"),
    ],
)
def test_a_wrong_use_deletes_nothing(stocked, words, told):
    """What is missing, or cannot be, is said, with the status of a wrong use."""
    assert told in stocked.refused("retention", "run", *words, status=2)["error"]
    assert left(stocked) == 3


def test_numbers_and_sizes_are_taken_as_people_write_them(stocked):
    """Of three revisions of 3, 4 and 5 bytes the newest two have 9 together."""
    words = ("retention", "run", "--pattern", "conan/**", "--keep-last", "0", "--dry-run")
    for keep, gone in (
        (("--keep-size", "9 B"), ["r1"]),
        (("--keep-size", "1 KiB"), []),
        (("--keep-count", "1"), ["r1", "r2"]),
        (("--keep-count-each", "2"), ["r1"]),
        (("--keep-count", "1", "--keep-size", "9"), ["r1"]),
    ):
        told = stocked.json(*words, *keep)["outdated"]
        assert [one["release"] for one in told] == gone, keep
    told = stocked(*words, "--keep-size", "9 B", "--keep-count-each", "1").stdout
    assert "not among the newest 1 of its package, beyond the newest 9 B of all" in told
