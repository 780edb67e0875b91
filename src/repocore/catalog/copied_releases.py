"""Releases and files of a primary as its replica writes them: partitions, with their serials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attrs
from sqlalchemy import delete, select, update

from repocore.catalog import blobs, files, following, tables
from repocore.catalog.dialects import now
from repocore.catalog.replication import FileState, ReleaseState
from repocore.catalog.transactions import Transaction
from repocore.model import BlobKey

__all__ = [
    "Collected",
    "Placed",
    "bring_loose_files",
    "bring_releases",
    "drop_others",
    "drop_partition",
    "set_serial",
]

_b = tables.blobs
_f = tables.files
_g = tables.generations
_p = tables.partitions
_r = tables.releases
_x = tables.extras

_AT_ONCE: Final = 500


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
    following.require(transaction)
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
    following.require(transaction)
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
