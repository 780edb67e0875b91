"""Queries on jobs: how they are queued, claimed, kept alive and ended.

A job is its row.  A worker claims it by an UPDATE that gives it a new ``worker``, and every later
write of that worker asks for this value: one that was taken for dead and lives on changes nothing.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from typing import Any, Final

import attrs
from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    and_,
    case,
    delete,
    exists,
    false,
    or_,
    select,
    update,
)

from repocore.catalog import job_output, leases, tables
from repocore.catalog.dialects import now
from repocore.catalog.rows import canonical, job_of
from repocore.catalog.transactions import Transaction
from repocore.model import Job, JobFinished, JobProgress, JobState, JobSubmitted, Payload

__all__ = [
    "Claim",
    "NewJob",
    "Wanted",
    "asked",
    "cancel",
    "claim",
    "claimed",
    "due",
    "end_dead",
    "enqueue",
    "find",
    "finish",
    "forget",
    "heartbeat",
    "hurry",
    "page",
    "put_back",
    "silent",
]

_t = tables.jobs

_QUEUED: Final = JobState.QUEUED.value
_RUNNING: Final = JobState.RUNNING.value
_ENDED: Final = tuple(state.value for state in JobState if state.ended)
_DEAD: Final = "Its worker ended without a word at each attempt."
_TRIES: Final = 10
#: Rows of one transaction.
_BATCH: Final = 500


@attrs.frozen(kw_only=True)
class NewJob:
    """A job that is to be queued."""

    kind: str
    payload: Payload
    by: str
    key: str | None = None
    priority: int = 0
    #: None: as its kind says.
    max_attempts: int | None = None
    #: Microseconds until it may start.
    delay: int = 0


@attrs.frozen
class Claim:
    """A job that a worker has, and the word by which it is known to have it."""

    job: Job
    worker: str


@attrs.frozen(kw_only=True)
class Wanted:
    """What a worker looks for: its kinds, and how long (µs) another may give no sign of life."""

    kinds: Collection[str]
    lease: int


def enqueue(transaction: Transaction, new: NewJob) -> Job:
    """Queue a job; where one of its kind and key is queued, that one: sooner and higher if asked.

    To be used within the transaction of the data that the job is about.
    """
    for _ in range(_TRIES):
        # First, as an INSERT that fails has used a number up.
        row = None if new.key is None else transaction.execute(_join(new)).first()
        if row is not None:
            return job_of(row)
        row = transaction.execute(_insert(transaction, new)).first()
        if row is not None:
            job = job_of(row)
            transaction.emit(JobSubmitted(job=job.id, kind=job.kind, by=job.created_by))
            return job
        # Between the two somebody queued it.
    raise AssertionError


def _insert(transaction: Transaction, new: NewJob) -> Any:
    statement = transaction.dialect.insert(_t).values(
        kind=new.kind,
        payload=canonical(dict(new.payload)).decode(),
        key=new.key,
        state=_QUEUED,
        priority=new.priority,
        attempts=0,
        max_attempts=new.max_attempts or 1,
        run_after=now() + new.delay,
        cancelling=False,
        done=0,
        message="",
        created_by=new.by,
        created_at=now(),
    )
    return statement.on_conflict_do_nothing().returning(_t)


def _join(new: NewJob) -> Any:
    when = now() + new.delay
    higher, sooner = _t.c.priority < new.priority, _t.c.run_after > when
    return (
        update(_t)
        .where(_t.c.kind == new.kind, _t.c.key == new.key, _t.c.state == _QUEUED)
        .values(
            priority=case((higher, new.priority), else_=_t.c.priority),
            run_after=case((sooner, when), else_=_t.c.run_after),
            handed=case((or_(higher, sooner), false()), else_=_t.c.handed),
        )
        .returning(_t)
    )


# --------------------------------------------------------------------------------------- workers


def due(connection: Connection, wanted: Wanted) -> bool:
    """Whether there is something to `claim`; a look that locks nothing."""
    return connection.execute(select(_t.c.id).where(_free(wanted)).limit(1)).first() is not None


def claim(transaction: Transaction, wanted: Wanted) -> Claim | None:
    """Take the job that is first in line, also from a worker that is dead; None: there is none."""
    _end_dead(transaction, wanted)
    order = (_t.c.priority.desc(), _t.c.run_after, _t.c.id)
    number = transaction.execute(
        select(_t.c.id)
        .where(_free(wanted))
        .order_by(*order)
        .limit(1)
        # Others pass by what one has locked.
        .with_for_update(skip_locked=True)
    ).scalar()
    return None if number is None else claimed(transaction, number, handed=False)


def claimed(transaction: Transaction, number: int, *, handed: bool) -> Claim:
    """Take the job, whose row is locked; ``handed``: for the task that another queue has for it."""
    worker = secrets.token_hex(16)
    row = transaction.execute(
        update(_t)
        .where(_t.c.id == number)
        .values(
            state=_RUNNING,
            worker=worker,
            handed=handed,
            attempts=_t.c.attempts + 1,
            heartbeat_at=now(),
            started_at=now(),
            total=None,
            done=0,
            message="",
        )
        .returning(_t)
    ).one()
    return Claim(job_of(row), worker)


def _free(wanted: Wanted) -> ColumnElement[bool]:
    other = _t.alias("other")
    busy = exists(
        select(other.c.id).where(
            other.c.state == _RUNNING, other.c.kind == _t.c.kind, other.c.key == _t.c.key
        )
    )
    queued = and_(_t.c.state == _QUEUED, _t.c.run_after <= now(), ~busy)
    return and_(_ours(wanted), or_(queued, silent(wanted.lease)))


def _ours(wanted: Wanted) -> ColumnElement[bool]:
    """Of the kinds, what no other queue has, unless nobody works for that any more."""
    free = or_(_t.c.task.is_(None), ~leases.living(leases.ENGINE))
    return and_(_t.c.kind.in_(list(wanted.kinds)), free)


def silent(lease: int) -> ColumnElement[bool]:
    """Whether a worker has it that gave no sign of life for so long (µs)."""
    return and_(_t.c.state == _RUNNING, _t.c.heartbeat_at < now() - lease)


def _end_dead(transaction: Transaction, wanted: Wanted) -> None:
    """End those of dead workers that nobody wants any more, or that have killed enough."""
    spent = or_(_t.c.cancelling, _t.c.attempts >= _t.c.max_attempts)
    rows = transaction.execute(
        select(_t)
        .where(_ours(wanted), silent(wanted.lease), spent)
        .limit(_BATCH)
        .with_for_update(skip_locked=True)
    ).all()
    for row in rows:
        end_dead(transaction, row)


def end_dead(transaction: Transaction, row: Any) -> None:
    """End a job of a dead worker, given its row: cancelled, or failed."""
    state = JobState.CANCELLED if row.cancelling else JobState.FAILED
    _end(transaction, job_of(row), state, error=None if row.cancelling else _DEAD)


def heartbeat(
    transaction: Transaction, mine: Claim, progress: JobProgress, text: str, bound: int
) -> bool | None:
    """Give a sign of life, and tell how far the job is and what it wrote.

    Returns whether it is to give up, None where the worker has lost it.  Of the output the newest
    ``bound`` characters are kept, by pieces.
    """
    values = {"heartbeat_at": now(), **attrs.asdict(progress)}
    statement = update(_t).where(_held(mine)).values(**values).returning(_t.c.cancelling)
    row = transaction.execute(statement).first()
    if row is None:
        return None
    if text:
        job_output.write(transaction, mine.job.id, text, bound)
    return bool(row.cancelling)


def asked(connection: Connection, mine: Claim) -> bool | None:
    """Whether a job is to give up, None where the worker has lost it; a look, as `heartbeat`."""
    return connection.scalar(select(_t.c.cancelling).where(_held(mine)))


def _held(mine: Claim) -> ColumnElement[bool]:
    return and_(_t.c.id == mine.job.id, _t.c.worker == mine.worker, _t.c.state == _RUNNING)


def finish(
    transaction: Transaction,
    mine: Claim,
    state: JobState,
    *,
    outcome: str | None = None,
    error: str | None = None,
) -> bool:
    """End a job that the worker has; False where it has lost it, and nothing is changed."""
    row = transaction.execute(select(_t.c.id).where(_held(mine)).with_for_update()).first()
    if row is None:
        return False
    _end(transaction, mine.job, state, outcome=outcome, error=error)
    return True


def _end(
    transaction: Transaction,
    job: Job,
    state: JobState,
    *,
    outcome: str | None = None,
    error: str | None = None,
) -> None:
    transaction.execute(
        update(_t)
        .where(_t.c.id == job.id)
        .values(
            state=state.value,
            outcome=outcome,
            error=error,
            finished_at=now(),
            worker=None,
            cancelling=False,
        )
    )
    event = JobFinished(job=job.id, kind=job.kind, state=state.value, by=job.created_by)
    transaction.emit(event)


def put_back(
    transaction: Transaction, mine: Claim, *, delay: int, error: str | None, counted: bool
) -> bool:
    """Queue a job again that the worker has; False where it has lost it.

    ``counted`` says whether this attempt was one.  Where one of its kind and key was queued
    meanwhile, that one does it, and this one ends.
    """
    row = transaction.execute(select(_t).where(_held(mine)).with_for_update()).first()
    if row is None:
        return False
    if row.cancelling:
        _end(transaction, mine.job, JobState.CANCELLED)
        return True
    same = and_(_t.c.kind == row.kind, _t.c.key == row.key, _t.c.key.is_not(None))
    heir = transaction.execute(select(_t.c.id).where(same, _t.c.state == _QUEUED)).scalar()
    if heir is not None:
        told = f"{error or 'Its worker was stopped.'} Job {heir}, queued meanwhile, goes on."
        _end(transaction, mine.job, JobState.FAILED, error=told)
        return True
    values = {
        "state": _QUEUED,
        "worker": None,
        "run_after": now() + delay,
        "attempts": _t.c.attempts if counted else _t.c.attempts - 1,
        "error": error,
    }
    transaction.execute(update(_t).where(_t.c.id == row.id).values(**values))
    return True


# ---------------------------------------------------------------------------------------- people


def cancel(transaction: Transaction, number: int) -> bool:
    """End a queued job, have a running one give up; False for one that has ended."""
    for _ in range(_TRIES):
        queued = and_(_t.c.id == number, _t.c.state == _QUEUED)
        row = transaction.execute(select(_t).where(queued).with_for_update()).first()
        if row is not None:
            _end(transaction, job_of(row), JobState.CANCELLED)
            transaction.execute(update(_t).where(_t.c.id == number).values(handed=False))
            return True
        running = and_(_t.c.id == number, _t.c.state == _RUNNING)
        asked = transaction.execute(update(_t).where(running).values(cancelling=True))
        ended = select(_t.c.id).where(_t.c.id == number, _t.c.state.in_(_ENDED))
        if asked.rowcount:
            return True
        if transaction.execute(ended).first() is not None:
            return False
        # Between the two it was put back.
    return False


def hurry(transaction: Transaction, number: int) -> bool:
    """Have a queued job start without waiting for its time; False where it does not wait."""
    mine = and_(_t.c.id == number, _t.c.state == _QUEUED, _t.c.run_after > now())
    values = {"run_after": now(), "handed": False}
    return bool(transaction.execute(update(_t).where(mine).values(**values)).rowcount)


def find(connection: Connection, number: int) -> Job | None:
    """A job by its number."""
    row = connection.execute(select(_t).where(_t.c.id == number)).first()
    return None if row is None else job_of(row)


def page(
    connection: Connection,
    *,
    by: str | None,
    state: JobState | None,
    kind: str | None,
    before: int | None,
    limit: int,
) -> list[Job]:
    """Jobs, the newest first; ``by`` whom, in which state, of which kind, None is any."""
    query: Select[Any] = select(_t).order_by(_t.c.id.desc()).limit(limit)
    wanted = ((_t.c.created_by, by), (_t.c.state, state and state.value), (_t.c.kind, kind))
    for column, value in wanted:
        if value is not None:
            query = query.where(column == value)
    if before is not None:
        query = query.where(_t.c.id < before)
    return [job_of(row) for row in connection.execute(query)]


def forget(transaction: Transaction, age: int) -> int:
    """Delete jobs that ended so long (µs) ago, with their output: a batch; returns how many."""
    old = (
        select(_t.c.id)
        .where(_t.c.state.in_(_ENDED), _t.c.finished_at < now() - age)
        .order_by(_t.c.id)
        .limit(_BATCH)
    )
    return transaction.execute(delete(_t).where(_t.c.id.in_(old))).rowcount
