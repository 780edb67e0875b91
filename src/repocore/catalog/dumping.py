"""The catalog as portable rows: written from one snapshot, read into a catalog that is empty.

A row is a list of JSON values in the order of its table's columns; bytes are ``{"b": BASE64}``.
Both databases write the same rows, and read those of the other.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, cast

import attrs
from sqlalchemy import (
    Connection,
    MetaData,
    Table,
    insert,
    literal,
    select,
)

from repocore.catalog import numbering, tables
from repocore.catalog.catalog import HEAD, Catalog
from repocore.catalog.dialects import now
from repocore.catalog.transactions import Transaction
from repocore.errors import ConfigurationError, RejectedError
from repocore.model import BlobKey

__all__ = [
    "SCHEMA",
    "NamedFile",
    "StoredObject",
    "is_empty",
    "load",
    "moment",
    "named_files",
    "rows",
    "stored_objects",
    "table_columns",
]

#: The schema of the rows that are written.
SCHEMA: Final = HEAD

#: What a copy does without: who has made it, and what it was in the middle of.
_LEFT_OUT: Final = frozenset({"leases"})
#: Where there must be nothing; other tables have rows as soon as a registry was opened.
_CONTENT: Final = (
    tables.repositories,
    tables.releases,
    tables.files,
    tables.blobs,
    tables.accounts,
    tables.tokens,
    tables.rules,
    tables.bindings,
    tables.audit,
)
_AT_ONCE: Final = 500

#: The rows of a table, in some order, as lists of JSON values.
Rows = Callable[[str], Iterable[Sequence[Any]]]


@attrs.frozen
class StoredObject:
    """An object that files or documents name; ``sound``: it is not known to be damaged."""

    key: BlobKey
    size: int
    sound: bool


@attrs.frozen
class NamedFile:
    """What a path of a repository names."""

    address: str
    path: str
    key: BlobKey
    size: int


def table_columns() -> dict[str, list[str]]:
    """The tables of a copy, those that others refer to first, with their columns."""
    return {
        table.name: [column.name for column in table.columns]
        for table in tables.METADATA.sorted_tables
        if table.name not in _LEFT_OUT
    }


def moment(connection: Connection) -> int:
    """The database's clock, in microseconds since 1970."""
    return connection.execute(select(now())).scalar_one()


def rows(connection: Connection, name: str) -> Iterator[list[Any]]:
    """The rows of a table by its primary key, read as they are asked for."""
    table = tables.METADATA.tables[name]
    statement = select(table).order_by(*table.primary_key)
    found = connection.execute(statement, execution_options={"yield_per": _AT_ONCE})
    for row in found:
        yield [_written(value) for value in row]


def _written(value: Any) -> Any:
    if isinstance(value, bytes):
        return {"b": base64.b64encode(value).decode()}
    return value


def _read(value: Any) -> Any:
    return base64.b64decode(cast("dict[str, str]", value)["b"]) if type(value) is dict else value


def stored_objects(connection: Connection) -> Iterator[StoredObject]:
    """Every object that something names, by digest."""
    b, f, d = tables.blobs, tables.files, tables.documents
    held = select(d.c.path).where(d.c.digest == b.c.digest, d.c.generation.is_not(None))
    named = select(f.c.id).where(f.c.digest == b.c.digest).exists() | held.exists()
    statement = (
        select(b.c.digest, b.c.generation, b.c.size, b.c.stored_at)
        .where(named)
        .order_by(b.c.digest)
    )
    for row in connection.execute(statement, execution_options={"yield_per": _AT_ONCE}):
        key = BlobKey(row.digest, row.generation)
        yield StoredObject(key, row.size, row.stored_at is not None)


def named_files(connection: Connection) -> Iterator[NamedFile]:
    """Every path of every repository, drafts' too, and its object."""
    b, f, r = tables.blobs, tables.files, tables.repositories
    statement = (
        select(r.c.format, r.c.name, f.c.path, b.c.digest, b.c.generation, f.c.size)
        .join(r, r.c.id == f.c.repository_id)
        .join(b, b.c.digest == f.c.digest)
        .order_by(f.c.repository_id, f.c.path)
    )
    for row in connection.execute(statement, execution_options={"yield_per": _AT_ONCE}):
        key = BlobKey(row.digest, row.generation)
        yield NamedFile(f"{row.format}/{row.name}", row.path, key, row.size)


def is_empty(connection: Connection) -> bool:
    """Whether nobody has put anything into the catalog."""
    some = [select(literal(1)).select_from(table).limit(1) for table in _CONTENT]
    return all(connection.execute(one).first() is None for one in some)


def load(
    catalog: Catalog,
    schema: str,
    columns: Mapping[str, Sequence[str]],
    given: Mapping[str, int],
    read: Rows,
) -> None:
    """Write the rows of a copy into a catalog that is empty: all of them, or none.

    A copy with an older schema is read as that version's, and then brought to this one's.  Raises
    `RejectedError` where the catalog is not empty, `ConfigurationError` where the schema is newer
    than we are, and what ``read`` raises.
    """

    def work(transaction: Transaction) -> None:
        connection = transaction.connection
        transaction.dialect.unbound(connection)
        if not is_empty(connection):
            message = "The catalog has packages or accounts already; a copy goes into an empty one."
            raise RejectedError(message)
        metadata = tables.METADATA
        if schema != HEAD:
            metadata = _at_schema(connection, schema)
        for name in reversed([*columns]):
            connection.execute(metadata.tables[name].delete())
        for name, names in columns.items():
            _insert(connection, metadata.tables[name], names, read(name))
        numbering.count_on(connection, given, metadata)
        if schema != HEAD:
            _upgrade(connection, "head")
        # Whoever has the registry open has seen an empty catalog.
        transaction.bump_access(rules=True, repositories=True)

    catalog.write(work)


def _at_schema(connection: Connection, schema: str) -> MetaData:
    """Make the empty tables of an older version."""
    # Alembic costs a fifth of a second, as in `Catalog.migrate`.
    from repocore.catalog.migrations.run import known  # noqa: PLC0415

    if not known(schema):
        message = (
            f"The copy was written by a newer repocore (schema {schema}); "
            "install that version or a later one."
        )
        raise ConfigurationError(message)
    there = MetaData()
    there.reflect(connection)
    there.drop_all(connection)
    _upgrade(connection, schema)
    made = MetaData()
    made.reflect(connection)
    return made


def _upgrade(connection: Connection, revision: str) -> None:
    from repocore.catalog.migrations.run import upgrade  # noqa: PLC0415 - as above

    upgrade(connection, revision)


def _insert(
    connection: Connection, table: Table, names: Sequence[str], found: Iterable[Sequence[Any]]
) -> None:
    statement = insert(table)
    part: list[dict[str, Any]] = []
    for row in found:
        part.append(dict(zip(names, map(_read, row), strict=True)))
        if len(part) == _AT_ONCE:
            connection.execute(statement, part)
            part = []
    if part:
        connection.execute(statement, part)
