"""Sixty uploads at once through several server processes: all listed, none lost, none twice."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from live_server import ADMIN, REPOCORE, LiveServer, await_health, environment, free_port
from tide_uploads import manifest

UPLOADS = 60
RECIPE = "/conan/main/v2/conans/tide/1.0/_/_"


@contextmanager
def serving(data: Path, catalog: str) -> Iterator[LiveServer]:
    """A server of four processes."""
    server = LiveServer(data=data, port=free_port())
    log = data.with_name("server.log")
    words = ["serve", "--port", str(server.port), "--data", str(data), "--workers", "4"]
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [*REPOCORE, *words],
            env=environment(REPOCORE_ADMIN_PASSWORD=ADMIN, REPOCORE__CATALOG=catalog),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        await_health(server, process, log)
        yield server
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def log_in(server: LiveServer) -> str:
    """What the client sends after its login."""
    word = base64.b64encode(f"admin:{ADMIN}".encode()).decode()
    said = ask(server, f"Basic {word}", "GET", "/conan/main/v2/users/authenticate")
    return f"Bearer {said.decode()}"


def ask(server: LiveServer, word: str, method: str, path: str, body: bytes | None = None) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=120)
    connection.request(method, path, body, {"Authorization": word})
    with connection.getresponse() as answer:
        said = answer.read()
        assert answer.status == 200, (answer.status, said)
    connection.close()
    return said


def test_all_of_sixty_uploads_are_listed(database_url, tmp_path):
    """Revisions of one recipe, uploaded at the same moment, do not displace each other."""
    revisions = {f"{number:032x}": f"tide = {number}\n".encode() for number in range(UPLOADS)}
    start = threading.Barrier(UPLOADS)

    def upload(server, word, revision):
        start.wait()
        files = f"{RECIPE}/revisions/{revision}/files"
        ask(server, word, "PUT", f"{files}/conanfile.py", revisions[revision])
        ask(server, word, "PUT", f"{files}/conanmanifest.txt", manifest(["conanfile.py"]))

    with serving(tmp_path / "data", database_url) as server:
        word = log_in(server)
        with ThreadPoolExecutor(UPLOADS) as pool:
            list(pool.map(lambda revision: upload(server, word, revision), revisions))
        listed = json.loads(ask(server, word, "GET", f"{RECIPE}/revisions"))["revisions"]
        names = [entry["revision"] for entry in listed]
        assert sorted(names) == sorted(revisions)
        times = [entry["time"] for entry in listed]
        assert times == sorted(times, reverse=True)
        latest = json.loads(ask(server, word, "GET", f"{RECIPE}/latest"))
        assert latest["revision"] == names[0]
        for revision, content in revisions.items():
            path = f"{RECIPE}/revisions/{revision}/files/conanfile.py"
            assert ask(server, word, "GET", path) == content
