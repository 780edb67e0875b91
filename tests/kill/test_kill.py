"""SIGKILL at any moment of an upload: what was answered is there, and nothing is half visible.

The moments come from a seed; REPOCORE_KILLS says how many there are (20, or 200 with nox).
"""

from __future__ import annotations

import base64
import http.client
import io
import multiprocessing
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fleet_load import route
from live_server import ADMIN, REPOCORE, LiveServer, await_health, environment, free_port
from tide_uploads import (
    ADDRESS,
    THREADS,
    Log,
    judge,
    notes,
    upload_until_killed,
    uploads,
)

import repocore
from repocore.config import Settings

pytestmark = pytest.mark.kill

KILLS = int(os.environ.get("REPOCORE_KILLS", "20"))
ROUNDS = 10  # deaths of one data folder
SERVERS = max(KILLS // 10, 1)
PATIENCE = 60.0

# Children that have everything imported already, so that their deaths are spread over their work.
context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(
    ["tide_uploads", "repocore.plugin_manager", "repocore.plugins.conan"]
)


def await_words(log: Path, alive: Callable[[], bool]) -> None:
    """Return when the uploader has said something."""
    deadline = time.monotonic() + PATIENCE
    while not (log.exists() and log.stat().st_size):
        assert alive(), "the uploader ended by itself"
        assert time.monotonic() < deadline, "the uploader says nothing"
        time.sleep(0.005)


def kill_one(data: Path, catalog: str, seed: int) -> None:
    """Let an uploader live for a while, kill it, and judge what it left."""
    log = data / f"{seed}.log"
    process = context.Process(target=upload_until_killed, args=(data, catalog, log, seed))
    process.start()
    await_words(log, process.is_alive)
    time.sleep(random.Random(seed).uniform(0, 0.4))
    assert process.is_alive(), f"the uploader of seed {seed} ended by itself"
    process.kill()
    process.join()
    with repocore.open_registry(settings=Settings(data=data, catalog=catalog)) as registry:
        assert list(judge(registry, seed, Log.read(log))) == []


def prepared(data: Path, catalog: str) -> None:
    with repocore.open_registry(settings=Settings(data=data, catalog=catalog)) as registry:
        registry.session(registry.admin()).repositories.create(ADDRESS)


@pytest.mark.parametrize("first", range(0, KILLS, ROUNDS))
def test_killed_uploader_leaves_nothing_half_done(first, tmp_path):
    """A process that uses the library is killed while four threads upload and delete."""
    prepared(tmp_path, catalog := "sqlite:///catalog.db")
    for seed in range(first, min(first + ROUNDS, KILLS)):
        kill_one(tmp_path, catalog, seed)


@pytest.mark.postgres
def test_killed_uploader_on_postgresql(postgres_databases, tmp_path):
    """The same, with the catalog in PostgreSQL."""
    with postgres_databases.fresh() as url:
        prepared(tmp_path, url)
        for seed in range(1000, 1000 + max(KILLS // 5, 2)):
            kill_one(tmp_path, url, seed)


def test_judge_is_no_pushover(tmp_path):
    """The judge notices what is lost, half there, changed, or back from the dead."""
    with repocore.open_registry(settings=Settings(data=tmp_path)) as registry:
        session = registry.session(registry.admin())
        session.repositories.create(ADDRESS)
        (recipe, package), (lost, _) = uploads(7, 0, 0), uploads(7, 0, 1)
        for upload in (recipe, package):
            for path, content in upload.files.items():
                session.files.put(ADDRESS, path, io.BytesIO(content))
        stored = {*recipe.files, *package.files}
        begun = [(0, 0), (0, 1)]
        assert list(judge(registry, 7, Log(begun, stored, set(), set()))) == []
        (said,) = judge(registry, 7, Log(begun, {*stored, *lost.files}, set(), set()))
        assert said.endswith("was answered and is not listed")
        said = list(judge(registry, 7, Log(begun, stored, {recipe.key}, {recipe.key})))
        assert said[0] == f"{recipe.key} was deleted and is listed"
        (said,) = judge(registry, 7, Log([], stored, set(), set()))
        assert said.startswith("visible without a revision")
        for file in (tmp_path / "blobs" / "sha256").rglob("*.*"):
            file.chmod(0o600)
            file.write_bytes(b"rot")
        said = list(judge(registry, 7, Log(begun, stored, set(), set())))
        assert any("bytes instead of" in line for line in said)
        # The check has put them into quarantine.
        assert any("cannot be read" in line for line in said)


# ------------------------------------------------------------------------------ a whole server


def send(server: LiveServer, seed: int, thread: int, note: Callable[[str, str], None]) -> None:
    """Upload over HTTP until the server does not answer any more."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    word = base64.b64encode(f"admin:{ADMIN}".encode()).decode()
    try:
        for number in range(1_000_000):
            note("begun", f"{thread}/{number}")
            for upload in uploads(seed, thread, number):
                for path, content in upload.files.items():
                    fields = {"Authorization": f"Basic {word}"}
                    connection.request("PUT", route(upload, path), content, fields)
                    with connection.getresponse() as answer:
                        said = answer.read()
                        assert answer.status in {200, 201}, said
                        note("stored", path)
    except (OSError, http.client.HTTPException):
        return
    finally:
        connection.close()


def kill_server(data: Path, seed: int) -> None:
    """Serve with two workers, upload from four clients, kill the whole group, judge."""
    server = LiveServer(data=data, port=free_port())
    said = data.with_name(f"{data.name}-{seed}.txt")
    words = ("serve", "--port", str(server.port), "--workers", "2", "--data", str(data))
    with said.open("wb") as stream:
        process = subprocess.Popen(
            [*REPOCORE, *words],
            env=environment(REPOCORE_ADMIN_PASSWORD=ADMIN),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        await_health(server, process, said)
        log = data.with_name(f"{data.name}-{seed}.log")
        note = notes(log)
        clients = [
            threading.Thread(target=send, args=(server, seed, thread, note))
            for thread in range(THREADS)
        ]
        for client in clients:
            client.start()
        await_words(log, lambda: process.poll() is None)
        time.sleep(random.Random(seed).uniform(0.2, 1.5))
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    for client in clients:
        client.join()
    with repocore.open_registry(settings=Settings(data=data)) as registry:
        assert list(judge(registry, seed, Log.read(log))) == []


def test_killed_server_leaves_nothing_half_done(tmp_path):
    """`repocore serve` with its workers is killed under four clients, and serves again."""
    for seed in range(2000, 2000 + SERVERS):
        kill_server(tmp_path / "data", seed)
    with repocore.open_registry(settings=Settings(data=tmp_path / "data")) as registry:
        report = registry.session(registry.admin()).upkeep.check(read_data=True)
        assert report.ok
