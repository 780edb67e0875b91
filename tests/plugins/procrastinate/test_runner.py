"""procrastinate runs jobs; its contract is in tests/contracts/test_runner.py."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import timedelta

import attrs
import pytest
from job_kinds import Crash, Kinds, Works

import repocore
from repocore import Job, JobState
from repocore.config import ScheduleSettings, Settings
from repocore.plugins.procrastinate import runner as module
from repocore.plugins.procrastinate.runner import ProcrastinateRunner
from repocore.registry import Worker, health

pytestmark = pytest.mark.postgres

PATIENCE = timedelta(seconds=60)
DONE, QUEUED, RUNNING = JobState.DONE, JobState.QUEUED, JobState.RUNNING


@contextmanager
def opened(settings: Settings, kinds: Kinds | None = None) -> Generator[Works]:
    kinds = kinds or Kinds()
    with repocore.open_registry(settings=settings, plugins=[kinds]) as registry:
        yield Works(registry, kinds)


@contextmanager
def running(settings: Settings, kinds: Kinds | None = None) -> Generator[Works]:
    with opened(settings, kinds) as works:
        works.registry.run_jobs()
        yield works


def ended(works: Works, number: int) -> Job:
    return works.jobs.wait(number, timeout=PATIENCE)


def until(true: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE.total_seconds()
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_job_is_run_by_another_process_and_forgotten_by_the_queue(settings, submitting, ask):
    """Who submits runs nothing; the row has the whole story, the queue keeps none."""
    with opened(submitting) as server, running(settings) as worker:
        server.registry.run_jobs()
        number = server.jobs.submit("act", {"n": 1}).id
        job = ended(server, number)
        assert (job.state, job.attempts, job.payload) == (DONE, 1, {"n": 1})
        assert (server.kinds.ran, worker.kinds.ran) == ([], [{"n": 1}])
        until(lambda: ask("SELECT count(*) FROM procrastinate_jobs") == [(0,)])


def test_what_one_sees_of_it_is_the_same(settings):
    """Progress, live output, and cancelling from elsewhere."""

    def act(_session, _payload, progress):
        progress.start(3, "Counting")
        progress.advance(2)
        progress.log("two")
        while True:
            progress.check()
            time.sleep(0.01)

    with running(settings, Kinds(act)), opened(settings) as looker:
        number = looker.jobs.submit("act").id
        until(lambda: looker.jobs.output(number).text)
        job = looker.jobs.get(number)
        assert (job.state, job.progress) == (RUNNING, repocore.JobProgress(3, 2, "Counting"))
        assert looker.jobs.output(number).text == "two\n"
        looker.jobs.cancel(number)
        assert ended(looker, number).state is JobState.CANCELLED


def test_a_failure_is_tried_again_after_its_time(settings):
    """As often as the settings say, by the same task."""
    with running(settings, Kinds(lambda *_: 1 / 0)) as works:
        job = ended(works, works.jobs.submit("act").id)
        assert (job.state, job.attempts) == (JobState.FAILED, 3)
        once = ended(works, works.jobs.submit("once").id)
        assert (once.state, once.attempts) == (JobState.FAILED, 1)


def test_one_that_is_hurried_or_cancelled_while_it_waits(settings, ask):
    """The queue follows."""
    with running(settings) as works:
        late = works.jobs.submit("act", delay=timedelta(hours=1), key="k").id
        until(lambda: ask("SELECT count(*) FROM procrastinate_jobs WHERE queue_name = 'act'")[0][0])
        works.jobs.cancel(late)
        assert ended(works, works.jobs.submit("act", key="k").id).state is DONE
        hurried = works.jobs.submit("act", delay=timedelta(hours=1)).id
        works.jobs.retry(hurried)
        assert ended(works, hurried).state is DONE


def test_the_highest_goes_first_and_one_of_a_key_at_a_time(settings, submitting):
    """The order is that of the rows."""
    at_once, most, lock = [0], [0], threading.Lock()

    def act(_session, payload, _progress):
        with lock:
            at_once[0] += "key" in payload
            most[0] = max(most[0], at_once[0])
        time.sleep(0.02)
        with lock:
            at_once[0] -= "key" in payload

    kinds = Kinds(act)
    with opened(submitting) as server:
        order = [server.jobs.submit("act", {"n": n}, priority=n).id for n in (1, 3, 2)]
        with running(attrs.evolve(settings, runner="procrastinate:1"), kinds) as works:
            assert all(ended(server, number).state is DONE for number in order)
            assert [payload["n"] for payload in kinds.ran] == [3, 2, 1]
        with running(settings, kinds) as works:
            first = works.jobs.submit("act", {"key": 1}, key="k").id
            until(lambda: works.jobs.get(first).state is not QUEUED)
            second = works.jobs.submit("act", {"key": 2}, key="k").id
            assert ended(works, second).state is DONE
            assert most == [1]


def test_schedules_are_kept_once_in_the_fleet(settings):
    """By procrastinate's beat, at moments by the database's clock."""
    rhythm = ScheduleSettings(job="act", every=timedelta(milliseconds=10))
    chosen = attrs.evolve(settings, schedule=(rhythm,))
    with running(chosen) as one, running(chosen) as other:
        until(lambda: one.kinds.ran or other.kinds.ran)
        job = next(iter(one.jobs.list()))
        assert (job.kind, job.key, job.created_by) == ("act", "schedule/act", "system")


def test_the_beat_follows_leases_and_schedules(settings):
    """A second at most often, a minute at least."""
    with opened(settings) as works:
        beats = []
        for lease, every in ((60, None), (1, None), (600, None), (600, 7)):
            rhythm = () if every is None else (timedelta(seconds=every),)
            made = ProcrastinateRunner(works.registry, 1)
            made._settings = attrs.evolve(
                settings,
                jobs=attrs.evolve(settings.jobs, lease=timedelta(seconds=lease)),
                schedule=tuple(ScheduleSettings(job="act", every=one) for one in rhythm),
            )
            beats.append(made._beat())
            made.close()
    assert beats == [30, 1, 59, 7]


def test_a_moved_deployment_loses_nothing(settings, submitting):
    """Neither from threads to the queue, nor back: then after a lease without anybody."""
    threads = attrs.evolve(settings, runner="threads:1")
    with opened(attrs.evolve(settings, runner="threads:0")) as before:
        first = before.jobs.submit("act").id
    with running(settings) as works:
        assert ended(works, first).state is DONE
    with opened(submitting) as server:
        second = server.jobs.submit("act", key="k").id
    with running(threads) as works:
        assert ended(works, second).state is DONE
    with running(settings) as works:
        assert ended(works, works.jobs.submit("act", key="k").id).state is DONE
        assert works.jobs.get(second).attempts == 1


def test_of_two_kinds_of_runners_each_job_is_run_once(settings):
    """While a fleet moves, one by one."""
    kinds = Kinds()
    with (
        running(settings, kinds) as works,
        running(attrs.evolve(settings, runner="threads:2"), kinds),
    ):
        queued = [works.jobs.submit("act", {"n": n}).id for n in range(40)]
        assert {ended(works, number).attempts for number in queued} == {1}
    assert sorted(payload["n"] for payload in kinds.ran) == list(range(40))


def test_some_kinds_alone(settings, submitting):
    """What `repocore worker --kind` runs; an unknown kind is refused."""
    with opened(submitting) as works:
        left = works.jobs.submit("act").id
        taken = works.jobs.submit("once").id
        made = ProcrastinateRunner(works.registry, 1, ["once"])
        assert made.drain() == 1
        made.close()
        assert [works.jobs.get(n).state for n in (left, taken)] == [QUEUED, DONE]
        with pytest.raises(repocore.ConfigurationError, match="dance"):
            ProcrastinateRunner(works.registry, 1, ["dance"])


def test_draining_runs_what_is_due(settings, submitting):
    """Also what those jobs submit, and behind others of their key; not what comes later."""

    def act(session, payload, _progress):
        if payload:
            session.jobs.submit("once", key="k")

    with opened(submitting, Kinds(act)) as works:
        works.jobs.submit("act", {"more": 1})
        works.jobs.submit("act", delay=timedelta(hours=1))
        made = ProcrastinateRunner(works.registry, 2)
        assert (made.drain(), made.drain()) == (2, 0)
        made.close()
        assert works.registry.health().waiting == 0


def test_a_worker_outlives_a_database_that_was_away(settings, ask, monkeypatch):
    """Its connections are ended in the middle of a job; it goes on, and so does the job."""
    monkeypatch.setattr(module, "_PAUSE", 0.05)
    going = threading.Event()

    def act(_session, _payload, progress):
        while not going.wait(0.01):
            progress.check()

    with running(settings, Kinds(act)) as works:
        number = works.jobs.submit("act").id
        until(lambda: works.jobs.get(number).state is RUNNING)
        ask(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )
        going.set()
        assert ended(works, number).state is DONE
        assert ended(works, works.jobs.submit("act").id).state is DONE


def test_what_a_worker_cannot_write_is_left_to_its_lease(settings, monkeypatch):
    """The task comes again, and finds that nobody has the job."""
    run, failed = Worker.run, threading.Event()

    def failing(self, claim):
        if not failed.is_set():
            failed.set()
            raise repocore.StorageError
        return run(self, claim)

    monkeypatch.setattr(Worker, "run", failing)
    with running(settings) as works:
        job = ended(works, works.jobs.submit("act").id)
        assert (job.state, job.attempts) == (DONE, 2)


def test_a_death_between_the_row_and_its_task_costs_a_look(settings, ask):
    """The job has ended; its task comes again, and does nothing."""
    died = threading.Event()

    def die(step):
        if step == "settled" and not died.is_set():
            died.set()
            raise Crash

    with running(settings) as works:
        works.registry.step = die
        job = ended(works, works.jobs.submit("act").id)
        assert (job.state, job.attempts) == (DONE, 1)
        until(died.is_set)
        until(lambda: ask("SELECT 1 FROM procrastinate_jobs WHERE queue_name = 'act'") == [])
        assert len(works.kinds.ran) == 1


def test_a_task_that_the_queue_has_lost_is_made_again(settings, submitting, ask):
    """Whoever emptied its tables: the rows are what counts."""
    with opened(submitting) as server:
        number = server.jobs.submit("act").id
    assert ask("DELETE FROM procrastinate_jobs RETURNING queue_name") == [("act",)]
    with running(settings) as works:
        assert ended(works, number).state is DONE


def test_a_job_that_does_not_end_holds_up_nobody(settings, monkeypatch):
    """Its thread is left behind; its job is another's, once that has been silent for a lease."""
    monkeypatch.setattr(module, "_GRACE", 0.2)
    going = threading.Event()
    stuck = Kinds(lambda *_: going.wait(60) and None)
    with running(settings, stuck) as left:
        number = left.jobs.submit("act").id
        until(lambda: stuck.ran)
        [thread] = [t for t in threading.enumerate() if t.name == f"repocore-job-{number}"]
    try:
        with opened(settings) as works:
            assert works.jobs.get(number).state is RUNNING
    finally:
        going.set()
        # Its signs of life end a moment later.
        for one in (thread, *(t for t in threading.enumerate() if "heartbeat" in t.name)):
            one.join()
        left.registry._services.catalog.close()  # which it has opened again
    with running(settings) as works:
        assert ended(works, number).state is DONE


