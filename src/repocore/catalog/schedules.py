"""Queries on schedules: which moments of them are still to come."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sqlalchemy import Connection, func, select, update

from repocore.catalog import tables
from repocore.catalog.dialects import now
from repocore.catalog.transactions import Transaction

__all__ = ["any_due", "keep", "take"]

_t = tables.schedules

#: From a moment (µs) to the next one of a schedule.
Following = Callable[[int], int]


def keep(transaction: Transaction, name: str, rhythm: str, following: Following) -> None:
    """Note a schedule; one that is known in this rhythm keeps its moment.  Idempotent."""
    moment = transaction.execute(select(now())).scalar_one()
    values = {"name": name, "rhythm": rhythm, "due_at": following(moment)}
    if transaction.insert_missing(_t, values):
        return
    other = (_t.c.name == name) & (_t.c.rhythm != rhythm)
    transaction.execute(update(_t).where(other).values(**values))


def any_due(connection: Connection, names: Iterable[str]) -> bool:
    """Whether the moment of one of these has come; a look that locks nothing."""
    query = select(func.count()).where(_t.c.name.in_(list(names)), _t.c.due_at <= now())
    return bool(connection.scalar(query))


def take(transaction: Transaction, name: str, following: Following) -> bool:
    """Whether the moment of a schedule has come and nobody else has taken it; then the next one
    is noted.  Moments that were missed count as one.
    """
    mine = (_t.c.name == name) & (_t.c.due_at <= now())
    held = select(_t.c.name).where(mine).with_for_update(skip_locked=True)
    if transaction.execute(held).first() is None:
        return False
    moment = transaction.execute(select(now())).scalar_one()
    due = following(moment)
    transaction.execute(update(_t).where(_t.c.name == name).values(due_at=due))
    return True
