"""The room of jobs: ``session.jobs`` — submit, get, list, wait, cancel, output."""

from __future__ import annotations

import builtins
import json
import logging
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Final

from repocore.catalog import Transaction, job_output, jobs
from repocore.catalog.jobs import NewJob
from repocore.catalog.rows import canonical, micros_of
from repocore.errors import ConflictError, JobMissingError, JobTimeoutError, RejectedError
from repocore.model import (
    Action,
    Job,
    JobCancelled,
    JobOutput,
    JobState,
    JobSubmitted,
    Payload,
    Resource,
)
from repocore.registry.context import Context
from repocore.registry.queueing import queue_job
from repocore.registry.services import SYSTEM

__all__ = ["Jobs"]

_log = logging.getLogger(__name__)

#: Bytes of a payload, and characters of a key.
_PAYLOAD: Final = 64 << 10
_KEY: Final = 500
_PRIORITY: Final = 1000
#: Seconds between two looks at a job that is waited for, at most.
_PATIENCE: Final = 0.5


class Jobs:
    """Background work: durable, told of while it goes on, and ended when somebody asks.

    What a kind of job needs is its own to say; those that ship need ADMIN of the site.  A job is
    seen and cancelled by whoever submitted it, and by those who have ADMIN; a token that is
    narrower than its account also has to allow what the kind needs.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    def kinds(self) -> Mapping[str, str]:
        """Every kind that a plugin brings, and a line on what it does."""
        handlers = self._context.services.handlers
        return {name: handlers[name].summary for name in sorted(handlers)}

    def submit(
        self,
        kind: str,
        payload: Payload | None = None,
        *,
        key: str | None = None,
        priority: int = 0,
        delay: timedelta = timedelta(0),
    ) -> Job:
        """Queue a job; returns at once, and the job is durable then.

        With a ``key``, one of that kind and key that is queued already is the answer, and its
        payload stands; while one is running, another is queued behind it.  Raises `RejectedError`
        for an unknown kind or a payload that is not JSON, `ConflictError` where the queued job of
        that key is about something that the principal may not do, `NotAuthenticatedError` and
        `AccessDeniedError`.
        """
        self._context.enter()
        given = _checked(payload, key, priority)
        self._require(kind, given)
        services = self._context.services
        new = NewJob(
            kind=kind,
            payload=given,
            by=self._context.by,
            key=key,
            priority=priority,
            delay=micros_of(delay),
        )

        def work(transaction: Transaction) -> Job:
            job = queue_job(services, transaction, new)
            if job.payload != given and not self._allowed(job):
                message = "Another job of that key is queued; choose another key."
                raise ConflictError(message)
            return job

        # What leads from a request to its job: the row does not know the request.
        with services.tracing.span("job submit") as span:
            job = self._context.write(work)
            span.set("repocore.job.id", job.id)
        _log.info("job %s (%s) is queued", job.id, job.kind)
        services.runner.wake()
        return job

    def get(self, number: int) -> Job:
        """A job as it is now.

        Raises `JobMissingError`, also for those of others.
        """
        self._context.enter()
        return self._seen(number)

    def list(
        self,
        *,
        state: JobState | None = None,
        kind: str | None = None,
        before: int | None = None,
        limit: int | None = None,
    ) -> Iterator[Job]:
        """The jobs that the principal may see, the newest first; ``before`` is a number."""
        self._context.enter()
        page = self._context.services.settings.limits.page
        left = limit
        while left is None or left > 0:
            found = self._page(state, kind, before, page)
            for job in found:
                if self._mine(job) and (left is None or left > 0):
                    left = None if left is None else left - 1
                    yield job
            if len(found) < page:
                return
            before = found[-1].id

    def _page(
        self, state: JobState | None, kind: str | None, before: int | None, page: int
    ) -> builtins.list[Job]:
        by = None if self._administers() else self._context.by
        with self._context.services.catalog.snapshot() as connection:
            return jobs.page(connection, by=by, state=state, kind=kind, before=before, limit=page)

    def wait(self, number: int, *, timeout: timedelta | None = None) -> Job:
        """The job once it has ended, in whichever state.

        Raises `JobTimeoutError` where that takes longer, and `JobMissingError`.
        """
        until = None if timeout is None else time.monotonic() + timeout.total_seconds()
        pause = 0.01
        while True:
            job = self.get(number)
            if job.state.ended:
                return job
            if until is not None and time.monotonic() >= until:
                message = f"Job {number} is still {job.state.value}; wait longer, or cancel it."
                raise JobTimeoutError(message)
            time.sleep(pause)
            pause = min(pause * 2, _PATIENCE)

    def cancel(self, number: int) -> Job:
        """End a queued job, and have a running one give up at its next check; idempotent.

        Returns the job as it is now.  Raises `JobMissingError`.
        """
        job = self.get(number)
        event = JobCancelled(job=number, kind=job.kind, by=self._context.by)

        def work(transaction: Transaction) -> None:
            if jobs.cancel(transaction, number):
                transaction.emit(event)

        self._context.write(work)
        self._context.services.runner.cancel(number)
        return self.get(number)

    def retry(self, number: int) -> Job:
        """Do it again: a job that has ended is queued anew under a number of its own, one that
        waits for its time starts now; nothing happens to one that runs.

        Returns the job that will do it.  Raises `JobMissingError`, and as `submit`.
        """
        job = self.get(number)
        if job.state.ended:
            return self.submit(job.kind, job.payload, key=job.key, priority=job.priority)
        services = self._context.services
        event = JobSubmitted(job=number, kind=job.kind, by=self._context.by)

        def work(transaction: Transaction) -> None:
            if jobs.hurry(transaction, number):
                transaction.emit(event)

        self._context.write(work)
        services.runner.wake()
        return self.get(number)

    def output(self, number: int, *, after: int = 0) -> JobOutput:
        """What a job has written after a position; from 0 it is all that is kept.

        Ask again with the answer's ``after`` for what is written later.  Raises `JobMissingError`.
        """
        self.get(number)
        with self._context.services.catalog.snapshot() as connection:
            text, last = job_output.read(connection, number, after)
        return JobOutput(text=text, after=last)

    # ---------------------------------------------------------------------------- permissions

    def _require(self, kind: str, payload: Payload) -> None:
        handler = self._context.services.handlers.get(kind)
        if handler is None:
            known = ", ".join(self.kinds())
            message = f"There are no jobs of that kind; there are {known}."
            raise RejectedError(message)
        self._context.require(*handler.needs(payload))

    def _seen(self, number: int) -> Job:
        with self._context.services.catalog.snapshot() as connection:
            job = jobs.find(connection, number)
        if job is None or not self._mine(job):
            raise JobMissingError
        return job

    def _administers(self) -> bool:
        return self._context.allowed(Action.ADMIN, Resource())

    def _mine(self, job: Job) -> bool:
        if self._administers():
            return True
        principal = self._context.principal
        if principal.anonymous or job.created_by in {SYSTEM.name, "anonymous"}:
            return False
        return job.created_by == principal.name and (principal.scope is None or self._allowed(job))

    def _allowed(self, job: Job) -> bool:
        handler = self._context.services.handlers.get(job.kind)
        return handler is not None and self._context.allowed(*handler.needs(job.payload))


def _checked(payload: Payload | None, key: str | None, priority: int) -> dict[str, Any]:
    message = f"A job's payload is an object of JSON of at most {_PAYLOAD} bytes."
    given = dict(payload or {})
    try:
        json.dumps(given, allow_nan=False)
        text = canonical(given)
    except (TypeError, ValueError, RecursionError) as error:
        raise RejectedError(message) from error
    if len(text) > _PAYLOAD:
        raise RejectedError(message)
    if key is not None and not (0 < len(key) <= _KEY and key.isprintable()):
        message = f"A job's key is a line of at most {_KEY} characters."
        raise RejectedError(message)
    if abs(priority) > _PRIORITY:
        message = f"A job's priority is between -{_PRIORITY} and {_PRIORITY}."
        raise RejectedError(message)
    return json.loads(text)
