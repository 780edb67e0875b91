"""SIGKILL in the middle of a job: another worker finishes it."""

from __future__ import annotations

import json
import os
import random
import subprocess
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from live_server import REPOCORE, environment
from postgres_cluster import Databases

import repocore
from repocore import JobState
from repocore.config import load_settings

pytestmark = pytest.mark.kill

PATIENCE = 60.0

#: A job that notes who runs it, and goes on once there is a file that lets it.
PLUGIN = """
import os
import pathlib
import time

from repocore import hookimpl
from repocore.ports import JobHandler


def run(session, payload, progress):
    folder = pathlib.Path(payload["folder"])
    progress.start(2, "Half way")
    progress.advance()
    progress.log(f"run by {os.getpid()}")
    with (folder / "attempts").open("a") as notes:
        notes.write(f"{os.getpid()}\\n")
    while not (folder / "go").exists():
        progress.check()
        time.sleep(0.01)
    return f"Done by {os.getpid()}."


@hookimpl
def repocore_jobs():
    return {"patient": JobHandler(run=run, summary="Wait for a file.")}
"""

SETTINGS = """
catalog = "CATALOG"
runner = "RUNNER"
[jobs]
lease = "1s"
interval = "100ms"
[plugins]
files = ["patient.py"]
"""


@contextmanager
def worker(data: Path, log: Path) -> Generator[subprocess.Popen[bytes]]:
    """`repocore worker` in a process of its own, which does not outlive the block."""
    with log.open("ab") as stream:
        process = subprocess.Popen(
            [*REPOCORE, "worker", "--threads", "1", "--kind", "patient", "--data", str(data)],
            env=environment(),
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def until(true: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
        time.sleep(0.02)


def installation(folder: Path, catalog: str, runner: str) -> Path:
    folder.mkdir()
    (folder / "patient.py").write_text(PLUGIN, encoding="utf-8")
    text = SETTINGS.replace("CATALOG", catalog).replace("RUNNER", runner)
    (folder / "repocore.toml").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def data(tmp_path: Path, database_url: str) -> Path:
    return installation(tmp_path / "data", database_url, "threads:4")


@pytest.fixture
def queued(tmp_path: Path, postgres_databases: Databases) -> Iterator[Path]:
    """The same, where procrastinate runs the jobs."""
    with postgres_databases.fresh() as url:
        yield installation(tmp_path / "data", url, "procrastinate:4")


def test_the_job_of_a_killed_worker_is_finished_by_another(data: Path, tmp_path: Path) -> None:
    """It is delayed by its lease, and nothing is lost: neither the job nor what it wrote."""
    is_finished_by_another(data, tmp_path)


@pytest.mark.postgres
def test_so_it_is_where_a_queue_runs_it(queued: Path, tmp_path: Path) -> None:
    """procrastinate notices that its worker is gone, and the row says for how long."""
    is_finished_by_another(queued, tmp_path)


def is_finished_by_another(data: Path, tmp_path: Path) -> None:
    log, attempts = tmp_path / "log", data / "attempts"

    def tries() -> list[int]:
        return [int(line) for line in attempts.read_text().split()] if attempts.exists() else []

    settings = load_settings(data=data, environ={})
    with repocore.open_registry(settings=settings) as registry:
        jobs = registry.session(registry.admin()).jobs
        number = jobs.submit("patient", {"folder": str(data)}).id
        with worker(data, log) as first:
            until(lambda: bool(tries()), log)
            until(lambda: bool(jobs.output(number).text), log)
            first.kill()
        assert jobs.get(number).state is JobState.RUNNING
        (data / "go").touch()
        with worker(data, log) as second:
            job = jobs.wait(number, timeout=timedelta(seconds=PATIENCE))
        assert (job.state, job.attempts) == (JobState.DONE, 2)
        assert tries() == [first.pid, second.pid]
        assert job.outcome == f"Done by {second.pid}."
        assert jobs.output(number).text == f"run by {first.pid}\nrun by {second.pid}\n"


def test_a_worker_that_is_told_to_end_puts_its_job_back(data: Path, tmp_path: Path) -> None:
    """SIGTERM ends it with status 0; the next one begins at once, without a lease to wait for."""
    is_put_back(data, tmp_path)


@pytest.mark.postgres
def test_so_does_one_of_a_queue(queued: Path, tmp_path: Path) -> None:
    """Both the row and its task."""
    is_put_back(queued, tmp_path)


def is_put_back(data: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    settings = load_settings(data=data, environ={})
    with repocore.open_registry(settings=settings) as registry:
        jobs = registry.session(registry.admin()).jobs
        number = jobs.submit("patient", {"folder": str(data)}).id
        with worker(data, log) as process:
            until(lambda: jobs.get(number).state is JobState.RUNNING, log)
            process.terminate()
            assert process.wait(PATIENCE) == 0
        job = jobs.get(number)
        assert (job.state, job.attempts) == (JobState.QUEUED, 0)


def test_serve_runs_jobs(data: Path, tmp_path: Path) -> None:
    """Without a worker beside it: its processes have threads for them."""
    are_served(data, tmp_path)


@pytest.mark.postgres
def test_serve_works_for_a_queue(queued: Path, tmp_path: Path) -> None:
    """As the setting says."""
    are_served(queued, tmp_path)


def are_served(data: Path, tmp_path: Path) -> None:
    (data / "go").touch()
    log = tmp_path / "log"
    settings = load_settings(data=data, environ={})
    with repocore.open_registry(settings=settings) as registry:
        jobs = registry.session(registry.admin()).jobs
        number = jobs.submit("patient", {"folder": str(data)}).id
        words = ["serve", "--port", "0", "--workers", "1", "--json", "--data", str(data)]
        with log.open("wb") as stream:
            process = subprocess.Popen(
                [*REPOCORE, *words], env=environment(), stdout=stream, stderr=subprocess.STDOUT
            )
        try:
            job = jobs.wait(number, timeout=timedelta(seconds=PATIENCE))
        finally:
            process.terminate()
            process.wait(PATIENCE)
    assert job.state is JobState.DONE
    assert json.loads(log.read_text(encoding="utf-8"))["addresses"]


KILLS = int(os.environ.get("REPOCORE_QUEUE_KILLS", "3"))


@pytest.mark.postgres
def test_no_job_is_lost_when_workers_are_killed(queued: Path, tmp_path: Path) -> None:
    """At any moment: between the row and the task, too.  REPOCORE_QUEUE_KILLS says how often."""
    log, chance = tmp_path / "log", random.Random(6)
    (queued / "go").touch()
    settings = load_settings(data=queued, environ={})
    with repocore.open_registry(settings=settings) as registry:
        jobs = registry.session(registry.admin()).jobs
        numbers: list[int] = []
        for _ in range(KILLS):
            with worker(queued, log) as process:
                numbers += [jobs.submit("patient", {"folder": str(queued)}).id for _ in range(20)]
                done = chance.randrange(len(numbers) - 20, len(numbers))
                until(lambda: jobs.get(numbers[done]).state.ended, log)  # noqa: B023 - at once
                process.kill()
        with worker(queued, log):
            ended = [jobs.wait(one, timeout=timedelta(seconds=PATIENCE)) for one in numbers]
    assert {job.state for job in ended} == {JobState.DONE}
    assert sum(job.attempts for job in ended) <= len(numbers) + KILLS
    attempts = (queued / "attempts").read_text().split()
    assert len(numbers) <= len(attempts) <= sum(job.attempts for job in ended)
