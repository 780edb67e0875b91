"""Work: attempts, retries, cancelling, deaths, and what is told meanwhile."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Iterator
from datetime import timedelta

import pytest
from job_kinds import MOMENT, Crash, Kinds, Works, opened

from repocore import (
    ConfigurationError,
    JobCancelledError,
    JobError,
    JobMissingError,
    JobProgress,
    JobState,
    JobTimeoutError,
    RejectedError,
    StorageError,
)
from repocore.catalog import Catalog

LONG = timedelta(hours=1)


@pytest.fixture
def works(settings) -> Iterator[Works]:
    with opened(settings) as found:
        yield found


def raising(error: BaseException):
    def act(_session, _payload, _progress):
        raise error

    return act


# ----------------------------------------------------------------------------------- attempts


def test_a_job_is_done_in_the_name_of_who_submitted_it(works):
    """It may do everything, and its sentence is kept."""

    def act(session, _payload, _progress):
        session.repositories.create("conan/made")
        return f"by {session.principal.name}"

    works.kinds.act = act
    works.admin.repositories.create("conan/main")
    works.allow("user:ann", "read,write", "conan/main/**")
    works.as_("ann").jobs.submit("write")
    assert works.work()
    job = works.jobs.get(1)
    assert (job.state, job.outcome, job.error, job.attempts) == (JobState.DONE, "by ann", None, 1)
    assert job.created_at <= job.started_at <= job.finished_at


@pytest.mark.parametrize(
    "error", [JobError("It cannot be."), RejectedError("No."), ConfigurationError("Wrong.")]
)
def test_what_another_attempt_would_not_change_fails_at_once(works, error):
    """The error's sentence is kept."""
    works.kinds.act = raising(error)
    job = works.done()
    assert (job.state, job.error, job.attempts) == (JobState.FAILED, error.message, 1)


def test_other_failures_are_tried_again_later(works):
    """Each time twice as late, an hour at most, until there were enough attempts."""
    works.kinds.act = raising(StorageError("The disk is away."))
    with opened(works.registry.settings, works.kinds, backoff=timedelta(minutes=20)) as patient:
        job = patient.done()
        waited = [job.run_after - job.heartbeat_at]
        assert (job.state, job.error) == (JobState.QUEUED, "The disk is away.")
        assert not patient.work()
        patient.jobs.retry(job.id)
        assert patient.work()
        job = patient.jobs.get(job.id)
        waited.append(job.run_after - job.heartbeat_at)
        assert [round(wait / timedelta(minutes=1)) for wait in waited] == [20, 40]
        patient.jobs.retry(job.id)
        assert patient.work()
        job = patient.jobs.get(job.id)
    assert (job.state, job.attempts, job.error) == (JobState.FAILED, 3, "The disk is away.")


def test_the_longest_wait_is_an_hour(works):
    """However often it has failed."""
    works.kinds.act = raising(StorageError())
    with opened(works.registry.settings, works.kinds, backoff=timedelta(days=9)) as patient:
        job = patient.done()
    assert round((job.run_after - job.heartbeat_at) / LONG) == 1


def test_a_kind_may_be_tried_once(works):
    """Its own number of attempts goes before the setting's."""
    works.kinds.act = raising(StorageError())
    assert works.done("once").state is JobState.FAILED


def test_a_stranger_s_exception_is_not_told(works, caplog):
    """Its text may hold a secret: the row names its kind alone, the log has the rest."""
    works.kinds.act = raising(KeyError("hush"))
    with caplog.at_level(logging.ERROR):
        job = works.done("once")
    assert job.error == "It failed unexpectedly (KeyError); the worker's log has the reason."
    assert "hush" in caplog.text


def test_a_job_may_take_too_long(settings):
    """Then its next check raises, and it is tried again as after any failure."""
    kinds = Kinds(timeout=MOMENT)
    kinds.act = lambda _session, _payload, progress: progress.check()
    with opened(settings, kinds) as works:
        job = works.done()
    assert (job.state, job.attempts) == (JobState.QUEUED, 1)
    assert job.error.startswith("The job took longer than")
    assert issubclass(JobTimeoutError, JobError)


def test_a_worker_takes_its_kinds_alone(works):
    """What it was not told to do, and what no plugin here does, waits for others."""
    works.jobs.submit("act")
    works.jobs.submit("once")
    assert works.work(["once"])
    assert not works.work(["once"])
    assert works.jobs.get(1).state is JobState.QUEUED
    with pytest.raises(ConfigurationError, match="nothing"):
        works.registry.worker(["nothing"])


# --------------------------------------------------------------------------------- cancelling


def test_a_running_job_gives_up_at_its_next_check(works):
    """Whoever cancels it, in whichever process."""

    def act(session, _payload, progress):
        progress.check()
        assert works.jobs.cancel(1).cancelling
        progress.check()

    works.kinds.act = act
    job = works.done()
    assert (job.state, job.error, job.cancelling) == (JobState.CANCELLED, None, False)


