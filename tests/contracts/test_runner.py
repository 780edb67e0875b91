"""The contract of runners: ours keeps it, and broken ones are found."""

from __future__ import annotations

import contextlib
import inspect
import tempfile
import threading
from datetime import timedelta
from pathlib import Path

import attrs
import pytest

from repocore import JobState, JobTimeoutError, hookimpl, open_registry
from repocore.config import JobSettings, Settings
from repocore.plugins.procrastinate.runner import ProcrastinateRunner
from repocore.plugins.procrastinate.tables import QueueTables
from repocore.plugins.threads import ThreadRunner
from repocore.testing import runner_contract

SOON = JobSettings(interval=timedelta(milliseconds=10))


@contextlib.contextmanager
def installation(url: str, *more: object):
    with tempfile.TemporaryDirectory() as folder:
        chosen = Settings(data=Path(folder), runner=url, jobs=SOON)
        yield lambda plugins: open_registry(settings=chosen, plugins=[*more, *plugins])


TestOneThread = runner_contract(lambda: installation("threads:1"))
TestFourThreads = runner_contract(lambda: installation("threads:4"))


@pytest.mark.postgres
def test_threads_over_postgresql_keep_the_contract(postgres_databases, postgres_tables) -> None:
    """The same, with the rows in PostgreSQL."""

    @contextlib.contextmanager
    def make():
        with (
            postgres_databases.fresh(postgres_tables) as url,
            tempfile.TemporaryDirectory() as folder,
        ):
            chosen = Settings(data=Path(folder), catalog=url, jobs=SOON)
            yield lambda plugins: open_registry(settings=chosen, plugins=plugins)

    run(runner_contract(make))


@pytest.fixture
def queued(postgres_databases, postgres_tables):
    """Installations whose runner is procrastinate, each in a database of its own."""

    @contextlib.contextmanager
    def make(runner: str, *more: object):
        with (
            postgres_databases.fresh(postgres_tables) as url,
            tempfile.TemporaryDirectory() as folder,
        ):
            chosen = Settings(data=Path(folder), catalog=url, runner=runner, jobs=SOON)
            yield lambda plugins: open_registry(settings=chosen, plugins=[*more, *plugins])

    return make


@pytest.mark.postgres
@pytest.mark.parametrize("runner", ["procrastinate:1", "procrastinate:4"])
def test_procrastinate_keeps_the_contract(queued, runner) -> None:
    """Over the tables of its own that it makes in the catalog's database."""
    run(runner_contract(lambda: queued(runner)))


class Deaf(ProcrastinateRunner):
    """Takes over nothing that it is handed."""

    def __init__(self, registry, count):
        super().__init__(registry, count)
        self._handover.take = lambda _number, _task: None


class Stubborn(ProcrastinateRunner):
    """Goes on with what was cancelled."""

    def cancel(self, number):
        """Nobody asks the row, either."""

    def __init__(self, registry, count):
        super().__init__(registry, count)
        self._worker._settings = attrs.evolve(SOON, interval=timedelta(hours=1))


@pytest.mark.postgres
@pytest.mark.parametrize("broken", [Deaf, Stubborn])
def test_a_broken_queue_is_found(queued, broken) -> None:
    """The contract looks at what becomes of jobs, whoever runs them."""

    class Plugin:
        @hookimpl
        def repocore_job_runner(self, registry):
            QueueTables(registry.settings).migrate()
            return broken(registry, 2)

    make = runner_contract(
        lambda: queued("broken:2", Plugin()), patience=timedelta(milliseconds=1500)
    )
    with pytest.raises((AssertionError, JobTimeoutError)):
        run(make)


class Idle(ThreadRunner):
    """Runs nothing."""

    def run(self, until):
        """Return."""


class Hasty(ThreadRunner):
    """Runs before it is told to."""

    def __init__(self, registry, threads):
        super().__init__(registry, threads)
        ready = threading.Event()
        self.early = threading.Thread(target=self.run, args=(ready.is_set,), daemon=True)
        self.early.start()


class Generous(ThreadRunner):
    """Runs each job twice."""

    def __init__(self, registry, threads):
        super().__init__(registry, threads)
        run = self._worker.run

        def twice(claim):
            registry._services.handlers[claim.job.kind].run(None, claim.job.payload, None)
            run(claim)

        self._worker.run = twice


class Fragile(ThreadRunner):
    """Its thread ends with the first job that fails."""

    def __init__(self, registry, threads):
        super().__init__(registry, threads)
        run, jobs = self._worker.run, registry.session(registry.admin()).jobs

        def end(claim):
            run(claim)
            if jobs.get(claim.job.id).state is JobState.FAILED:
                self._stopped.set()

        self._worker.run = end


class Brutal(ThreadRunner):
    """Gives up for good what it has when it is closed."""

    def close(self):
        for number in range(10):
            self._worker.cancel(number)
        super().close()


def run(tests: type) -> None:
    for name, function in inspect.getmembers(tests(), inspect.ismethod):
        if name.startswith("test_"):
            function()


@pytest.mark.parametrize("broken", [Idle, Hasty, Generous, Fragile, Brutal])
def test_a_broken_runner_is_found(broken) -> None:
    """Each breaks one promise, and the contract says so."""

    class Plugin:
        @hookimpl
        def repocore_job_runner(self, registry):
            return broken(registry, 1)

    make = runner_contract(
        lambda: installation("broken", Plugin()), patience=timedelta(milliseconds=1500)
    )
    with pytest.raises((AssertionError, JobTimeoutError)):
        run(make)
