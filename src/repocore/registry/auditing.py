"""The room of upkeep: ``session.upkeep`` — check, repair, back up, collect, export."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import attrs

from repocore.catalog import accounts, documents, downloads, leases, removals
from repocore.catalog.rows import micros_of, time_of
from repocore.errors import RejectedError
from repocore.model import Action
from repocore.ports import Progress
from repocore.registry.backups import BackupReport, back_up
from repocore.registry.blobs import collect_blobs, collect_strays
from repocore.registry.checking import CheckReport, Silence, check, read_share
from repocore.registry.context import Context
from repocore.registry.exporting import export
from repocore.registry.repairing import RepairReport, Replica, repair
from repocore.registry.restoring import RestoreReport, restore
from repocore.registry.services import Services

__all__ = ["CollectReport", "Upkeep"]

#: How long a token is kept that has ended: jobs of a CI leave one each time.
_ENDED_TOKENS: Final = micros_of(timedelta(days=90))


@attrs.frozen(kw_only=True)
class CollectReport:
    """What a collection deleted."""

    blobs: int
    bytes: int
    drafts: int
    tombstones: int
    #: Objects and parts of uploads that nothing knew.
    leftovers: int
    #: Whether no object was deleted because somebody makes a backup.
    held: bool = False


class Upkeep:
    """What an operator does to a whole installation; ADMIN of the site."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def check(
        self, *, read_data: bool | str = False, progress: Progress | None = None
    ) -> CheckReport:
        """Compare rows, objects and sizes; with ``read_data`` also read and hash objects.

        True reads all of them.  A share, as in ``"5%"``, reads a part that begins where the one
        before ended: after twenty such checks each object was read once, whoever began them.

        May run beside everything else.  An object that is damaged is put into quarantine: to read
        it raises `BlobMissingError` from then on, until somebody uploads the same bytes or
        `repair` finds them.  Nothing else is changed.  Raises `RejectedError` for what is no
        share, and `ReadOnlyError` for a share of a read-only registry, which cannot note it.
        """
        services = self._context.administer()
        share = None if read_data is True else read_share(read_data) if read_data else 0
        return check(services, share, self._context.by, progress or Silence())

    def collect(
        self, *, grace: timedelta | None = None, progress: Progress | None = None
    ) -> CollectReport:
        """Forget expired drafts and old tombstones, delete what nothing names.

        ``grace`` is how long something must have been left alone (the setting's otherwise).
        Needs no pause of the server; several at once do no harm; may be ended anywhere.  While
        somebody makes a backup, no object is deleted: the next collection takes them.
        """
        services = self._context.administer()
        services.require_own_writes()
        progress = progress or Silence()
        limits = services.settings.limits
        span = limits.blob_grace if grace is None else grace
        progress.start(None, "Forgetting unfinished uploads")
        drafts = _expire(services, limits.draft_lifetime if grace is None else grace)
        lifetime = micros_of(limits.tombstone_lifetime)
        tombstones = services.catalog.write(lambda t: removals.forget_tombstones(t, lifetime))
        superseded = micros_of(limits.document_lifetime)
        services.catalog.write(lambda t: documents.forget_superseded(t, superseded))
        services.catalog.write(lambda t: accounts.forget_tokens(t, _ENDED_TOKENS))
        progress.start(None, "Deleting content that nothing names")
        collected = collect_blobs(services, micros_of(span), progress)
        progress.start(None, "Looking for leftovers")
        leftovers = services.storage.sweep(span)
        with services.catalog.snapshot() as connection:
            held = leases.held(connection, leases.BACKUP)
        if not held:
            leftovers += collect_strays(services)
        return CollectReport(
            blobs=collected.blobs,
            bytes=collected.bytes,
            drafts=drafts,
            tombstones=tombstones,
            leftovers=leftovers,
            held=held,
        )

    def repair(
        self,
        *,
        backups: Sequence[Path] = (),
        replicas: Sequence[Replica] = (),
        progress: Progress | None = None,
    ) -> RepairReport:
        """Bring back what is lost or damaged: from what is in quarantine, where that can be read
        after all, from folders of backups, and from other servers.

        Every byte is compared with its digest before it is stored.  May run beside everything
        else.  Raises `RejectedError` where a folder has no backups, `UpstreamRefusedError`,
        `ReadOnlyError`, `StorageFullError` and `StorageError`.
        """
        services = self._context.administer()
        return repair(services, backups, replicas, self._context.by, progress or Silence())

    def backup(
        self, folder: Path, *, keep: int | None = None, progress: Progress | None = None
    ) -> BackupReport:
        """Add a backup of this moment to a folder: the whole catalog, and every object that it
        names and the folder has not.

        Nothing has to pause.  When it returns, all of it is on the disk.  With ``keep``, only the
        newest so many are kept.  The folder holds secrets: it is for its owner alone.  Raises
        `RejectedError` where the folder is something else, or somebody else writes to it,
        `StorageFullError` and `StorageError`; then there is no backup of that name.
        """
        services = self._context.administer()
        if keep is not None and keep < 1:
            message = "Keep one backup at least."
            raise RejectedError(message)
        return back_up(services, folder, keep, progress or Silence())

    def restore(
        self, folder: Path, *, name: str | None = None, progress: Progress | None = None
    ) -> RestoreReport:
        """Bring back a backup, by its name or the newest that is whole, whichever database it was
        made of.

        Into an empty installation only: open it with ``read_only``, so that it makes nothing of
        its settings.  Times, serials, tokens, records and their seals are as they were.  Raises
        `RejectedError` and `StorageError`; then the catalog is as empty as before.
        """
        services = self._context.administer()
        return restore(services, folder, name, self._context.by, progress or Silence())

    def export(self, address: str, folder: Path, *, progress: Progress | None = None) -> int:
        """Write a repository's visible files and its documents as a plain tree; returns how many.

        Documents are made as of now, so that any web server can serve what they name.  Where the
        storage is on the same disk the files are hard links: no space is used, and they must not be
        edited.  What a disk cannot hold in a name is escaped as ``%XX``.  Raises
        `RejectedError` where the folder is not empty.
        """
        services = self._context.administer()
        repository = self._context.find(address, Action.READ)
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            message = "The folder to export to is not empty; name a new one."
            raise RejectedError(message)
        return export(services, repository, folder, progress or Silence())

    def downloads(self, address: str) -> Iterator[tuple[str, str, int, date]]:
        """(partition, release, count, day of the last use) of every release that was downloaded."""
        services = self._context.administer()
        repository = self._context.find(address, Action.READ)
        services.counter.flush()
        with services.catalog.snapshot() as connection:
            totals = list(downloads.totals(connection, repository.id))
        for partition, release, count, last in totals:
            yield partition, release, count, time_of(last).date()


def _expire(services: Services, lifetime: timedelta) -> int:
    older = micros_of(lifetime)
    known = {stored.id: stored for stored in services.book.known.repositories.values()}
    count = 0
    while True:
        with services.catalog.snapshot() as connection:
            drafts = removals.drafts(connection, older)
        expired = 0
        for row in drafts:
            stored = known.get(row.repository_id)
            if stored is not None:
                expired += services.catalog.write(
                    lambda t, row=row, stored=stored: removals.expire(t, stored, row, older)
                )
        count += expired
        if not expired:
            return count
