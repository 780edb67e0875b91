"""Objects on a local disk, durable when ``commit`` returns."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import time
import weakref
from collections.abc import Callable, Generator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, Final

from repocore.errors import (
    BlobMissingError,
    ConfigurationError,
    StorageError,
    StorageFullError,
)
from repocore.model import BlobKey
from repocore.plugins.filesystem.calls import DiskCalls
from repocore.plugins.filesystem.objects import (
    ENDED,
    OBJECTS,
    UPLOADS,
    object_name,
    part_of,
    storage_error,
    told_as_storage_errors,
    upload_name,
)

__all__ = ["DiskStorage", "DiskWriter"]

_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
# A pipe or a socket in an object's place must not make a reader wait.
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_CREATE: Final = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

_COPIED: Final = 1 << 20
#: ioctl_ficlone(2): share the bytes of another file until one of both is written to.
_FICLONE: Final = 0x40049409
_RESERVE: Final = 32 << 20

_FILE_MODE: Final = 0o440
_FOLDER_MODE: Final = 0o750

# Nothing of that name, or something that is not followed: a link, a file for a folder, a socket.
_ABSENT: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO})


class DiskStorage:
    """Objects in a folder of this machine, or of a shared file system with atomic renames.

    ``commit`` returns after the file, the folder that names it, and any folder that is new were
    fsynced.  Safe for any number of threads and processes.  Raises `ConfigurationError` where
    the folder does not open.

    ``reserve`` bytes of the disk are left free, by default a sixteenth of it and 32 MiB at most:
    the catalog often lies on the same disk, and needs a little to delete what makes room.
    """

    def __init__(
        self, root: str | Path, calls: DiskCalls = os, *, reserve: int | None = None
    ) -> None:
        self._calls = calls
        self._reserve = reserve
        try:
            top = self._open_root(Path(root).absolute())
            try:
                self._objects = self._make_folder(top, OBJECTS)
                weakref.finalize(self, os.close, self._objects)
                self._uploads = self._make_folder(top, UPLOADS)
                weakref.finalize(self, os.close, self._uploads)
            finally:
                os.close(top)
        except OSError as error:
            message = f"The storage's folder does not open: {error.strerror}.  Check `storage`."
            raise ConfigurationError(message) from error
        # Folders whose own names are known to survive a power cut: whoever made one may have
        # died before saying so to the disk.
        self._durable: set[str] = set()

    def writer(self, length: int | None = None) -> DiskWriter:
        """Start a body.

        Raises `StorageFullError`, at once where the disk has no space for its ``length``, or
        `StorageError`.
        """
        self._require(length or 0)
        return DiskWriter(self._calls, self._uploads, self._publish, self._require)

    def link(self, source: BinaryIO) -> DiskWriter | None:
        """A writer that has the bytes of an open file, as another name of it or as its clone.

        None where the disk has neither for it.  A name shares what becomes of the bytes: it is
        for files that are replaced, and never written to, for as long as they have theirs.
        """
        try:
            descriptor = source.fileno()
        except (AttributeError, OSError):
            return None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        for share in (self._linked, self._cloned):
            name = upload_name()
            with contextlib.suppress(OSError):
                file = share(descriptor, name)
                return DiskWriter(
                    self._calls, self._uploads, self._publish, self._require, (name, file)
                )
        return None

    def _linked(self, source: int, name: str) -> int:
        self._calls.link(f"/proc/self/fd/{source}", name, dst_dir_fd=self._uploads)
        return self._calls.open(name, _READ, dir_fd=self._uploads)

    def _cloned(self, source: int, name: str) -> int:
        file = self._calls.open(name, _CREATE, _FILE_MODE, dir_fd=self._uploads)
        try:
            fcntl.ioctl(file, _FICLONE, source)
        except OSError:
            os.close(file)
            self._calls.unlink(name, dir_fd=self._uploads)
            raise
        return file

    def _require(self, size: int) -> None:
        disk = self._calls.fstatvfs(self._uploads)
        reserve = self._reserve
        if reserve is None:
            reserve = min(disk.f_blocks * disk.f_frsize // 16, _RESERVE)
        if disk.f_bavail * disk.f_frsize < size + reserve:
            raise StorageFullError

    def open(self, key: BlobKey, start: int = 0, stop: int | None = None) -> BinaryIO:
        """Read an object; without ``stop`` the answer has a file descriptor at its position.

        Raises `BlobMissingError` at once, or `StorageError`.
        """
        descriptor = self._open_object(object_name(key))
        source = os.fdopen(descriptor, "rb")
        return part_of(source, start, stop, os.fstat(descriptor).st_size)

    def size(self, key: BlobKey) -> int | None:
        """The object's bytes; None where there is no regular file of that name."""
        try:
            descriptor = self._open_object(object_name(key))
        except BlobMissingError:
            return None
        try:
            return os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)

    def delete(self, key: BlobKey) -> None:
        """Delete the object; idempotent.

        The deletion is not fsynced: an object that a power cut brings back is one that nothing
        names, and the collector's.
        """
        name = object_name(key)
        with told_as_storage_errors():
            try:
                shard = self._open_shard(name[:2])
            except OSError as error:
                if error.errno in _ABSENT:
                    return
                raise
            try:
                with contextlib.suppress(FileNotFoundError):
                    self._calls.unlink(name, dir_fd=shard)
            finally:
                os.close(shard)

    def keys(self) -> Iterator[BlobKey]:
        """Every object, folder by folder; what has no object's name or place is passed over."""
        with told_as_storage_errors():
            for shard in self._names(self._objects, folders=True):
                for name in self._names(self._objects, shard):
                    key = BlobKey.parse(name)
                    if key is not None and name.startswith(shard):
                        yield key

    def sweep(self, older_than: timedelta) -> int:
        """Delete unfinished bodies that were not written to for that long.

        One whose writer is alive, in whatever process of this machine, is never taken.
        """
        latest = time.time() - older_than.total_seconds()
        with told_as_storage_errors():
            return sum(self._swept(name, latest) for name in self._names(self._uploads))

    def _swept(self, name: str, latest: float) -> bool:
        try:
            descriptor = self._calls.open(name, _READ, dir_fd=self._uploads)
        except FileNotFoundError:
            return False
        try:
            if os.fstat(descriptor).st_mtime > latest or not _locked(descriptor):
                return False
            self._calls.unlink(name, dir_fd=self._uploads)
        except FileNotFoundError:
            return False
        else:
            return True
        finally:
            os.close(descriptor)

    def location(self, key: BlobKey) -> str | None:
        """The object's path below the root."""
        name = object_name(key)
        return f"{OBJECTS}/{name[:2]}/{name}"

    def url(
        self, key: BlobKey, *, filename: str, media_type: str, expires: timedelta
    ) -> str | None:
        """None: a disk has no URLs."""
        return None

    def _open_root(self, root: Path) -> int:
        # The root may be a link: it is the administrator's word, not a stranger's.
        missing = [folder for folder in (root, *root.parents) if not folder.exists()]
        for folder in reversed(missing):
            with contextlib.suppress(FileExistsError):
                self._calls.mkdir(str(folder), _FOLDER_MODE)
            above = self._calls.open(str(folder.parent), _FOLDER)
            try:
                self._calls.fsync(above)
            finally:
                os.close(above)
        return self._calls.open(str(root), _FOLDER)

    def _make_folder(self, above: int, name: str) -> int:
        with contextlib.suppress(FileExistsError):
            self._calls.mkdir(name, _FOLDER_MODE, dir_fd=above)
        self._calls.fsync(above)
        return self._calls.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=above)

    def _open_shard(self, shard: str) -> int:
        return self._calls.open(shard, _FOLDER | os.O_NOFOLLOW, dir_fd=self._objects)

    def _open_object(self, name: str) -> int:
        try:
            shard = self._open_shard(name[:2])
            try:
                descriptor = self._calls.open(name, _READ, dir_fd=shard)
            finally:
                os.close(shard)
        except OSError as error:
            if error.errno in _ABSENT:
                raise BlobMissingError from error
            raise storage_error(error) from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise BlobMissingError
        return descriptor

    def _publish(self, upload: str, key: BlobKey) -> None:
        """Give a durable file its object's name, durably."""
        name = object_name(key)
        shard = self._open_durable_shard(name[:2])
        try:
            self._calls.rename(upload, name, src_dir_fd=self._uploads, dst_dir_fd=shard)
            self._calls.fsync(shard)
        finally:
            os.close(shard)

    def _open_durable_shard(self, name: str) -> int:
        if name in self._durable:
            with contextlib.suppress(FileNotFoundError):
                return self._open_shard(name)
        descriptor = self._make_folder(self._objects, name)
        self._durable.add(name)
        return descriptor

    def _names(self, above: int, below: str = ".", *, folders: bool = False) -> list[str]:
        """The names of the regular files, or the folders, in a folder; none where it is none."""
        # Opened anew: threads that list one descriptor share its position.
        try:
            descriptor = self._calls.open(below, _FOLDER | os.O_NOFOLLOW, dir_fd=above)
        except OSError as error:
            if error.errno in _ABSENT:
                return []
            raise
        try:
            with os.scandir(descriptor) as entries:
                return [entry.name for entry in entries if _is(entry, folder=folders)]
        finally:
            os.close(descriptor)


