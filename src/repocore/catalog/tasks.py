"""Queries on jobs that another queue runs: each by a task of that queue, in this database.

The row says which task is the job's, and that word alone counts: a task that is not the one that
the row names finds nothing to do.  ``handed`` is the outbox: who queues a job, or changes when it
is to run, unsets it in that transaction, and `hand_over` sets it in the one that makes the task.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, Select, and_, or_, select, text, update

from repocore.catalog import tables
from repocore.catalog.dialects import now
from repocore.catalog.jobs import Claim, claimed, end_dead, silent
from repocore.catalog.rows import job_of
from repocore.catalog.tables.work import UNHANDED
from repocore.catalog.transactions import Transaction
from repocore.model import JobState
from repocore.ports import JobEngine

__all__ = ["hand_over", "mend", "take", "unhanded", "wait"]

_t = tables.jobs

_QUEUED: Final = JobState.QUEUED.value
_RUNNING: Final = JobState.RUNNING.value
#: Rows of one transaction.
_BATCH: Final = 500
#: Microseconds until one asks again whether another job of the same key has ended.
_BUSY: Final = 1_000_000


def unhanded(connection: Connection, lease: int) -> bool:
    """Whether there is something to `hand_over`; a look that locks nothing."""
    return connection.execute(select(_t.c.id).where(_open(lease)).limit(1)).first() is not None


def hand_over(transaction: Transaction, engine: JobEngine, lease: int) -> int:
    """Bring the other queue to what the rows say, a batch of them; returns how many."""
    rows = transaction.execute(
        select(_t)
        .where(_open(lease))
        # The other queue keeps the order in which it was told.
        .order_by(_t.c.priority.desc(), _t.c.run_after, _t.c.id)
        .limit(_BATCH)
        .with_for_update(skip_locked=True)
    ).all()
    connection = _driver(transaction)
    known = {row.task: row.id for row in rows if row.task is not None}
    kept = set(engine.withdraw(connection, known) if known else ())
    wanted = [job_of(row) for row in rows if row.task not in kept and _lives(row)]
    tasks = engine.defer(connection, wanted) if wanted else ()
    made = dict(zip((job.id for job in wanted), tasks, strict=True))
    for row in rows:
        task = row.task if row.task in kept else made.get(row.id)
        mine = _t.c.id == row.id
        transaction.execute(update(_t).where(mine).values(task=task, handed=True))
    return len(rows)


def mend(transaction: Transaction, engine: JobEngine, lease: int) -> int:
    """Look after jobs of which nothing was heard for so long (µs); returns how many have no task
    any more, and are to be handed over again.
    """
    late = and_(_t.c.state == _QUEUED, _t.c.run_after < now() - lease)
    rows = transaction.execute(
        select(_t.c.id, _t.c.task)
        .where(_t.c.task.is_not(None), _t.c.handed, or_(late, silent(lease)))
        .order_by(_t.c.id)
        .limit(_BATCH)
        .with_for_update(skip_locked=True)
    ).all()
    if not rows:
        return 0
    alive = set(engine.revive(_driver(transaction), {row.task: row.id for row in rows}))
    lost = [row.id for row in rows if row.task not in alive]
    transaction.execute(update(_t).where(_t.c.id.in_(lost)).values(handed=False))
    return len(lost)


def wait(connection: Connection, number: int, task: int, lease: int) -> int | None:
    """For how many microseconds a task is to leave its job alone: it is not due, or somebody has
    it.  None where that task has nothing to do with it (any more).
    """
    found = connection.execute(_mine(number, task)).first()
    return None if found is None else max(_left(connection, found, lease), 0)


def take(transaction: Transaction, number: int, task: int, lease: int) -> Claim | int | None:
    """Take a job for the task that is to run it; as `wait` where there is nothing to take."""
    found = transaction.execute(_mine(number, task).with_for_update()).first()
    if found is None:
        return None
    left = _left(transaction.connection, found, lease)
    if left > 0:
        return left
    spent = found.cancelling or found.attempts >= found.max_attempts
    if found.state == _RUNNING and spent:
        end_dead(transaction, found)
        return None
    return claimed(transaction, number, handed=True)


def _mine(number: int, task: int) -> Select[Any]:
    """The row of a job that has not ended, if this is its task, and the moment."""
    mine = and_(_t.c.id == number, _t.c.task == task, _t.c.state.in_((_QUEUED, _RUNNING)))
    return select(_t, now().label("moment")).where(mine)


def _left(connection: Connection, row: Any, lease: int) -> int:
    if row.state == _RUNNING:
        return row.heartbeat_at + lease - row.moment
    left = row.run_after - row.moment
    return _BUSY if left <= 0 and _is_busy(connection, row, lease) else left


def _is_busy(connection: Connection, row: Any, lease: int) -> bool:
    """Whether another of its kind and key runs; one that our own workers have, say."""
    other = and_(_t.c.state == _RUNNING, _t.c.kind == row.kind, _t.c.key == row.key)
    query = select(_t.c.id).where(other, _t.c.id != row.id, ~silent(lease))
    return row.key is not None and connection.execute(query).first() is not None


def _open(lease: int) -> Any:
    """What the other queue is to be told of; not what a worker has that lives."""
    return and_(text(UNHANDED), or_(_t.c.state != _RUNNING, silent(lease)))


def _lives(row: Any) -> bool:
    return not JobState(row.state).ended


def _driver(transaction: Transaction) -> Any:
    return transaction.connection.connection.driver_connection
