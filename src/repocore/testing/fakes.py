"""Small working stand-ins: a storage in memory, one that fails on demand, and some that take notes.

They are real implementations of their ports, held to the same contracts, and no mocks.
"""

from __future__ import annotations

import io
import os
import stat
import time
from collections.abc import Collection, Iterator
from datetime import timedelta
from typing import BinaryIO

import attrs

from repocore.errors import BlobMissingError, StorageError, StorageFullError
from repocore.model import BlobKey
from repocore.plugins.filesystem import DiskCalls
from repocore.ports import BlobWriter, Storage

__all__ = [
    "FaultyStorage",
    "MemoryStorage",
    "MemoryWriter",
    "RecordingDisk",
    "RecordingProgress",
    "RecordingStorage",
]


# ------------------------------------------------------------------------------- in memory


class MemoryStorage:
    """Objects in a dict of its own: two of them share nothing, whatever their names."""

    def __init__(self) -> None:
        self.objects: dict[BlobKey, bytes] = {}
        self.uploads: dict[MemoryWriter, float] = {}

    def writer(self, length: int | None = None) -> MemoryWriter:
        """Start a body; there is space for any length."""
        del length
        writer = MemoryWriter(self)
        self.uploads[writer] = time.monotonic()
        return writer

    def open(self, key: BlobKey, start: int = 0, stop: int | None = None) -> BinaryIO:
        """Read an object; raises `BlobMissingError`."""
        try:
            return io.BytesIO(self.objects[key][start:stop])
        except KeyError as error:
            raise BlobMissingError from error

    def size(self, key: BlobKey) -> int | None:
        """The object's bytes, or None."""
        content = self.objects.get(key)
        return None if content is None else len(content)

    def delete(self, key: BlobKey) -> None:
        """Delete the object; idempotent."""
        self.objects.pop(key, None)

    def keys(self) -> Iterator[BlobKey]:
        """The objects there are now."""
        return iter(tuple(self.objects))

    def sweep(self, older_than: timedelta) -> int:
        """Forget bodies that began so long ago."""
        latest = time.monotonic() - older_than.total_seconds()
        old = [writer for writer, began in tuple(self.uploads.items()) if began <= latest]
        for writer in old:
            writer.abort()
        return len(old)

    def location(self, key: BlobKey) -> str | None:
        """None: there are no files."""
        return None

    def url(
        self, key: BlobKey, *, filename: str, media_type: str, expires: timedelta
    ) -> str | None:
        """None: there is no server."""
        return None


class MemoryWriter:
    """A body in memory."""

    def __init__(self, storage: MemoryStorage) -> None:
        self._storage = storage
        self._body = bytearray()
        self._committed = False
        self._ended = False

    def write(self, chunk: bytes, /) -> None:
        """Add a chunk; raises `StorageError` after the end."""
        self._check(ended=self._ended or self._committed)
        self._body += chunk

    def open(self) -> BinaryIO:
        """Read what was written so far."""
        self._check(ended=self._ended or self._committed)
        return io.BytesIO(bytes(self._body))

    def commit(self, key: BlobKey) -> None:
        """Put the bytes under the key; idempotent."""
        self._check(ended=self._ended and not self._committed)
        self._committed = True
        self._storage.objects[key] = bytes(self._body)
        self._storage.uploads.pop(self, None)

    def abort(self) -> None:
        """Forget the bytes, unless they were committed."""
        self._ended = True
        self._storage.uploads.pop(self, None)

    def _check(self, *, ended: bool) -> None:
        if ended:
            raise StorageError("This upload has ended; start again.")


# ---------------------------------------------------------------------------------- failing


