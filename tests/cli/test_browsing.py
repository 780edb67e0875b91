"""``search`` and ``show``."""

from __future__ import annotations

import io

import pytest
from tests_manifest import manifest

from repocore import open_registry

ESCAPE = "\x1b[2J"
SETTINGS = "[settings]\narch=x86_64\nos={}\n[options]\nshared={}\n[requires]\npng/1.6.Z\n"


@pytest.fixture
def stocked(house):
    """A recipe with two revisions and two packages, and one with nothing."""
    with open_registry(house.data) as registry:
        files = registry.session(registry.admin()).files

        def put(path: str, content: bytes) -> None:
            files.put("conan/main", path, io.BytesIO(content))

        for base in ("zlib/1.3/_/_/r1", "zlib/1.3/_/_/r2", "png/1.6/team/_/r1"):
            put(f"{base}/export/conanfile.py", base.encode())
            put(f"{base}/export/conanmanifest.txt", manifest("conanfile.py"))
        for pid, told in (("lin", ("Linux", "True")), ("win", ("Windows", "True"))):
            base = f"zlib/1.3/_/_/r2/package/{pid}/p1"
            put(f"{base}/conan_package.tgz", b"x" * 5000)
            put(f"{base}/conaninfo.txt", SETTINGS.format(*told).encode())
            put(f"{base}/conanmanifest.txt", manifest("lib/libz.a"))
        put("zlib/1.3/_/_/r1/package/bad/p1/conan_package.tgz", b"")
        hostile = f"[settings]\n{ESCAPE}os=Linux{ESCAPE}\n[options]\nx[bold]=[red]y\n"
        put("zlib/1.3/_/_/r1/package/bad/p1/conaninfo.txt", hostile.encode())
        put("zlib/1.3/_/_/r1/package/bad/p1/conanmanifest.txt", manifest("lib/libz.a"))
    return house


def test_search_finds_recipes(stocked):
    """A reference in a line, in the repository that is meant or that is named."""
    assert stocked("search", "*").stdout == "png/1.6@team\nzlib/1.3\n"
    assert stocked("search", "conan/main", "zl*").stdout == "zlib/1.3\n"
    assert stocked.json("search", "ZLIB") == {"repository": "conan/main", "recipes": ["zlib/1.3"]}


def test_search_says_that_nothing_is_found(stocked):
    """On stderr, so that stdout has references only."""
    done = stocked("search", "zli")
    assert (done.stdout, "Nothing in conan/main" in done.stderr) == ("", True)
    assert stocked.json("search", "zli")["recipes"] == []
    assert stocked.refused("search", "conan/no", "*")["kind"] == "RepositoryMissingError"
    assert "quote" in stocked.refused("search", "a", "b", "c", status=2)["error"]


def test_show_is_for_people(stocked):
    """What all packages have is told once, what differs in columns, then what to type."""
    text = stocked("show", "zlib/1.3").stdout
    lines = [line.split() for line in text.splitlines()]
    assert text.startswith("zlib/1.3#r2 in conan/main: 2 files, ")
    assert [line[0] for line in lines if line[:1] in (["r1"], ["r2"])] == ["r2", "r1"]
    assert ["setting", "arch=x86_64"] in lines
    assert ["option", "shared=True"] in lines
    assert ["requires", "png/1.6.Z"] in lines
    heading = next(line for line in lines if line[:1] == ["PACKAGE"])
    assert heading[:3] == ["PACKAGE", "os", "SIZE"]
    assert {tuple(line[:3]) for line in lines if line[:1] in (["lin"], ["win"])} == {
        ("lin", "Linux", "5.0"),
        ("win", "Windows", "5.0"),
    }
    assert "conan install --requires=zlib/1.3 -r repocore" in text
    assert "[requires]\n    zlib/1.3\n" in text
    assert "-r house" in stocked("show", "zlib/1.3", "--remote", "house").stdout


def test_show_for_programs(stocked):
    """One document with all of it."""
    told = stocked.json("show", "zlib/1.3#r2", "--repository", "conan/main")
    assert [one["revision"] for one in told["revisions"]] == ["r2", "r1"]
    assert [one["info"]["settings"]["os"] for one in told["packages"]] == ["Linux", "Windows"]
    assert told["requires"] == "zlib/1.3"
    assert len(told["commands"]) == 3


def test_show_moves_no_terminal(stocked):
    """What others have named things is printed as it is spelled, and is no markup."""
    text = stocked("show", "zlib/1.3#r1").stdout
    assert "\x1b" not in text
    assert "\\x1b[2Jos=Linux\\x1b[2J" in text
    assert "x[bold]=[red]y" in text
    assert "not the newest revision" in text


def test_nothing_is_cut_on_a_narrow_terminal(stocked, monkeypatch):
    """An id goes on in the next line, so that it can be copied."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "30")
    assert "…" not in stocked("show", "zlib/1.3").stdout


def test_show_bounds_its_table(house):
    """Packages may differ in more than a table can hold."""
    with open_registry(house.data) as registry:
        files = registry.session(registry.admin()).files
        base = "zlib/1.3/_/_/r1"
        files.put("conan/main", f"{base}/export/conanfile.py", io.BytesIO(b""))
        files.put("conan/main", f"{base}/export/conanmanifest.txt", io.BytesIO(b"1\n"))
        for pid in ("a", "b"):
            told = "".join(f"key{number}={pid}\n" for number in range(40))
            path = f"{base}/package/{pid}/p1"
            files.put(
                "conan/main", f"{path}/conaninfo.txt", io.BytesIO(f"[settings]\n{told}".encode())
            )
            files.put("conan/main", f"{path}/conan_package.tgz", io.BytesIO(b""))
            files.put("conan/main", f"{path}/conanmanifest.txt", io.BytesIO(b"1\n"))
    text = house("show", "zlib/1.3").stdout
    assert "key15" in text
    assert "key16" not in text
    assert "differ in 24 things more" in text
    assert len(house.json("show", "zlib/1.3")["packages"][0]["info"]["settings"]) == 40


def test_show_says_what_is_near(stocked):
    """A mistyped name or version is one sentence."""
    told = stocked.refused("show", "zlib/1.2")
    assert told == {
        "error": "There is no recipe zlib/1.2 in conan/main; did you mean zlib/1.3?",
        "kind": "ReleaseMissingError",
    }
    assert "did you mean zlib?" in stocked.refused("show", "zlb/1.3")["error"]
    assert "png/1.6@team#r1" in stocked("show", "png/1.6@team").stdout
    assert "no packages" in stocked("show", "png/1.6@team").stdout
