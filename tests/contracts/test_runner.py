"""The contract of runners: ours keeps it, and broken ones are found."""

from __future__ import annotations

import contextlib
import inspect
import tempfile
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from repocore import JobState, JobTimeoutError, hookimpl, open_registry
from repocore.config import JobSettings, Settings
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


@pytest.mark.postgres
@pytest.mark.parametrize("runner", ["procrastinate:1", "procrastinate:4"])
def test_procrastinate_keeps_the_contract(postgres_databases, postgres_tables, runner) -> None:
    """Over the tables of its own that it makes in the catalog's database."""

    @contextlib.contextmanager
    def make():
        with (
            postgres_databases.fresh(postgres_tables) as url,
            tempfile.TemporaryDirectory() as folder,
        ):
            chosen = Settings(data=Path(folder), catalog=url, runner=runner, jobs=SOON)
            yield lambda plugins: open_registry(settings=chosen, plugins=plugins)

    run(runner_contract(make))


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
