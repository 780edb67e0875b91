"""The room of statistics: ``session.statistics``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Final

import attrs

from repocore.catalog import downloads, statistics
from repocore.catalog.rows import StoredRepository, maybe_time, micros_at, time_of
from repocore.model import Action, Grain, JobState, Resource, split_address
from repocore.registry.context import Context

__all__ = ["Backlog", "Downloads", "Statistics", "Usage", "UsageReport"]

#: Days are counted from here.
_FIRST: Final = date(1970, 1, 1)


@attrs.frozen(kw_only=True)
class Usage:
    """The numbers of a repository, or of several together.

    ``recipes`` counts packages by name and version, ``packages`` what hangs on them (Conan's
    binary packages), each once whatever the number of its revisions; ``releases`` counts those
    revisions.  ``bytes`` is the sum of all files, ``stored`` counts equal content once; both
    include unfinished uploads.  ``downloads`` includes those of what was deleted since, and
    ``last_used`` (UTC) is the last of them, or None.
    """

    repository: str | None
    recipes: int
    packages: int
    releases: int
    files: int
    bytes: int
    stored: int
    downloads: int
    last_used: datetime | None


@attrs.frozen(kw_only=True)
class UsageReport:
    """Repositories by address, and all of them together; content that they share counts once."""

    repositories: tuple[Usage, ...]
    total: Usage


@attrs.frozen
class Downloads:
    """How often a release was downloaded, and when last (UTC)."""

    count: int
    last_used: datetime


@attrs.frozen(kw_only=True)
class Backlog:
    """What is still to be done: jobs by state (those that have not ended), how long the one has
    waited that is due longest, and events that listeners have not been told of.
    """

    jobs: Mapping[JobState, int]
    wait: timedelta
    events: int


class Statistics:
    """How much there is, and how much it is used."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def usage(self, address: str | None = None) -> UsageReport:
        """Count one repository, or all that the principal may MANAGE.

        The numbers tell of packages that not every reader may see.  With an address requires
        MANAGE of it; raises `RepositoryMissingError`, `NotAuthenticatedError` and
        `AccessDeniedError`.  The database does the counting, and reads all rows of the repository
        for it.
        """
        context = self._context
        found = self._managed() if address is None else [context.find(address, Action.MANAGE)]
        context.services.counter.flush()
        with context.services.catalog.snapshot() as connection:
            counted = [
                _usage(
                    stored.value.address,
                    statistics.usage(connection, stored.id),
                    statistics.stored(connection, [stored.id]),
                )
                for stored in found
            ]
            shared = statistics.stored(connection, [stored.id for stored in found])
        return UsageReport(repositories=tuple(counted), total=_total(counted, shared))

    def backlog(self) -> Backlog:
        """What the background has still to do; requires ADMIN of the site.

        Raises `NotAuthenticatedError` and `AccessDeniedError`.
        """
        self._context.require(Action.ADMIN, Resource())
        open_ = (JobState.QUEUED, JobState.RUNNING)
        with self._context.services.catalog.snapshot() as connection:
            counts, wait, waiting = statistics.backlog(connection, [one.value for one in open_])
        return Backlog(
            jobs={state: counts.get(state.value, 0) for state in open_},
            wait=timedelta(microseconds=wait),
            events=waiting,
        )

    def downloads(self, address: str, partition: str) -> Mapping[str, Downloads]:
        """The releases of a partition that were downloaded, by name; requires READ of them.

        Raises `RepositoryMissingError`, `NotAuthenticatedError` and `AccessDeniedError`.
        """
        found = self._readable(address, partition)
        with self._context.services.catalog.snapshot() as connection:
            rows = statistics.downloads(connection, found.id, partition)
        return {release: Downloads(count, time_of(last)) for release, count, last in rows}

    def daily(self, address: str, partition: str) -> Sequence[tuple[str, date, int]]:
        """(release, day, count) of the downloads in a partition; requires READ of them.

        Days are those of UTC.  By release and day; raises as `downloads`.
        """
        found = self._readable(address, partition)
        with self._context.services.catalog.snapshot() as connection:
            rows = statistics.daily(connection, found.id, partition)
        return [(release, _FIRST + timedelta(days=day), count) for release, day, count in rows]

    def take_over(self, address: str, counts: Iterable[tuple[str, str, datetime, int]]) -> int:
        """Count what was downloaded elsewhere: (partition, release, when, how often); ADMIN.

        ``when`` is the moment that all of them are counted at.  Idempotent: what is counted for
        that release and day stays.  Returns for how many releases something was written.
        """
        context = self._context
        found = context.find(address, Action.MANAGE)
        context.require(Action.ADMIN, Resource())
        rows = [
            (partition, release, micros_at(when), count)
            for partition, release, when, count in counts
            if count > 0
        ]
        # Nobody did it here: like every count, it is no change that is recorded.
        context.services.require_writable()
        return context.services.catalog.write(lambda t: downloads.take_over(t, found.id, rows))

    def _readable(self, address: str, partition: str) -> StoredRepository:
        """The repository, with all counted that was served, if the partition may be read."""
        services = self._context.services
        format_ = services.formats.get(split_address(address)[0])
        scope: tuple[str | None, str | None] = (None, None)
        if format_ is not None and format_.read_grain is Grain.PACKAGE:
            scope = format_.scope(partition)
        found = self._context.find(address, Action.READ, scope)
        services.counter.flush()
        return found

    def _managed(self) -> list[StoredRepository]:
        context = self._context
        context.enter()
        known = context.services.book.known.repositories
        return [
            stored
            for _, stored in sorted(known.items())
            if context.allowed(Action.MANAGE, Resource(stored.value.format, stored.value.name))
        ]


def _usage(address: str, row: statistics.Counted, stored: int) -> Usage:
    return Usage(
        repository=address,
        recipes=row.recipes,
        packages=row.packages,
        releases=row.releases,
        files=row.files,
        bytes=row.bytes,
        stored=stored,
        downloads=row.downloads,
        last_used=maybe_time(row.last_at),
    )


def _total(counted: Sequence[Usage], stored: int) -> Usage:
    used = [one.last_used for one in counted if one.last_used is not None]
    return Usage(
        repository=None,
        recipes=sum(one.recipes for one in counted),
        packages=sum(one.packages for one in counted),
        releases=sum(one.releases for one in counted),
        files=sum(one.files for one in counted),
        bytes=sum(one.bytes for one in counted),
        stored=stored,
        downloads=sum(one.downloads for one in counted),
        last_used=max(used, default=None),
    )
