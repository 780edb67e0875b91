"""Queries on what is kept and what may go.

A release goes if it can be seen and nothing keeps it: it is not among the newest listed ones of its
partition (or of the newest versions of its package there), not among the newest of its package or
of the repository, it was not downloaded lately, it is not young, and nobody is uploading to it.
What hangs on a release goes with it, so what time decides is also asked of all that hangs on it.
"""

from __future__ import annotations

from typing import Any

import attrs
from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    func,
    not_,
    select,
    tuple_,
)

from repocore.catalog import drafts, releases, removals, tables
from repocore.catalog.dialects import now
from repocore.catalog.downloads import DAY
from repocore.catalog.rows import StoredRepository
from repocore.catalog.transactions import Transaction

__all__ = ["Bounds", "Position", "Unkept", "beyond", "find", "goes", "page", "remove"]

_r = tables.releases
_d = tables.downloads
_f = tables.files
_newer = _r.alias("newer")
# What hangs on a release: its key, all of which is in the index of parents, and its row.
_key = _r.alias("hanging")
_below = _r.alias("below")


def _joined(table: Any, release: Any) -> ColumnElement[bool]:
    """The rows of a table that belong to a hanging release, found by its whole key."""
    return and_(
        # SQLite would rather walk through the repository if both could give its number.
        table.c.repository_id == _key.c.repository_id + 0,
        table.c.partition == _key.c.partition,
        release == _key.c.name,
    )


_hangs = and_(
    _key.c.repository_id == _r.c.repository_id,
    _key.c.parent == _r.c.partition + "#" + _r.c.name,  # as `release_key` writes it
)
_hanging_releases = and_(
    _hangs,
    _joined(_below, _below.c.name),
)
_hanging_files = and_(_hangs, _joined(_f, _f.c.release))
_hanging_downloads = and_(_hangs, _joined(_d, _d.c.release))

# Those of the row's package that the index of packages has.
_of_package = and_(
    _newer.c.repository_id == _r.c.repository_id,
    _newer.c.package_key == _r.c.package_key,
    _newer.c.package == _r.c.package,
    _newer.c.released_at.is_not(None),
    _newer.c.removed_at.is_(None),
    _newer.c.yanked_at.is_(None),
    _newer.c.parent.is_(None),
)

#: No partition has more releases; a larger number would not fit into every database's.
_MOST = 1 << 31


#: The time, the partition and the name of a release: where it stands among all of a repository.
Position = tuple[int, str, str]


@attrs.frozen(kw_only=True)
class Bounds:
    """What keeps a release; the spans are in microseconds, and None keeps nothing.

    ``newest`` counts the releases of a partition; with ``versions``, the versions of a package in
    it.  ``each`` counts the releases of a package, ``beyond`` is the newest one of the repository
    that its size and its number do not keep.  ``uploading`` is how long ago the last file of an
    unfinished upload may have come.
    """

    newest: int
    versions: bool = False
    each: int | None = None
    beyond: Position | None = None
    downloaded: int | None
    younger: int | None
    uploading: int


@attrs.frozen(kw_only=True)
class Unkept:
    """A release that nothing keeps; the counts are with all that hangs on it."""

    partition: str
    name: str
    package: str
    version: str
    parent: str | None
    serial: int
    released_at: int
    releases: int
    files: int
    bytes: int = attrs.field(converter=int)  # sums are no integers to every driver
    #: When it or what hangs on it was last downloaded.
    used_at: int | None


def _can_be_seen(table: Any) -> ColumnElement[bool]:
    return table.c.released_at.is_not(None) & table.c.removed_at.is_(None)


