"""Make a backup of a registry that runs: catalog and objects of one moment.

The collector deletes nothing while a lease says that a backup is being made, so that what the
snapshot names is there until it is copied.  Should an object go nevertheless, because the lease ran
out or a collector of an older version does not know it, the backup begins again with a new
snapshot; what was copied is there already.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any, Final

import attrs

from repocore.catalog import damage, dumping, leases, numbering
from repocore.catalog.dumping import StoredObject
from repocore.catalog.rows import time_of
from repocore.errors import StorageError
from repocore.model import BlobKey, Hasher
from repocore.ports import Progress
from repocore.registry.backup_folders import FILES, OBJECTS, Backup, BackupFolder, Writing
from repocore.registry.leasing import leased
from repocore.registry.services import Services
from repocore.registry.staging import Foreign, Unreadable

__all__ = ["BackupReport", "back_up", "verify_backup"]

#: How often a backup begins again because somebody deleted what it was to copy.
_TRIES: Final = 3
#: Objects that are copied beside each other, and those of one turn.
_WORKERS: Final = 4
_TURN: Final = 64


@attrs.frozen(kw_only=True)
class BackupReport:
    """What a backup holds, and what had to be copied for it."""

    backup: Backup
    copied: int
    copied_bytes: int
    #: Older backups that were deleted.
    deleted: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether it has everything that the catalog names."""
        return not self.backup.absent


class _Vanished(Exception):  # noqa: N818 - begins again, and is never seen
    """An object of the snapshot was deleted."""


def back_up(services: Services, root: Path, keep: int | None, progress: Progress) -> BackupReport:
    """Add a backup to a folder; then keep only the newest so many, where a number is given."""
    with BackupFolder.writable(root) as folder:
        folder.forget_unfinished()
        report = _back_up(services, folder, progress)
        # One that lacks something is no reason to delete one that has it.
        if keep is not None and report.ok:
            progress.start(None, "Deleting old backups")
            report = attrs.evolve(report, deleted=tuple(folder.keep(keep)))
        return report


def _back_up(services: Services, folder: BackupFolder, progress: Progress) -> BackupReport:
    copied = _Copied()
    for _ in range(_TRIES):
        with leased(services.catalog, leases.BACKUP), contextlib.suppress(_Vanished):
            services.step("leased")
            return _attempt(services, folder, copied, progress)
    message = "Objects were deleted while they were to be copied; make the backup again."
    raise StorageError(message)


@attrs.define
class _Copied:
    """How much was copied, whichever attempt did it."""

    count: int = 0
    bytes: int = 0


def _attempt(
    services: Services, folder: BackupFolder, copied: _Copied, progress: Progress
) -> BackupReport:
    progress.start(None, "Copying the catalog")
    writing, facts = _dump(services, folder, progress)
    try:
        services.step("dumped")
        progress.start(None, "Copying objects")
        source = _objects_of(folder, writing)
        absent: list[str] = []
        with ThreadPoolExecutor(_WORKERS, thread_name_prefix="repocore-backup") as pool:
            for one, found in _copies(services, folder, source, pool):
                progress.check()
                progress.advance()
                if found is None:
                    absent.append(one.key.digest)
                elif found:
                    copied.count += 1
                    copied.bytes += one.size
        services.step("copied")
        backup = writing.finish(**facts, absent=absent)
    except BaseException:
        writing.abandon()
        raise
    return BackupReport(backup=backup, copied=copied.count, copied_bytes=copied.bytes)


def _dump(
    services: Services, folder: BackupFolder, progress: Progress
) -> tuple[Writing, dict[str, Any]]:
    """Write the rows of one moment; returns what the manifest says of them."""
    with services.catalog.snapshot() as connection:
        taken_at = dumping.moment(connection)
        writing = folder.begin(f"{time_of(taken_at):%Y%m%dT%H%M%S.%fZ}")
        try:
            columns = dumping.table_columns()
            for name in columns:
                progress.check()
                writing.part(f"catalog/{name}.jsonl.gz", dumping.rows(connection, name))
            sizes = _Sizes()
            objects = writing.part(OBJECTS, sizes.of(dumping.stored_objects(connection)))
            files = writing.part(FILES, map(_line, dumping.named_files(connection)))
            given = numbering.counted(connection)
        except BaseException:
            writing.abandon()
            raise
    return writing, {
        "repocore": version("repocore"),
        "taken_at": taken_at,
        "schema": dumping.SCHEMA,
        "files": files,
        "objects": objects,
        "bytes": sizes.total,
        "catalog": {"tables": columns, "numbers": given},
    }


