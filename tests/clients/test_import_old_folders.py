"""Folders that the servers before us have filled: nothing of them is lost on the way here."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest
from cli_support import finished, launch, read_document
from conan_client import Conan, executable
from live_server import environment
from old_conan import Conan1
from old_folders import Folder, Manifest, file_answer, make_folder_166, make_folder_233
from old_servers import Asker


def repocore(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "repocore", *map(str, words)]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)


pytestmark = [
    pytest.mark.clients,
    pytest.mark.slow,
]


@attrs.frozen
class Moved:
    """A running server that has what an old folder had."""

    folder: Folder
    #: Remotes that reach it: by the repository's address, and by the server's own.
    remotes: tuple[str, ...]
    #: Whether it reads the old server.conf each time it starts.
    direct: bool

    @property
    def manifest(self) -> Manifest:
        return self.folder.manifest

    def admin(self, remote: str) -> Asker:
        return Asker(address=remote).login("admin", self.manifest.users["admin"])


MAKERS = {
    "166": lambda folder: make_folder_166(folder, revisions=False),
    "166-revisions": lambda folder: make_folder_166(folder, revisions=True),
    "233": make_folder_233,
}


@pytest.fixture(scope="module", params=MAKERS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A folder of each kind, filled by running the old server."""
    return MAKERS[request.param](tmp_path_factory.mktemp("old"))


@contextmanager
def serving(data: Path, *words: str) -> Iterator[dict[str, Any]]:
    process = launch(data, "--host", "127.0.0.1", *words)
    with finished(process):
        try:
            yield read_document(process)
        finally:
            process.terminate()


@pytest.fixture(scope="module", params=["imported", "direct"])
def moved(
    request: pytest.FixtureRequest, folder: Folder, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Moved]:
    """The folder imported by a command, then served; and served as it is."""
    direct = request.param == "direct"
    data = tmp_path_factory.mktemp("new") / "data"
    words: list[str] = []
    if direct:
        words = ["--conan-server", str(folder.home)]
    else:
        done = repocore("import", "conan-server", folder.home, "--data", data)
        assert done.returncode == 0, done.stderr + done.stdout
    with serving(data, *words) as document:
        named = document["repositories"]["conan/main"]
        remotes = (named, document["url"]) if direct else (named,)
        yield Moved(folder, remotes, direct)


def comparable(answer: Any, *, fractions: bool) -> Any:
    """An answer whose times are moments, of whole seconds where the old server had no other.

    What is said of a file in a list of files may be more than the nothing that it was.
    """
    if isinstance(answer, dict):
        if answer.keys() == {"files"}:
            return sorted(answer["files"])
        made = {name: comparable(value, fractions=fractions) for name, value in answer.items()}
        if isinstance(answer.get("time"), str):
            when = datetime.fromisoformat(answer["time"]).astimezone(UTC)
            made["time"] = when if fractions else when.replace(microsecond=0)
        return made
    if isinstance(answer, list):
        return [comparable(value, fractions=fractions) for value in answer]
    return answer


def test_every_answer_is_the_same(moved):
    """Revisions, their order and times, lists of files, every byte, packages and searches."""
    fractions = moved.manifest.fractions
    for remote in moved.remotes:
        admin = moved.admin(remote)
        wrong: dict[str, tuple[Any, Any]] = {}
        for path, expected in moved.manifest.answers.items():
            answer = admin.get(path)
            found = file_answer(answer.body) if "/files/" in path else None
            if found is None:
                found = answer.json if answer.status == 200 else answer.status
            if comparable(found, fractions=fractions) != comparable(expected, fractions=fractions):
                wrong[path] = (found, expected)
        assert wrong == {}


def test_what_was_never_finished_is_not_there(moved):
    """Uploads that broke off, and packages without a revision, are neither listed nor found."""
    admin = moved.admin(moved.remotes[0])
    assert {path: admin.get(path).status for path in moved.manifest.gone} == dict.fromkeys(
        moved.manifest.gone, 404
    )


def test_users_keep_their_passwords(moved):
    """Everyone signs in as before, with the first API and the second; a wrong password does not."""
    nobody = Asker(address=moved.remotes[0])
    for api in ("v1", "v2"):
        for user, password in moved.manifest.users.items():
            assert nobody.authenticate(user, password, api).status == 200
            assert nobody.authenticate(user, f"{password}r", api).status == 401


def test_everyone_may_do_what_they_could(moved):
    """Reading and deleting are allowed and refused to the same people, with the same status.

    Without the old server.conf, what one may not read is not found.
    """
    nobody = Asker(address=moved.remotes[0])
    users = {name: nobody.login(name, password) for name, password in moved.manifest.users.items()}
    wrong: dict[tuple[str | None, str, str], tuple[int, int]] = {}
    for (user, method, path), status in moved.manifest.decisions.items():
        found = (users[user] if user else nobody).ask(method, path).status
        hidden = not moved.direct and "hidden" in path and status == 403
        if found not in ({403, 404} if hidden else {status}):
            wrong[user, method, path] = (found, status)
    assert wrong == {}


