"""Two servers and two workers on PostgreSQL, any of which is killed at any moment, again and again.

The moments come from a seed.  REPOCORE_FLEET_KILLS says how many there are (20, or 500 with nox),
REPOCORE_TEST_FSYNC whether the database waits for its disk (on with nox), and REPOCORE_SEED where
the seeds begin.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest
from fleet_load import load
from restarting_postgres import restarting_postgres
from serving_fleet import Fleet, fleet
from tide_uploads import Log, judge
from wsgi_calls import basic

import repocore
from repocore import JobState
from repocore.config import load_settings

pytest.importorskip("gunicorn")
pytestmark = [pytest.mark.kill, pytest.mark.postgres]

KILLS = int(os.environ.get("REPOCORE_FLEET_KILLS", "20"))
FIRST = int(os.environ.get("REPOCORE_SEED", "3000"))
ROUND = 50  # kills between two judgements
SIGNED = basic("admin", "high-water")

#: Fast enough that the jobs of the dead are taken over within the test, and taken often enough.
SETTINGS = """
catalog = "{catalog}"
runner = "threads:0"
[jobs]
attempts = 1000
lease = "2s"
interval = "100ms"
backoff = "100ms"
"""


def strike(fleet: Fleet, chance: random.Random) -> str:
    """Kill something, and start anew what nobody else would; returns what it was."""
    blow = chance.random()
    if blow < 0.6:
        server = chance.choice(fleet.servers)
        return f"a process of {server.name}" if server.kill_child(chance.randrange(8)) else ""
    member = chance.choice(fleet.servers if blow < 0.75 else fleet.workers)
    member.kill()
    member.start()
    return member.name


def killed_again_and_again(data: Path, seed: int, kills: int) -> tuple[list[str], list[str]]:
    """Kill so often under load; returns what was killed, and what is wrong afterwards."""
    chance = random.Random(seed)
    log = data.with_name(f"load-{seed}.log")
    killed: list[str] = []
    settings = load_settings(data=data, environ={})
    with (
        fleet(data, processes=2, workers=2) as running,
        repocore.open_registry(settings=settings) as registry,
    ):
        session = registry.session(registry.admin())
        with load(running.ports, SIGNED, seed, log) as clients:
            clients.await_more(8)
            while len(killed) < kills:
                queued = chance.random() < 0.5
                if queued:
                    session.jobs.submit("gc", {})
                time.sleep(chance.uniform(0, 0.3))
                if struck := strike(running, chance):
                    killed.append(struck)
            for member in running.members:
                member.await_ready()
            clients.await_more()
        told = clients.told()
        problems = list(judge(registry, seed, Log.read(log)))
        problems += unfinished(session)
    assert clients.done, told
    return killed, problems


def unfinished(session: repocore.Session) -> list[str]:
    """Jobs that were taken by somebody who died, and by nobody after that."""
    deadline = time.monotonic() + 60
    while left := [job for job in session.jobs.list() if job.state is not JobState.DONE]:
        if time.monotonic() > deadline:
            return [f"job {job.id} is {job.state}: {job.error}" for job in left]
        time.sleep(0.1)
    return []


def test_killed_fleet_leaves_nothing_half_done(tmp_path: Path) -> None:
    """What was answered is listed and whole, what was deleted is gone, and every job ends."""
    with restarting_postgres() as database:
        data = tmp_path / "data"
        data.mkdir()
        (data / "repocore.toml").write_text(SETTINGS.format(catalog=database.url), encoding="utf-8")
        for number, done in enumerate(range(0, KILLS, ROUND)):
            seed = FIRST + number
            killed, problems = killed_again_and_again(data, seed, min(ROUND, KILLS - done))
            assert problems == [], f"seed {seed}, after {killed}"
