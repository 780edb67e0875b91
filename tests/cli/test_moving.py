"""``import``, ``config convert`` and ``serve --conan-server``: moving in from a conan_server."""

from __future__ import annotations

import base64
import errno
import http.client
import json
import time
import tomllib
import urllib.error
import urllib.request
from pathlib import Path

import jwt
import pytest
from cli_support import finished, launch, read_document
from old_tree import CONF, OldTree, snapshot

from repocore.plugins.conan.tree import StoredFile

ZLIB = "zlib/1.3/_/_"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "old"
    tree = OldTree(home / "data")
    tree.recipe(ZLIB, "aaa", 1_700_000_000)
    tree.package(ZLIB, "aaa", "p1", "x", 1_700_000_100)
    (home / "server.conf").write_text(CONF, encoding="utf-8")
    return home


def get(port: int, path: str, authorization: str = "") -> tuple[int, bytes]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}")
    if authorization:
        request.add_header("Authorization", authorization)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


# ----------------------------------------------------------------------------------------- import


def test_import(program, home):
    """Packages, users and permissions; the same again changes nothing; the tree is untouched."""
    before = snapshot(home)
    said = program.json("import", "conan-server", str(home), "--dry-run")
    assert (said["revisions"], said["files"], said["dry_run"]) == (1, 5, True)
    assert (said["users"], said["rules"]) == (1, 3)
    assert not program.data.exists()
    said = program.json("import", "conan-server", str(home))
    assert (said["references"], said["revisions"], said["package_revisions"]) == (1, 1, 1)
    assert (said["users"], said["rules"]) == (1, 3)
    assert program.json("check", "--read-data")["ok"]
    assert [account["name"] for account in program.json("user", "list")] == ["demo"]
    said = program.json("import", "conan-server", str(home))
    assert (said["revisions"], said["known"], said["users"], said["rules"]) == (0, 2, 0, 0)
    assert program.json("import", "conan-server", str(home), "--dry-run")["known"] == 2
    text = program("import", "conan-server", str(home), "--repository", "conan/other").stdout
    assert "Imported 1 recipe revisions of 1 references, 1 package revisions: 5 files" in text
    assert snapshot(home) == before


def test_import_of_data_alone(program, home):
    """A folder without a server.conf is the data itself."""
    said = program.json("import", "conan-server", str(home / "data"))
    assert (said["revisions"], said["users"], said["rules"]) == (1, 0, 0)


def test_import_of_a_home_without_its_server_conf(program, home):
    """It is not taken for data, whose folders would become names of packages."""
    (home / "server.conf").unlink()
    told = program.refused("import", "conan-server", str(home))["error"]
    assert told.startswith("There is no server.conf in")
    assert f"for example {home / 'data'}" in told


def test_import_of_what_cannot_be_read(program, home, monkeypatch):
    """The rest is taken, and the exit status says that it is not all."""
    OldTree(home / "data").recipe("png/1.0/_/_", "bbb", 3)
    real = StoredFile.open

    def opened(self):
        if self.file.recipe.name == "png":
            raise PermissionError(errno.EACCES, "Permission denied", str(self.path))
        return real(self)

    monkeypatch.setattr(StoredFile, "open", opened)
    text = program("import", "conan-server", str(home), status=1).stdout
    assert "png/1.0/_/_/bbb/export/conanfile.py: cannot be read, Permission denied" in text
    assert program.json("check", "--read-data")["files"] == 5


def test_import_into_what_is_none(program, home):
    """Refused before anything is made."""
    for address in ("conda/x", "conan/Bad Name!", "main"):
        words = ("import", "conan-server", str(home), "--repository", address)
        assert program.refused(*words)["kind"] in {"RejectedError", "InvalidPathError"}
    assert not program.data.exists()


def test_import_tells_where_it_is(program, home, monkeypatch):
    """Also where no terminal shows a bar."""
    monkeypatch.setattr("repocore.cli.watching._EVERY", 0.0)
    told = program("import", "conan-server", str(home)).stderr
    assert "Importing references …\n  1 so far\n" in told


