"""What a replica writes: the rows of its primary, a partition at a time or all of access at once.

Only one process of an installation follows at a time.  Each of these asks, in its transaction,
whether the replica was promoted meanwhile; then nothing is written any more.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attrs
from cattrs import Converter
from sqlalchemy import Connection, Table, delete, func, select, tuple_, update

from repocore.catalog import blobs, dumping, files, repositories, tables
from repocore.catalog.dialects import now
from repocore.catalog.replication import ACCESS, FileState, ReleaseState
from repocore.catalog.transactions import Transaction
from repocore.errors import ReplicaError
from repocore.model import BlobKey

__all__ = [
    "Collected",
    "Following",
    "bring_access",
    "bring_counts",
    "bring_loose_files",
    "bring_records",
    "bring_releases",
    "count_missing",
    "drop_others",
    "drop_partition",
    "forget_records",
    "last_record",
    "missing",
    "note",
    "promote",
    "promoted_at",
    "read",
    "set_serial",
]

_b = tables.blobs
_d = tables.downloads
_f = tables.files
_g = tables.generations
_p = tables.partitions
_r = tables.releases
_t = tables.replication
_x = tables.extras

_converter = Converter()
#: What each installation notes for itself.
_OWN: Final = frozenset({"last_used_at", "last_at", "profile"})
#: Tables to which the replica adds by itself, so that nothing is taken out of them.
_KEPT: Final = frozenset({"spent"})
_AT_ONCE: Final = 500
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
    _require_following(transaction)
    state = attrs.evolve(read(transaction.connection), **changes)
    text = json.dumps(_converter.unstructure(state))
    transaction.execute(update(_t).values(state=text))
    return state


def _require_following(transaction: Transaction) -> None:
    row = transaction.execute(select(_t.c.promoted_at).with_for_update()).first()
    if row is not None and row.promoted_at is not None:
        raise ReplicaError("This registry was promoted, and follows nobody any more.")


# --------------------------------------------------------------------------------------- access


def bring_access(transaction: Transaction, version: int, rows: Iterable[Mapping[str, Any]]) -> None:
    """Have exactly these repositories, accounts and rules; ``rows`` are of all tables, in order.

    A repository that is not among them goes with all it has.
    """
    _require_following(transaction)
    transaction.dialect.unbound(transaction.connection)
    wanted: dict[str, list[Mapping[str, Any]]] = {table.name: [] for table in ACCESS}
    for one in rows:
        wanted[one["table"]].append(one["row"])
    _drop_repositories(transaction, wanted[tables.repositories.name])
    merges = [_Merge.of(transaction, table, wanted[table.name]) for table in ACCESS]
    # Who refers to others goes before them, and comes after them.
    for merge in reversed(merges):
        merge.remove()
    for merge in merges:
        merge.write()
    note(transaction, access=version)
    transaction.bump_access(rules=True, repositories=True)


def _drop_repositories(transaction: Transaction, wanted: Sequence[Mapping[str, Any]]) -> None:
    there = {(row["id"], row["created_at"]) for row in wanted}
    t = tables.repositories
    for row in transaction.execute(select(t.c.id, t.c.created_at)).all():
        if (row.id, row.created_at) not in there:
            repositories.forget(transaction, row.id)


@attrs.frozen
class _Merge:
    """The rows of one table, and those that it is to have."""

    _transaction: Transaction
    _table: Table
    _before: Mapping[tuple[Any, ...], Mapping[str, Any]]
    _after: Mapping[tuple[Any, ...], Mapping[str, Any]]

    @classmethod
    def of(
        cls, transaction: Transaction, table: Table, rows: Iterable[Mapping[str, Any]]
    ) -> _Merge:
        names = [column.name for column in table.columns]
        key = [column.name for column in table.primary_key]

        def by_key(found: Iterable[Mapping[str, Any]]) -> dict[tuple[Any, ...], Mapping[str, Any]]:
            # A primary of a later version may know columns that we do not.
            return {
                tuple(row[name] for name in key): {n: row[n] for n in names if n in row}
                for row in found
            }

        before = transaction.execute(select(table)).mappings().all()
        return cls(transaction, table, by_key(dict(row) for row in before), by_key(rows))

    def _is(self, key: tuple[Any, ...]) -> Any:
        columns = [*self._table.primary_key]
        return tuple_(*columns) == key if len(columns) > 1 else columns[0] == key[0]

    def remove(self) -> None:
        """Take out what is there no more."""
        if self._table.name in _KEPT:
            return
        for key in self._before.keys() - self._after.keys():
            self._transaction.execute(delete(self._table).where(self._is(key)))

    def write(self) -> None:
        """Add and change what is new and other."""
        new = [row for key, row in self._after.items() if key not in self._before]
        for start in range(0, len(new), _AT_ONCE):
            part = [self._filled(row) for row in new[start : start + _AT_ONCE]]
            self._transaction.connection.execute(self._table.insert(), part)
        for key, row in self._after.items():
            before = self._before.get(key)
            if before is None:
                continue
            other = {n: v for n, v in row.items() if n not in _OWN and before[n] != v}
            if other:
                self._transaction.execute(update(self._table).where(self._is(key)).values(**other))

    def _filled(self, row: Mapping[str, Any]) -> Mapping[str, Any]:
        counted = {"bytes": 0, "file_count": 0} if self._table is tables.repositories else {}
        return {**counted, **row}


# -------------------------------------------------------------------------------------- content


class Collected(Exception):  # noqa: N818 - undoes a transaction, which begins again
    """A collector took something that was fetched."""


#: A file, and the generation that its bytes are stored under; None where nobody has them.
Placed = tuple[FileState, str | None]


def bring_releases(
    transaction: Transaction, found: Sequence[tuple[ReleaseState, Sequence[Placed]]]
) -> None:
    """Write some releases as they are at the primary, with their files.

    Raises `Collected`: then nothing of the transaction may stay.
    """
    by_key = {(one.repository, one.partition, one.name): (one, put) for one, put in found}
    states = [state for state, _ in by_key.values()]
    insert = transaction.dialect.insert(_r)
    statement = insert.on_conflict_do_update(
        index_elements=[*_r.primary_key],
        set_={c.name: insert.excluded[c.name] for c in _r.c if not c.primary_key},
    )
    for state, put in by_key.values():
        _refer(transaction, put)
        _drop_files(transaction, state)
    if states:
        transaction.connection.execute(statement, [_release_row(one) for one in states])
    _bring_extras(transaction, states)
    placed = [
        _file_row(state.repository, one, state.partition, state.name)
        for state, put in by_key.values()
        for one, _ in put
    ]
    _write_files(transaction, placed)


def _release_row(state: ReleaseState) -> dict[str, Any]:
    row = attrs.asdict(state, filter=lambda field, _: field.name not in {"files", "extra"})
    row["repository_id"] = row.pop("repository")
    return {**row, "package_key": state.package.casefold(), "touched_at": None}


def _bring_extras(transaction: Transaction, states: Sequence[ReleaseState]) -> None:
    for one in states:
        mine = (_x.c.repository_id == one.repository) & (_x.c.partition == one.partition)
        transaction.execute(delete(_x).where(mine, _x.c.name == one.name))
    rows = [
        {
            "repository_id": one.repository,
            "partition": one.partition,
            "name": one.name,
            "extra": one.extra,
        }
        for one in states
        if one.extra
    ]
    if rows:
        transaction.connection.execute(_x.insert(), rows)


def _refer(transaction: Transaction, put: Iterable[Placed]) -> None:
    for file, generation in put:
        if generation is None:
            _mark_missing(transaction, file)
        elif not blobs.refer(transaction, BlobKey(file.digest, generation)):
            raise Collected


def _mark_missing(transaction: Transaction, file: FileState) -> None:
    """The primary has lost the bytes: they are in quarantine here, too, until somebody has them."""
    values = {
        "digest": file.digest,
        "generation": BlobKey.make(file.digest).generation,
        "size": file.size,
        "sha1": file.sha1,
        "md5": file.md5,
        "stored_at": None,
        "touched_at": now(),
        "deleting": False,
        "damaged_at": now(),
    }
    transaction.insert_missing(_b, values)
    lost = (_b.c.digest == file.digest) & _b.c.stored_at.is_(None)
    transaction.execute(update(_b).where(lost).values(damaged_at=now(), deleting=False))


def _drop_files(transaction: Transaction, state: ReleaseState) -> None:
    """Delete the files that a release has here and not there."""
    mine = (_f.c.repository_id == state.repository) & (_f.c.partition == state.partition)
    there = transaction.execute(select(_f.c.path).where(mine, _f.c.release == state.name)).scalars()
    gone = sorted({*there} - {one.path for one in state.files})
    if gone:
        files.remove(transaction, files.select_paths(state.repository, gone))


def _file_row(
    repository: int, file: FileState, partition: str | None, release: str | None
) -> dict[str, Any]:
    return {
        "repository_id": repository,
        "path": file.path,
        "digest": file.digest,
        "size": file.size,
        "partition": partition,
        "release": release,
        "media_type": file.media_type,
        "mutable": file.mutable,
        "created_at": file.created_at,
        "created_by": file.created_by,
    }


def _write_files(transaction: Transaction, rows: Sequence[Mapping[str, Any]]) -> None:
    insert = transaction.dialect.insert(_f)
    kept = {"id", "repository_id", "path"}
    statement = insert.on_conflict_do_update(
        index_elements=[_f.c.repository_id, _f.c.path],
        set_={c.name: insert.excluded[c.name] for c in _f.c if c.name not in kept},
    )
    for start in range(0, len(rows), _AT_ONCE):
        part = rows[start : start + _AT_ONCE]
        _touch_replaced(transaction, part)
        transaction.connection.execute(statement, part)


def _touch_replaced(transaction: Transaction, rows: Sequence[Mapping[str, Any]]) -> None:
    """A reference to other bytes is taken away: their grace period starts now."""
    wanted = {(row["repository_id"], row["path"]): row["digest"] for row in rows}
    own: dict[int, list[str]] = {}
    for repository, path in wanted:
        own.setdefault(repository, []).append(path)
    for repository, paths in own.items():
        statement = select(_f.c.path, _f.c.digest).where(files.select_paths(repository, paths))
        before = transaction.execute(statement)
        blobs.touch(
            transaction,
            [row.digest for row in before if wanted[repository, row.path] != row.digest],
        )


def set_serial(transaction: Transaction, repository: int, partition: str, serial: int) -> None:
    """Publish what a partition has now; an older serial than before has its documents made anew."""
    _require_following(transaction)
    mine = (_p.c.repository_id == repository) & (_p.c.name == partition)
    before = transaction.execute(select(_p.c.serial).where(mine).with_for_update()).scalar()
    transaction.upsert(
        _p,
        ["repository_id", "name"],
        {"repository_id": repository, "name": partition, "serial": serial},
        lambda new: {"serial": new.serial},
    )
    if before is not None and serial < before:
        made = (_g.c.repository_id == repository) & _g.c.partition.in_([partition, ""])
        transaction.execute(delete(_g).where(made))


def drop_others(
    transaction: Transaction, repository: int, partition: str, kept: frozenset[str] | set[str]
) -> None:
    """Delete the releases of a partition that are not among these, without a tombstone."""
    mine = (_r.c.repository_id == repository) & (_r.c.partition == partition)
    gone = [
        n for n in transaction.execute(select(_r.c.name).where(mine)).scalars() if n not in kept
    ]
    for start in range(0, len(gone), _AT_ONCE):
        part = gone[start : start + _AT_ONCE]
        owned = (_f.c.repository_id == repository) & (_f.c.partition == partition)
        files.remove(transaction, owned & _f.c.release.in_(part))
        extra = (_x.c.repository_id == repository) & (_x.c.partition == partition)
        transaction.execute(delete(_x).where(extra, _x.c.name.in_(part)))
        transaction.execute(delete(_r).where(mine, _r.c.name.in_(part)))


def drop_partition(transaction: Transaction, repository: int, partition: str) -> None:
    """Delete a partition that the primary has not."""
    set_serial(transaction, repository, partition, 0)
    drop_others(transaction, repository, partition, frozenset())
    mine = (_p.c.repository_id == repository) & (_p.c.name == partition)
    transaction.execute(delete(_p).where(mine))


def bring_loose_files(
    transaction: Transaction, repository: int, found: Iterable[Sequence[Placed]]
) -> None:
    """Have exactly these files of no release.  Raises `Collected`, as `bring_releases` does."""
    _require_following(transaction)
    transaction.dialect.unbound(transaction.connection)
    mine = (_f.c.repository_id == repository) & _f.c.partition.is_(None)
    gone = {*transaction.execute(select(_f.c.path).where(mine)).scalars()}
    for part in found:
        _refer(transaction, part)
        _write_files(transaction, [_file_row(repository, one, None, None) for one, _ in part])
        gone -= {one.path for one, _ in part}
    paths = sorted(gone)
    for start in range(0, len(paths), _AT_ONCE):
        part_of = paths[start : start + _AT_ONCE]
        files.remove(transaction, files.select_paths(repository, part_of))


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
    _require_following(transaction)
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
    _require_following(transaction)
    for table in (tables.audit, tables.seals):
        transaction.execute(delete(table))


def bring_counts(transaction: Transaction, rows: Sequence[Mapping[str, Any]]) -> None:
    """Take counts of downloads over: of each day the larger one, and the later last use."""
    _require_following(transaction)
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
    _require_following(transaction)
    connection = transaction.connection
    given = {name: last + _SPARED for name, last in read(connection).numbers.items()}
    dumping.count_on(connection, given)
    # What was never counted here is, where there is a quota.
    for stored in repositories.everything(connection):
        repositories.replace(transaction, stored.id, stored.value)
    era = secrets.token_hex(16)
    transaction.execute(update(_t).values(promoted_at=now(), era=era))
    transaction.bump_access(rules=True, repositories=True)
