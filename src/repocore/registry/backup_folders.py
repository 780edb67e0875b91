"""A folder of backups: what lies where, which of them are whole, and what they hold.

::

    repocore-backups        whose folder this is, and the lock of who writes to it
    objects/ab/abcd…        bytes by their sha256, shared by all backups of the folder
    20260131T120000.000000Z/
        catalog/TABLE.jsonl.gz   rows of one moment: the columns first, then a line for each
        objects.jsonl.gz         [sha256, generation, bytes] of each object that they name
        files.jsonl.gz           {"path": "conda/main/noarch/…", "key": …, "size": …} of each file
        manifest.json            written last: what the rest has to be, and its own digest

A backup without a manifest was never finished; the next one takes it away.  Nothing is written
over: objects are renamed into their place once they are on the disk.
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import hashlib
import heapq
import json
import os
import shutil
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

import attrs

from repocore.catalog.rows import time_of
from repocore.errors import RejectedError, StorageError, StorageFullError
from repocore.model import Hasher
from repocore.model.digest import Chunks

__all__ = ["FILES", "OBJECTS", "Backup", "BackupFolder", "Writing"]

_MARK: Final = "repocore-backups"
_OBJECTS: Final = "objects"
#: The parts that say what a backup holds.
OBJECTS: Final = "objects.jsonl.gz"
FILES: Final = "files.jsonl.gz"
_MANIFEST: Final = "manifest.json"
_PARTIAL: Final = ".partial"
_VERSION: Final = 1
_CHUNK: Final = 1 << 20
_FULL: Final = frozenset({28, 122})  # ENOSPC, EDQUOT


@attrs.frozen(kw_only=True)
class Backup:
    """One backup of a folder."""

    name: str
    #: Whether it has a manifest that is what was written.
    whole: bool
    #: The moment of its snapshot, in microseconds since 1970 by the database's clock.
    taken_at: int = 0
    schema: str = ""
    files: int = 0
    objects: int = 0
    bytes: int = 0
    #: Objects that were lost or damaged already when it was made: sha256.
    absent: tuple[str, ...] = ()
    #: The parts of it: sha256 by name.
    parts: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)
    #: What the catalog needs to be read again.
    catalog: Mapping[str, Any] = attrs.field(factory=dict[str, Any], repr=False)

    @property
    def at(self) -> datetime:
        """The moment of its snapshot."""
        return time_of(self.taken_at)


def _fsync_folder(folder: Path) -> None:
    """Have the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _told() -> Generator[None]:
    """Raise what a disk raises as `StorageFullError` or `StorageError`, which say what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFullError(
                "The disk of the backups is full; the backup is not whole."
            ) from error
        message = f"The folder of backups cannot be read or written: {error.strerror}."
        raise StorageError(message) from error


class BackupFolder:
    """The backups below a path."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @classmethod
    @contextmanager
    def writable(cls, root: Path) -> Generator[Self]:
        """Make the folder, for its owner alone, and be the only one who writes to it.

        Raises `RejectedError` where the folder is something else, or somebody writes to it.
        """
        mark = root / _MARK
        with _told():
            if not mark.exists() and root.exists() and any(root.iterdir()):
                message = "That folder is no folder of backups, and not empty; name another one."
                raise RejectedError(message)
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            root.chmod(0o700)
            # First of all: a folder that has something and no mark is somebody else's.
            lock = os.open(mark, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                message = "Somebody else makes a backup in that folder; wait until it is done."
                raise RejectedError(message) from error
            with _told():
                (root / _OBJECTS).mkdir(mode=0o700, exist_ok=True)
                _fsync_folder(root)
            yield cls(root)
        finally:
            os.close(lock)

    @classmethod
    def at(cls, root: Path) -> Self:
        """A folder of backups that is there; raises `RejectedError`."""
        if not (root / _MARK).exists():
            message = "There are no backups in that folder; `repocore backup FOLDER` makes one."
            raise RejectedError(message)
        return cls(root)

    def list(self) -> list[Backup]:
        """The backups, the oldest first; those that are broken say so."""
        with _told():
            names = sorted(path.name for path in self.root.iterdir() if path.is_dir())
        return [self.read(name) for name in names if name != _OBJECTS]

    def newest(self, name: str | None = None) -> Backup:
        """A backup by its name, or the newest that is whole; raises `RejectedError`."""
        found = [one for one in self.list() if name in {None, one.name}]
        whole = [one for one in found if one.whole]
        if whole:
            return whole[-1]
        if found:
            message = "That backup is broken: it was never finished, or changed afterwards."
        else:
            message = "There is no such backup; `repocore backup FOLDER --list` shows them."
        raise RejectedError(message)

    def read(self, name: str) -> Backup:
        """What the manifest of a backup says."""
        try:
            text = (self.root / name / _MANIFEST).read_bytes()
            manifest = json.loads(text)
            digest = manifest.pop("sha256")
            if digest != _digest(manifest) or manifest["version"] != _VERSION:
                return Backup(name=name, whole=False)
        except (OSError, ValueError, KeyError, AttributeError):
            return Backup(name=name, whole=False)
        fields = {field.name for field in attrs.fields(Backup)} - {"name", "whole", "absent"}
        known = {key: value for key, value in manifest.items() if key in fields}
        return Backup(name=name, whole=True, absent=tuple(manifest["absent"]), **known)

    # --------------------------------------------------------------------------------- reading

    def lines(self, backup: Backup, part: str) -> Iterator[Any]:
        """The JSON values of a part, a line each, compared with the manifest at the end.

        Raises `StorageError` where the part is not what was written.
        """
        path = self.root / backup.name / part
        broken = f"{part} of the backup {backup.name} is damaged; use another backup."
        hasher = hashlib.sha256()
        try:
            with path.open("rb") as stream:
                hashed: Any = _Hashing(stream, hasher)
                with gzip.GzipFile("", "rb", fileobj=hashed) as unpacked:
                    for line in unpacked:
                        yield json.loads(line)
                while hashed.read(_CHUNK):
                    """What stands behind the end."""
        except (OSError, EOFError, ValueError, zlib.error) as error:
            raise StorageError(broken) from error
        if hasher.hexdigest() != backup.parts.get(part):
            raise StorageError(broken)

    def object_path(self, digest: str) -> Path:
        """Where some bytes lie in the folder, if they are there."""
        return self.root / _OBJECTS / digest[:2] / digest

    def open_object(self, digest: str) -> BinaryIO | None:
        """Read some bytes; None where they are not there.  Who reads compares."""
        try:
            return self.object_path(digest).open("rb")
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError("An object of the backup cannot be read.") from error

    def size(self, digest: str) -> int | None:
        """How many bytes an object has; None where it is not there."""
        try:
            return self.object_path(digest).stat().st_size
        except FileNotFoundError:
            return None

    # --------------------------------------------------------------------------------- writing

    def begin(self, name: str) -> Writing:
        """Start a backup of that name."""
        folder = self.root / name
        with _told():
            folder.mkdir(mode=0o700)
            (folder / "catalog").mkdir(mode=0o700)
        return Writing(self, folder)

    def forget_unfinished(self) -> None:
        """Take away what backups left that never came to their end."""
        with _told():
            for one in self.list():
                if not (self.root / one.name / _MANIFEST).exists():
                    shutil.rmtree(self.root / one.name)
            for path in (self.root / _OBJECTS).rglob(f"*{_PARTIAL}"):
                path.unlink()

    def keep(self, count: int) -> list[str]:
        """Delete all but the newest so many backups, and objects that none of them names.

        Returns the names of those that went.  Broken backups count as none, and stay.
        """
        whole = [one for one in self.list() if one.whole]
        gone = whole[: max(len(whole) - count, 0)]
        with _told():
            for one in gone:
                # Without its manifest it is no backup, wherever this ends.
                (self.root / one.name / _MANIFEST).unlink()
                _fsync_folder(self.root / one.name)
                shutil.rmtree(self.root / one.name)
        if gone:
            self._sweep(whole[len(gone) :])
        return [one.name for one in gone]

    def _sweep(self, kept: Iterable[Backup]) -> None:
        lists = [*kept]
        for one in lists:  # none of them may be damaged, which shows at their ends
            for _ in self.lines(one, OBJECTS):
                """Only compared."""
        # Both are in order, so that neither has to be in memory.
        named = heapq.merge(*((line[0] for line in self.lines(one, OBJECTS)) for one in lists))
        wanted = next(named, None)
        with _told():
            for shard in sorted((self.root / _OBJECTS).iterdir()):
                for path in sorted(shard.iterdir()):
                    while wanted is not None and wanted < path.name:
                        wanted = next(named, None)
                    if path.name != wanted:
                        path.unlink()

    def add_object(self, digest: str, source: Chunks, size: int) -> bool:
        """Write an object durably, but for its folder; False where these are other bytes."""
        target = self.object_path(digest)
        with _told():
            target.parent.mkdir(mode=0o700, exist_ok=True)
            partial = target.with_name(f"{digest}{_PARTIAL}")
            partial.unlink(missing_ok=True)
            hasher, count = Hasher(()), 0
            with _create(partial) as copy:
                for chunk in hasher.through(source, _CHUNK):
                    copy.write(chunk)
                    count += len(chunk)
                copy.flush()
                os.fsync(copy.fileno())
            if hasher.checksums().sha256 != digest or count != size:
                partial.unlink()
                return False
            partial.rename(target)
        return True

    def set_aside(self, digest: str) -> None:
        """Take an object out of its place that is not what it should be; the next backup copies
        it again, where it still can.
        """
        target = self.object_path(digest)
        with contextlib.suppress(OSError):
            target.rename(target.with_name(f"{digest}.damaged"))


@attrs.define
class Writing:
    """A backup on its way; nobody takes it for one before `finish`."""

    _folder: BackupFolder
    _path: Path
    _parts: dict[str, str] = attrs.field(factory=dict[str, str])

    def part(self, name: str, values: Iterable[Any]) -> int:
        """Write a part, a line for each value; how many there were."""
        count = 0
        hasher = hashlib.sha256()
        with _told(), _create(self._path / name) as stream:
            hashed: Any = _Hashing(stream, hasher)
            with gzip.GzipFile("", "wb", compresslevel=1, fileobj=hashed, mtime=0) as packed:
                for value in values:
                    packed.write(json.dumps(value, ensure_ascii=False).encode() + b"\n")
                    count += 1
            stream.flush()
            os.fsync(stream.fileno())
        self._parts[name] = hasher.hexdigest()
        return count

    @property
    def draft(self) -> Backup:
        """What is written so far, to be read."""
        return Backup(name=self._path.name, whole=False, parts=self._parts)

    def finish(self, **facts: Any) -> Backup:
        """Make it a backup: all that it names is on the disk when this returns."""
        root = self._folder.root
        with _told():
            for folder in (root / _OBJECTS).iterdir():
                _fsync_folder(folder)
            for folder in (root / _OBJECTS, self._path / "catalog", self._path, root):
                _fsync_folder(folder)
            manifest = {"version": _VERSION, **facts, "parts": self._parts}
            manifest["sha256"] = _digest(manifest)
            draft = self._path / f"{_MANIFEST}{_PARTIAL}"
            with _create(draft) as stream:
                stream.write(json.dumps(manifest, indent=1).encode() + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
            draft.rename(self._path / _MANIFEST)
            _fsync_folder(self._path)
        return self._folder.read(self._path.name)

    def abandon(self) -> None:
        """Take away what is there of it."""
        shutil.rmtree(self._path, ignore_errors=True)


class _Hashing:
    """A file whose bytes are hashed on their way."""

    def __init__(self, stream: BinaryIO, hasher: Any) -> None:
        self._stream = stream
        self._hasher = hasher

    def write(self, data: Any) -> int:
        """Write and hash."""
        self._hasher.update(data)
        return self._stream.write(data)

    def read(self, size: int = -1) -> bytes:
        """Read and hash."""
        chunk = self._stream.read(size)
        self._hasher.update(chunk)
        return chunk

    def flush(self) -> None:
        """As the file."""
        self._stream.flush()


def _create(path: Path) -> BinaryIO:
    """A new file, for its owner alone."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o600), "wb")


def _digest(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
