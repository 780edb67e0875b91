"""Queries on partitions and releases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    delete,
    exists,
    func,
    or_,
    select,
    tuple_,
    update,
)

from repocore.catalog import files, repositories, tables
from repocore.catalog.dialects import now
from repocore.catalog.rows import StoredRepository, release_of
from repocore.catalog.transactions import Transaction
from repocore.model import File, Release, ReleaseRemoved, ReleaseYanked, release_key

__all__ = [
    "children",
    "drafts",
    "expire",
    "find",
    "forget_tombstones",
    "in_partition",
    "of_names",
    "packages",
    "page",
    "remove",
    "remove_named",
    "select_children",
    "select_draft",
    "select_named",
    "select_one",
    "select_partition",
    "visible",
    "visible_page",
    "yank",
]

_r = tables.releases
_p = tables.partitions
_f = tables.files
_x = tables.extras
_g = tables.generations
_hanging = _r.alias("hanging")

#: Releases whose files one statement deletes.
_AT_ONCE = 100

_visible = and_(_r.c.released_at.is_not(None), _r.c.removed_at.is_(None))
_listed = and_(_visible, _r.c.yanked_at.is_(None))


def select_one(repository: int, partition: str, name: str) -> ColumnElement[bool]:
    """One release."""
    return (_r.c.repository_id == repository) & (_r.c.partition == partition) & (_r.c.name == name)


def select_named(repository: int, names: Sequence[tuple[str, str]]) -> ColumnElement[bool]:
    """Releases by (partition, name); there has to be one."""
    # By partition, because an index answers a list of names and no list of pairs.
    own: dict[str, list[str]] = {}
    for partition, name in names:
        own.setdefault(partition, []).append(name)
    return or_(
        *(
            select_partition(repository, partition) & _r.c.name.in_(some)
            for partition, some in own.items()
        )
    )


def of_names(
    connection: Connection, repository: int, names: Sequence[tuple[str, str]]
) -> dict[tuple[str, str], tuple[str, str]]:
    """(package, version) of the releases that can be seen, by (partition, name)."""
    statement = select(_r.c.partition, _r.c.name, _r.c.package, _r.c.version)
    rows = connection.execute(statement.where(select_named(repository, names), _visible))
    return {(row.partition, row.name): (row.package, row.version) for row in rows}


def select_partition(repository: int, partition: str) -> ColumnElement[bool]:
    """All of a partition."""
    return (_r.c.repository_id == repository) & (_r.c.partition == partition)


def select_children(repository: int, partition: str, name: str) -> ColumnElement[bool]:
    """All that hang on a release."""
    # The index of parents holds these names and nothing else; asked for whole rows, SQLite would
    # rather walk through the repository.
    keys = select(_hanging.c.partition, _hanging.c.name).where(
        _hanging.c.repository_id == repository, _hanging.c.parent == release_key(partition, name)
    )
    return (_r.c.repository_id == repository) & tuple_(_r.c.partition, _r.c.name).in_(keys)


def select_draft(repository: int, partition: str | None, name: str | None) -> ColumnElement[bool]:
    """One release, unless it is visible; nothing for a file without one."""
    mine = select_one(repository, partition or "", name or "")
    return mine & _r.c.released_at.is_(None)


def find(connection: Connection, repository: int, partition: str, name: str) -> Any:
    """A row, whatever its state, or None."""
    return connection.execute(select(_r).where(select_one(repository, partition, name))).first()


def visible(
    connection: Connection, repository: StoredRepository, partition: str, name: str
) -> Release | None:
    """A release that can be seen."""
    where = select_one(repository.id, partition, name) & _visible
    row = connection.execute(select(_r).where(where)).first()
    return None if row is None else release_of(repository.value.address, row)


def in_partition(
    connection: Connection, repository: StoredRepository, partition: str, limit: int | None = None
) -> list[Release]:
    """The listed releases, newest first."""
    where = select_partition(repository.id, partition) & _listed
    statement = select(_r).where(where).order_by(_r.c.serial.desc()).limit(limit)
    return [release_of(repository.value.address, row) for row in connection.execute(statement)]


def children(
    connection: Connection, repository: StoredRepository, partition: str, name: str
) -> list[Release]:
    """The newest listed release of each partition that hangs on a release, by partition."""
    where = select_children(repository.id, partition, name) & _listed
    newest = (
        select(_r.c.partition, func.max(_r.c.serial).label("serial"))
        .where(where)
        .group_by(_r.c.partition)
        .subquery()
    )
    statement = (
        select(_r)
        .join(newest, (newest.c.partition == _r.c.partition) & (newest.c.serial == _r.c.serial))
        .where(where)
        .order_by(_r.c.partition)
    )
    return [release_of(repository.value.address, row) for row in connection.execute(statement)]


def packages(
    connection: Connection, repository: int, names: tuple[str, str], chunk: int
) -> Iterator[Sequence[Sequence[str]]]:
    """(package, version) of the listed top-level releases, in order, without doubles, in chunks;
    ``names`` are a prefix of the case-folded names, and the first of them.
    """
    prefix, start = names
    statement = (
        select(_r.c.package, _r.c.version)
        .where(_r.c.repository_id == repository, _listed, _r.c.parent.is_(None))
        .where(_r.c.package_key >= start)
        .group_by(_r.c.package_key, _r.c.sort_key, _r.c.package, _r.c.version)
        .order_by(_r.c.package_key, _r.c.sort_key, _r.c.package, _r.c.version)
    )
    if prefix:
        statement = statement.where(files.within(_r.c.package_key, prefix))
    result = connection.execution_options(stream_results=True).execute(statement)
    yield from result.partitions(chunk)


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
            transaction.emit(event)
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
    statement = select(_r.c.partition, _r.c.name).where(select_named(repository, names), _visible)
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
        select(_r.c.partition, _r.c.name, _r.c.package, _r.c.version, _r.c.released_at)
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
    _delete_files(transaction, repository, rows)
    for row in rows:
        mine = select_one(repository.id, row.partition, row.name)
        if row.released_at is None:
            _forget_draft(transaction, mine)
            continue
        serial = _next_serial(transaction, repository.id, row.partition)
        gone = {"removed_at": now(), "serial": serial, "changed": serial, "touched_at": None}
        transaction.execute(update(_r).where(mine).values(**gone, record=b"{}"))
        transaction.execute(delete(_x).where(_extra_of(repository.id, row.partition, row.name)))
        transaction.emit(
            ReleaseRemoved(
                repository=repository.value.address,
                partition=row.partition,
                release=row.name,
                package=row.package,
                version=row.version,
                serial=serial,
                by=by,
            )
        )
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
) -> None:
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
        count, size = files.remove(transaction, or_(*owned))
        repositories.charge(transaction, repository, -size, -count)


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


def page(
    connection: Connection, repository: StoredRepository, after: tuple[str, str], limit: int
) -> list[Release]:
    """The next visible releases, yanked or not, by partition and name."""
    statement = (
        select(_r)
        .where(_r.c.repository_id == repository.id, _visible)
        .where(tuple_(_r.c.partition, _r.c.name) > after)
        .order_by(_r.c.partition, _r.c.name)
        .limit(limit)
    )
    address = repository.value.address
    return [release_of(address, row) for row in connection.execute(statement)]


def visible_page(
    connection: Connection, repository: StoredRepository, after: tuple[str, str], limit: int = 200
) -> list[tuple[Release, list[File]]]:
    """The next visible releases by partition and name, each with its files; for the check."""
    where = (_r.c.repository_id == repository.id) & _visible
    statement = (
        select(_r)
        .where(where, tuple_(_r.c.partition, _r.c.name) > after)
        .order_by(_r.c.partition, _r.c.name)
        .limit(limit)
    )
    address = repository.value.address
    return [
        (
            release_of(address, row),
            files.of_release(connection, repository.id, address, row.partition, row.name),
        )
        for row in connection.execute(statement).all()
    ]
