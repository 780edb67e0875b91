"""The embedded runner; its contract is in tests/contracts/test_runner.py."""

from __future__ import annotations

import threading
from datetime import timedelta

import attrs
import pytest
from job_kinds import Kinds, opened

import repocore
from repocore import ConfigurationError, JobState, StorageError
from repocore.config import JobSettings, Settings
from repocore.errors import NoPluginForUrlError
from repocore.plugins.threads import ThreadRunner
from repocore.registry import Worker

PATIENCE = timedelta(seconds=60)


@pytest.mark.parametrize("url", ["threads", "threads:", "threads:-1", "threads:x", "threads:257"])
def test_a_number_of_threads_is_wanted(tmp_path, url):
    """Anything else is refused when the registry opens, with an example."""
    with pytest.raises(ConfigurationError, match="threads:4"):
        repocore.open_registry(settings=Settings(data=tmp_path, runner=url))


def test_another_scheme_needs_its_plugin(tmp_path):
    """The sentence names it."""
    with pytest.raises(NoPluginForUrlError, match="by smoke"):
        repocore.open_registry(settings=Settings(data=tmp_path, runner="smoke:signals"))


def test_no_threads_run_no_jobs(tmp_path):
    """They are left to processes of their own."""
    with opened(Settings(data=tmp_path, runner="threads:0")) as works:
        job = works.jobs.submit("act")
        works.registry.run_jobs()
        [thread] = works.registry._background._threads
        thread.join(PATIENCE.total_seconds())
        assert not thread.is_alive()
        assert works.jobs.get(job.id).state is JobState.QUEUED


def test_as_many_run_at_once_as_there_are_threads(tmp_path):
    """Two that wait for each other come to their end."""
    meeting = threading.Barrier(2, timeout=60)
    kinds = Kinds(lambda _session, _payload, _progress: meeting.wait() and None)
    with opened(Settings(data=tmp_path, runner="threads:2"), kinds) as works:
        queued = [works.jobs.submit("act").id for _ in range(2)]
        works.registry.run_jobs()
        works.registry.run_jobs()
        ended = [works.jobs.wait(number, timeout=PATIENCE).state for number in queued]
        assert ended == [JobState.DONE] * 2
        running = [t for t in threading.enumerate() if t.name.startswith("repocore-job-")]
        assert len(running) == 2


def test_a_job_that_is_queued_here_is_not_looked_for_later(tmp_path):
    """Its commit wakes a thread, whatever the interval."""
    long = JobSettings(interval=timedelta(hours=1))
    settings = Settings(data=tmp_path, runner="threads:1", jobs=long)
    kinds = Kinds()
    with repocore.open_registry(settings=settings, plugins=[kinds]) as registry:
        registry.run_jobs()
        jobs = registry.session(registry.admin()).jobs
        assert jobs.wait(jobs.submit("act").id, timeout=PATIENCE).state is JobState.DONE


def test_threads_outlive_a_catalog_that_is_away(tmp_path, monkeypatch):
    """They look again, and what they could not end is left to its lease."""
    claim, failed = Worker.claim, threading.Event()

    def failing(self):
        if not failed.is_set():
            failed.set()
            raise StorageError
        return claim(self)

    monkeypatch.setattr(Worker, "claim", failing)
    with opened(Settings(data=tmp_path, runner="threads:1")) as works:
        works.registry.run_jobs()
        job = works.jobs.submit("act")
        assert works.jobs.wait(job.id, timeout=PATIENCE).state is JobState.DONE
    assert failed.is_set()


def test_some_kinds_alone(tmp_path):
    """What `repocore worker --kind` runs."""
    settings = attrs.evolve(Settings(data=tmp_path), runner="threads:0")
    with opened(settings) as works:
        runner = ThreadRunner(works.registry, 1, ["once"])
        works.jobs.submit("act")
        number = works.jobs.submit("once").id
        runner.run(lambda: works.jobs.get(number).state.ended)
        runner.close()
        assert works.jobs.get(1).state is JobState.QUEUED