class FaultyStorage:
    """Another storage, which fails when it is told to.

    The names of its calls: ``writer write open_upload commit abort`` of a body, and
    ``open size delete keys sweep`` of the storage.
    """

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.heal()

    def fail(
        self,
        calls: Collection[str],
        error: BaseException | None = None,
        *,
        after: int = 0,
        late: bool = False,
    ) -> None:
        """Let calls of these names raise, once ``after`` of them have gone well.

        The error is `StorageError` unless given.  A ``late`` failure comes when the call has done
        its work: the answer is lost, not the deed.
        """
        self._calls = frozenset(calls)
        self._error = error or StorageError()
        self._after = after
        self._late = late

    def fill(self, space: int = 0) -> None:
        """Let `StorageFullError` be raised when that many more bytes have been written."""
        self._space = space

    def heal(self) -> None:
        """Fail no more."""
        self._calls: frozenset[str] = frozenset()
        self._error: BaseException = StorageError()
        self._after = 0
        self._late = False
        self._space: int | None = None

    def take(self, size: int) -> None:
        """Use up space; raises `StorageFullError` when there is none left."""
        if self._space is not None:
            if size > self._space:
                raise StorageFullError
            self._space -= size

    def early(self, call: str) -> None:
        """Raise before the call's work, if that was ordered."""
        if call in self._calls and not self._late:
            self._raise()

    def after(self, call: str) -> None:
        """Raise after the call's work, if that was ordered."""
        if call in self._calls and self._late:
            self._raise()

    def _raise(self) -> None:
        if self._after:
            self._after -= 1
            return
        raise self._error

    def writer(self, length: int | None = None) -> _FaultyWriter:
        """Start a body."""
        self.early("writer")
        writer = _FaultyWriter(self, self.storage.writer(length))
        self.after("writer")
        return writer

    def open(self, key: BlobKey, start: int = 0, stop: int | None = None) -> BinaryIO:
        """Read an object."""
        self.early("open")
        return self.storage.open(key, start, stop)

    def size(self, key: BlobKey) -> int | None:
        """The object's bytes, or None."""
        self.early("size")
        return self.storage.size(key)

    def delete(self, key: BlobKey) -> None:
        """Delete the object."""
        self.early("delete")
        self.storage.delete(key)
        self.after("delete")

    def keys(self) -> Iterator[BlobKey]:
        """Every object."""
        self.early("keys")
        return self.storage.keys()

    def sweep(self, older_than: timedelta) -> int:
        """Delete what unfinished writers left."""
        self.early("sweep")
        return self.storage.sweep(older_than)

    def location(self, key: BlobKey) -> str | None:
        """What the other storage says."""
        return self.storage.location(key)

    def url(
        self, key: BlobKey, *, filename: str, media_type: str, expires: timedelta
    ) -> str | None:
        """What the other storage says."""
        return self.storage.url(key, filename=filename, media_type=media_type, expires=expires)


@attrs.frozen
class _FaultyWriter:
    _faults: FaultyStorage
    _writer: BlobWriter

    def write(self, chunk: bytes, /) -> None:
        self._faults.early("write")
        self._faults.take(len(chunk))
        self._writer.write(chunk)
        self._faults.after("write")

    def open(self) -> BinaryIO:
        self._faults.early("open_upload")
        return self._writer.open()

    def commit(self, key: BlobKey) -> None:
        self._faults.early("commit")
        self._writer.commit(key)
        self._faults.after("commit")

    def abort(self) -> None:
        self._faults.early("abort")
        self._writer.abort()


# ------------------------------------------------------------------------------ taking notes


