"""How far something has come that goes round and round, a part at a time."""

from __future__ import annotations

from sqlalchemy import Connection, case, select

from repocore.catalog import tables
from repocore.catalog.transactions import Transaction

__all__ = ["READING", "advance", "position"]

_t = tables.rounds

#: The reading of everything that is stored.
READING = "read-data"


def position(connection: Connection, name: str) -> int:
    """Where the next part begins; 0 where there was none yet."""
    return connection.scalar(select(_t.c.position).where(_t.c.name == name)) or 0


def advance(transaction: Transaction, name: str, to: int) -> None:
    """Note how far it has come; who is behind somebody else changes nothing."""
    transaction.upsert(
        _t,
        ["name"],
        {"name": name, "position": to},
        lambda new: {
            "position": case((new.position > _t.c.position, new.position), else_=_t.c.position)
        },
    )
