"""Queries on the outbox."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import datetime

import attrs
from sqlalchemy import Connection, delete, select, update

from repocore import model
from repocore.catalog import tables
from repocore.catalog.rows import time_of
from repocore.catalog.transactions import Transaction
from repocore.model import Event

__all__ = ["StoredEvent", "failed", "pending", "told"]

_t = tables.events


@attrs.frozen
class StoredEvent:
    """An event, the number of its row, and when it was; a number may be given again later."""

    id: int
    created_at: datetime
    value: Event


def pending(connection: Connection, limit: int = 100) -> list[StoredEvent]:
    """The events that nobody was told of, in order."""
    rows = connection.execute(select(_t).order_by(_t.c.id).limit(limit))
    return [
        StoredEvent(
            row.id, time_of(row.created_at), getattr(model, row.kind)(**json.loads(row.payload))
        )
        for row in rows
    ]


def told(transaction: Transaction, ids: Iterable[int]) -> None:
    """Forget events whose listeners have heard them."""
    transaction.execute(delete(_t).where(_t.c.id.in_(list(ids))))


def failed(transaction: Transaction, number: int, limit: int) -> bool:
    """Count a failed telling; True where the event is given up after ``limit`` of them."""
    mine = _t.c.id == number
    statement = update(_t).where(mine).values(attempts=_t.c.attempts + 1).returning(_t.c.attempts)
    attempts = transaction.execute(statement).scalar_one()
    if attempts < limit:
        return False
    transaction.execute(delete(_t).where(mine))
    return True
