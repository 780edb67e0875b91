"""The room of upkeep: ``session.upkeep`` — check, collect, export."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import attrs

from repocore.catalog import accounts, blobs, documents, downloads, releases
from repocore.catalog.rows import micros_of, time_of
from repocore.errors import RejectedError, StorageError
from repocore.model import Action, BlobKey, Hasher, Resource
from repocore.ports import Progress
from repocore.registry.blobs import collect_blobs, collect_strays
from repocore.registry.context import Context
from repocore.registry.exporting import export
from repocore.registry.files import Files
from repocore.registry.services import SYSTEM, Services

__all__ = ["CheckReport", "CollectReport", "Upkeep"]

#: Problems beyond that number are counted, not listed.
_LISTED: Final = 1000
#: How long a token is kept that has ended: jobs of a CI leave one each time.
_ENDED_TOKENS: Final = micros_of(timedelta(days=90))


@attrs.frozen(kw_only=True)
class CheckReport:
    """What a check found.  ``bytes`` counts stored content once."""

    problems: tuple[str, ...]
    files: int
    blobs: int
    bytes: int
    #: Blobs that nothing names any more; the collector's, and no problem.
    unreferenced: int

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


@attrs.frozen(kw_only=True)
class CollectReport:
    """What a collection deleted."""

    blobs: int
    bytes: int
    drafts: int
    tombstones: int
    #: Objects and parts of uploads that nothing knew.
    leftovers: int


class _Silence:
    """A progress that nobody watches."""

    def start(self, total: int | None, message: str) -> None:
        """Say nothing."""

    def advance(self, steps: int = 1) -> None:
        """Say nothing."""

    def log(self, text: str) -> None:
        """Say nothing."""

    def check(self) -> None:
        """Go on."""


@attrs.define
class _Problems:
    """Findings, with a bound on how many are listed."""

    _found: list[str] = attrs.field(factory=list[str])
    _more: int = 0

    def add(self, text: str) -> None:
        if len(self._found) < _LISTED:
            self._found.append(text)
        else:
            self._more += 1

    def report(self) -> tuple[str, ...]:
        more = [f"… and {self._more} more"] if self._more else []
        return (*self._found, *more)


class Upkeep:
    """What an operator does to a whole installation; ADMIN of the site."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def _services(self) -> Services:
        self._context.enter()
        self._context.require(Action.ADMIN, Resource())
        return self._context.services

    def check(self, *, read_data: bool = False, progress: Progress | None = None) -> CheckReport:
        """Compare rows, objects and sizes; with ``read_data`` also read and hash every object.

        Changes nothing, and may run beside everything else.
        """
        services = self._services()
        progress = progress or _Silence()
        problems = _Problems()
        files = self._check_files(services, problems, progress)
        count = size = unreferenced = 0
        progress.start(None, "Checking stored content")
        for row in _blobs(services):
            progress.check()
            progress.advance()
            if not row.named:
                unreferenced += 1
                continue
            count += 1
            size += row.size
            key = BlobKey(row.digest, row.generation)
            problem = _check_blob(services, key, row.size, read_data=read_data)
            if problem and _still_named(services, key):
                problems.add(problem)
        return CheckReport(
            problems=problems.report(),
            files=files,
            blobs=count,
            bytes=size,
            unreferenced=unreferenced,
        )

    def _check_files(self, services: Services, problems: _Problems, progress: Progress) -> int:
        progress.start(None, "Checking files")
        count = 0
        for file in _named_without_blob(services):
            problems.add(f"{file} names content that the catalog does not know.")
        for address, broken in _half_releases(services):
            problems.add(f"{address}: {broken} is listed but not whole.")
        for address in sorted(services.book.known.repositories):
            for _ in _everything(services).list(address):
                progress.check()
                progress.advance()
                count += 1
        return count

    def collect(
        self, *, grace: timedelta | None = None, progress: Progress | None = None
    ) -> CollectReport:
        """Forget expired drafts and old tombstones, delete what nothing names.

        ``grace`` is how long something must have been left alone (the setting's otherwise).
        Needs no pause of the server; several at once do no harm; may be ended anywhere.
        """
        services = self._services()
        services.require_writable()
        progress = progress or _Silence()
        limits = services.settings.limits
        span = limits.blob_grace if grace is None else grace
        progress.start(None, "Forgetting unfinished uploads")
        drafts = _expire(services, limits.draft_lifetime if grace is None else grace)
        lifetime = micros_of(limits.tombstone_lifetime)
        tombstones = services.catalog.write(lambda t: releases.forget_tombstones(t, lifetime))
        superseded = micros_of(limits.document_lifetime)
        services.catalog.write(lambda t: documents.forget_superseded(t, superseded))
        services.catalog.write(lambda t: accounts.forget_tokens(t, _ENDED_TOKENS))
        progress.start(None, "Deleting content that nothing names")
        collected = collect_blobs(services, micros_of(span), progress)
        progress.start(None, "Looking for leftovers")
        leftovers = collect_strays(services) + services.storage.sweep(span)
        return CollectReport(
            blobs=collected.blobs,
            bytes=collected.bytes,
            drafts=drafts,
            tombstones=tombstones,
            leftovers=leftovers,
        )

    def export(self, address: str, folder: Path, *, progress: Progress | None = None) -> int:
        """Write a repository's visible files and its documents as a plain tree; returns how many.

        Documents are made as of now, so that any web server can serve what they name.  Where the
        storage is on the same disk the files are hard links: no space is used, and they must not be
        edited.  What a disk cannot hold in a name is escaped as ``%XX``.  Raises
        `RejectedError` where the folder is not empty.
        """
        services = self._services()
        repository = self._context.find(address, Action.READ)
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            message = "The folder to export to is not empty; name a new one."
            raise RejectedError(message)
        return export(services, repository, folder, progress or _Silence())

    def downloads(self, address: str) -> Iterator[tuple[str, str, int, date]]:
        """(partition, release, count, day of the last use) of every release that was downloaded."""
        services = self._services()
        repository = self._context.find(address, Action.READ)
        services.counter.flush()
        with services.catalog.snapshot() as connection:
            totals = list(downloads.totals(connection, repository.id))
        for partition, release, count, last in totals:
            yield partition, release, count, time_of(last).date()


