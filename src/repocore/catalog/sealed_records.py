"""Records of changes as replicas read them: those that are sealed, whose order never changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, func, select, tuple_

from repocore.catalog import tables

__all__ = [
    "downloads_page",
    "records_between",
    "records_page",
    "root_of",
    "seals_within",
    "untaken",
]

_a = tables.audit
_d = tables.downloads
_s = tables.seals


def records_page(connection: Connection, after: int, limit: int) -> list[Mapping[str, Any]]:
    """The next records of changes that are sealed, by number."""
    sealed = select(func.coalesce(func.max(_s.c.last), 0)).scalar_subquery()
    statement = select(_a).where(_a.c.id > after, _a.c.id <= sealed).order_by(_a.c.id).limit(limit)
    return [dict(row) for row in connection.execute(statement).mappings()]


def seals_within(connection: Connection, after: int, last: int) -> list[Mapping[str, Any]]:
    """The seals whose last record is behind one number, and not behind another."""
    statement = select(_s).where(_s.c.last > after, _s.c.last <= last).order_by(_s.c.last)
    return [dict(row) for row in connection.execute(statement).mappings()]


def records_between(
    connection: Connection, after: int, last: int, limit: int
) -> list[Mapping[str, Any]]:
    """Records behind one number and not behind another, whether they are sealed or not."""
    statement = select(_a).where(_a.c.id > after, _a.c.id <= last).order_by(_a.c.id).limit(limit)
    return [dict(row) for row in connection.execute(statement).mappings()]


def root_of(connection: Connection, last: int) -> str | None:
    """The root of the seal whose last record has that number; None where there is none."""
    return connection.scalar(select(_s.c.root).where(_s.c.last == last))


def untaken(connection: Connection, after: int) -> tuple[int, int | None]:
    """How many records there are behind a number, and when the first of them was written."""
    count = connection.scalar(select(func.count()).where(_a.c.id > after)) or 0
    first = select(_a.c.at).where(_a.c.id > after).order_by(_a.c.id).limit(1)
    return count, connection.scalar(first)


def downloads_page(
    connection: Connection, since: int, after: tuple[Any, ...], limit: int
) -> list[Mapping[str, Any]]:
    """The next counts of downloads that grew since a time, by their key."""
    key = tuple_(*_d.primary_key)
    statement = select(_d).where(_d.c.last_at >= since).order_by(*_d.primary_key).limit(limit)
    if after:
        statement = statement.where(key > after)
    return [dict(row) for row in connection.execute(statement).mappings()]
