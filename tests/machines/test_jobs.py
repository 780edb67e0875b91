"""The machine over jobs finds nothing in ours, and finds faults that are planted."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import pytest
from hypothesis import Phase, settings
from sqlalchemy import false

from repocore import open_registry
from repocore.catalog import jobs
from repocore.config import Settings
from repocore.testing.machines.jobs import run_jobs_machine

STEPS = 25
EXAMPLES = settings().max_examples // 5  # each opens three registries


def opening(folder: str, **more: str):
    def open_one(plugins, chosen):
        data = Settings(data=Path(folder), runner="threads:0", jobs=chosen, **more)
        return open_registry(settings=data, plugins=plugins)

    return open_one


@contextlib.contextmanager
def on_sqlite():
    with tempfile.TemporaryDirectory() as folder:
        yield opening(folder)


def test_jobs_survive_everything_on_sqlite():
    """Failures, deaths, cancelling and leases that end lose no job and run none too often."""
    run_jobs_machine(on_sqlite, settings(max_examples=EXAMPLES, stateful_step_count=STEPS))


@pytest.mark.postgres
def test_jobs_survive_everything_on_postgresql(postgres_databases, postgres_tables):
    """The same, with the catalog in PostgreSQL."""

    @contextlib.contextmanager
    def installation():
        with (
            postgres_databases.fresh(postgres_tables) as url,
            tempfile.TemporaryDirectory() as folder,
        ):
            yield opening(folder, catalog=url)

    few = settings(max_examples=max(EXAMPLES // 5, 4), stateful_step_count=STEPS)
    run_jobs_machine(installation, few)


def lost(patch: pytest.MonkeyPatch) -> None:
    """Nobody looks for the jobs of the dead."""
    patch.setattr(jobs, "_silent", lambda _wanted: false())


def undead(patch: pytest.MonkeyPatch) -> None:
    """Who has lost a job still ends it."""
    patch.setattr(jobs, "_held", lambda mine: jobs._t.c.id == mine.job.id)


def forgotten(patch: pytest.MonkeyPatch) -> None:
    """Cancelling reaches what is queued, and nothing that runs."""
    real = jobs.cancel

    def cancel(transaction, number):
        if jobs.find(transaction.connection, number).state is jobs.JobState.QUEUED:
            real(transaction, number)

    patch.setattr(jobs, "cancel", cancel)


@pytest.mark.parametrize(
    "fault",
    # The last needs a worker that lives on without its job, which chance takes minutes to find.
    [forgotten, *(pytest.param(fault, marks=pytest.mark.slow) for fault in (lost, undead))],
)
@pytest.mark.usefixtures("any_failure")
def test_planted_fault_is_found(fault, monkeypatch):
    """A catalog that loses, confuses or ignores does not pass."""
    fault(monkeypatch)
    hunt = settings(max_examples=200, stateful_step_count=STEPS, phases=[Phase.generate])
    with pytest.raises((AssertionError, LookupError, ExceptionGroup)):
        run_jobs_machine(on_sqlite, settings(hunt, database=None))
