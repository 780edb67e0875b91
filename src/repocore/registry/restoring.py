"""Bring a backup back, into an installation that is empty.

First the objects, each hashed on its way; then all rows in one transaction.  So a restore that was
cut off has left nothing that anybody sees, and the next one goes on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, Final

import attrs

from repocore.catalog import damage, dumping
from repocore.errors import RejectedError, StorageError, TooLargeError, TruncatedError
from repocore.model import BlobKey
from repocore.ports import Progress
from repocore.registry.backup_folders import OBJECTS, Backup, BackupFolder
from repocore.registry.services import Services
from repocore.registry.staging import Bounds, stage

__all__ = ["RestoreReport", "restore"]

_WORKERS: Final = 4
_TURN: Final = 64


@attrs.frozen(kw_only=True)
class RestoreReport:
    """What was brought back."""

    backup: Backup
    objects: int
    bytes: int
    #: Objects that the backup has not, or not as they were: sha256.  They are in quarantine.
    absent: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether everything is there."""
        return not self.absent


def restore(
    services: Services, root: Path, name: str | None, by: str, progress: Progress
) -> RestoreReport:
    """Bring back a backup of a folder, by its name or the newest that is whole.

    Raises `RejectedError` where the installation is not empty or there is no such backup, and
    `StorageError` where the backup's own lists are damaged; then no row was written.
    """
    folder = BackupFolder.at(root)
    backup = folder.newest(name)
    with services.catalog.snapshot() as connection:
        if not dumping.is_empty(connection):
            message = "There are packages or accounts here already; restore into an empty folder."
            raise RejectedError(message)
    progress.start(None, "Reading the backup's lists")
    for part in backup.parts:
        for _ in folder.lines(backup, part):
            progress.check()
    _require_no_others(services, folder, backup)
    progress.start(backup.objects, "Bringing objects back")
    count = size = 0
    absent: list[BlobKey] = []
    for key, length, there in _objects(services, folder, backup):
        progress.check()
        progress.advance()
        if there:
            count += 1
            size += length
        else:
            absent.append(key)
    services.step("restored objects")
    progress.start(None, "Bringing the catalog back")
    catalog = backup.catalog
    dumping.load(
        services.catalog,
        backup.schema,
        catalog["tables"],
        catalog["numbers"],
        lambda table: folder.lines(backup, f"catalog/{table}.jsonl.gz"),
    )
    for key in absent:
        services.catalog.write(lambda t, key=key: damage.quarantine(t, key, by))
    lost = tuple(key.digest for key in absent)
    return RestoreReport(backup=backup, objects=count, bytes=size, absent=lost)


def _keys(folder: BackupFolder, backup: Backup) -> Iterator[tuple[BlobKey, int]]:
    for digest, generation, size, _ in folder.lines(backup, OBJECTS):
        yield BlobKey(digest, generation), size


def _require_no_others(services: Services, folder: BackupFolder, backup: Backup) -> None:
    """An object that is no part of the backup is somebody else's."""
    there = {*services.storage.keys()}
    if there:
        there.difference_update(key for key, _ in _keys(folder, backup))
    if there:
        message = "There are objects of something else in the storage; restore into an empty one."
        raise RejectedError(message)


def _objects(
    services: Services, folder: BackupFolder, backup: Backup
) -> Iterator[tuple[BlobKey, int, bool]]:
    """Bring objects back, some beside each other; says of each whether it is there."""

    def bring(one: tuple[BlobKey, int]) -> bool:
        return _bring(services, folder, *one)

    keys = _keys(folder, backup)
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="repocore-restore") as pool:
        while turn := list(islice(keys, _TURN)):
            yield from _said(turn, list(pool.map(bring, turn)))


def _said(turn: Sequence[Any], found: Sequence[bool]) -> Iterator[tuple[BlobKey, int, bool]]:
    for (key, size), there in zip(turn, found, strict=True):
        yield key, size, there


def _bring(services: Services, folder: BackupFolder, key: BlobKey, size: int) -> bool:
    source = folder.open_object(key.digest)
    if source is None:
        return False
    chunk = services.settings.limits.chunk
    bounds = Bounds.exactly(size, chunk)
    with source:
        try:
            with stage(services.storage, source, frozenset(), bounds) as staged:
                if staged.checksums.sha256 != key.digest:
                    return False
                # Also where a restore that was cut off has brought it: that was not compared.
                staged.commit(key)
        except (TooLargeError, TruncatedError):
            return False
        except OSError as error:
            message = "An object of the backup cannot be read; restore again."
            raise StorageError(message) from error
    return True