class _Sizes:
    """Adds up what passes by."""

    def __init__(self) -> None:
        self.total = 0

    def of(self, objects: Iterator[StoredObject]) -> Iterator[list[Any]]:
        """The lines of the objects."""
        for one in objects:
            self.total += one.size
            yield [one.key.digest, one.key.generation, one.size, one.sound]


def _line(one: dumping.NamedFile) -> dict[str, Any]:
    return {"path": f"{one.address}/{one.path}", "key": str(one.key), "size": one.size}


def _objects_of(folder: BackupFolder, writing: Writing) -> Iterator[StoredObject]:
    """What was written as the list of objects, read from the disk and not from the memory."""
    for digest, generation, size, sound in folder.lines(writing.draft, OBJECTS):
        yield StoredObject(BlobKey(digest, generation), size, sound)


def _copies(
    services: Services, folder: BackupFolder, objects: Iterator[StoredObject], pool: Executor
) -> Iterator[tuple[StoredObject, bool | None]]:
    """Each object, and whether it was copied; None where there is nothing to copy."""
    while turn := list(islice(objects, _TURN)):
        yield from zip(turn, pool.map(_copier(services, folder), turn), strict=True)


def _copier(services: Services, folder: BackupFolder) -> Callable[[StoredObject], bool | None]:
    def copy(one: StoredObject) -> bool | None:
        if folder.size(one.key.digest) == one.size:
            return False
        if one.sound and _copied(services, folder, one.key, one.size):
            return True
        with services.catalog.snapshot() as connection:
            now = damage.current(connection, one.key.digest)
        if now is not None and now != one.key:
            # It was damaged, and somebody has brought its bytes again.
            return _copied(services, folder, now, one.size) or None
        if now is None and one.sound and not _quarantined(services, one.key):
            raise _Vanished
        return None

    return copy


def _copied(services: Services, folder: BackupFolder, key: BlobKey, size: int) -> bool:
    try:
        stream = services.storage.open(key)
    except StorageError:
        return False
    try:
        with stream:
            return folder.add_object(key.digest, Foreign(stream), size)
    except Unreadable:
        return False


def _quarantined(services: Services, key: BlobKey) -> bool:
    with services.catalog.snapshot() as connection:
        return damage.is_damaged(connection, key.digest)


def verify_backup(folder: BackupFolder, backup: Backup, progress: Progress) -> list[str]:
    """Read a backup whole; returns what is wrong with it.

    An object that is not what it should be is set aside, so that the next backup copies it again.
    """
    problems: list[str] = []
    progress.start(None, f"Reading the backup {backup.name}")
    for part in backup.parts:
        progress.check()
        try:
            for _ in folder.lines(backup, part):
                """Compared on the way."""
        except StorageError as error:
            problems.append(str(error))
    if any(OBJECTS in problem for problem in problems):
        return problems
    for digest, _, size, _ in folder.lines(backup, OBJECTS):
        progress.check()
        progress.advance()
        if digest not in backup.absent and (wrong := _wrong(folder, digest, size)):
            problems.append(f"sha256:{digest} {wrong} in the folder; make another backup.")
    if backup.absent:
        problems.append(
            f"The backup {backup.name} lacks {len(backup.absent)} objects that were lost when it "
            "was made; `repocore repair` brings them back, and another backup has them."
        )
    return problems


def _wrong(folder: BackupFolder, digest: str, size: int) -> str | None:
    found = folder.size(digest)
    if found is None:
        return "is missing"
    hasher = Hasher(())
    try:
        stream = folder.open_object(digest)
        if stream is None:
            return "is missing"
        with stream:
            for _ in hasher.through(stream, 1 << 20):
                """Only hashed."""
    except (OSError, StorageError):
        return "cannot be read"
    if found == size and hasher.checksums().sha256 == digest:
        return None
    folder.set_aside(digest)
    return "holds other bytes"
