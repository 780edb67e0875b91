"""Queries on the records of changes, and the seals over them.

A seal is a SHA-256 over the root of the seal before and over each of its records, so that a record
that is changed, added or removed after it was sealed does not fit any more.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Connection, func, select, text

from repocore.catalog import tables
from repocore.catalog.dialects import now
from repocore.catalog.rows import micros_at, time_of
from repocore.catalog.transactions import Transaction
from repocore.model import AuditQuery, AuditRecord, Origin, Seal

__all__ = [
    "last_seal",
    "open_count",
    "page",
    "record_of",
    "root_of",
    "seal",
    "seal_before",
    "seals",
    "walk",
]

_a = tables.audit
_s = tables.seals
#: Records of one seal: a bound on what is read in one transaction.
_AT_ONCE: Final = 10_000
_PAGE: Final = 1000


def _where(wanted: AuditQuery) -> list[Any]:
    found: list[Any] = []
    if wanted.who is not None:
        found.append(_a.c.who == wanted.who)
    if wanted.kind is not None:
        found.append(_a.c.kind == wanted.kind)
    if wanted.what is not None:
        below = [
            (_a.c.what >= wanted.what + mark) & (_a.c.what < wanted.what + chr(ord(mark) + 1))
            for mark in "/#"
        ]
        found.append((_a.c.what == wanted.what) | below[0] | below[1])
    if wanted.since is not None:
        found.append(_a.c.at >= micros_at(wanted.since))
    if wanted.until is not None:
        found.append(_a.c.at < micros_at(wanted.until))
    return found


def page(
    connection: Connection, wanted: AuditQuery, *, before: int | None, limit: int
) -> list[AuditRecord]:
    """Records, the newest first, from below a number."""
    statement = select(_a).where(*_where(wanted)).order_by(_a.c.id.desc()).limit(limit)
    if before is not None:
        statement = statement.where(_a.c.id < before)
    return [record_of(row) for row in connection.execute(statement)]


def walk(connection: Connection, wanted: AuditQuery, *, after: int = 0) -> Iterator[AuditRecord]:
    """Records in the order of their numbers, from above one; a page at a time."""
    for rows in _pages(connection, after, None, _where(wanted)):
        yield from map(record_of, rows)


def _pages(
    connection: Connection, after: int, last: int | None, where: list[Any]
) -> Iterator[list[Any]]:
    while True:
        statement = select(_a).where(_a.c.id > after, *where).order_by(_a.c.id).limit(_PAGE)
        if last is not None:
            statement = statement.where(_a.c.id <= last)
        rows = list(connection.execute(statement))
        if rows:
            yield rows
            after = rows[-1].id
        if len(rows) < _PAGE:
            return


def record_of(row: Any) -> AuditRecord:
    """A row of ``audit``."""
    return AuditRecord(
        id=row.id,
        at=time_of(row.at),
        origin=Origin(who=row.who, via=row.via, token_id=row.token_id, source=row.source),
        kind=row.kind,
        what=row.what,
        details=json.loads(row.details),
        before=None if row.before is None else json.loads(row.before),
        after=None if row.after is None else json.loads(row.after),
    )


# ----------------------------------------------------------------------------------------- seals


def seal(transaction: Transaction) -> Seal | None:
    """Seal the records that are committed and not sealed yet; None where there are none.

    The records are sealed in the order of their numbers, which is that of their commits on SQLite
    only: elsewhere writers are kept away until it is done, so that none comes in between.
    """
    if transaction.connection.dialect.name == "postgresql":
        transaction.execute(text("LOCK TABLE audit IN SHARE MODE"))
    before = last_seal(transaction.connection)
    after = 0 if before is None else before.last
    numbers = select(_a.c.id).where(_a.c.id > after).order_by(_a.c.id).limit(_AT_ONCE)
    chosen = numbers.subquery()
    bounds = select(func.min(chosen.c.id), func.max(chosen.c.id), func.count())
    first, last, count = map(int, (value or 0 for value in transaction.execute(bounds).one()))
    if not count:
        return None
    root = root_of(transaction.connection, before, first, last)[0]
    values: dict[str, Any] = {
        "first": first,
        "last": last,
        "count": count,
        "root": root,
        "sealed_at": now(),
    }
    return _seal_of(transaction.execute(_s.insert().values(**values).returning(_s)).one())


def root_of(connection: Connection, before: Seal | None, first: int, last: int) -> tuple[str, int]:
    """The root over records as they are now, on top of a seal; and how many records there are."""
    hashed = hashlib.sha256(b"" if before is None else before.root.encode())
    count = 0
    for rows in _pages(connection, first - 1, last, []):
        for row in rows:
            hashed.update(hashlib.sha256(_canonical(row)).digest())
            count += 1
    return hashed.hexdigest(), count


def _canonical(row: Any) -> bytes:
    return json.dumps(list(row), ensure_ascii=False, separators=(",", ":")).encode()


def _seal_of(row: Any) -> Seal:
    return Seal(
        first=row.first,
        last=row.last,
        count=row.count,
        root=row.root,
        sealed_at=time_of(row.sealed_at),
    )


def last_seal(connection: Connection) -> Seal | None:
    """The newest seal."""
    row = connection.execute(select(_s).order_by(_s.c.last.desc()).limit(1)).first()
    return None if row is None else _seal_of(row)


def seal_before(connection: Connection, last: int) -> Seal | None:
    """The seal before the one whose last record has that number."""
    statement = select(_s).where(_s.c.last < last).order_by(_s.c.last.desc()).limit(1)
    row = connection.execute(statement).first()
    return None if row is None else _seal_of(row)


def seals(connection: Connection) -> Iterator[Seal]:
    """Every seal, in order."""
    for row in connection.execute(select(_s).order_by(_s.c.last)):
        yield _seal_of(row)


def open_count(connection: Connection) -> int:
    """How many records are not sealed yet."""
    sealed = select(func.coalesce(func.max(_s.c.last), 0)).scalar_subquery()
    statement = select(func.count()).select_from(_a).where(_a.c.id > sealed)
    return connection.scalar(statement) or 0