def test_a_job_that_does_not_check_is_done(works):
    """Cancelling asks, and does not force."""
    works.kinds.act = lambda _session, _payload, _progress: works.jobs.cancel(1) and "all of it"
    assert works.done().outcome == "all of it"


def test_a_cancelled_job_that_fails_is_not_tried_again(works):
    """Nobody wants it any more."""

    def act(*_arguments):
        works.jobs.cancel(1)
        raise StorageError

    works.kinds.act = act
    assert works.done().state is JobState.CANCELLED


def test_a_handler_may_give_up_by_itself(works):
    """As if it had been asked to."""
    works.kinds.act = raising(JobCancelledError())
    assert works.done().state is JobState.CANCELLED


def test_a_stopped_worker_puts_back_what_it_has(works):
    """That was no attempt; another goes on at once."""
    worker = works.registry.worker()

    def act(_session, _payload, progress):
        if len(works.kinds.ran) == 1:
            worker.stop()
        progress.check()

    works.kinds.act = act
    job = works.jobs.submit("act")
    assert worker.work()
    assert not worker.work()
    assert (works.jobs.get(job.id).state, works.jobs.get(job.id).attempts) == (JobState.QUEUED, 0)
    assert works.work()
    assert works.jobs.get(job.id).state is JobState.DONE


# ------------------------------------------------------------------------------------- deaths


def die(works: Works, **more: object) -> int:
    """A worker dies in the middle of a job."""
    act, works.kinds.act = works.kinds.act, raising(Crash())
    job = works.jobs.submit("act", **more)
    with contextlib.suppress(Crash):
        works.work()
    works.kinds.act = act
    return job.id


def test_the_job_of_a_dead_worker_is_done_by_another(works):
    """Once the lease is over, and not before."""
    number = die(works)
    assert works.jobs.get(number).state is JobState.RUNNING
    assert not works.work()
    with opened(works.registry.settings, works.kinds, lease=MOMENT) as other:
        assert other.work()
    job = works.jobs.get(number)
    assert (job.state, job.attempts) == (JobState.DONE, 2)


def test_a_job_that_kills_its_workers_ends(works):
    """After as many attempts as any other failure is given."""
    number = die(works)
    works.kinds.act = raising(Crash())
    with opened(works.registry.settings, works.kinds, lease=MOMENT) as other:
        for _ in range(2):
            with contextlib.suppress(Crash):
                other.work()
        assert not other.work()
    job = works.jobs.get(number)
    assert (job.state, job.attempts) == (JobState.FAILED, 3)
    assert "without a word" in job.error


def test_a_cancelled_job_of_a_dead_worker_ends(works):
    """Nobody begins anew."""
    number = die(works)
    works.jobs.cancel(number)
    with opened(works.registry.settings, works.kinds, lease=MOMENT) as other:
        assert not other.work()
    assert works.jobs.get(number).state is JobState.CANCELLED


def test_who_was_taken_for_dead_changes_nothing(works):
    """It learns that at its next check, and what it has to say is not written."""
    told: list[str] = []

    def act(_session, _payload, progress):
        if len(works.kinds.ran) > 1:
            return "the other"
        with opened(works.registry.settings, works.kinds, lease=MOMENT) as other:
            assert other.work()
        progress.log("too late")
        try:
            progress.check()
        except JobCancelledError as error:
            told.append(str(error))
        return "the dead"

    works.kinds.act = act
    job = works.done()
    assert (job.state, job.outcome, job.attempts) == (JobState.DONE, "the other", 2)
    assert "another has the job" in told[0]
    assert works.jobs.output(job.id).text == ""


def test_a_silent_handler_is_not_taken_for_dead(settings):
    """Its worker gives signs of life, however long it says nothing."""
    beats = threading.Event()
    lease = timedelta(milliseconds=200)

    def act(*_arguments):
        began = works.jobs.get(1).heartbeat_at
        while works.jobs.get(1).heartbeat_at - began < 3 * lease:
            beats.wait(0.02)

    with opened(settings, Kinds(act), lease=lease) as works:
        job = works.done()
    assert (job.state, job.attempts) == (JobState.DONE, 1)


def test_what_was_queued_meanwhile_is_the_next_attempt(works):
    """A job that failed, or was stopped, ends where another of its key is queued."""

    def act(session, _payload, _progress):
        session.jobs.submit("act", {"n": 2}, key="k")
        raise StorageError("The disk is away.")

    works.kinds.act = act
    first = works.done("act", {"n": 1}, key="k")
    assert first.state is JobState.FAILED
    assert first.error == "The disk is away. Job 2, queued meanwhile, goes on."


