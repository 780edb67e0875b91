"""Work: claim a job, run its handler, write how it goes, end it.

Every runner uses a `Worker`.  A process that dies in the middle leaves a running row without a
heartbeat, which the next worker that looks takes over once the lease is over: a death delays, and
loses nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

import attrs

from repocore.catalog import Transaction, jobs
from repocore.catalog.jobs import Claim, Wanted
from repocore.catalog.rows import micros_of
from repocore.errors import (
    AccessError,
    ConfigurationError,
    JobCancelledError,
    JobError,
    JobTimeoutError,
    RejectedError,
    RepocoreError,
    StorageError,
)
from repocore.logs import noted
from repocore.model import JobState, Principal
from repocore.ports import JobEngine, Span, SpanKind
from repocore.registry.handover import Handover
from repocore.registry.reporting import Halt, Reporting, legible
from repocore.registry.services import Services
from repocore.registry.timetable import Timetable

__all__ = ["Claim", "Worker"]

_log = logging.getLogger(__name__)

_LONGEST: Final = timedelta(hours=1)
_SENTENCE: Final = 500
_TRIES: Final = 3
#: Seconds between two looks at what is running, at least.
_PULSE: Final = 0.05
#: Another attempt would come to the same.
_FINAL: Final = (JobError, RejectedError, AccessError, ConfigurationError)


@attrs.frozen(kw_only=True)
class _End:
    """How an attempt ended; without a state the job is queued again."""

    state: JobState | None
    outcome: str | None = None
    error: str | None = None
    delay: timedelta = timedelta(0)
    #: Whether it was an attempt at all.
    counted: bool = True


class Worker:
    """Runs jobs in this process, for as many threads as call it; made by `Registry.worker`."""

    def __init__(
        self,
        services: Services,
        act: Callable[[Principal], Any],
        kinds: Iterable[str] | None = None,
    ) -> None:
        chosen = frozenset(services.handlers if kinds is None else kinds)
        unknown = sorted(chosen - services.handlers.keys())
        if unknown:
            known = ", ".join(sorted(services.handlers))
            message = f"There are no jobs of the kind {unknown[0]}; there are {known}."
            raise ConfigurationError(message)
        self._services = services
        self._act = act
        self._settings = services.settings.jobs
        self._wanted = Wanted(kinds=chosen, lease=micros_of(self._settings.lease))
        self._timetable = Timetable(services)
        self._running: set[Reporting] = set()
        self._lock = threading.Lock()
        self._stopping = False

    def work(self) -> bool:
        """`claim` a job and `run` it; False where there was none.  Raises `StorageError`."""
        claim = self.claim()
        if claim is not None:
            self.run(claim)
        return claim is not None

    def handover(self, engine: JobEngine) -> Handover:
        """What a runner needs whose jobs another queue runs, in the database of the catalog."""
        return Handover(self._services, engine)

    def run(self, claim: Claim) -> bool:
        """Run a claimed job to the end of this attempt; whether that was the job's.

        What the job raises is written down, and not raised.  Raises `StorageError`, and then
        somebody else will run it.
        """
        job = claim.job
        about = {"repocore.job.id": job.id, "repocore.job.attempt": job.attempts}
        tracing = self._services.tracing
        with tracing.span(f"job {job.kind}", about, SpanKind.CONSUMER, root=True) as span:
            trace = {"trace_id": span.trace_id} if span.trace_id else {}
            with noted(job_id=job.id, job_kind=job.kind, **trace):
                return self._run(claim, span)

    def _run(self, claim: Claim, span: Span) -> bool:
        began = time.monotonic()
        self._services.step("claimed")
        handler = self._services.handlers[claim.job.kind]
        report = Reporting(self._services.catalog, claim, self._settings, handler.timeout)
        with self._alive(report):
            end = self._attempt(report)
        self._services.step("worked")
        settled = self._settle(report, end)
        state = "queued" if end.state is None else end.state.value
        span.set("repocore.job.state", state)
        if end.error is not None:
            span.fail("JobError")
        _log.info("the job is %s after %.3f s", state, time.monotonic() - began)
        return settled and end.state is not None

    def cancel(self, number: int) -> None:
        """Have a job give up at its next check, if it runs here."""
        with self._lock:
            for report in self._running:
                if report.claim.job.id == number:
                    report.halt(Halt.CANCELLED)

    def stop(self) -> None:
        """Claim nothing more, and put back what runs at its next check; idempotent."""
        with self._lock:
            self._stopping = True
            for report in self._running:
                report.halt(Halt.STOPPED)

    def claim(self) -> Claim | None:
        """Take a job that is due, also one of a dead worker; None where there is none.

        Also queues what the schedules want.  Raises `StorageError`.
        """
        if self._stopping or self._services.settings.read_only or self._services.following:
            return None
        self._timetable.tick()
        catalog = self._services.catalog
        with catalog.snapshot() as connection:
            if not jobs.due(connection, self._wanted):
                return None
        claim = catalog.write(lambda transaction: jobs.claim(transaction, self._wanted))
        self._services.wake()  # some may have been ended
        return claim

    # ----------------------------------------------------------------------------- the heartbeat

    @contextmanager
    def _alive(self, report: Reporting) -> Generator[None]:
        with self._lock:
            if self._stopping:
                report.halt(Halt.STOPPED)
            first = not self._running
            self._running.add(report)
        if first:
            threading.Thread(target=self._beat, name="repocore-heartbeat", daemon=True).start()
        try:
            yield
        finally:
            with self._lock:
                self._running.discard(report)

    def _beat(self) -> None:
        """Give signs of life for handlers that are silent, while there are any."""
        lease, interval = self._settings.lease.total_seconds(), self._settings.interval
        pause = max(min(interval.total_seconds(), lease / 4), _PULSE)
        while True:
            time.sleep(pause)
            with self._lock:
                running = tuple(self._running)
            if not running:
                return
            for report in running:
                job = report.claim.job
                with noted(job_id=job.id, job_kind=job.kind):
                    report.pulse()

    # --------------------------------------------------------------------------------- attempts

    def _attempt(self, report: Reporting) -> _End:
        job = report.claim.job
        try:
            session = self._act(Principal(name=job.created_by, via="job", trusted=True))
            told = self._services.handlers[job.kind].run(session, job.payload, report)
        except Exception as error:  # noqa: BLE001 - whatever a handler raises is the job's end
            return self._judged(report, error)
        return _End(state=JobState.DONE, outcome=told and legible(told, _SENTENCE))

    def _judged(self, report: Reporting, error: Exception) -> _End:
        job = report.claim.job
        sentence = _sentence(error)
        if isinstance(error, JobCancelledError):
            if report.halted is Halt.STOPPED:
                return _End(state=None, counted=False)
            return _End(state=JobState.CANCELLED)
        if not isinstance(error, RepocoreError):
            _log.error("job %s (%s) failed", job.id, job.kind, exc_info=error)
        final = isinstance(error, _FINAL) and not isinstance(error, JobTimeoutError)
        if final or job.attempts >= job.max_attempts:
            return _End(state=JobState.FAILED, error=sentence)
        delay = min(self._settings.backoff * 2 ** min(job.attempts - 1, 30), _LONGEST)
        return _End(state=None, error=sentence, delay=delay)

    def _settle(self, report: Reporting, end: _End) -> bool:
        """Write how it ended; False where another worker has the job."""
        text = report.take()

        def work(transaction: Transaction) -> bool:
            if not report.write(transaction, text):
                return False
            return _write(transaction, report.claim, end)

        settled = False
        for attempt in range(1, _TRIES + 1):
            try:
                settled = self._services.catalog.write(work)
                break
            except StorageError:
                # Another of its key may have been queued at the same moment; else the row is
                # left without a heartbeat, and somebody will begin anew.
                if attempt == _TRIES:
                    raise
        if not settled:
            _log.warning("job %s was taken over by another worker", report.claim.job.id)
        self._services.step("settled")
        self._services.wake()
        return settled


def _write(transaction: Transaction, claim: Claim, end: _End) -> bool:
    if end.state is None:
        delay = micros_of(end.delay)
        return jobs.put_back(transaction, claim, delay=delay, error=end.error, counted=end.counted)
    return jobs.finish(transaction, claim, end.state, outcome=end.outcome, error=end.error)


def _sentence(error: Exception) -> str:
    """What people are told; the text of what is not ours may hold anything."""
    if isinstance(error, RepocoreError):
        return legible(error.message, _SENTENCE)
    return f"It failed unexpectedly ({type(error).__name__}); the worker's log has the reason."
