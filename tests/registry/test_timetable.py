"""Schedules: one job at each moment, whoever looks, by the database's clock."""

from __future__ import annotations

import time
from datetime import timedelta

import attrs
import pytest
from job_kinds import MOMENT, opened

import repocore
from repocore import ConfigurationError, JobState
from repocore.config import ScheduleSettings


def scheduled(settings, *schedules: ScheduleSettings):
    return attrs.evolve(settings, schedule=schedules)


def test_a_moment_is_one_job_in_the_whole_fleet(settings):
    """Of two processes that look, one queues it; what was missed counts once."""
    often = ScheduleSettings(job="act", every=MOMENT, payload={"deep": True})
    chosen = scheduled(settings, often)
    with opened(chosen) as one, opened(chosen) as other:
        workers = one.registry.worker(["once"]), other.registry.worker(["once"])
        for _ in range(5):
            for worker in workers:
                assert not worker.work()
                time.sleep(0.001)
        (job,) = one.jobs.list()
    assert (job.kind, job.key, job.payload) == ("act", "schedule/act", {"deep": True})
    assert (job.created_by, job.state) == ("system", JobState.QUEUED)


def test_the_first_moment_is_one_period_away(settings):
    """And a restart does not begin a period anew, nor does another process."""
    rare = ScheduleSettings(job="act", every=timedelta(days=1))
    for _ in range(2):
        with opened(scheduled(settings, rare)) as works:
            assert not works.work()
            assert list(works.jobs.list()) == []
    often = ScheduleSettings(job="act", every=MOMENT)
    with opened(scheduled(settings, often)) as works:
        works.registry.worker(["once"]).work()  # notes the new rhythm
        assert works.work()


def test_it_runs_again_and_again(settings):
    """A run that has ended makes room for the next."""
    often = ScheduleSettings(job="act", every=MOMENT)
    with opened(scheduled(settings, often)) as works:
        worker = works.registry.worker()
        while len(works.kinds.ran) < 3:
            worker.work()
        assert len(list(works.jobs.list(state=JobState.DONE))) == 3


def test_schedules_have_names(settings):
    """Two of one kind are two jobs."""
    one = ScheduleSettings(job="act", every=MOMENT, name="one", payload={"n": 1})
    two = ScheduleSettings(job="act", every=MOMENT, name="two", payload={"n": 2})
    with opened(scheduled(settings, one, two)) as works:
        worker = works.registry.worker(["once"])
        while len(list(works.jobs.list())) < 2:
            worker.work()
        assert {job.key for job in works.jobs.list()} == {"schedule/one", "schedule/two"}


def test_a_schedule_of_nothing_is_refused(settings):
    """Before anything is opened, with the place of the mistake."""
    wrong = ScheduleSettings(job="dance", every=timedelta(days=1))
    with pytest.raises(ConfigurationError, match=r"schedule\[0\]\.job: .* kind dance"):
        repocore.open_registry(settings=scheduled(settings, wrong))
