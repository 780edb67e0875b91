"""Releases taken out of lists or back in, removed with their files, and forgotten."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, or_, select, update

from repocore.catalog import files, repositories, tables
from repocore.catalog.dialects import now
from repocore.catalog.releases import VISIBLE, select_children, select_named, select_one
from repocore.catalog.rows import StoredRepository
from repocore.catalog.transactions import Transaction
from repocore.model import ReleaseRemoved, ReleaseYanked

__all__ = ["drafts", "expire", "forget_tombstones", "remove", "remove_named", "yank"]

_r = tables.releases
_p = tables.partitions
_f = tables.files
_x = tables.extras
_g = tables.generations

#: Releases whose files one statement deletes.
_AT_ONCE: Final = 100
#: Files of one release that its record names at most.
_NAMED: Final = 100


def yank(
    transaction: Transaction,
    repository: StoredRepository,
    names: Sequence[tuple[str, str]],
    by: str,
    *,
    to: bool,
) -> list[tuple[str, str]]:
    """Take releases out of every list, or back in; returns those that cannot be seen.

    Where there are such, nothing has changed.  A partition takes one serial for all of its own.
    """
    partitions = _hold_all(transaction, repository.id, names)
    if missing := _unseen(transaction, repository.id, names):
        return missing
    other = _r.c.yanked_at.is_(None) if to else _r.c.yanked_at.is_not(None)
    for partition in partitions:
        own = [pair for pair in names if pair[0] == partition]
        where = select_named(repository.id, own) & other
        turned = sorted(transaction.execute(select(_r.c.name).where(where)).scalars())
        if not turned:
            continue
        serial = _next_serial(transaction, repository.id, partition)
        changed = {"yanked_at": now() if to else None, "changed": serial}
        transaction.execute(update(_r).where(where).values(**changed))
        for name in turned:
            event = ReleaseYanked(
                repository=repository.value.address,
                partition=partition,
                release=name,
                yanked=to,
                serial=serial,
                by=by,
            )
            transaction.emit(event, before={"yanked": not to}, after={"yanked": to})
    return []


def _hold_all(
    transaction: Transaction, repository: int, names: Sequence[tuple[str, str]]
) -> dict[str, None]:
    """Hold the partitions of releases to the commit, all writers in one order; returns them."""
    partitions = dict.fromkeys(sorted({partition for partition, _ in names}))
    for partition in partitions:
        _hold(transaction, repository, partition)
    return partitions


def _unseen(
    transaction: Transaction, repository: int, names: Sequence[tuple[str, str]]
) -> list[tuple[str, str]]:
    statement = select(_r.c.partition, _r.c.name).where(select_named(repository, names), VISIBLE)
    seen = {(row.partition, row.name) for row in transaction.execute(statement)}
    return [pair for pair in names if pair not in seen]


def remove_named(
    transaction: Transaction,
    repository: StoredRepository,
    names: Sequence[tuple[str, str]],
    by: str,
) -> list[tuple[str, str]]:
    """Remove releases as `remove` does; returns those that cannot be seen, and then none went."""
    _hold_all(transaction, repository.id, names)
    missing = _unseen(transaction, repository.id, names)
    if not missing:
        remove(transaction, repository, select_named(repository.id, names), by)
    return missing


def remove(
    transaction: Transaction,
    repository: StoredRepository,
    where: ColumnElement[bool],
    by: str,
) -> int:
    """Remove releases and drafts with their files and all that hangs on them; how many were seen.

    Released ones leave a tombstone with a new serial; drafts leave nothing.
    """
    found = (
        select(
            _r.c.partition, _r.c.name, _r.c.package, _r.c.version, _r.c.released_at, _r.c.yanked_at
        )
        .where(where, or_(_r.c.released_at.is_not(None), _r.c.touched_at.is_not(None)))
        .where(or_(_r.c.removed_at.is_(None), _r.c.released_at.is_(None)))
        .order_by(_r.c.partition, _r.c.name)
    )
    names = [(row.partition, row.name) for row in transaction.execute(found)]
    # Before anything is looked for that hangs on them: an upload of such holds it, shared.
    held = _hold_all(transaction, repository.id, names)
    # As they are now: who held a partition before may have removed them, or published a draft.
    rows = [row for row in transaction.execute(found) if row.partition in held] if held else []
    for row in rows:
        remove(transaction, repository, select_children(repository.id, row.partition, row.name), by)
    were = _delete_files(transaction, repository, rows)
    for row in rows:
        mine = select_one(repository.id, row.partition, row.name)
        if row.released_at is None:
            _forget_draft(transaction, mine)
            continue
        serial = _next_serial(transaction, repository.id, row.partition)
        gone = {"removed_at": now(), "serial": serial, "changed": serial, "touched_at": None}
        transaction.execute(update(_r).where(mine).values(**gone, record=b"{}"))
        transaction.execute(delete(_x).where(_extra_of(repository.id, row.partition, row.name)))
        event = ReleaseRemoved(
            repository=repository.value.address,
            partition=row.partition,
            release=row.name,
            package=row.package,
            version=row.version,
            serial=serial,
            by=by,
        )
        before = {"yanked": row.yanked_at is not None, **were[row.partition, row.name]}
        transaction.emit(event, before=before)
    return len(rows)


def _extra_of(repository: int, partition: str, name: str) -> ColumnElement[bool]:
    return (_x.c.repository_id == repository) & (_x.c.partition == partition) & (_x.c.name == name)


def _hold(transaction: Transaction, repository: int, partition: str) -> None:
    mine = (_p.c.repository_id == repository) & (_p.c.name == partition)
    transaction.execute(select(_p.c.serial).where(mine).with_for_update())


def _next_serial(transaction: Transaction, repository: int, partition: str) -> int:
    mine = (_p.c.repository_id == repository) & (_p.c.name == partition)
    statement = update(_p).where(mine).values(serial=_p.c.serial + 1).returning(_p.c.serial)
    return transaction.execute(statement).scalar_one()


def _delete_files(
    transaction: Transaction, repository: StoredRepository, rows: Sequence[Any]
) -> Mapping[tuple[str, str], dict[str, Any]]:
    """What the records of the releases tell of their files, which are gone."""
    found: defaultdict[tuple[str, str], dict[str, Any]]
    found = defaultdict(lambda: {"files": {}, "count": 0, "size": 0})
    for start in range(0, len(rows), _AT_ONCE):
        # Each with its whole key: with a list of pairs SQLite walks through the repository's files.
        owned = [
            and_(
                _f.c.repository_id == repository.id,
                _f.c.partition == row.partition,
                _f.c.release == row.name,
            )
            for row in rows[start : start + _AT_ONCE]
        ]
        gone = files.remove(transaction, or_(*owned))
        repositories.charge(transaction, repository, -sum(one.size for one in gone), -len(gone))
        for one in gone:
            of = found[one.partition, one.release]
            of["count"] += 1
            of["size"] += one.size
            if of["count"] <= _NAMED:
                of["files"][one.path] = one.digest
    return found


def _forget_draft(transaction: Transaction, mine: ColumnElement[bool]) -> None:
    """A draft over a tombstone becomes the tombstone again."""
    transaction.execute(delete(_r).where(mine, _r.c.removed_at.is_(None)))
    transaction.execute(update(_r).where(mine).values(touched_at=None, record=b"{}"))


def drafts(connection: Connection, older: int, limit: int = 500) -> list[Any]:
    """(repository, partition, name) of drafts that nobody touched for so many microseconds."""
    statement = (
        select(_r.c.repository_id, _r.c.partition, _r.c.name)
        .where(_r.c.released_at.is_(None), _r.c.touched_at <= now() - older)
        .limit(limit)
    )
    return list(connection.execute(statement))


def expire(transaction: Transaction, repository: StoredRepository, row: Any, older: int) -> bool:
    """Forget one draft with its files, unless somebody touched it meanwhile."""
    mine = select_one(repository.id, row.partition, row.name)
    _hold(transaction, repository.id, row.partition)
    still = mine & _r.c.released_at.is_(None) & (_r.c.touched_at <= now() - older)
    if transaction.execute(select(_r.c.name).where(still)).first() is None:
        return False
    _delete_files(transaction, repository, [row])
    _forget_draft(transaction, mine)
    return True


def forget_tombstones(transaction: Transaction, older: int) -> int:
    """Delete the rows of releases that were removed so many microseconds ago; how many."""
    old = _r.c.removed_at.is_not(None) & _r.c.touched_at.is_(None)
    # What they were withdrawn from is in documents, which are to be made without them.
    gone = exists().where(
        old,
        _r.c.removed_at <= now() - older,
        _r.c.repository_id == _g.c.repository_id,
        _r.c.partition == _g.c.partition,
    )
    transaction.execute(delete(_g).where(gone))
    return transaction.execute(delete(_r).where(old, _r.c.removed_at <= now() - older)).rowcount
