"""Queries that count; all of it is done by the database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
from sqlalchemy import ColumnElement, Connection, func, select

from repocore.catalog import tables
from repocore.catalog.dialects import now

__all__ = ["Counted", "backlog", "daily", "downloads", "due", "stored", "usage"]

_r = tables.releases
_f = tables.files
_d = tables.downloads
_j = tables.jobs


@attrs.frozen
class Counted:
    """The numbers of one repository; ``last_at`` is when something was last downloaded."""

    recipes: int
    packages: int
    releases: int
    files: int
    bytes: int = attrs.field(converter=int)  # sums are no integers to every driver
    downloads: int = attrs.field(converter=int)
    last_at: int | None


def usage(connection: Connection, repository: int) -> Counted:
    """Count what a repository holds, and how often it was downloaded."""
    mine = _r.c.repository_id == repository
    visible = mine & _r.c.released_at.is_not(None) & _r.c.removed_at.is_(None)
    listed = visible & _r.c.yanked_at.is_(None)
    recipes = (
        select(_r.c.version)
        .where(listed, _r.c.parent.is_(None))
        .group_by(_r.c.package_key, _r.c.sort_key, _r.c.package, _r.c.version)
    )
    packages = select(_r.c.partition).where(listed, _r.c.parent.is_not(None)).distinct()
    kept = _f.c.repository_id == repository
    counted = _d.c.repository_id == repository
    row = connection.execute(
        select(
            _one(select(func.count()).select_from(recipes.subquery()), "recipes"),
            _one(select(func.count()).select_from(packages.subquery()), "packages"),
            _one(select(func.count()).where(visible), "releases"),
            _one(select(func.count()).where(kept), "files"),
            _one(select(func.coalesce(func.sum(_f.c.size), 0)).where(kept), "bytes"),
            _one(select(func.coalesce(func.sum(_d.c["count"]), 0)).where(counted), "downloads"),
            _one(select(func.max(_d.c.last_at)).where(counted), "last_at"),
        )
    ).one()
    return Counted(*row)


def _one(statement: Any, name: str) -> ColumnElement[Any]:
    return statement.scalar_subquery().label(name)


def stored(connection: Connection, repositories: Sequence[int]) -> int:
    """The bytes of the files of these repositories, equal content counted once."""
    mine = _f.c.repository_id.in_(repositories)
    once = select(_f.c.digest, _f.c.size).where(mine).distinct().subquery()
    return int(connection.scalar(select(func.coalesce(func.sum(once.c.size), 0))) or 0)


def downloads(
    connection: Connection, repository: int, partition: str
) -> list[tuple[str, int, int]]:
    """(release, count, last use) of the downloaded releases of a partition."""
    statement = (
        select(_d.c.release, func.sum(_d.c["count"]), func.max(_d.c.last_at))
        .where(_d.c.repository_id == repository, _d.c.partition == partition)
        .group_by(_d.c.release)
    )
    return [(release, int(count), last) for release, count, last in connection.execute(statement)]


def daily(connection: Connection, repository: int, partition: str) -> list[tuple[str, int, int]]:
    """(release, day since 1970, count) of the downloads of a partition, in that order."""
    statement = (
        select(_d.c.release, _d.c.day, _d.c["count"])
        .where(_d.c.repository_id == repository, _d.c.partition == partition)
        .order_by(_d.c.release, _d.c.day)
    )
    return [(release, day, int(count)) for release, day, count in connection.execute(statement)]


def due(connection: Connection, state: str) -> tuple[int, int]:
    """How many jobs in that state may run now, and for how many microseconds the first of them."""
    late = now() - _j.c.run_after
    statement = select(func.count(), func.max(late)).where(_j.c.state == state, late >= 0)
    count, longest = connection.execute(statement).one()
    return count, longest or 0


def backlog(connection: Connection, states: Sequence[str]) -> tuple[dict[str, int], int, int]:
    """The number of jobs in each of the states, for how many microseconds the first of those has
    been due, and the events that nobody was told of.
    """
    due = func.min(_j.c.run_after) - now()
    rows = connection.execute(
        select(_j.c.state, func.count().label("jobs"), due.label("due"))
        .where(_j.c.state.in_(states))
        .group_by(_j.c.state)
    ).all()
    events = connection.scalar(select(func.count()).select_from(tables.events))
    counts = {row.state: row.jobs for row in rows}
    first = next((row.due for row in rows if row.state == states[0]), 0)
    return counts, max(-first, 0), events or 0
