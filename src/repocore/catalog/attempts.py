"""Queries on failed attempts to sign in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
from sqlalchemy import Connection, delete, func, select, update

from repocore.catalog import tables
from repocore.catalog.dialects import now
from repocore.catalog.transactions import Transaction

__all__ = ["Bound", "counts", "failed", "forget", "remaining", "unblock"]

_t = tables.attempts
_failures = _t.c.count.label("failures")


@attrs.frozen(kw_only=True)
class Bound:
    """How many failures of one key are borne, and what comes then; times in microseconds."""

    limit: int
    #: Failures that are further apart than this do not add up.
    window: int
    #: How long the first block is; each further failure doubles it, up to the last.
    first: int
    last: int


def remaining(connection: Connection, keys: Sequence[str]) -> int:
    """For how many microseconds the keys are blocked; 0 where none is."""
    latest = select(func.max(_t.c.blocked_until) - now()).where(_t.c.key.in_(keys))
    return max(connection.scalar(latest) or 0, 0)


def counts(connection: Connection, keys: Sequence[str], window: int) -> dict[str, int]:
    """The failures of each key that has any within the window."""
    rows = connection.execute(
        select(_t.c.key, _failures).where(_t.c.key.in_(keys), _t.c.last_at >= now() - window)
    )
    return {row.key: row.failures for row in rows}


def failed(transaction: Transaction, key: str, bound: Bound) -> None:
    """Count a failure, and block the key where they have become too many."""
    values = {"key": key, "count": 0, "last_at": now(), "blocked_until": 0}
    transaction.insert_missing(_t, values)
    fresh = (_t.c.last_at >= now() - bound.window).label("fresh")
    row = transaction.execute(
        select(_failures, fresh).where(_t.c.key == key).with_for_update()
    ).one()
    count = (row.failures if row.fresh else 0) + 1
    changed: dict[str, Any] = {"count": count, "last_at": now()}
    if count >= bound.limit:
        doublings = min(count - bound.limit, 40)
        changed["blocked_until"] = now() + min(bound.first << doublings, bound.last)
    transaction.execute(update(_t).where(_t.c.key == key).values(**changed))
    # What no longer counts goes, a little each time, so that the table does not grow.
    old = (_t.c.last_at < now() - bound.window) & (_t.c.blocked_until < now())
    due = select(_t.c.key).where(old).limit(10)
    transaction.execute(delete(_t).where(_t.c.key.in_(due)))


def unblock(transaction: Transaction, name: str) -> None:
    """Forget the failures of an account, wherever they came from."""
    pair = f"pair:{name}"
    mine = (_t.c.key == f"account:{name}") | ((_t.c.key > f"{pair}@") & (_t.c.key < f"{pair}A"))
    transaction.execute(delete(_t).where(mine))


def forget(transaction: Transaction, keys: Sequence[str]) -> int:
    """Forget the failures of keys; how many had any."""
    return transaction.execute(delete(_t).where(_t.c.key.in_(keys))).rowcount
