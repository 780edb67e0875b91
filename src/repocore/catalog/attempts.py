"""Queries on failed attempts to sign in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
from sqlalchemy import Connection, Label, delete, select, update

from repocore.catalog import tables
from repocore.catalog.dialects import now
from repocore.catalog.transactions import Transaction

__all__ = ["Bound", "counted", "failed", "forget", "unblock"]

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


def counted(connection: Connection, keys: Sequence[str], window: int) -> tuple[int, dict[str, int]]:
    """For how many microseconds the keys are still blocked, and the failures of each within the
    window; 0 and none where nothing has failed.
    """
    left = (_t.c.blocked_until - now()).label("left")
    rows = connection.execute(
        select(_t.c.key, _failures, left, _fresh(window)).where(_t.c.key.in_(keys))
    ).all()
    fresh = {row.key: row.failures for row in rows if row.fresh}
    return max((0, *(row.left for row in rows))), fresh


def failed(transaction: Transaction, bounds: Mapping[str, Bound]) -> None:
    """Count a failure of each key, and block those of which they have become too many."""
    # In one order everywhere, so that two servers do not wait for each other.
    for key, bound in sorted(bounds.items()):
        _count(transaction, key, bound)
    # What no longer counts goes, a little each time, so that the table does not grow.
    window = max((bound.window for bound in bounds.values()), default=0)
    old = (_t.c.last_at < now() - window) & (_t.c.blocked_until < now())
    due = select(_t.c.key).where(old).limit(10 * len(bounds))
    transaction.execute(delete(_t).where(_t.c.key.in_(due)))


def _fresh(window: int) -> Label[bool]:
    return (_t.c.last_at >= now() - window).label("fresh")


def _count(transaction: Transaction, key: str, bound: Bound) -> None:
    values = {"key": key, "count": 0, "last_at": now(), "blocked_until": 0}
    transaction.insert_missing(_t, values)
    mine = select(_failures, _fresh(bound.window)).where(_t.c.key == key)
    row = transaction.execute(mine.with_for_update()).one()
    count = (row.failures if row.fresh else 0) + 1
    changed: dict[str, Any] = {"count": count, "last_at": now()}
    if count >= bound.limit:
        doublings = min(count - bound.limit, 40)
        changed["blocked_until"] = now() + min(bound.first << doublings, bound.last)
    transaction.execute(update(_t).where(_t.c.key == key).values(**changed))


def unblock(transaction: Transaction, name: str) -> None:
    """Forget the failures of an account, wherever they came from."""
    pair = f"pair:{name}"
    mine = (_t.c.key == f"account:{name}") | ((_t.c.key > f"{pair}@") & (_t.c.key < f"{pair}A"))
    transaction.execute(delete(_t).where(mine))


def forget(transaction: Transaction, keys: Sequence[str]) -> int:
    """Forget the failures of keys; how many had any."""
    return transaction.execute(delete(_t).where(_t.c.key.in_(keys))).rowcount