def _locked(descriptor: int) -> bool:
    """Take the lock that a living writer holds on its file, and its death releases."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks: its age must do
    return True


def _is(entry: os.DirEntry[str], *, folder: bool) -> bool:
    if folder:
        return entry.is_dir(follow_symlinks=False)
    return entry.is_file(follow_symlinks=False)


class DiskWriter:
    """A body in a file beside the objects; after an error it can only be aborted."""

    def __init__(
        self,
        calls: DiskCalls,
        uploads: int,
        publish: Callable[[str, BlobKey], None],
        require: Callable[[int], None],
        begun: tuple[str, int] | None = None,
    ) -> None:
        self._require = require
        self._calls = calls
        self._uploads = uploads
        self._publish = publish
        self._keys: set[BlobKey] = set()
        self._failed = False
        with told_as_storage_errors():
            self._begin(begun)

    def write(self, chunk: bytes, /) -> None:
        """Add a chunk; raises `StorageFullError` or `StorageError`."""
        with self._step(usable=not self._keys):
            self._require(len(chunk))
            self._write(memoryview(chunk))

    def open(self) -> BinaryIO:
        """Read what was written so far."""
        with self._step(usable=not self._keys):
            return os.fdopen(self._calls.open(self._upload, _READ, dir_fd=self._uploads), "rb")

    def commit(self, key: BlobKey) -> None:
        """Fsync the file, rename it, fsync the folder.

        Idempotent for the same key; under another key the bytes become another object, even if
        the collector has deleted the first: the open file still has them.
        """
        if key in self._keys:
            return
        with self._step():
            if self._keys:
                self._begin_copy()
            self._calls.fsync(self._file)
            self._publish(self._upload, key)
        self._keys.add(key)

    def abort(self) -> None:
        """Close the file, and delete it unless it was committed; `sweep` gets what stays."""
        self._close()
        if not self._keys:
            with contextlib.suppress(OSError):
                self._calls.unlink(self._upload, dir_fd=self._uploads)

    def _begin(self, begun: tuple[str, int] | None = None) -> None:
        if begun is None:
            name = upload_name()
            begun = name, self._calls.open(name, _CREATE, _FILE_MODE, dir_fd=self._uploads)
        self._upload, self._file = begun
        _locked(self._file)
        # A forgotten writer gives its descriptor back; its file is left to `sweep`.
        self._close = weakref.finalize(self, os.close, self._file)

    def _begin_copy(self) -> None:
        source, close = self._file, self._close
        self._begin()
        offset = 0
        while chunk := os.pread(source, _COPIED, offset):
            self._write(memoryview(chunk))
            offset += len(chunk)
        close()

    def _write(self, rest: memoryview) -> None:
        while rest:
            rest = rest[self._calls.write(self._file, rest) :]

    @contextlib.contextmanager
    def _step(self, *, usable: bool = True) -> Generator[None]:
        # After a failed fsync the kernel forgets which pages were not written: trying again
        # would succeed, and prove nothing.
        if self._failed or not usable or not self._close.alive:
            raise StorageError(ENDED)
        with told_as_storage_errors():
            self._failed = True
            yield
            self._failed = False