class RecordingStorage:
    """Another storage, and the calls that change it: ``notes`` has them in their order."""

    def __init__(self, storage: Storage, notes: list[str] | None = None) -> None:
        self.storage = storage
        self.notes: list[str] = [] if notes is None else notes

    def writer(self, length: int | None = None) -> _RecordingWriter:
        """Start a body."""
        self.notes.append("writer")
        return _RecordingWriter(self.notes, self.storage.writer(length))

    def open(self, key: BlobKey, start: int = 0, stop: int | None = None) -> BinaryIO:
        """Read an object."""
        self.notes.append(f"open {start}-{'' if stop is None else stop}")
        return self.storage.open(key, start, stop)

    def size(self, key: BlobKey) -> int | None:
        """The object's bytes, or None."""
        return self.storage.size(key)

    def delete(self, key: BlobKey) -> None:
        """Delete the object."""
        self.notes.append("delete")
        self.storage.delete(key)

    def keys(self) -> Iterator[BlobKey]:
        """Every object."""
        return self.storage.keys()

    def sweep(self, older_than: timedelta) -> int:
        """Delete what unfinished writers left."""
        self.notes.append("sweep")
        return self.storage.sweep(older_than)

    def location(self, key: BlobKey) -> str | None:
        """What the other storage says."""
        return self.storage.location(key)

    def url(
        self, key: BlobKey, *, filename: str, media_type: str, expires: timedelta
    ) -> str | None:
        """What the other storage says."""
        return self.storage.url(key, filename=filename, media_type=media_type, expires=expires)


@attrs.frozen
class _RecordingWriter:
    _notes: list[str]
    _writer: BlobWriter

    def write(self, chunk: bytes, /) -> None:
        self._notes.append(f"write {len(chunk)}")
        self._writer.write(chunk)

    def open(self) -> BinaryIO:
        self._notes.append("open upload")
        return self._writer.open()

    def commit(self, key: BlobKey) -> None:
        self._writer.commit(key)
        self._notes.append("commit")

    def abort(self) -> None:
        self._notes.append("abort")
        self._writer.abort()


class RecordingDisk:
    """The calls of a disk, done and noted: ``fsync file``, ``rename``, ``fsync folder`` and so on.

    With ``durable=False`` fsync is noted and left out, which makes long tests short.
    """

    def __init__(self, calls: DiskCalls = os, *, durable: bool = True) -> None:
        self._calls = calls
        self._durable = durable
        self.notes: list[str] = []

    def open(self, path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        """Open or create."""
        descriptor = self._calls.open(path, flags, mode, dir_fd=dir_fd)
        if flags & os.O_CREAT:
            self.notes.append("create")
        return descriptor

    def write(self, fd: int, data: memoryview, /) -> int:
        """Write some of the bytes."""
        written = self._calls.write(fd, data)
        self.notes.append(f"write {written}")
        return written

    def fsync(self, fd: int) -> None:
        """Make a file or folder durable."""
        if self._durable:
            self._calls.fsync(fd)
        folder = stat.S_ISDIR(os.fstat(fd).st_mode)
        self.notes.append("fsync folder" if folder else "fsync file")

    def rename(
        self, src: str, dst: str, *, src_dir_fd: int | None = None, dst_dir_fd: int | None = None
    ) -> None:
        """Give a file its other name."""
        self._calls.rename(src, dst, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
        self.notes.append("rename")

    def unlink(self, path: str, *, dir_fd: int | None = None) -> None:
        """Delete a file."""
        self._calls.unlink(path, dir_fd=dir_fd)
        self.notes.append("unlink")

    def mkdir(self, path: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        """Make a folder."""
        self._calls.mkdir(path, mode, dir_fd=dir_fd)
        self.notes.append("mkdir")

    def fstatvfs(self, fd: int, /) -> os.statvfs_result:
        """How much space is left."""
        return self._calls.fstatvfs(fd)


class RecordingProgress:
    """What long work reported; gives up in ``check`` once ``stop_after`` steps are done."""

    def __init__(self, *, stop_after: int | None = None) -> None:
        self._stop_after = stop_after
        self.phases: list[tuple[str, int | None]] = []
        self.steps = 0
        self.lines: list[str] = []
        self.checks = 0

    def start(self, total: int | None, message: str) -> None:
        """Note a phase."""
        self.phases.append((message, total))

    def advance(self, steps: int = 1) -> None:
        """Count steps."""
        self.steps += steps

    def log(self, text: str) -> None:
        """Keep a line."""
        self.lines.append(text)

    def check(self) -> None:
        """Raise KeyboardInterrupt when it is time to give up."""
        self.checks += 1
        if self._stop_after is not None and self.steps >= self._stop_after:
            raise KeyboardInterrupt