def _unkept(connection: Connection, bounds: Bounds) -> ColumnElement[bool]:
    at: int = connection.scalar(select(now())) or 0
    tests = [_can_be_seen(_r), not_(_hanging(_below.c.touched_at > at - bounds.uploading))]
    # Null where there are not so many, and then nothing is less than it.
    if bounds.newest and bounds.versions:
        tests.append(_r.c.sort_key < _oldest_version(min(bounds.newest, _MOST)))
    elif bounds.newest:
        tests.append(_r.c.serial < _oldest_of(min(bounds.newest, _MOST)))
    if bounds.each is not None:
        tests.append(_r.c.parent.is_(None) & _outnumbered(min(bounds.each, _MOST)))
    if bounds.beyond is not None:
        newer = _can_be_seen(_below) & (_position(_below) > bounds.beyond)
        tests += [_position(_r) <= bounds.beyond, not_(_hanging(newer))]
    if bounds.younger is not None:
        since = max(0, at - bounds.younger)
        young = _can_be_seen(_below) & (_below.c.released_at > since)
        tests += [_r.c.released_at <= since, not_(_hanging(young))]
    if bounds.downloaded is not None:
        since = max(0, at - bounds.downloaded)
        below = _can_be_seen(_below) & _downloaded(_below, since)
        tests += [not_(_downloaded(_r, since)), not_(_hanging(below))]
    return and_(*tests)


def _oldest_of(newest: int) -> Any:
    """The serial of the last of so many newest listed releases of the row's partition."""
    return (
        select(_newer.c.serial)
        .where(
            _newer.c.repository_id == _r.c.repository_id,
            _newer.c.partition == _r.c.partition,
            _can_be_seen(_newer),
            _newer.c.yanked_at.is_(None),
        )
        .order_by(_newer.c.serial.desc())
        .limit(1)
        .offset(newest - 1)
        .correlate(_r)
        .scalar_subquery()
    )


def _oldest_version(newest: int) -> Any:
    """The last of so many newest listed versions of the row's package in its partition."""
    # Grouped and not DISTINCT: SQLite 3.40 compares the first value for a row with the last one for
    # the row before, and counts it twice.
    return (
        select(_newer.c.sort_key)
        .where(_of_package, _newer.c.partition == _r.c.partition)
        .group_by(_newer.c.sort_key)
        .order_by(_newer.c.sort_key.desc())
        .limit(1)
        .offset(newest - 1)
        .correlate(_r)
        .scalar_subquery()
    )


def _outnumbered(newest: int) -> ColumnElement[bool]:
    """Whether so many listed releases of the row's package are newer."""
    newer = select(_newer.c.name).where(_of_package, _position(_newer) > _position(_r))
    # In the order of the index of packages, or SQLite would walk through the repository.
    ordered = newer.order_by(_newer.c.sort_key, _newer.c.package, _newer.c.version)
    nth = ordered.limit(1).offset(newest - 1).correlate(_r).scalar_subquery()
    return nth.is_not(None)


def _position(table: Any) -> Any:
    return tuple_(table.c.released_at, table.c.partition, table.c.name)


def _hanging(test: ColumnElement[bool]) -> ColumnElement[bool]:
    # Not EXISTS of everything, which an index cannot answer alone.
    return select(_key.c.name).where(_hanging_releases, test).correlate(_r).exists()