def test_import_says_what_is_left_out(program, home):
    """With its place and the reason, a line each."""
    (home / "data" / ZLIB / "aaa" / "export" / "conanmanifest.txt").unlink()
    text = program("import", "conan-server", str(home)).stdout
    assert "1 left out." in text
    assert "  zlib/1.3/_/_/aaa/export: skipped, its conanmanifest.txt is missing" in text


def test_import_names_plugins(program, home):
    """They are files of the old home: the settings that go on using them are said."""
    folder = home / "plugins" / "authenticator"
    folder.mkdir(parents=True)
    (folder / "mine.py").write_text("", encoding="utf-8")
    conf = (home / "server.conf").read_text("utf-8")
    conf = conf.replace("port: 9300", "port: 9300\ncustom_authenticator: mine")
    (home / "server.conf").write_text(conf, encoding="utf-8")
    notes = program.json("import", "conan-server", str(home))["notes"]
    assert any(f'authenticator = "{folder / "mine.py"}"' in note for note in notes)


def test_import_of_what_is_not_there(program, home):
    """A sentence, and no installation by a typing error."""
    assert "There is no folder" in program.refused("import", "conan-server", "/none/here")["error"]
    (home / "server.conf").write_text("[server]\nprot: 1\n", encoding="utf-8")
    told = program.refused("import", "conan-server", str(home))
    assert "server.conf, line 2: there is no option prot; did you mean port?" in told["error"]
    assert not program.data.exists()


# ---------------------------------------------------------------------------------------- convert


def test_convert(program, home, tmp_path):
    """To stdout or into a file for its owner alone; what is there is not overwritten."""
    table = tomllib.loads(program("config", "convert", str(home)).stdout)
    assert table["web"]["root"] == "conan/main"
    assert table["plugins"]["conan"]["users"]["demo"].startswith("$argon2id$")
    output = tmp_path / "repocore.toml"
    said = program("config", "convert", str(home), "--output", str(output)).stdout
    assert "repocore serve --host 0.0.0.0 --port 9300" in said
    assert output.stat().st_mode & 0o777 == 0o600
    written = tomllib.loads(output.read_text("utf-8"))
    assert written["rule"] == table["rule"]
    assert (
        "exists"
        in program.refused("config", "convert", str(home), "--output", str(output))["error"]
    )
    shown = program("config", "show", "--config", str(output)).stdout
    assert "argon2" not in shown
    assert "MnpuzsExftskYGOMgaTYDKfw" not in shown


# ------------------------------------------------------------------------------------------ serve


def serve_old(home: Path, *words: str):
    """Serve the old home; its data folder is found by itself."""
    process = launch(home / "repocore", "--host", "127.0.0.1", "--conan-server", str(home), *words)
    return process, read_document(process)


def port_of(said) -> int:
    return int(said["addresses"][0].rpartition(":")[2])


def test_serve_over_an_old_server(home):
    """Packages, users, permissions and logins of the old one, at the old address."""
    process, said = serve_old(home)
    with finished(process):
        port = port_of(said)
        try:
            search = json.loads(get(port, "/v2/conans/search?q=*")[1])
            assert search == {"results": ["zlib/1.3"]}
            latest = json.loads(get(port, f"/v2/conans/{ZLIB}/latest")[1])
            assert latest == {"revision": "aaa", "time": "2023-11-14T22:13:20.000000+00:00"}
            assert get(port, "/v1/ping")[0] == 200
            status, token = get(port, "/v2/users/authenticate", basic("demo", "de mo"))
            assert status == 200
            assert get(port, "/v2/users/authenticate", basic("demo", "no"))[0] == 401
            check = "/v2/users/check_credentials"
            assert get(port, check, f"Bearer {token.decode()}") == (200, b"demo")
            assert get(port, check, f"Bearer {old_login('demo')}") == (200, b"demo")
            assert get(port, check, f"Bearer {old_login('other')}")[0] == 401
            assert put(port, old_login("demo")) == 200
            assert put(port, "") == 401
        finally:
            process.terminate()


def old_login(name: str) -> str:
    claims = {"user": name, "exp": int(time.time()) + 60}
    with pytest.warns(jwt.InsecureKeyLengthWarning):
        return jwt.encode(claims, "MnpuzsExftskYGOMgaTYDKfw", algorithm="HS256")


