"""Leases: somebody does something until a time, and says again and again that they still do."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, delete, exists, select

from repocore.catalog import tables
from repocore.catalog.dialects import now
from repocore.catalog.transactions import Transaction

__all__ = ["BACKUP", "ENGINE", "drop", "held", "hold", "living"]

_t = tables.leases

#: Makes a backup: what its snapshot names must stay in the storage.
BACKUP = "backup"
#: Runs jobs by another queue: what that was handed is left to it.
ENGINE = "engine"


def hold(transaction: Transaction, name: str, holder: str, span: int) -> None:
    """Hold a lease for so many microseconds from now, or hold it for longer."""
    transaction.upsert(
        _t,
        ["name", "holder"],
        {"name": name, "holder": holder, "until": now() + span},
        lambda new: {"until": new.until},
    )


def drop(transaction: Transaction, name: str, holder: str) -> None:
    """End a lease, and forget those that have run out; idempotent."""
    mine = (_t.c.holder == holder) | (_t.c.until <= now())
    transaction.execute(delete(_t).where(_t.c.name == name, mine))


def held(connection: Connection, name: str) -> bool:
    """Whether anybody holds a lease of that name now."""
    return bool(connection.scalar(select(living(name))))


def living(name: str) -> ColumnElement[bool]:
    """The same, within a query."""
    return exists().where(_t.c.name == name, _t.c.until > now())
