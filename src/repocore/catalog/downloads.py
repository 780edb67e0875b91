"""Queries on counted downloads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, func, select

from repocore.catalog import tables
from repocore.catalog.dialects import now
from repocore.catalog.transactions import Transaction

__all__ = ["DAY", "add", "take_over", "totals"]

_d = tables.downloads

#: Microseconds of a day: a row counts one release's downloads of one.
DAY = 86_400_000_000


def add(transaction: Transaction, counts: Mapping[tuple[int, str, str], int]) -> None:
    """Add counts by (repository, partition, release), in an order that all processes share."""
    current = transaction.connection.scalar(select(now())) or 0
    for (repository, partition, release), count in sorted(counts.items()):
        values = {
            "repository_id": repository,
            "partition": partition,
            "release": release,
            "day": current // DAY,
            "count": count,
            "last_at": current,
        }
        keys = ["repository_id", "partition", "release", "day"]
        transaction.upsert(_d, keys, values, _sum)


def take_over(
    transaction: Transaction, repository: int, rows: Sequence[tuple[str, str, int, int]]
) -> int:
    """Insert counts (partition, release, when, how often) where there are none of that day."""
    return sum(
        transaction.insert_missing(
            _d,
            {
                "repository_id": repository,
                "partition": partition,
                "release": release,
                "day": when // DAY,
                "count": count,
                "last_at": when,
            },
        )
        for partition, release, when, count in rows
    )


def _sum(new: Any) -> dict[str, Any]:
    return {"count": _d.c.count + new["count"], "last_at": new.last_at}


def totals(connection: Connection, repository: int) -> Iterator[tuple[str, str, int, int]]:
    """(partition, release, count, last use) of every release that was downloaded."""
    statement = (
        select(_d.c.partition, _d.c.release, func.sum(_d.c["count"]), func.max(_d.c.last_at))
        .where(_d.c.repository_id == repository)
        .group_by(_d.c.partition, _d.c.release)
        .order_by(_d.c.partition, _d.c.release)
    )
    for partition, release, count, last in connection.execute(statement):
        yield partition, release, int(count), last