def test_logins_of_the_old_server_are_valid_while_its_file_is_read(moved):
    """A token that the old server gave goes on working; without its file it is refused."""
    someone = Asker(address=moved.remotes[0], token=moved.manifest.token)
    answer = someone.get("/v2/users/check_credentials")
    assert (answer.status, answer.text if moved.direct else "") == (
        (200, "writer") if moved.direct else (401, "")
    )


def test_clients_of_conan_1_install(moved, conan_1, revisions, tmp_path):
    """Conan 1 finds every reference that it can name, and installs what Conan 1 had uploaded."""
    if moved.manifest.fractions:
        pytest.skip("the packages of this folder are of Conan 2")
    for number, remote in enumerate(moved.remotes):
        client = Conan1(conan_1, tmp_path / str(number), {"house": remote}, revisions)
        client.login("admin", moved.manifest.users["admin"])
        assert client.searched() == set(moved.manifest.references)
        for reference, text in moved.manifest.texts.items():
            client.run("install", reference if "@" in reference else f"{reference}@", "-r=house")
            assert client.texts(reference)["sweet"] == text


def test_clients_of_conan_1_read_recipes_of_conan_2(moved, conan_1, revisions, tmp_path):
    """A recipe of Conan 2 is downloaded and shown by Conan 1, where it can name it."""
    if not moved.manifest.fractions:
        pytest.skip("the packages of this folder are of Conan 1")
    client = Conan1(conan_1, tmp_path, {"house": moved.remotes[0]}, revisions)
    client.login("admin", moved.manifest.users["admin"])
    assert client.searched() == {r for r in moved.manifest.references if r != "buoyed/1.0@ho"}
    client.run("download", "tide/1.0@ho/stable", "-r=house", "--recipe")
    text = client.cached("tide/1.0@ho/stable") / "export_source" / "text.txt"
    assert text.read_text() == "flood"


@pytest.fixture
def newest(moved: Moved, tmp_path: Path) -> Conan:
    """The newest Conan 2 client, signed in."""
    program = executable("newest")
    if program is None:
        pytest.skip("no conan in this environment: pip install conan")
    client = Conan(program, tmp_path / "newest")
    client.run("remote", "add", "house", moved.remotes[0], "--index=0", "--force")
    client.run("remote", "login", "house", "admin", "-p", moved.manifest.users["admin"])
    return client


def test_clients_of_conan_2_list_every_revision(moved, newest):
    """Conan 2 lists all references, and the revisions of each in their old order."""
    listed = newest.listed("*#*")
    assert set(listed) == set(moved.manifest.references)
    for reference, entry in listed.items():
        times = {name: found["timestamp"] for name, found in entry["revisions"].items()}
        newest_first = sorted(times, key=lambda name: times[name], reverse=True)
        package, _, place = reference.partition("@")
        user, _, channel = place.partition("/")
        path = f"/v2/conans/{package}/{user or '_'}/{channel or '_'}/revisions"
        expected = [known["revision"] for known in moved.manifest.answers[path]["revisions"]]
        assert newest_first == expected


def test_clients_of_conan_2_install(moved, newest):
    """Conan 2 installs what Conan 2 had uploaded, and gets its metadata; it builds the rest."""
    for reference, text in moved.manifest.texts.items():
        more = [] if moved.manifest.fractions else ["--build=missing"]
        newest.run("install", f"--requires={reference}", "-r=house", *more)
        found = newest.json("list", f"{reference}#*:*#*")["Local Cache"][reference]["revisions"]
        ((recipe, entry),) = found.items()
        ((package, built),) = entry["packages"].items()
        (revision,) = built["revisions"]
        whole = f"{reference}#{recipe}:{package}#{revision}"
        place = Path(newest.run("cache", "path", whole).output.strip())
        assert (place / "text.txt").read_text() == text
        if moved.manifest.fractions:
            newest.run("download", whole, "-r=house", "--metadata=logs/*")
            logs = newest.run("cache", "path", whole, "--folder=metadata").output.strip()
            assert Path(logs, "logs", "build.log").read_text() == f"built {whole}\n"


def test_the_old_folder_is_not_touched(folder, tmp_path):
    """An import, a second one, and one that only looks leave the old tree byte for byte."""
    before = dict(tree(folder.home))
    data = tmp_path / "data"
    for words in (["--dry-run"], [], []):
        done = repocore("import", "conan-server", folder.home, "--data", data, *words)
        assert done.returncode == 0, done.stderr + done.stdout
    assert dict(tree(folder.home)) == before


def test_a_dry_run_imports_nothing(folder, tmp_path):
    """`--dry-run` says what would be done, and what is left out, and does none of it."""
    data = tmp_path / "data"
    assert repocore("init", "--data", data).returncode == 0
    done = repocore("import", "conan-server", folder.home, "--data", data, "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "torn/1.0" in done.stdout + done.stderr
    with serving(data) as document:
        found = Asker(address=document["repositories"]["conan/main"]).get("/v2/conans/search")
        assert found.status == 200
        assert json.loads(found.body) == {"results": []}


def tree(home: Path) -> Iterator[tuple[str, tuple[int, str]]]:
    """Every file of an old home, when it was changed and what it holds; not what is ours."""
    for path in sorted(home.rglob("*")):
        name = path.relative_to(home).as_posix()
        if path.is_file() and not name.startswith("repocore/"):
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            yield name, (path.stat().st_mtime_ns, content)
