"""How far a replica has come with its primary: what it notes of that, and its promotion.

Only one process of an installation follows at a time.  Each of these asks, in its transaction,
whether the replica was promoted meanwhile; then nothing is written any more.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
from cattrs import Converter
from sqlalchemy import Connection, delete, func, select, tuple_, update

from repocore.catalog import numbering, repositories, tables
from repocore.catalog.dialects import now
from repocore.catalog.transactions import Transaction
from repocore.errors import ReplicaError

__all__ = [
    "Following",
    "bring_counts",
    "bring_records",
    "count_missing",
    "forget_records",
    "last_record",
    "missing",
    "note",
    "promote",
    "promoted_at",
    "read",
    "require",
]

_b = tables.blobs
_d = tables.downloads
_f = tables.files
_t = tables.replication

_converter = Converter()
#: Numbers that the primary may have given after it was last heard of.
_SPARED: Final = 1000


@attrs.frozen(kw_only=True)
class Following:
    """How far a replica has come; times are in microseconds since 1970, by its own clock."""

    #: Who is followed, and the era of its history.
    of: str = ""
    era: str = ""
    #: The version of access at the primary that is here.
    access: int = -1
    #: The record of changes up to which all that they tell of is here.
    record: int = 0
    #: Whether everything was here once.
    whole: bool = False
    #: The last numbers that were given there, by table.
    numbers: Mapping[str, int] = attrs.field(factory=dict[str, int])
    #: What was behind when it last looked, and what it has of it since.
    records_behind: int = 0
    partitions_behind: int = 0
    serials_behind: int = 0
    looked_at: int | None = None
    #: When the last look began after which nothing was behind.
    synced_at: int | None = None
    compared_at: int | None = None
    counted_at: int | None = None
    collected_at: int | None = None
    #: What kept it from following at its last attempt.
    error: str = ""


def read(connection: Connection) -> Following:
    """How far it has come."""
    text = connection.scalar(select(_t.c.state))
    known = {field.name for field in attrs.fields(Following)}
    values = {key: value for key, value in json.loads(text or "{}").items() if key in known}
    return _converter.structure(values, Following)


def promoted_at(connection: Connection) -> int | None:
    """When it became a registry of its own; None where it never was a replica, or is one."""
    return connection.scalar(select(_t.c.promoted_at))


def note(transaction: Transaction, **changes: Any) -> Following:
    """Note how far it has come.  Raises `ReplicaError` where it follows nobody any more."""
    require(transaction)
    state = attrs.evolve(read(transaction.connection), **changes)
    text = json.dumps(_converter.unstructure(state))
    transaction.execute(update(_t).values(state=text))
    return state


def require(transaction: Transaction) -> None:
    """Return in a replica.  Raises `ReplicaError` where it follows nobody any more."""
    row = transaction.execute(select(_t.c.promoted_at).with_for_update()).first()
    if row is not None and row.promoted_at is not None:
        raise ReplicaError("This registry was promoted, and follows nobody any more.")


def _missing() -> Any:
    named = select(_f.c.id).where(_f.c.digest == _b.c.digest).exists()
    return (_b.c.damaged_at.is_not(None)) & _b.c.stored_at.is_(None) & named


def missing(connection: Connection, limit: int) -> list[tuple[str, int]]:
    """(digest, size) of bytes that files name and that are not to be had here."""
    statement = select(_b.c.digest, _b.c.size).where(_missing()).limit(limit)
    return [(row.digest, row.size) for row in connection.execute(statement)]


def count_missing(connection: Connection) -> int:
    """How many such bytes there are."""
    return connection.scalar(select(func.count()).where(_missing())) or 0


# -------------------------------------------------------------------------------------- records


def bring_records(
    transaction: Transaction,
    records: Sequence[Mapping[str, Any]],
    seals: Sequence[Mapping[str, Any]],
) -> None:
    """Write records of changes and seals behind those that are there."""
    require(transaction)
    for table, rows in ((tables.audit, records), (tables.seals, seals)):
        if rows:
            names = {column.name for column in table.columns}
            known = [{n: v for n, v in row.items() if n in names} for row in rows]
            transaction.connection.execute(table.insert(), known)


def last_record(connection: Connection) -> int:
    """The number of the last record that is here."""
    return connection.scalar(select(func.max(tables.audit.c.id))) or 0


def forget_records(transaction: Transaction) -> None:
    """Forget every record: they are those of another history."""
    require(transaction)
    for table in (tables.audit, tables.seals):
        transaction.execute(delete(table))


def bring_counts(transaction: Transaction, rows: Sequence[Mapping[str, Any]]) -> None:
    """Take counts of downloads over: of each day the larger one, and the later last use."""
    require(transaction)
    for row in rows:
        mine = tuple_(*_d.primary_key) == tuple(row[c.name] for c in _d.primary_key)
        if transaction.insert_missing(_d, row):
            continue
        for name in ("count", "last_at"):
            smaller = _d.c[name] < row[name]
            transaction.execute(update(_d).where(mine, smaller).values({name: row[name]}))


# ------------------------------------------------------------------------------------- promotion


def promote(transaction: Transaction) -> None:
    """Follow nobody from now on, as an installation with a history of its own.

    No number is given again that the primary has given, as far as it is known.
    """
    require(transaction)
    connection = transaction.connection
    given = {name: last + _SPARED for name, last in read(connection).numbers.items()}
    numbering.count_on(connection, given)
    # What was never counted here is, where there is a quota.
    for stored in repositories.everything(connection):
        repositories.replace(transaction, stored.id, stored.value)
    era = secrets.token_hex(16)
    transaction.execute(update(_t).values(promoted_at=now(), era=era))
    transaction.bump_access(rules=True, repositories=True)
