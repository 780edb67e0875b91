"""Queries on files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import attrs
from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    case,
    delete,
    exists,
    or_,
    select,
    update,
)

from repocore.catalog import blobs, statements, tables
from repocore.catalog.dialects import now
from repocore.catalog.rows import file_of
from repocore.catalog.statements import Insert, Statement
from repocore.catalog.transactions import Transaction
from repocore.model import File
from repocore.model.digest import NOWHERE

__all__ = [
    "Bound",
    "bind",
    "columns",
    "of_draft",
    "of_release",
    "page",
    "remove",
    "select_paths",
    "stored",
    "visible",
    "within",
]

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
    # What is quarantined is stored nowhere until somebody brings its bytes again.
    case((_b.c.stored_at.is_(None), NOWHERE), else_=_b.c.generation).label("generation"),
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


def _of_release(repository: Any, partition: Any, release: Any) -> Any:
    # Ordered by us: an ORDER BY would have SQLite walk the repository's paths for it.
    return (
        select(_f.c.path, *columns)
        .join(_b, _b.c.digest == _f.c.digest)
        .where(
            _f.c.repository_id == repository,
            _f.c.partition == partition,
            _f.c.release == release,
        )
    )


def _by_path(address: str, rows: Iterable[Any]) -> list[File]:
    found = [file_of(address, row[0], row[1:]) for row in rows]
    return sorted(found, key=lambda file: str(file.path).encode())


def of_release(
    connection: Connection, repository: int, address: str, partition: str, release: str
) -> list[File]:
    """The files of a release or a draft, by path."""
    rows = connection.execute(_of_release(repository, partition, release))
    return _by_path(address, rows.all())


_OF_DRAFT = Statement(
    lambda _: _of_release(bindparam("repository"), bindparam("in_partition"), bindparam("of"))
)


def of_draft(
    transaction: Transaction, repository: int, address: str, partition: str, release: str
) -> list[File]:
    """As `of_release`, as the transaction sees them."""
    rows = transaction.rows(_OF_DRAFT, repository=repository, in_partition=partition, of=release)
    return _by_path(address, rows)


def stored(connection: Connection, repository: int, paths: Sequence[str]) -> dict[str, Any]:
    """The rows of these paths that there are, drafts' too, by path; ``released``: may be seen."""
    statement = (
        select(_f.c.path, *columns, visible().label("released"))
        .join(_b, _b.c.digest == _f.c.digest)
        .where(select_paths(repository, paths))
    )
    return {row.path: row for row in connection.execute(statement)}


def select_paths(repository: int, paths: Sequence[str]) -> ColumnElement[bool]:
    """The files of these paths."""
    return (_f.c.repository_id == repository) & _f.c.path.in_(paths)


_mine = (_f.c.repository_id == bindparam("repository")) & (_f.c.path == bindparam("named"))


def _inserting(insert: Insert) -> Any:
    values = statements.columns(_f, created_at=now())
    del values["id"]
    # RETURNING, because not every driver counts the rows of an INSERT.
    return insert(_f).values(values).on_conflict_do_nothing().returning(_f.c.created_at)


_INSERT = Statement(_inserting)
_BEFORE = Statement(
    lambda _: (
        select(_f.c.digest, _f.c.size, _f.c.created_at, _f.c.created_by)
        .where(_mine)
        .with_for_update()
    )
)
_REPLACE = Statement(
    lambda _: (
        update(_f)
        .where(_mine)
        .values(
            {
                name: value
                for name, value in statements.columns(_f, created_at=now()).items()
                if name not in {"id", "repository_id", "path"}
            }
        )
        .returning(_f.c.created_at)
    )
)


@attrs.frozen
class Bound:
    """When a file got its bytes, from whom, and (digest, size) of those it had before."""

    created_at: int
    created_by: str
    before: tuple[str, int] | None = None


def bind(transaction: Transaction, **values: Any) -> Bound:
    """Write the row of a path; the same bytes again change nothing.

    ``values`` are the table's columns without ``id`` and ``created_at``.
    """
    repository, path = values["repository_id"], values["path"]
    while True:
        inserted = transaction.rows(_INSERT, **values)
        if inserted:
            return Bound(inserted[0][0], values["created_by"])
        rows = transaction.rows(_BEFORE, repository=repository, named=path)
        if rows:
            break
        # Deleted between the two statements.
    digest, size, created_at, created_by = rows[0]
    if digest == values["digest"]:
        return Bound(created_at, created_by, (digest, size))
    replaced = transaction.rows(_REPLACE, repository=repository, named=path, **values)
    blobs.touch(transaction, [digest])
    return Bound(replaced[0][0], values["created_by"], (digest, size))


def remove(transaction: Transaction, where: ColumnElement[bool]) -> Sequence[Any]:
    """Delete the rows of files; returns their path, digest, size, partition and release."""
    # Blobs before files, as in a commit: two writers then wait for each other in one order only.
    digests = set(transaction.execute(select(_f.c.digest).where(where)).scalars())
    blobs.touch(transaction, digests)
    rows: Sequence[Any] = transaction.execute(
        delete(_f)
        .where(where)
        .returning(_f.c.path, _f.c.digest, _f.c.size, _f.c.partition, _f.c.release)
    ).all()
    blobs.touch(transaction, {row.digest for row in rows} - digests)
    return rows
