"""PostgreSQL is stopped under load, politely and not, and comes back: nothing answered is lost.

REPOCORE_FAULTS says how often (2, or 40 with nox); how, and how long it is away, comes from a seed.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest
from fleet_load import load
from restarting_postgres import STOPS, restarting_postgres
from serving_fleet import fleet
from tide_uploads import Log, judge
from wsgi_calls import basic

import repocore
from repocore.config import load_settings

pytest.importorskip("gunicorn")
pytestmark = [pytest.mark.faults, pytest.mark.postgres]

RESTARTS = int(os.environ.get("REPOCORE_FAULTS", "2"))
SEED = int(os.environ.get("REPOCORE_SEED", "4000"))


def test_a_database_that_comes_back_has_everything(tmp_path: Path) -> None:
    """What is under way may fail, and is asked for again; servers are not started anew."""
    chance = random.Random(SEED)
    data, log = tmp_path / "data", tmp_path / "load.log"
    data.mkdir()
    with restarting_postgres() as database:
        (data / "repocore.toml").write_text(f'catalog = "{database.url}"\n', encoding="utf-8")
        with fleet(data) as running:
            with load(running.ports, basic("admin", "high-water"), SEED, log) as clients:
                for number in range(RESTARTS):
                    clients.await_more()
                    # Each of the ways, in whatever order.
                    how = sorted(STOPS)[(number + SEED) % len(STOPS)]
                    database.stop(how)
                    time.sleep(chance.uniform(0, 0.3))
                    database.start()
                clients.await_more()
            assert all(member.alive for member in running.members)
        with repocore.open_registry(settings=load_settings(data=data, environ={})) as registry:
            problems = list(judge(registry, SEED, Log.read(log)))
    assert problems == [], f"seed {SEED}: {clients.told()}"