def test_both_databases_let_several_workers_claim(works):
    """Each job is run once, whoever is quicker."""
    for number in range(40):
        works.jobs.submit("act", {"n": number})
    worker = works.registry.worker()

    def drain():
        while worker.work():
            pass

    threads = [threading.Thread(target=drain) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while worker.work():  # one may have passed by what another was about to take
        pass
    assert sorted(ran["n"] for ran in works.kinds.ran) == list(range(40))


def test_an_end_that_cannot_be_written_is_tried_again(works, monkeypatch):
    """Another of its key may have come in the same moment; in the end the lease decides."""
    write, broken = Catalog.write, []

    def failing(self, work, *rest):
        if works.kinds.ran and len(broken) < 2:
            broken.append(work)
            raise StorageError
        return write(self, work, *rest)

    monkeypatch.setattr(Catalog, "write", failing)
    assert works.done().state is JobState.DONE
    assert len(broken) == 2


# ---------------------------------------------------------------------------- what is reported


def test_progress_is_told_while_it_runs(works):
    """A phase, its steps, and its message; all the same when it has ended."""

    def act(_session, _payload, progress):
        progress.start(10, "Counting")
        progress.advance(3)
        progress.advance()
        progress.check()
        assert works.jobs.get(1).progress == JobProgress(10, 4, "Counting")
        progress.start(None, "Resting")

    works.kinds.act = act
    assert works.done().progress == JobProgress(None, 0, "Resting")


def test_output_is_told_while_it_runs(works):
    """Each line once, from where somebody has stopped reading."""

    def act(_session, _payload, progress):
        progress.log("one")
        progress.check()
        first = works.jobs.output(1)
        assert first.text == "one\n"
        progress.log("two\nthree")
        progress.check()
        assert works.jobs.output(1, after=first.after).text == "two\nthree\n"
        progress.log("last")

    works.kinds.act = act
    job = works.done()
    assert works.jobs.output(job.id).text == "one\ntwo\nthree\nlast\n"
    end = works.jobs.output(job.id).after
    assert works.jobs.output(job.id, after=end).text == ""
    assert works.jobs.output(job.id, after=end).after == end


def test_progress_is_written_once_an_interval(settings, monkeypatch):
    """A handler that reports all the time costs the database little."""
    writes: list[object] = []
    write = Catalog.write

    def counting(self, work, *rest):
        writes.append(work)
        return write(self, work, *rest)

    def act(_session, _payload, progress):
        writes.clear()
        for _ in range(1000):
            progress.advance()
            progress.log("x")
            progress.check()
        assert not writes

    monkeypatch.setattr(Catalog, "write", counting)
    with opened(settings, Kinds(act), interval=LONG) as works:
        job = works.done("once")
        assert (job.state, job.progress.done) == (JobState.DONE, 1000)
        assert works.jobs.output(job.id).text == "x\n" * 1000


@pytest.mark.parametrize("interval", [MOMENT, LONG])
def test_the_newest_output_is_kept(settings, interval):
    """Within the bound that the settings give, whether it comes at once or bit by bit."""

    def act(_session, _payload, progress):
        for number in range(100):
            progress.log(f"line {number:03}")
            progress.check()

    with opened(settings, Kinds(act), interval=interval, output=90) as works:
        text = works.jobs.output(works.done().id).text
    assert text.endswith("line 098\nline 099\n")
    assert 45 <= len(text) <= 90


def test_any_text_can_be_told(works):
    """What a database cannot hold is replaced, what is too long is cut."""

    def act(_session, _payload, progress):
        progress.log("nul \0 and \ud800")
        progress.start(1, "m" * 600)
        return "o" * 600

    works.kinds.act = act
    job = works.done()
    assert works.jobs.output(job.id).text == "nul \ufffd and ?\n"
    assert (len(job.progress.message), len(job.outcome)) == (500, 500)
    assert job.outcome.endswith("…")


def test_a_job_outlives_a_catalog_that_is_away(works, monkeypatch):
    """It goes on, and tells everything when it can."""
    write = Catalog.write

    def act(_session, _payload, progress):
        def away(_self, _work, *_rest):
            raise StorageError

        monkeypatch.setattr(Catalog, "write", away)
        progress.log("kept")
        progress.check()
        monkeypatch.setattr(Catalog, "write", write)

    works.kinds.act = act
    job = works.done()
    assert job.state is JobState.DONE
    assert works.jobs.output(job.id).text == "kept\n"


def test_ended_jobs_are_forgotten_with_their_output(works):
    """After the time that the settings give, by whichever worker looks."""
    works.kinds.act = lambda _session, _payload, progress: progress.log("x")
    old = works.done()
    waiting = works.jobs.submit("act", delay=LONG)
    with opened(works.registry.settings, works.kinds, keep=MOMENT) as other:
        assert not other.work()
    with pytest.raises(JobMissingError):
        works.jobs.get(old.id)
    assert works.jobs.get(waiting.id) == waiting