def _downloaded(table: Any, since: int) -> ColumnElement[bool]:
    recent = (_d.c.day >= since // DAY) & (_d.c.last_at > since)
    return select(_d.c.day).where(_of(table, _d), recent).correlate(table).exists()


def _of(table: Any, owned: Any) -> ColumnElement[bool]:
    """The files or the downloads of a release."""
    return and_(
        owned.c.repository_id == table.c.repository_id,
        owned.c.partition == table.c.partition,
        owned.c.release == table.c.name,
    )


def _scalar(what: ColumnElement[Any], *where: ColumnElement[bool]) -> Any:
    return select(what).where(*where).correlate(_r).scalar_subquery()


def _measured() -> Any:
    """The columns of `Unkept`, and apart from them when what hangs on the release was used."""
    count, size, last = func.count(), func.coalesce(func.sum(_f.c.size), 0), func.max(_d.c.last_at)
    return select(
        _r.c.partition,
        _r.c.name,
        _r.c.package,
        _r.c.version,
        _r.c.parent,
        _r.c.serial,
        _r.c.released_at,
        (1 + _scalar(count, _hanging_releases, _can_be_seen(_below))).label("releases"),
        (_scalar(count, _of(_r, _f)) + _scalar(count, _hanging_files)).label("files"),
        (_scalar(size, _of(_r, _f)) + _scalar(size, _hanging_files)).label("bytes"),
        _scalar(last, _of(_r, _d)).label("used_at"),
        _scalar(last, _hanging_downloads).label("used_below_at"),
    )


def beyond(
    connection: Connection, repository: int, count: int | None, size: int | None
) -> Position | None:
    """The newest release that is neither among so many newest of a repository, nor among those
    newest that have so many bytes together; None where there is no such.
    """
    positions: list[Position | None] = []
    if count is not None:
        positions.append(_beyond_count(connection, repository, count))
    if size is not None:
        positions.append(_beyond_size(connection, repository, size))
    known = [position for position in positions if position is not None]
    # Where one of the two keeps all, all is kept.
    return min(known) if known and len(known) == len(positions) else None


def _by_age(repository: int, *more: Any) -> Any:
    """Every release that can be seen, the newest first."""
    position = (_r.c.released_at, _r.c.partition, _r.c.name)
    return (
        select(*position, *more)
        .where(_r.c.repository_id == repository, _can_be_seen(_r))
        .order_by(*(column.desc() for column in position))
    )


def _beyond_count(connection: Connection, repository: int, count: int) -> Position | None:
    statement = _by_age(repository).limit(1).offset(min(count, _MOST))
    row: Any = connection.execute(statement).first()
    return None if row is None else (row[0], row[1], row[2])


def _beyond_size(connection: Connection, repository: int, size: int) -> Position | None:
    own = _scalar(func.coalesce(func.sum(_f.c.size), 0), _of(_r, _f))
    streaming = connection.execution_options(stream_results=True)
    rows: Any = streaming.execute(_by_age(repository, own))
    with rows:
        left = size
        for row in rows:
            left -= int(row[3])
            if left < 0:
                return row[0], row[1], row[2]
    return None


def _unkept_of(row: Any) -> Unkept:
    columns = dict(row)
    below = columns.pop("used_below_at")
    used = [at for at in (columns.pop("used_at"), below) if at is not None]
    return Unkept(**columns, used_at=max(used, default=None))


def page(
    connection: Connection,
    repository: int,
    bounds: Bounds,
    after: tuple[str, str],
    limit: int,
    *,
    hanging: bool,
) -> list[Unkept]:
    """The next releases that go, by partition and name: those that hang on another, or the rest."""
    statement = (
        _measured()
        .where(
            _r.c.repository_id == repository,
            _r.c.parent.is_not(None) if hanging else _r.c.parent.is_(None),
            tuple_(_r.c.partition, _r.c.name) > after,
            _unkept(connection, bounds),
        )
        .order_by(_r.c.partition, _r.c.name)
        .limit(limit)
    )
    return [_unkept_of(row) for row in connection.execute(statement).mappings()]


def find(connection: Connection, repository: int, key: str) -> Any:
    """The row of a release by its key, whatever its state, or None."""
    partition, _, name = key.rpartition("#")
    return releases.find(connection, repository, partition, name)


def goes(connection: Connection, repository: int, row: Any, bounds: Bounds) -> bool:
    """Whether nothing keeps a release now, and it is still as it was when it was looked up."""
    mine = releases.select_one(repository, row.partition, row.name) & (_r.c.serial == row.serial)
    found = select(_r.c.name).where(mine, _unkept(connection, bounds))
    return connection.execute(found).first() is not None


def remove(
    transaction: Transaction, repository: StoredRepository, row: Any, bounds: Bounds, by: str
) -> bool:
    """Remove a release with all that hangs on it; False where something keeps it by now.

    The partition is held from before the question to the commit: nobody can upload it again, or
    anything that hangs on it, in between.
    """
    drafts.lock(transaction, repository.id, row.partition)
    if not goes(transaction.connection, repository.id, row, bounds):
        return False
    mine = releases.select_one(repository.id, row.partition, row.name)
    return removals.remove(transaction, repository, mine, by) > 0
