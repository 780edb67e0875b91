"""Queries on what jobs write: pieces of text, of which the newest are kept."""

from __future__ import annotations

from sqlalchemy import Connection, delete, func, select

from repocore.catalog import tables
from repocore.catalog.transactions import Transaction

__all__ = ["read", "write"]

_t = tables.job_output


def write(transaction: Transaction, number: int, text: str, bound: int) -> None:
    """Add a piece to the output of a job; the oldest go beyond ``bound`` characters."""
    mine = _t.c.job_id == number
    pieces = transaction.execute(
        select(_t.c.sequence, func.length(_t.c.text).label("size"))
        .where(mine)
        .order_by(_t.c.sequence.desc())
    ).all()
    sequence = pieces[0].sequence + 1 if pieces else 1
    transaction.execute(_t.insert().values(job_id=number, sequence=sequence, text=text))
    total = len(text)
    for piece in pieces:
        total += piece.size
        if total > bound:
            transaction.execute(delete(_t).where(mine, _t.c.sequence <= piece.sequence))
            return


def read(connection: Connection, number: int, after: int) -> tuple[str, int]:
    """What a job wrote after a piece, and the number of the last piece."""
    rows = connection.execute(
        select(_t.c.sequence, _t.c.text)
        .where(_t.c.job_id == number, _t.c.sequence > after)
        .order_by(_t.c.sequence)
    ).all()
    return "".join(row.text for row in rows), rows[-1].sequence if rows else after
