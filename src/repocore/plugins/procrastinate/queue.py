"""Our jobs as tasks in the tables of procrastinate."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

from procrastinate import SyncPsycopgConnector
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job as Task
from procrastinate.manager import JobManager

from repocore.model import Job

__all__ = ["TASK", "Queue", "queue_of"]

#: The one task that there is: run the job of that number.
TASK: Final = "repocore.job"
#: Longer names of queues do not fit into the name of a channel.
_LONGEST: Final = 40

_OPEN: Final = """
SELECT id FROM procrastinate_jobs
WHERE id = ANY(%(tasks)s) AND task_name = %(name)s AND status IN ('todo', 'doing')
  AND (args ->> 'job')::bigint = (%(jobs)s::jsonb ->> id::text)::bigint
"""
#: By the functions that procrastinate itself calls.
_CANCEL: Final = "SELECT procrastinate_cancel_job_v1(id, false, true) FROM unnest(%s::bigint[]) id"
_RETRY: Final = """
SELECT procrastinate_retry_job_v2(id, now(), NULL, NULL, NULL) FROM procrastinate_jobs
WHERE id = ANY(%s) AND status = 'doing'
"""


class Queue:
    """The engine that a `Handover` hands jobs to; every method in the caller's transaction."""

    def __init__(self) -> None:
        # Never opened: it is given a connection each time.
        self._tasks = JobManager(SyncPsycopgConnector())

    def defer(self, connection: Any, jobs: Sequence[Job]) -> Sequence[int]:
        """Queue a task for each job; their numbers."""
        now = datetime.now(UTC)
        with _plain():
            made = self._tasks.batch_defer_jobs([_task(job, now) for job in jobs], connection)
        return [int(task.id or 0) for task in made]

    def withdraw(self, connection: Any, tasks: Mapping[int, int]) -> Collection[int]:
        """Delete what nobody has begun; the rest."""
        found = self._open(connection, tasks)
        connection.execute(_CANCEL, [found])
        return self._open(connection, tasks)

    def revive(self, connection: Any, tasks: Mapping[int, int]) -> Collection[int]:
        """Queue again what somebody has begun, as its job was silent for so long; what there is."""
        found = self._open(connection, tasks)
        connection.execute(_RETRY, [found])
        return found

    def _open(self, connection: Any, tasks: Mapping[int, int]) -> list[int]:
        numbers = {str(task): job for task, job in tasks.items()}
        given = {"tasks": list(tasks), "name": TASK, "jobs": json.dumps(numbers)}
        return [row[0] for row in connection.execute(_OPEN, given).fetchall()]


def queue_of(kind: str) -> str:
    """The queue of a kind of jobs; each has its own, so that a worker asks for those it knows."""
    if len(kind.encode()) <= _LONGEST:
        return kind
    return hashlib.sha256(kind.encode()).hexdigest()[:_LONGEST]


def _task(job: Job, now: datetime) -> Task:
    queue = queue_of(job.kind)
    key = None if job.key is None else hashlib.sha256(job.key.encode()).hexdigest()[:_LONGEST]
    return Task(
        queue=queue,
        priority=job.priority,
        # Of the jobs of a kind and key, one is run at a time, and in the order of their numbers.
        lock=key and f"{queue}/{key}",
        queueing_lock=None,
        task_name=TASK,
        task_kwargs={"job": job.id},
        # Where our clock is fast the task is taken too early, and comes again when it is due.
        scheduled_at=job.run_after if job.run_after > now else None,
    )


@contextmanager
def _plain() -> Generator[None]:
    """Raise what the driver has raised: the catalog knows what that means for the transaction."""
    try:
        yield
    except ConnectorException as error:
        raise error.__cause__ or error from None
