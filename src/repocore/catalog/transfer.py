"""Copy a whole catalog into another database, of either kind.

What is read is one state of the source.  It is written a few rows at a time, so the target is
marked until all of it is there and has been compared: a copy that died is no catalog.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs
from sqlalchemy import Connection, Table, func, inspect, select, text
from sqlalchemy.exc import DataError

from repocore.catalog import numbering, schema, tables
from repocore.catalog.catalog import Catalog
from repocore.catalog.dialects import now
from repocore.catalog.tables import METADATA
from repocore.errors import ConfigurationError, StorageError

__all__ = ["Copied", "CopiedTable", "copy"]

#: Rows that are held at a time; the largest of them are of some ten kilobytes.
_ROWS: Final = 200

#: Told of a table and how many rows it has, and then of rows that are through.
Begin = Callable[[str, int], object]
Advance = Callable[[int], object]


@attrs.frozen
class CopiedTable:
    """A table, how many rows it has, and the SHA-256 over them in the order of their keys."""

    name: str
    rows: int
    digest: str


@attrs.frozen(kw_only=True)
class Copied:
    """What was copied: the state at a moment, in microseconds since 1970 by the source's clock.

    ``record`` is the number of the last change that is in it, and ``changed`` says whether there
    were others before the copy ended.
    """

    at: int
    record: int
    changed: bool
    tables: tuple[CopiedTable, ...]


def copy(source: Catalog, target: Catalog, begin: Begin, advance: Advance) -> Copied:
    """Copy every row into a database without tables, and compare.

    Raises `ConfigurationError` where the source is not of this version or the target is not empty,
    and `StorageError`.  After any error the target is of no use, and says so.
    """
    _require_own(source)
    target.schema()  # which says what is wrong with one that was begun
    target.build(_make)
    with source.snapshot() as connection:
        source.dialect.unbound(connection)
        moment, state = connection.scalar(select(now())), _state(connection)
        numbers = numbering.counted(connection)
        written: list[CopiedTable] = []
        for table in METADATA.sorted_tables:
            begin(table.name, connection.scalar(select(func.count()).select_from(table)) or 0)
            written.append(_copy_table(connection, target, table, advance))
    _compare(target, written)
    target.build(lambda opened: _release(opened, numbers))
    with source.snapshot() as connection:
        changed = _state(connection) != state
    return Copied(at=moment or 0, record=state[0], changed=changed, tables=tuple(written))


def _require_own(source: Catalog) -> None:
    found = source.schema()
    if not found.is_current:
        raise ConfigurationError(found.advice)
    if found.revision != schema.HEAD:
        message = f"The catalog is of a newer repocore (schema {found.revision}); copy it by that."
        raise ConfigurationError(message)


def _state(connection: Connection) -> tuple[int, int, int]:
    """Numbers of which at least one grows with every change that somebody makes."""
    record = select(func.coalesce(func.max(tables.audit.c.id), 0))
    serials = select(func.coalesce(func.sum(tables.partitions.c.serial), 0))
    version = select(func.coalesce(func.max(tables.access.c.version), 0))
    first, second, third = (connection.scalar(one) or 0 for one in (record, serials, version))
    return int(first), int(second), int(third)


# ---------------------------------------------------------------------------------------- the rows


def _pages(connection: Connection, table: Table) -> Iterator[Sequence[Any]]:
    """The rows in the order of their keys, which is the same on both databases."""
    statement = select(table).order_by(*table.primary_key)
    rows = connection.execute(statement.execution_options(yield_per=_ROWS))
    yield from rows.partitions()


class _Digest:
    """The number of rows, and a hash over them."""

    def __init__(self, table: Table) -> None:
        self._name = table.name
        self._rows = 0
        self._hashed = hashlib.sha256()

    def take(self, rows: Sequence[Any]) -> None:
        self._rows += len(rows)
        for row in rows:
            self._hashed.update(ascii(tuple(row)).encode() + b"\n")

    def done(self) -> CopiedTable:
        return CopiedTable(self._name, self._rows, self._hashed.hexdigest())


def _copy_table(
    connection: Connection, target: Catalog, table: Table, advance: Advance
) -> CopiedTable:
    digest = _Digest(table)
    for rows in _pages(connection, table):
        digest.take(rows)
        values = [dict(row._mapping) for row in rows]  # noqa: SLF001 - SQLAlchemy's name for it
        _insert(target, table, values)
        advance(len(rows))
    return digest.done()


def _insert(target: Catalog, table: Table, values: list[dict[str, Any]]) -> None:
    try:
        target.write(lambda transaction: transaction.connection.execute(table.insert(), values))
    except StorageError as error:
        if not isinstance(error.__cause__, DataError):
            raise
        names = [column.name for column in table.primary_key]
        first, last = ([str(row[name]) for name in names] for row in (values[0], values[-1]))
        message = (
            f"The other database cannot hold a row of {table.name} between {' '.join(first)} and "
            f"{' '.join(last)}: there is a character in it that it does not know, NUL most likely."
        )
        raise ConfigurationError(message) from error


def _compare(target: Catalog, written: Sequence[CopiedTable]) -> None:
    """Raise `StorageError` unless all that was written is read again."""
    with target.snapshot() as connection:
        target.dialect.unbound(connection)
        for table, expected in zip(METADATA.sorted_tables, written, strict=True):
            digest = _Digest(table)
            for rows in _pages(connection, table):
                digest.take(rows)
            if digest.done() != expected:
                message = f"The copy of {table.name} is not the same; drop it, and copy again."
                raise StorageError(message)


# -------------------------------------------------------------------------------------- the target


def _make(connection: Connection) -> None:
    """Make the tables, without a row, and mark that they are no catalog yet."""
    found = schema.read(connection)
    ours = {*inspect(connection).get_table_names()} & {*METADATA.tables, "alembic_version"}
    if found.revision is not None or ours:
        raise ConfigurationError("That database has tables; copy into an empty one.")
    while schema.step(connection):
        pass
    for table in reversed(METADATA.sorted_tables):
        connection.execute(table.delete())
    _mark(connection, schema.COPYING)


def _release(connection: Connection, numbers: Mapping[str, int]) -> None:
    """Go on numbering where the source was, and take the mark away."""
    numbering.count_on(connection, numbers)
    _mark(connection, schema.HEAD)
    if connection.dialect.name == "postgresql":
        connection.execute(text("ANALYZE"))


def _mark(connection: Connection, revision: str) -> None:
    statement = text("UPDATE alembic_version SET version_num = :revision")
    connection.execute(statement, {"revision": revision})
