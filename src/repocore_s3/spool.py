"""A body on its way to the store: in a file without a name, cut into parts with their MD5."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import tempfile
import weakref
from pathlib import Path
from typing import Any, BinaryIO, Final

import attrs

from repocore.errors import StorageError, StorageFullError

__all__ = ["MOST_PARTS", "Part", "Spool"]

#: S3: the most parts of one upload.
MOST_PARTS: Final = 10_000

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_BUFFER: Final = 1 << 17
_TOO_LARGE: Final = "The body has more parts than S3 takes; the server needs a larger `part_size`."


@attrs.frozen
class Part:
    """Bytes of the spool, and the MD5 that they had when they came."""

    start: int
    stop: int
    md5: bytes


class Spool:
    """Takes a body in, and gives all of it or parts of it back, to any number of readers.

    The MD5 is of the bytes as they arrive, so that the store refuses what this machine's disk has
    changed meanwhile.  Raises `StorageFullError`, at once where there is no space for ``length``,
    or `StorageError`.
    """

    def __init__(self, folder: Path | None, part_size: int, length: int | None) -> None:
        # A length is announced, and no promise.
        self._part_size = max(part_size, -(-(length or 0) // MOST_PARTS))
        self._parts: list[Part] = []
        self._begun = 0
        self._sum = _md5()
        self.size = 0
        try:
            self._file = _unnamed_file(folder)
            # A forgotten spool gives its descriptor back.
            self.close = weakref.finalize(self, os.close, self._file)
            disk = os.fstatvfs(self._file)
        except OSError as error:
            raise _storage_error(error) from error
        if disk.f_bavail * disk.f_frsize < (length or 0):
            self.close()
            raise StorageFullError

    def write(self, chunk: bytes) -> None:
        """Add a chunk."""
        rest = memoryview(chunk)
        try:
            while rest:
                if len(self._parts) == MOST_PARTS:
                    raise StorageError(_TOO_LARGE)
                room = self._begun + self._part_size - self.size
                count = os.write(self._file, rest[:room])
                self._sum.update(rest[:count])
                self.size += count
                rest = rest[count:]
                if count == room:
                    self._cut()
        except OSError as error:
            raise _storage_error(error) from error

    def parts(self) -> list[Part]:
        """The parts, all of one size but for the last; one without bytes of an empty body."""
        if self._begun == self.size and self._parts:
            return list(self._parts)
        return [*self._parts, Part(self._begun, self.size, self._sum.digest())]

    def open(self) -> BinaryIO:
        """Read what was written so far, from its start; it outlives the spool."""
        return io.BufferedReader(_Slice(os.dup(self._file), 0, self.size, owned=True), _BUFFER)

    def read(self, part: Part) -> BinaryIO:
        """Read a part, while the spool is open."""
        piece: Any = _Slice(self._file, part.start, part.stop, owned=False)
        return piece

    def _cut(self) -> None:
        self._parts.append(Part(self._begun, self.size, self._sum.digest()))
        self._begun = self.size
        self._sum = _md5()


class _Slice(io.RawIOBase):
    """Bytes of a file by a position of its own; it hides the descriptor, which has another."""

    def __init__(self, file: int, start: int, stop: int, *, owned: bool) -> None:
        super().__init__()
        self._file = file
        self._start = start
        self._size = stop - start
        self._position = 0
        self._release = weakref.finalize(self, os.close, file) if owned else None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        if origin + offset < 0:
            raise ValueError("There is nothing before the start.")
        self._position = origin + offset
        return self._position

    def readinto(self, buffer: Any, /) -> int:
        wanted = max(min(len(buffer), self._size - self._position), 0)
        count = os.preadv(self._file, [memoryview(buffer)[:wanted]], self._start + self._position)
        self._position += count
        return count

    def close(self) -> None:
        if self._release is not None:
            self._release()
        super().close()


def _md5() -> Any:
    # It names no secret: stores compare it with what they got.
    return hashlib.md5(usedforsecurity=False)


def _unnamed_file(folder: Path | None) -> int:
    where = folder or Path(tempfile.gettempdir())
    try:
        return os.open(where, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        # A file system without them; the name is gone before anything is written.
        file, name = tempfile.mkstemp(dir=where)
        Path(name).unlink()
        return file


def _storage_error(error: OSError) -> StorageError:
    return StorageFullError() if error.errno in _FULL else StorageError()
