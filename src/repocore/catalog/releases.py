"""Queries on partitions and releases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    func,
    or_,
    select,
    tuple_,
)

from repocore.catalog import files, tables
from repocore.catalog.rows import StoredRepository, release_of
from repocore.model import File, Release, release_key

__all__ = [
    "VISIBLE",
    "children",
    "find",
    "in_partition",
    "of_names",
    "packages",
    "page",
    "select_children",
    "select_draft",
    "select_named",
    "select_one",
    "select_partition",
    "visible",
    "visible_page",
]

_r = tables.releases
_hanging = _r.alias("hanging")

#: Released and not removed, yanked or not.
VISIBLE = and_(_r.c.released_at.is_not(None), _r.c.removed_at.is_(None))
_listed = and_(VISIBLE, _r.c.yanked_at.is_(None))


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
    rows = connection.execute(statement.where(select_named(repository, names), VISIBLE))
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
    where = select_one(repository.id, partition, name) & VISIBLE
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


def page(
    connection: Connection, repository: StoredRepository, after: tuple[str, str], limit: int
) -> list[Release]:
    """The next visible releases, yanked or not, by partition and name."""
    statement = (
        select(_r)
        .where(_r.c.repository_id == repository.id, VISIBLE)
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
    where = (_r.c.repository_id == repository.id) & VISIBLE
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
