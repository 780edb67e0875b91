"""The room that replicas ask: ``session.replication`` — where everything is, and what changed.

Whoever may REPLICATE sees all there is, hashes of passwords and tokens included, and changes
nothing.  What is answered is bounded; whoever wants more goes on where an answer ended.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from repocore.catalog import replication, sealed_records
from repocore.catalog.replication import (
    AccessPage,
    FileState,
    Position,
    Reached,
    ReleaseState,
    Wanted,
)
from repocore.errors import FileMissingError, RejectedError
from repocore.http import FileContent
from repocore.model import Action, File, FilePath, Resource
from repocore.registry.bodies import body_of
from repocore.registry.context import Context
from repocore.registry.services import Services

__all__ = ["AT_ONCE", "FileState", "ReleaseState", "Replication", "Wanted"]

#: Partitions that are asked for at once.
AT_ONCE: Final = 100


class Replication:
    """What a replica needs to become the same; REPLICATE or ADMIN of the site."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def _services(self) -> Services:
        context = self._context
        context.enter()
        if not context.allowed(Action.ADMIN, Resource()):
            context.require(Action.REPLICATE, Resource())
        return context.services

    def _limit(self, limit: int) -> int:
        most = self._context.services.settings.limits.page
        if not 0 < limit <= most:
            message = f"Ask for 1 to {most} entries at once, and for the next where they end."
            raise RejectedError(message)
        return limit

    def require(self) -> None:
        """Return if one may replicate; raises `NotAuthenticatedError` and `AccessDeniedError`."""
        self._services()

    def position(self) -> Position:
        """Where the installation is now."""
        with self._services().catalog.snapshot() as connection:
            return replication.position(connection)

    def access(self, start: int, after: tuple[Any, ...], limit: int) -> AccessPage:
        """The next rows of repositories, accounts and what they may do, but no key that signs."""
        services = self._services()
        if not replication.is_place(start, after):
            raise RejectedError("That is no place in the tables of access; begin anew.")
        with services.catalog.snapshot() as connection:
            return replication.access_page(connection, start, after, self._limit(limit))

    def partitions(self, after: tuple[int, str], limit: int) -> list[tuple[int, str, int]]:
        """(repository, partition, serial) of the next partitions, and one more to tell of it."""
        with self._services().catalog.snapshot() as connection:
            return replication.partitions_page(connection, after, self._limit(limit) + 1)

    def changes(self, wanted: Sequence[Wanted]) -> tuple[list[ReleaseState], list[Reached]]:
        """What changed in some partitions since their serials, tombstones included, and how far
        the answer comes with each.

        A partition that it comes to the end of is as it is at this moment.  Raises
        `RejectedError` for more than `AT_ONCE` partitions.
        """
        services = self._services()
        if len(wanted) > AT_ONCE:
            raise RejectedError(f"Ask for up to {AT_ONCE} partitions at once.")
        with services.catalog.snapshot() as connection:
            return replication.changes(connection, wanted, services.settings.limits.page)

    def loose_files(self, repository: int, after: str, limit: int) -> list[FileState]:
        """The next files of a repository that are of no release, by path, and one more."""
        with self._services().catalog.snapshot() as connection:
            return replication.loose_files(connection, repository, after, self._limit(limit) + 1)

    def records(
        self, after: int, limit: int
    ) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
        """The next sealed records of changes, and the seals that end among them."""
        with self._services().catalog.snapshot() as connection:
            rows = sealed_records.records_page(connection, after, self._limit(limit))
            last = rows[-1]["id"] if rows else after
            return rows, sealed_records.seals_within(connection, after, last)

    def is_ours(self, last: int, root: str) -> bool:
        """Whether a seal is one of this history; that of no record always is."""
        services = self._services()
        if not last:
            return True
        with services.catalog.snapshot() as connection:
            return sealed_records.root_of(connection, last) == root

    def untaken(self, after: int) -> tuple[int, int | None]:
        """How many records there are behind a number, and when the first was written (µs)."""
        with self._services().catalog.snapshot() as connection:
            return sealed_records.untaken(connection, after)

    def downloads(self, since: int, after: tuple[Any, ...], limit: int) -> list[Mapping[str, Any]]:
        """The next counts of downloads that grew since a time (µs), and one more."""
        services = self._services()
        services.counter.flush()
        with services.catalog.snapshot() as connection:
            return sealed_records.downloads_page(connection, since, after, self._limit(limit) + 1)

    def content(self, digest: str) -> FileContent:
        """The bytes that some file has, by their sha256; raises `FileMissingError`."""
        services = self._services()
        with services.catalog.snapshot() as connection:
            found = replication.held(connection, digest)
        if found is None:
            raise FileMissingError
        key, size = found
        file = File(
            repository="",
            path=FilePath.parse(digest),
            digest=digest,
            size=size,
            partition=None,
            release=None,
            media_type="application/octet-stream",
            mutable=False,
            created_at=datetime.fromtimestamp(0, UTC),
            created_by="",
            key=key,
        )
        return body_of(services.storage, file)