def test_read_only_runs_nothing(settings):
    """It waits until it is told to end."""
    with opened(settings) as works:
        works.registry.session(works.registry.admin()).jobs.submit("act", delay=timedelta(0))
    with running(attrs.evolve(settings, read_only=True)) as works:
        assert ProcrastinateRunner(works.registry, 1).drain() == 0
        time.sleep(0.2)
        assert works.kinds.ran == []
        assert all(thread.is_alive() for thread in works.registry._background._threads)


def test_the_numbers_tell_the_truth(settings, submitting, monkeypatch):
    """Of what waits and what runs, wherever it was handed over."""
    monkeypatch.setattr(health, "_GOOD", 0.0)
    going = threading.Event()
    kinds = Kinds(lambda *_: going.wait(60) and None)
    with opened(submitting, kinds) as server:
        numbers = [server.jobs.submit("act").id for _ in range(3)]
        assert server.registry.health().waiting == 3
        with running(settings, kinds) as works:
            until(lambda: works.registry.health().waiting == 1)
            backlog = server.admin.statistics.backlog()
            assert backlog.jobs == {QUEUED: 1, RUNNING: 2}
            assert server.registry.health().ok
            going.set()
            assert all(ended(works, number).state is DONE for number in numbers)
        assert server.registry.health().waiting == 0


def test_behind_a_pooler_it_looks_instead_of_listening(settings, ask):
    """With a connection that is its own for a transaction only."""
    pooled = attrs.evolve(settings.postgres, transaction_pooling=True)
    listening = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND query LIKE 'LISTEN%'"
    )
    for chosen, count in ((settings, 1), (attrs.evolve(settings, postgres=pooled), 0)):
        with running(chosen) as works:
            assert ended(works, works.jobs.submit("act").id).state is DONE
            assert ask(listening) == [(count,)]
