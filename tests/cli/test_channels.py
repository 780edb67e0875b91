"""``import channel``, ``conda upload``, ``conda patch``, and what an export is good for."""

from __future__ import annotations

import functools
import importlib
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from static_channel import StaticChannel

ZLIB = "zlib-1.3-h0_0.conda"
PATCH = b'{"packages.conda":{"zlib-1.3-h0_0.conda":{"license":"Zlib"}}}'


@pytest.fixture
def tree(tmp_path: Path) -> StaticChannel:
    made = StaticChannel(tmp_path / "tides")
    made.add(ZLIB, "linux-64")
    made.add("shore-1.0-0.tar.bz2", noarch="generic")
    made.add("tide-2.0-0.conda", depends=["shore >=1"], noarch="generic")
    made.index()
    made.run_exports_json()
    return made


def snapshot(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


# ----------------------------------------------------------------------------------------- import


def test_import(program, tree):
    """The channel is called like the folder; the same again changes nothing."""
    before = snapshot(tree.folder)
    said = program.json("import", "channel", str(tree.folder), "--dry-run")
    assert (said["channel"], said["packages"], said["dry_run"]) == ("conda/tides", 3, True)
    assert not program.data.exists()
    said = program.json("import", "channel", str(tree.folder))
    assert (said["packages"], said["opened"], said["known"]) == (3, 0, 0)
    said = program.json("import", "channel", str(tree.folder))
    assert (said["packages"], said["known"]) == (0, 3)
    assert program.json("check", "--read-data")["ok"]
    text = program("import", "channel", str(tree.folder), "conda/b", "--reindex").stdout
    assert "Imported 3 packages into conda/b: " in text
    assert "3 of them opened" in text
    assert program.json("import", "channel", str(tree.folder), "c")["channel"] == "conda/c"
    assert snapshot(tree.folder) == before


def test_import_says_what_is_left_out(program, tree):
    """A line each, and the exit status says that it is not all."""
    (tree.folder / "linux-64" / ZLIB).unlink()
    text = program("import", "channel", str(tree.folder), status=1).stdout
    assert "1 are left out" in text
    assert f"linux-64/{ZLIB}: the index names it" in text


def test_import_into_what_is_none(program, tree):
    """Refused before anything is made, as is a folder that is no channel."""
    told = program.refused("import", "channel", str(tree.folder), "conan/x")
    assert "is no channel" in told["error"]
    told = program.refused("import", "channel", str(tree.folder.parent / "nowhere"))
    assert "There is no folder" in told["error"]
    assert not program.data.exists()


def test_import_needs_an_extra(program, tree, monkeypatch):
    """Without it, the command says what to install."""
    monkeypatch.setitem(sys.modules, "repocore.plugins.conda.importing", None)
    told = program.refused("import", "channel", str(tree.folder))
    assert "pip install 'repocore[conda]'" in told["error"]


# ----------------------------------------------------------------------------------------- upload


def packages(tree: StaticChannel) -> list[str]:
    return [str(path) for path in sorted(tree.folder.rglob("*.conda"))]


def test_upload_into_the_data_folder(house, tree):
    """By the name of a channel; a bad file is told, and keeps no other from being stored."""
    bad = tree.folder / "bad-1.0-0.conda"
    bad.write_bytes(b"no package")
    house("repo", "create", "conda/tides")
    words = ("conda", "upload", "--channel", "tides", *packages(tree))
    done = house(*words, status=1)
    assert "2 uploaded" in done.stdout
    assert "1 failed" in done.stdout
    assert "bad-1.0-0.conda: " in done.stderr
    bad.unlink()
    said = house.json("conda", "upload", "--channel", "conda/tides", *packages(tree))
    assert (said["failed"], said["failures"]) == (0, [])


def test_upload_to_a_channel_that_is_not_there(house, tree):
    """Nobody's typing error makes one."""
    told = house.refused("conda", "upload", "--channel", "tydes", *packages(tree))
    assert told["kind"] == "RepositoryMissingError"


def test_upload_to_a_server(house, tree, serve, monkeypatch):
    """With a token of the environment; a second time nothing is sent."""
    house("repo", "create", "conda/tides")
    house("user", "add", "ann", "--password-stdin", typed="high-water-mark\n")
    house(
        "rule", "add", "--subject", "user:ann", "--actions", "read,write", "--pattern", "conda/**"
    )
    secret = house.json("token", "create", "ann")["secret"]
    served = serve()
    url = f"http://127.0.0.1:{served.port}/conda/tides"
    told = house.refused(
        "conda", "upload", "--channel", url, "--token-env", "NO_SUCH", "x.conda", status=2
    )
    assert "NO_SUCH" in told["error"]
    monkeypatch.setenv("CI_TOKEN", secret)
    words = ("conda", "upload", "--channel", url, "--token-env", "CI_TOKEN", *packages(tree))
    said = house.json(*words)
    assert (said["uploaded"], said["known"], said["failed"]) == (2, 0, 0)
    monkeypatch.setenv("REPOCORE_TOKEN", secret)
    said = house.json("conda", "upload", "--channel", url, *packages(tree))
    assert (said["uploaded"], said["known"]) == (0, 2)
    done = house("conda", "upload", "--channel", url, "--token", "wrong", *packages(tree), status=1)
    assert "put one into REPOCORE_TOKEN" in done.stderr
    assert secret not in done.output


# ------------------------------------------------------------------------------------------ patch


def test_patch(house, tree):
    """A dry run prints what changes; then it is so."""
    house("import", "channel", str(tree.folder))
    file = tree.write("linux-64", "patch_instructions.json", PATCH)
    text = house("conda", "patch", "tides", str(file), "--dry-run").stdout
    assert f'linux-64/{ZLIB}  license: "MIT" -> "Zlib"' in text
    assert "1 fields would change." in text
    said = house.json("conda", "patch", "tides", str(tree.folder))
    change = {
        "subdir": "linux-64",
        "name": ZLIB,
        "field": "license",
        "before": "MIT",
        "after": "Zlib",
    }
    assert said == {"changes": [change], "dry_run": False}
    assert house.json("conda", "patch", "tides", str(file), "--dry-run")["changes"] == []
    text = house("conda", "patch", "tides", str(file), "--subdir", "noarch").stdout
    assert "0 fields changed." in text


# ----------------------------------------------------------------------------------------- export


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def exported(house, tree, tmp_path) -> Iterator[tuple[Path, str]]:
    """A channel that any web server serves, and where one does."""
    house("import", "channel", str(tree.folder))
    folder = tmp_path / "out"
    house("export", "conda/tides", str(folder))
    handler = functools.partial(Quiet, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("sharded", [True, False])
def test_an_export_is_a_channel_of_any_web_server(exported, tmp_path, sharded):
    """A client solves and installs from it, by shards and without them."""
    pytest.importorskip("rattler", reason="pip install py-rattler")
    client = importlib.import_module("rattler_client")
    found = client.Rattler(tmp_path / "home", exported[1]).install("tide", sharded=sharded)
    assert client.installed(found) == {"tide": "2.0", "shore": "1.0"}
    assert (found / "share" / "tide" / "level").read_text() == "high\n"


def test_an_export_imported_again_is_the_same(house, exported, tmp_path):
    """Every document, byte for byte."""
    folder, _ = exported
    house("import", "channel", str(folder), "again")
    house("export", "conda/again", str(tmp_path / "again"))
    assert snapshot(tmp_path / "again") == snapshot(folder)