def _everything(services: Services) -> Files:
    """All files, as the system sees them."""
    return Files(Context(services, SYSTEM))


def _blobs(services: Services) -> Iterator[blobs.Row]:
    after = ""
    while True:
        with services.catalog.snapshot() as connection:
            rows = blobs.everything(connection, after)
        yield from rows
        if not rows:
            return
        after = rows[-1].digest


def _check_blob(services: Services, key: BlobKey, size: int, *, read_data: bool) -> str | None:
    found = services.storage.size(key)
    if found is None:
        return f"sha256:{key.digest} is missing from the storage; upload its files again."
    if found != size:
        return f"sha256:{key.digest} has {found} bytes instead of {size}; upload its files again."
    if not read_data:
        return None
    hasher = Hasher(())
    try:
        with services.storage.open(key) as stream:
            for _ in hasher.through(stream, services.settings.limits.chunk):
                pass
    except StorageError:
        return f"sha256:{key.digest} cannot be read; upload its files again."
    if hasher.checksums().sha256 != key.digest:
        return f"sha256:{key.digest} holds other bytes; upload its files again."
    return None


def _still_named(services: Services, key: BlobKey) -> bool:
    """A finding holds only if nobody deleted the file while it was looked at."""
    with services.catalog.snapshot() as connection:
        return blobs.named(connection, key)


def _named_without_blob(services: Services) -> list[str]:
    with services.catalog.snapshot() as connection:
        return blobs.lost(connection)


def _half_releases(services: Services) -> Iterator[tuple[str, str]]:
    """(address, release) of each visible release that its format does not call whole."""
    for address, stored in sorted(services.book.known.repositories.items()):
        format_ = services.formats.get(stored.value.format)
        if format_ is None:
            continue
        after = ("", "")
        while True:
            with services.catalog.snapshot() as connection:
                page = releases.visible_page(connection, stored, after)
            for release, files in page:
                if not format_.whole(release, files):
                    yield address, f"{release.partition}#{release.name}"
            if not page:
                break
            after = (page[-1][0].partition, page[-1][0].name)


def _expire(services: Services, lifetime: timedelta) -> int:
    older = micros_of(lifetime)
    known = {stored.id: stored for stored in services.book.known.repositories.values()}
    count = 0
    while True:
        with services.catalog.snapshot() as connection:
            drafts = releases.drafts(connection, older)
        expired = 0
        for row in drafts:
            stored = known.get(row.repository_id)
            if stored is not None:
                expired += services.catalog.write(
                    lambda t, row=row, stored=stored: releases.expire(t, stored, row, older)
                )
        count += expired
        if not expired:
            return count
