"""Two collectors at once, without a grace period, in the middle of uploads and deletions (T53)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from fleet_load import load
from serving_fleet import fleet
from tide_uploads import Log, judge
from wsgi_calls import basic

import repocore
from repocore import JobState
from repocore.config import load_settings

pytest.importorskip("gunicorn")
pytestmark = pytest.mark.faults

COLLECTIONS = int(os.environ.get("REPOCORE_FAULTS", "6"))
SEED = int(os.environ.get("REPOCORE_SEED", "5000"))

SETTINGS = """
catalog = "{catalog}"
runner = "threads:0"
[limits]
blob_grace = "0s"
[jobs]
interval = "100ms"
"""


def test_collectors_take_nothing_that_somebody_uses(tmp_path: Path, database_url: str) -> None:
    """The same bytes come, go, are collected and come again; what was answered has them."""
    data, log = tmp_path / "data", tmp_path / "load.log"
    data.mkdir()
    (data / "repocore.toml").write_text(SETTINGS.format(catalog=database_url), encoding="utf-8")
    settings = load_settings(data=data, environ={})
    with (
        fleet(data, servers=1, workers=2) as running,
        repocore.open_registry(settings=settings) as registry,
    ):
        jobs = registry.session(registry.admin()).jobs
        with load(running.ports, basic("admin", "high-water"), SEED, log) as clients:
            for _ in range(COLLECTIONS):
                pair = [jobs.submit("gc", {}) for _ in range(2)]
                ended = [jobs.wait(one.id) for one in pair]
                assert {one.state for one in ended} == {JobState.DONE}, ended
            clients.await_more()
        problems = list(judge(registry, SEED, Log.read(log)))
        assert problems == [], f"seed {SEED}: {clients.told()}"
