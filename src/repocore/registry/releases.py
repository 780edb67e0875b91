"""The room of releases: ``session.releases``."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from repocore.catalog import Transaction, documents, releases, removals
from repocore.catalog.rows import StoredRepository, file_of, time_of
from repocore.errors import RejectedError, ReleaseMissingError
from repocore.model import Action, File, Grain, Release, Resource, Survey, split_address
from repocore.ports import ReleaseQuery
from repocore.registry.context import Context
from repocore.registry.copying import copy_releases
from repocore.registry.generations import SnapshotQuery

__all__ = ["AT_ONCE", "Releases"]

Scope = tuple[str | None, str | None]

#: How many releases one transaction may change, so that it does not keep others waiting.
AT_ONCE: Final = 500


class Releases:
    """List, search, yank and delete releases.

    The format tells which package and version a partition stands for; reading needs READ of them.
    Every method raises `RepositoryMissingError`, `NotAuthenticatedError` and `AccessDeniedError`.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    def _scope(self, address: str, partition: str, action: Action = Action.READ) -> Scope:
        format_ = self._context.services.formats.get(split_address(address)[0])
        if format_ is None or (action is Action.READ and format_.read_grain is Grain.REPOSITORY):
            return None, None
        return format_.scope(partition)

    def newest(self, address: str, partition: str) -> tuple[str, datetime]:
        """Name and time of the newest release; raises `ReleaseMissingError`.

        One statement and no more: it is what clients ask most.
        """
        hot = self._context.services.catalog.hot
        scope = self._scope(address, partition)
        _, rows = self._context.read(address, scope, lambda number: hot.latest(number, partition))
        if not rows:
            raise ReleaseMissingError
        name, released_at = rows[0]
        return name, time_of(released_at)

    def names(self, address: str, partition: str) -> list[tuple[str, datetime]]:
        """Names and times of the listed releases, newest first; one statement."""
        hot = self._context.services.catalog.hot
        scope = self._scope(address, partition)
        _, rows = self._context.read(address, scope, lambda number: hot.releases(number, partition))
        return [(name, time_of(released_at)) for name, released_at, _ in rows]

    def latest(self, address: str, partition: str) -> Release:
        """The newest release; raises `ReleaseMissingError`."""
        found = self._in_partition(address, partition, 1)
        if not found:
            raise ReleaseMissingError
        return found[0]

    def list(self, address: str, partition: str) -> list[Release]:
        """The listed releases of a partition, newest first."""
        return self._in_partition(address, partition, None)

    def _in_partition(self, address: str, partition: str, limit: int | None) -> list[Release]:
        stored = self._context.find(address, Action.READ, self._scope(address, partition))
        with self._context.services.catalog.snapshot() as connection:
            return releases.in_partition(connection, stored, partition, limit)

    def get(self, address: str, partition: str, name: str) -> Release:
        """One release, yanked or not; raises `ReleaseMissingError`."""
        stored = self._context.find(address, Action.READ, self._scope(address, partition))
        with self._context.services.catalog.snapshot() as connection:
            found = releases.visible(connection, stored, partition, name)
        if found is None:
            raise ReleaseMissingError
        return found

    @contextmanager
    def query(self, address: str, partition: str) -> Generator[ReleaseQuery]:
        """The listed releases of a partition as an indexer sees them, while the block lasts."""
        stored = self._context.find(address, Action.READ, self._scope(address, partition))
        services = self._context.services
        with services.catalog.snapshot() as connection:
            serial = documents.serial(connection, stored.id, partition) or 0
            yield SnapshotQuery(services, connection, stored, partition, serial, 0)

    def exists(self, address: str, partition: str, name: str) -> bool:
        """Whether anything of it was uploaded, whole or not; requires WRITE."""
        scope = self._scope(address, partition, Action.WRITE)
        stored = self._context.find(address, Action.WRITE, scope)
        with self._context.services.catalog.snapshot() as connection:
            row = releases.find(connection, stored.id, partition, name)
        return row is not None and (row.touched_at is not None or row.removed_at is None)

    def files(self, address: str, partition: str, name: str) -> list[File]:
        """The files of a release, by path; raises `ReleaseMissingError`."""
        hot = self._context.services.catalog.hot
        _, rows = self._context.read(
            address,
            self._scope(address, partition),
            lambda number: hot.files(number, partition, name),
        )
        if not rows:
            raise ReleaseMissingError
        return [file_of(address, row[0], row[1:]) for row in rows]

    def children(self, address: str, partition: str, name: str) -> list[Release]:
        """The newest listed release of each partition that hangs on a release, by partition.

        Raises `ReleaseMissingError` where that release cannot be seen.
        """
        stored = self._context.find(address, Action.READ, self._scope(address, partition))
        with self._context.services.catalog.snapshot() as connection:
            if releases.visible(connection, stored, partition, name) is None:
                raise ReleaseMissingError
            return releases.children(connection, stored, partition, name)

    def packages(
        self, address: str, *, prefix: str = "", start: str = ""
    ) -> Iterator[tuple[str, str]]:
        """(package, version) of all that is listed and may be read, in order, without doubles.

        Ordered by the case-folded name, then by the format's order of versions.  ``prefix`` is one
        of the case-folded name, ``start`` where to begin among these.
        """
        context = self._context
        context.enter()
        stored = context.services.book.known.repositories.get(address)
        survey = Survey.NONE if stored is None else context.survey(Action.READ, stored.value)
        if stored is None or survey is Survey.NONE:
            stored = context.find(address, Action.READ)
        kind, name = split_address(address)
        services = context.services
        chunk = services.settings.limits.page
        with services.catalog.snapshot() as connection:
            for rows in releases.packages(
                connection, stored.id, (prefix.casefold(), start.casefold()), chunk
            ):
                for package, version in rows:
                    resource = Resource(kind, name, package, version)
                    if survey is Survey.ALL or context.allowed(Action.READ, resource):
                        yield package, version

    def all(self, address: str, *, after: tuple[str, str] = ("", "")) -> Iterator[Release]:
        """Every release that may be read, yanked or not, by partition and name, a page at a time.

        ``after`` is the partition and name before the first.  What comes or goes meanwhile may be
        among them or not.
        """
        context = self._context
        context.enter()
        stored = context.services.book.known.repositories.get(address)
        survey = Survey.NONE if stored is None else context.survey(Action.READ, stored.value)
        if stored is None or survey is Survey.NONE:
            stored = context.find(address, Action.READ)
        kind, name = split_address(address)
        limit = context.services.settings.limits.page
        while True:
            with context.services.catalog.snapshot() as connection:
                page = releases.page(connection, stored, after, limit)
            for one in page:
                resource = Resource(kind, name, *self._scope(address, one.partition))
                if survey is Survey.ALL or context.allowed(Action.READ, resource):
                    yield one
            if len(page) < limit:
                return
            after = (page[-1].partition, page[-1].name)

    def yank(self, address: str, partition: str, name: str, yanked: bool = True) -> Release:  # noqa: FBT001, FBT002 - one verb both ways
        """Take a release out of every list, or back in; its files are still served.

        Requires YANK.  Idempotent.  Raises `ReleaseMissingError`.
        """
        return self.yank_all(address, [(partition, name)], yanked)[0]

    def yank_all(
        self,
        address: str,
        names: Iterable[tuple[str, str]],
        yanked: bool = True,  # noqa: FBT001, FBT002 - one verb both ways
    ) -> builtins.list[Release]:
        """As `yank`, of releases named (partition, name): all of them or none, in one transaction.

        Requires YANK of each.  Raises `ReleaseMissingError`, and `RejectedError` for more than
        `AT_ONCE`.
        """
        wanted = _bounded(names)
        stored = self._permitted(address, wanted, Action.YANK)
        catalog = self._context.services.catalog
        if wanted:
            by = self._context.by
            write = self._context.write
            _refuse_missing(write(lambda t: removals.yank(t, stored, wanted, by, to=yanked)))
        with catalog.snapshot() as connection:
            found = [releases.visible(connection, stored, *pair) for pair in wanted]
        if None in found:
            raise ReleaseMissingError  # deleted since
        return [release for release in found if release is not None]

    def copy(
        self,
        source: str,
        names: Iterable[tuple[str, str]],
        target: str,
        *,
        promote: bool = False,
    ) -> builtins.list[File]:
        """Have releases, named (partition, name), in another repository of the format, too.

        All of them or none, in one transaction; no bytes are moved, and what is there already
        stays.  Requires READ of the source, and WRITE of each in the target; with ``promote``,
        PROMOTE instead.  Raises `ReleaseMissingError`, `ImmutableFileError` where the target has
        other bytes, `UploadRejectedError` (a plugin's veto), `QuotaExceededError`, and
        `RejectedError` for one that is yanked, and for more than `AT_ONCE`.
        """
        return copy_releases(
            self._context,
            source,
            _bounded(names),
            target,
            Action.PROMOTE if promote else Action.WRITE,
        )

    def delete(self, address: str, partition: str, name: str) -> None:
        """Delete a release, or a draft, with its files and all that hangs on it, at once.

        Requires DELETE.  Raises `ReleaseMissingError`.
        """
        stored = self._permitted(address, [(partition, name)], Action.DELETE)
        where = releases.select_one(stored.id, partition, name)
        if not self._remove(lambda t: removals.remove(t, stored, where, self._context.by)):
            raise ReleaseMissingError

    def delete_named(self, address: str, names: Iterable[tuple[str, str]]) -> int:
        """Delete releases named (partition, name), all or none, in one transaction; how many.

        Requires DELETE of each.  Raises `ReleaseMissingError`, and `RejectedError` for more than
        `AT_ONCE`.
        """
        wanted = _bounded(names)
        stored = self._permitted(address, wanted, Action.DELETE)
        if wanted:
            by = self._context.by
            write = self._context.write
            _refuse_missing(write(lambda t: removals.remove_named(t, stored, wanted, by)))
        return len(wanted)

    def delete_all(self, address: str, partition: str) -> int:
        """Delete every release and draft of a partition, as `delete` does; how many."""
        stored = self._deletable(address, partition)
        where = releases.select_partition(stored.id, partition)
        return self._remove(lambda t: removals.remove(t, stored, where, self._context.by))

    def delete_children(self, address: str, partition: str, name: str) -> int:
        """Delete every release and draft that hangs on one, at once; how many."""
        stored = self._deletable(address, partition)
        where = releases.select_children(stored.id, partition, name)
        return self._remove(lambda t: removals.remove(t, stored, where, self._context.by))

    def _permitted(
        self, address: str, names: Sequence[tuple[str, str]], action: Action
    ) -> StoredRepository:
        """The repository, if the action is allowed on each of these releases.

        Where a partition is of many packages, the release tells its own; one that is not there is
        for those who may do it to the whole repository.
        """
        context = self._context
        context.enter()
        stored = context.services.book.known.repositories.get(address)
        known: dict[tuple[str, str], tuple[str, str]] = {}
        if stored is not None and names:
            with context.services.catalog.snapshot() as connection:
                known = releases.of_names(connection, stored.id, names)
        scopes: set[Scope] = set()
        for partition, name in names:
            scope = self._scope(address, partition, action)
            scopes.add(scope if scope != (None, None) else known.get((partition, name), scope))
        ordered = sorted(scopes, key=str) or [(None, None)]
        return [context.find(address, action, scope) for scope in ordered][-1]

    def _deletable(self, address: str, partition: str) -> StoredRepository:
        scope = self._scope(address, partition, Action.DELETE)
        return self._context.find(address, Action.DELETE, scope)

    def _remove(self, work: Callable[[Transaction], int]) -> int:
        return self._context.write(work)


def _bounded(names: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Each name once, if they are not too many."""
    wanted = list(dict.fromkeys(names))
    if len(wanted) > AT_ONCE:
        message = f"Name up to {AT_ONCE} releases at once, not {len(wanted)}; do it in parts."
        raise RejectedError(message)
    return wanted


def _refuse_missing(missing: Sequence[tuple[str, str]]) -> None:
    if missing:
        partition, name = missing[0]
        message = f"There is no {name} in {partition}; nothing was changed."
        raise ReleaseMissingError(message)
