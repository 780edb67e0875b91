"""The numbers that tables give to their rows.

Records name such numbers, so that one whose row is gone is not given again: neither in a copy nor
in what was restored or promoted.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, MetaData, Table, func, inspect, select, text

from repocore.catalog import tables

__all__ = ["count_on", "counted"]


def counted(connection: Connection) -> dict[str, int]:
    """The last number that was given to a row, of each table that counts its rows."""
    if connection.dialect.name == "sqlite":
        if not inspect(connection).has_table("sqlite_sequence"):
            return {}
        found = connection.execute(text("SELECT name, seq FROM sqlite_sequence"))
        return {row.name: row.seq for row in found if row.name in tables.METADATA.tables}
    given: dict[str, int] = {}
    for name, table in tables.METADATA.tables.items():
        sequence = _sequence(connection, table)
        if sequence is not None:
            row = connection.execute(text(f"SELECT last_value, is_called FROM {sequence}")).one()  # noqa: S608 - its own name
            given[name] = row.last_value if row.is_called else 0
    return given


def _sequence(connection: Connection, table: Table) -> str | None:
    """The name of what counts a table's rows, as PostgreSQL quotes it."""
    columns = list(table.primary_key)
    if len(columns) != 1:
        return None
    return connection.scalar(select(func.pg_get_serial_sequence(table.name, columns[0].name)))


def count_on(
    connection: Connection, given: Mapping[str, int], metadata: MetaData = tables.METADATA
) -> None:
    """Give no number again that was given before, of any table that remembers its numbers."""
    for name, table in metadata.tables.items():
        [*columns] = table.primary_key
        if len(columns) != 1 or columns[0].type.python_type is not int:
            continue
        if connection.dialect.name == "sqlite":
            _count_on_sqlite(connection, name, given.get(name, 0))
            continue
        sequence = _sequence(connection, table)
        if sequence is None:
            continue
        most = connection.scalar(select(func.max(columns[0]))) or 0
        last = max(most, given.get(name, 0))
        connection.execute(select(func.setval(sequence, max(last, 1), last > 0)))


def _count_on_sqlite(connection: Connection, name: str, last: int) -> None:
    """A table without a memory of its numbers goes on behind the highest; nothing is to do."""
    if not last or not inspect(connection).has_table("sqlite_sequence"):
        return
    known = {"name": name, "last": last}
    changed = connection.execute(
        text("UPDATE sqlite_sequence SET seq = max(seq, :last) WHERE name = :name"), known
    )
    if not changed.rowcount and _remembers(connection, name):
        connection.execute(
            text("INSERT INTO sqlite_sequence (name, seq) VALUES (:name, :last)"), known
        )


def _remembers(connection: Connection, name: str) -> bool:
    made = text("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = :name")
    return "AUTOINCREMENT" in str(connection.scalar(made, {"name": name})).upper()
