"""``backup``, ``restore`` and ``repair``."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import Any

import attrs
import pytest
from stand_in import stand_in

from repocore import open_registry

PATH = "zlib/1.3/_/_/4a1/export/"


@pytest.fixture
def furnished(house) -> Any:
    """An installation with one recipe."""
    with open_registry(house.data) as registry:
        files = registry.session(registry.admin()).files
        files.put("conan/main", PATH + "conanfile.py", io.BytesIO(b"x = 1"))
        files.put("conan/main", PATH + "conanmanifest.txt", io.BytesIO(b"1\n"))
    return house


def lose(program: Any, content: bytes = b"x = 1") -> None:
    digest = hashlib.sha256(content).hexdigest()
    [stored] = (program.data / "blobs" / "sha256").glob(f"*/{digest}.*")
    stored.unlink()


def test_a_backup_is_made_listed_verified_and_restored(furnished, tmp_path: Path) -> None:
    """Whoever starts a server over what was restored finds nothing to make."""
    kept = str(tmp_path / "kept")
    made = furnished.json("backup", kept)
    assert (made["ok"], made["objects"], made["copied"]) == (True, 2, 2)
    assert "0 objects copied" in furnished("backup", kept, "--keep", "5").stdout
    assert "Deleted 1 older" in furnished("backup", kept, "--keep", "2").stdout
    listed = furnished.json("backup", kept, "--list")
    assert [one["whole"] for one in listed] == [True, True]
    assert "whole" in furnished("backup", kept, "--list").stdout
    assert furnished.json("backup", kept, "--verify") == {"backups": 2, "problems": [], "ok": True}
    other = attrs.evolve(furnished, data=tmp_path / "new")
    restored = other.json("restore", kept, "--backup", listed[0]["name"])
    assert (restored["ok"], restored["objects"]) == (True, 2)
    assert "there already" in other("init").stdout
    assert other.json("repo", "list") == furnished.json("repo", "list")
    assert "into an empty folder" in other.refused("restore", kept)["error"]


def test_a_backup_that_is_broken_says_so(furnished, tmp_path: Path) -> None:
    """In its list, and by the status of whoever reads it."""
    kept = tmp_path / "kept"
    furnished("backup", str(kept))
    [copy] = [path for path in (kept / "objects").glob("*/*") if path.stat().st_size == 5]
    copy.write_bytes(b"x = 2")
    assert "holds other bytes" in furnished("backup", str(kept), "--verify", status=1).stdout
    other = attrs.evolve(furnished, data=tmp_path / "new")
    assert "conanfile.py" in other("restore", str(kept), status=1).stdout
    [manifest] = kept.glob("*/manifest.json")
    manifest.write_text("{}", encoding="utf-8")
    assert "broken" in furnished("backup", str(kept), "--list").stdout
    refused = attrs.evolve(furnished, data=tmp_path / "newer").refused("restore", str(kept))
    assert "broken" in refused["error"]
    assert furnished("backup", str(kept), "--list", "--verify", status=2)


def test_what_was_lost_already_is_told(furnished, tmp_path: Path) -> None:
    """And makes the status 1."""
    lose(furnished)
    told = furnished("backup", str(tmp_path / "kept"), status=1).stdout
    assert "lost or damaged" in told
    assert "lacks 1 objects" in furnished("backup", str(tmp_path / "kept"), "--list").stdout
    verified = furnished("backup", str(tmp_path / "kept"), "--verify", status=1).stdout
    assert "lacks 1 objects that were lost when it was made" in verified


def test_repair_from_a_backup(furnished, tmp_path: Path) -> None:
    """What is brought back is told; what is not makes the status 1."""
    kept = str(tmp_path / "kept")
    furnished("backup", kept)
    lose(furnished)
    said = furnished("repair", status=1).stdout
    assert "1 remain" in said
    assert "--from-backup FOLDER" in said
    assert "from a backup" in furnished("repair", "--from-backup", kept).stdout
    assert furnished.json("repair")["ok"]
    assert furnished.json("check", "--read-data")["ok"]


def test_repair_from_a_server(furnished, monkeypatch) -> None:
    """On loopback too, as whoever names it may; with the token of the environment."""
    lose(furnished)
    monkeypatch.setenv("REPOCORE_TOKEN", "secret")
    with stand_in(lambda _: (200, {}, b"x = 1")) as server:
        done = furnished.json("repair", "--from", server.url)
        assert done["repaired"][0].endswith(server.url)
        assert server.asked[0].headers["authorization"] == "Bearer secret"
        assert server.asked[0].path == f"/conan/main/{PATH}conanfile.py"
        assert (
            "MIRROR_TOKEN"
            in furnished.refused("repair", "--from", server.url, "--token-env", "MIRROR_TOKEN")[
                "error"
            ]
        )
    assert "no URL" in furnished.refused("repair", "--from", "packages")["error"]
