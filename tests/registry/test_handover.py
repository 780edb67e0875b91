"""Jobs that another queue runs: handed over once, taken by their task, and never lost."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import attrs
import pytest
from dict_engine import DictEngine
from job_kinds import Crash, Kinds, Works, opened

import repocore
from repocore import Job, JobError, JobState, ReadOnlyError
from repocore.config import ScheduleSettings
from repocore.registry import Claim, Handover, Worker
from repocore.registry.services import Services

HOUR = timedelta(hours=1)
DONE, FAILED, QUEUED = JobState.DONE, JobState.FAILED, JobState.QUEUED


@attrs.define
class Queue:
    """A registry, an engine, and what stands between them."""

    works: Works
    engine: DictEngine
    worker: Worker
    handover: Handover

    @classmethod
    def of(cls, works: Works, engine: DictEngine | None = None) -> Queue:
        engine, worker = engine or DictEngine(), works.registry.worker()
        return cls(works, engine, worker, worker.handover(engine))

    def handed(self, **more: Any) -> tuple[int, int]:
        """A job and its task."""
        number = self.works.jobs.submit("act", **more).id
        self.handover.flush()
        return number, self.engine.task_of(number)

    def job(self, number: int) -> Job:
        return self.works.jobs.get(number)

    def run(self, number: int, task: int) -> Job:
        claim = self.handover.take(number, task)
        assert isinstance(claim, Claim)
        self.worker.run(claim)
        return self.job(number)


@pytest.fixture
def queue(settings) -> Iterator[Queue]:
    """Nobody is dead before an hour has passed."""
    with opened(settings, lease=HOUR) as works:
        queue = Queue.of(works)
        yield queue
        queue.handover.close()


@pytest.fixture
def dying(settings) -> Iterator[Queue]:
    """Whoever claims is dead at once."""
    with opened(settings, lease=timedelta(microseconds=1), attempts=2) as works:
        queue = Queue.of(works)
        yield queue
        queue.handover.close()


def die(queue: Queue, number: int, task: int) -> None:
    """A worker takes the job, and is gone."""

    def crash(*_arguments: Any) -> None:
        raise Crash

    queue.works.kinds.act = crash
    with pytest.raises(Crash):
        queue.run(number, task)
    queue.works.kinds.act = lambda *_: None


# ---------------------------------------------------------------------------------- handing over


def test_a_job_is_handed_over_once(queue) -> None:
    """Whoever looks, and however often."""
    number, task = queue.handed()
    other = Queue.of(queue.works, queue.engine)
    for one in (queue, other, queue):
        one.handover.flush()
    assert queue.engine.tasks == {task: number}
    assert queue.run(number, task).state is DONE


def test_what_the_engine_could_not_do_was_not_noted(queue, caplog) -> None:
    """It is done at the next time, once."""
    queue.engine.failure = RuntimeError("the queue is full")
    number = queue.works.jobs.submit("act").id
    queue.handover.flush()
    assert "trying again later" in caplog.text
    assert queue.engine.tasks == {}
    queue.engine.failure = None
    queue.handover.flush()
    queue.handover.flush()
    assert list(queue.engine.tasks.values()) == [number]


def test_a_process_that_dies_behind_the_commit_has_handed_over(settings) -> None:
    """The next one finds nothing to do."""
    with opened(settings) as works:
        queue = Queue.of(works)
        works.registry.step = lambda step: (_ for _ in ()).throw(Crash(step))
        works.jobs.submit("act")
        with pytest.raises(Crash, match="handed over"):
            queue.handover.flush()
        works.registry.step = lambda _step: None
        queue.handover.flush()
        assert len(queue.engine.tasks) == 1


def test_the_highest_are_handed_over_first(queue) -> None:
    """The other queue keeps the order in which it was told."""
    numbers = [queue.works.jobs.submit("act", priority=n).id for n in (0, 5, 2)]
    queue.handover.flush()
    assert list(queue.engine.tasks.values()) == [numbers[1], numbers[2], numbers[0]]


def test_it_is_handed_over_by_itself(queue) -> None:
    """A thread does it every interval, when it is woken, and at the end."""
    queue.works.jobs.submit("act")
    queue.handover.start()
    while not queue.engine.tasks:
        time.sleep(0.001)
    number = queue.works.jobs.submit("act").id
    queue.handover.wake()
    queue.handover.close()
    assert list(queue.engine.tasks.values()) == [number - 1, number]


def test_nothing_is_handed_over_while_nothing_may_change(settings) -> None:
    """Read-only is read-only."""
    with opened(settings) as works:
        works.jobs.submit("act")
    with opened(attrs.evolve(settings, read_only=True)) as works:
        queue = Queue.of(works)
        queue.handover.flush()
        assert queue.engine.tasks == {}
        with pytest.raises(ReadOnlyError):
            works.jobs.submit("act")


# ------------------------------------------------------------------------------ who may run it


def test_the_embedded_runner_leaves_it_alone(queue) -> None:
    """What was handed over, as long as somebody works for the other queue; the rest it takes."""
    number, task = queue.handed()
    own = queue.works.jobs.submit("act").id
    with queue.handover.present():
        assert queue.works.work()
        assert not queue.works.work()
        assert [queue.job(n).state for n in (number, own)] == [QUEUED, DONE]
    assert queue.run(number, task).state is DONE


def test_a_queue_that_nobody_works_for_loses_its_jobs(queue) -> None:
    """As when a deployment has moved back: they are run, and their tasks find nothing to do."""
    number, task = queue.handed()
    assert queue.works.work()
    assert queue.job(number).state is DONE
    assert queue.handover.take(number, task) is None
    queue.handover.flush()
    assert queue.engine.tasks == {}


def test_what_was_put_back_by_a_thread_is_handed_over_anew(queue) -> None:
    """And the task from before is no more."""
    number, task = queue.handed()
    queue.works.kinds.act = lambda *_: 1 / 0
    assert queue.works.work()
    queue.handover.flush()
    assert queue.engine.task_of(number) != task


def test_a_task_that_is_not_the_jobs_does_nothing(queue) -> None:
    """Nor does one of a job that has ended, or is forgotten."""
    number, task = queue.handed()
    assert queue.handover.take(number, task + 1) is None
    assert queue.handover.take(number + 1, task) is None
    queue.run(number, task)
    assert queue.handover.take(number, task) is None
    assert queue.handover.wait(number, task) is None


def test_a_job_that_somebody_has_is_left_to_them(queue) -> None:
    """For as long as they give signs of life."""
    number, task = queue.handed()
    assert isinstance(queue.handover.take(number, task), Claim)
    left = queue.handover.take(number, task)
    assert isinstance(left, timedelta)
    assert timedelta(minutes=59) < left <= HOUR


def test_a_task_comes_when_its_job_is_due(queue) -> None:
    """One that comes too early is told how long to wait; a failure is tried after its time."""
    number, task = queue.handed(delay=timedelta(minutes=10))
    left = queue.handover.take(number, task)
    assert timedelta(minutes=9) < left <= timedelta(minutes=10)
    other, its = queue.handed()
    queue.works.kinds.act = lambda *_: 1 / 0
    assert queue.run(other, its).state is QUEUED
    assert timedelta(minutes=59) < queue.handover.wait(other, its) <= HOUR


def test_a_handler_is_tried_so_often(settings) -> None:
    """The row counts, not the queue; what is final ends at once."""

    def fail(_session, payload, _progress):
        raise JobError("It cannot be.") if payload else RuntimeError

    with opened(settings, Kinds(fail), backoff=timedelta(microseconds=1)) as works:
        queue = Queue.of(works)
        number, task = queue.handed()
        assert [queue.run(number, task).state for _ in range(3)] == [QUEUED, QUEUED, FAILED]
        number, task = queue.handed(payload={"final": True})
        assert queue.run(number, task).state is FAILED


def test_of_a_key_one_runs(queue) -> None:
    """Also where the one that runs was taken by a thread."""
    first = queue.works.jobs.submit("act", key="k").id
    assert isinstance(queue.worker.claim(), Claim)
    second, task = queue.handed(key="k")
    assert first != second
    assert isinstance(queue.handover.take(second, task), timedelta)


# ------------------------------------------------------------------------------------- the dead


def test_the_job_of_a_dead_worker_is_taken_again(dying) -> None:
    """By its task, as often as it may; one that has killed enough ends."""
    number, task = dying.handed()
    die(dying, number, task)
    assert dying.run(number, task).attempts == 2
    number, task = dying.handed()
    die(dying, number, task)
    die(dying, number, task)
    assert dying.handover.take(number, task) is None
    assert dying.job(number).state is FAILED


def test_a_cancelled_job_of_a_dead_worker_ends(dying) -> None:
    """Nobody begins it again."""
    number, task = dying.handed()
    die(dying, number, task)
    assert dying.works.jobs.cancel(number).cancelling
    assert dying.handover.take(number, task) is None
    assert dying.job(number).state is JobState.CANCELLED


def test_the_job_of_a_dead_thread_is_handed_over(dying) -> None:
    """As when a deployment has moved while one ran."""
    number = dying.works.jobs.submit("act").id
    dying.worker.claim()
    dying.handover.flush()
    assert dying.run(number, dying.engine.task_of(number)).attempts == 2


def test_a_job_whose_task_is_lost_gets_another(dying) -> None:
    """As in a database that was restored or copied; those that have theirs keep it."""
    lost, its = dying.handed()
    kept, task = dying.handed()
    dying.engine.begun.add(task)
    del dying.engine.tasks[its]
    dying.engine.tasks[its] = 999  # a number that is another job's now
    dying.handover.tend()
    dying.handover.flush()
    assert dying.engine.task_of(kept) == task
    assert task not in dying.engine.begun
    assert dying.engine.task_of(lost) not in {its, task}
    assert dying.engine.tasks[its] == 999


def test_schedules_are_kept(settings) -> None:
    """By whoever tends."""
    often = ScheduleSettings(job="act", every=timedelta(microseconds=1))
    with opened(attrs.evolve(settings, schedule=(often,))) as works:
        queue = Queue.of(works)
        while not queue.engine.tasks:
            queue.handover.tend()
            queue.handover.flush()
        queue.handover.close()
        assert works.jobs.get(1).key == "schedule/act"


# ---------------------------------------------------------------------------------- people


def test_one_that_is_asked_for_again_keeps_its_place(queue) -> None:
    """Unless it is to go sooner, or before others."""
    number, task = queue.handed(key="k")
    for more in ({}, {"delay": HOUR}, {"priority": -1}):
        assert queue.handed(key="k", **more) == (number, task)
    _, higher = queue.handed(key="k", priority=3)
    assert higher != task
    late, its = queue.handed(key="late", delay=HOUR)
    assert queue.handed(key="late")[0] == late
    assert queue.engine.task_of(late) != its


def test_one_that_is_hurried_is_handed_over_anew(queue) -> None:
    """The task that was to come later is no more."""
    number, task = queue.handed(delay=HOUR)
    queue.works.jobs.retry(number)
    queue.handover.flush()
    assert queue.engine.task_of(number) != task
    assert queue.run(number, queue.engine.task_of(number)).state is DONE


def test_a_task_that_has_begun_keeps_its_job(queue) -> None:
    """What changed comes too late for it, and there is no second one."""
    number, task = queue.handed(key="k", delay=timedelta(microseconds=1))
    queue.engine.begun.add(task)
    assert queue.handed(key="k", priority=9) == (number, task)
    assert queue.run(number, task).state is DONE


def test_a_cancelled_job_is_withdrawn(queue) -> None:
    """It holds up no other of its key."""
    number, task = queue.handed(key="k", delay=HOUR)
    assert queue.works.jobs.cancel(number).state is JobState.CANCELLED
    queue.handover.flush()
    assert queue.engine.tasks == {}
    assert queue.handover.take(number, task) is None


def test_until_there_is_a_runner_nobody_runs() -> None:
    """A registry that is just being opened."""
    assert attrs.fields(Services).runner.default.factory().drain() == 0


def test_a_plugin_may_bring_tables(tmp_path) -> None:
    """The hook is asked by whoever tries settings, or migrates."""

    class Plugin:
        @repocore.hookimpl
        def repocore_tables(self, settings):
            return settings.data

    with repocore.open_registry(data=tmp_path, plugins=[Plugin()]) as registry:
        assert tmp_path in registry.plugins.hook.repocore_tables(settings=registry.settings)