def put(port: int, token: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    path = "/v2/conans/png/1.0/_/_/revisions/r1/files/conanfile.py"
    connection.request("PUT", path, b"recipe", headers)
    status = connection.getresponse().status
    connection.close()
    return status


def test_old_tree_is_looked_at_once(home):
    """Later starts serve ours, with the server.conf of now."""
    process, _ = serve_old(home)
    with finished(process):
        process.terminate()
    OldTree(home / "data").recipe("png/1.0/_/_", "bbb", 3)
    conf = (home / "server.conf").read_text("utf-8")
    (home / "server.conf").write_text(conf.replace("*/*@*/*: *", "*/*@*/*: ?"), encoding="utf-8")
    process, said = serve_old(home)
    with finished(process):
        port = port_of(said)
        try:
            assert get(port, "/v2/conans/search?q=*")[0] == 401
            token = get(port, "/v2/users/authenticate", basic("demo", "de mo"))[1].decode()
            found = json.loads(get(port, "/v2/conans/search?q=*", f"Bearer {token}")[1])
            assert found == {"results": ["zlib/1.3"]}
        finally:
            process.terminate()


def test_start_that_was_cut_off_goes_on(home):
    """Served without --conan-server meanwhile, it is warned of."""
    process, _ = serve_old(home)
    with finished(process):
        process.terminate()
    mark = home / "repocore" / ".conan-server-imported"
    assert json.loads(mark.read_text("utf-8"))["revisions"] == 1
    mark.write_text("unfinished\n", encoding="utf-8")
    OldTree(home / "data").recipe("png/1.0/_/_", "bbb", 3)
    process = launch(home / "repocore")
    with finished(process):
        read_document(process)
        process.terminate()
        assert process.stderr is not None
        assert "not everything of the old conan_server" in process.stderr.read()
    process, said = serve_old(home)
    with finished(process):
        found = json.loads(get(port_of(said), "/v2/conans/search?q=*")[1])
        process.terminate()
    assert found == {"results": ["png/1.0", "zlib/1.3"]}
    assert json.loads(mark.read_text("utf-8"))["revisions"] == 1


def test_administrator_of_the_old_server_stays_who_they_are(home):
    """Their name and password are theirs, with the old permissions; ours has another name."""
    conf = (home / "server.conf").read_text("utf-8")
    conf = conf.replace("demo: de mo", "demo: de mo\nadmin: old")
    (home / "server.conf").write_text(conf, encoding="utf-8")
    process, said = serve_old(home)
    with finished(process):
        port = port_of(said)
        try:
            assert said["administrator"]["name"] == "repocore-admin"
            status, token = get(port, "/v2/users/authenticate", basic("admin", "old"))
            assert status == 200
            assert put(port, token.decode()) == 403
            password = said["administrator"]["password"]
            status, token = get(port, "/v2/users/authenticate", basic("repocore-admin", password))
            assert status == 200
            assert put(port, token.decode()) == 200
        finally:
            process.terminate()


def refused_start(home: Path) -> str:
    """What a server says that does not start."""
    process = launch(home / "repocore", "--conan-server", str(home))
    with finished(process):
        assert process.wait(60) == 1
        assert process.stderr is not None
        told = process.stderr.read()
    assert "Traceback" not in told
    return told


def test_bad_server_conf_does_not_start(home):
    """A sentence with the line, and nothing was made."""
    conf = (home / "server.conf").read_text("utf-8")
    (home / "server.conf").write_text(conf.replace("port: 9300", "prot: 1"), encoding="utf-8")
    told = refused_start(home)
    assert "server.conf, line 4: there is no option prot" in told
    assert not (home / "repocore").exists()


def test_plugin_that_fails_does_not_start(home):
    """The same for its file."""
    folder = home / "plugins" / "authenticator"
    folder.mkdir(parents=True)
    (folder / "mine.py").write_text("x = 1\nimport nothing_of_that_name\n", encoding="utf-8")
    conf = (home / "server.conf").read_text("utf-8")
    conf = conf.replace("port: 9300", "custom_authenticator: mine")
    (home / "server.conf").write_text(conf, encoding="utf-8")
    told = refused_start(home)
    assert "mine.py, line 2: ModuleNotFoundError" in told
