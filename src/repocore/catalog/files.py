"""Queries on files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, or_, select

from repocore.catalog import blobs, tables
from repocore.catalog.rows import file_of
from repocore.catalog.transactions import Transaction
from repocore.model import File

__all__ = ["columns", "of_release", "page", "remove", "visible", "within"]

_f = tables.files
_b = tables.blobs
_r = tables.releases

columns = (
    _f.c.digest,
    _f.c.size,
    _f.c.partition,
    _f.c.release,
    _f.c.media_type,
    _f.c.mutable,
    _f.c.created_at,
    _f.c.created_by,
    _b.c.generation,
)


def visible() -> ColumnElement[bool]:
    """Files of no release, and those of one that was released and not removed."""
    seen = exists().where(
        _r.c.repository_id == _f.c.repository_id,
        _r.c.partition == _f.c.partition,
        _r.c.name == _f.c.release,
        _r.c.released_at.is_not(None),
        _r.c.removed_at.is_(None),
    )
    return or_(_f.c.release.is_(None), seen)


def page(
    connection: Connection, repository: int, address: str, prefix: str, after: str, limit: int
) -> list[File]:
    """The next visible files by path; ``prefix`` is a range, not a pattern."""
    statement = (
        select(_f.c.path, *columns)
        .join(_b, _b.c.digest == _f.c.digest)
        .where(_f.c.repository_id == repository, _f.c.path > after, visible())
        .order_by(_f.c.path)
        .limit(limit)
    )
    if prefix:
        statement = statement.where(within(_f.c.path, prefix))
    return [file_of(address, row[0], row[1:]) for row in connection.execute(statement)]


def within(column: ColumnElement[str], prefix: str) -> ColumnElement[bool]:
    """The range of texts that start with a prefix."""
    return and_(column >= prefix, column < prefix + "\U0010ffff")


def of_release(
    connection: Connection, repository: int, address: str, partition: str, release: str
) -> list[File]:
    """The files of a release or a draft, by path."""
    statement = (
        select(_f.c.path, *columns)
        .join(_b, _b.c.digest == _f.c.digest)
        .where(
            _f.c.repository_id == repository,
            _f.c.partition == partition,
            _f.c.release == release,
        )
        .order_by(_f.c.path)
    )
    return [file_of(address, row[0], row[1:]) for row in connection.execute(statement)]


def remove(transaction: Transaction, where: ColumnElement[bool]) -> tuple[int, int]:
    """Delete the rows of files; returns how many, and their bytes."""
    # Blobs before files, as in a commit: two writers then wait for each other in one order only.
    digests = set(transaction.execute(select(_f.c.digest).where(where)).scalars())
    blobs.touch(transaction, digests)
    rows: Sequence[Any] = transaction.execute(
        delete(_f).where(where).returning(_f.c.digest, _f.c.size)
    ).all()
    blobs.touch(transaction, {row.digest for row in rows} - digests)
    return len(rows), sum(row.size for row in rows)
