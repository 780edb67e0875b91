"""What a storage on any file system shares: names, errors, and parts of files."""

from __future__ import annotations

import contextlib
import errno
import io
import secrets
import time
from collections.abc import Generator
from typing import Any, BinaryIO, Final

from repocore.errors import RepocoreError, StorageError, StorageFullError
from repocore.model import BlobKey

__all__ = [
    "ENDED",
    "OBJECTS",
    "UPLOADS",
    "began_before",
    "object_name",
    "part_of",
    "storage_error",
    "told_as_storage_errors",
    "upload_name",
]

#: The two folders below a storage's root.
OBJECTS: Final = "sha256"
UPLOADS: Final = "uploads"

#: What a writer says to a call that comes after its end.
ENDED: Final = "This upload has ended; start again."

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


def storage_error(error: BaseException) -> StorageError:
    """The house's error for one of a file system; it repeats no text, which may hold a path."""
    if isinstance(error, OSError) and error.errno in _FULL:
        return StorageFullError()
    return StorageError()


@contextlib.contextmanager
def told_as_storage_errors() -> Generator[None]:
    """Raise what the block raises as `StorageFullError` or `StorageError`; the house's own pass."""
    try:
        yield
    except RepocoreError:
        raise
    except Exception as error:  # file systems of others raise what they like
        raise storage_error(error) from error


def object_name(key: BlobKey) -> str:
    """The object's name; only a real key becomes part of a path."""
    name = str(key)
    if BlobKey.parse(name) is None:
        raise ValueError("A blob's key is 64 and 16 hexadecimal digits.")
    return name


def upload_name() -> str:
    """A name that no other body has; it starts with the second in which it was made."""
    return f"{int(time.time())}-{secrets.token_hex(16)}"


def began_before(name: str, moment: float) -> bool:
    """Whether the body of that name was begun then or earlier; false for a name of other origin."""
    began = name.partition("-")[0]
    return began.isdecimal() and int(began) <= moment


class _Part(io.RawIOBase):
    """At most so many bytes of an open file, which it owns.

    It hides the descriptor: whoever sends files by descriptor would pass the end.
    """

    def __init__(self, source: BinaryIO, length: int) -> None:
        super().__init__()
        self._source = source
        self._left = max(length, 0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        wanted = min(len(buffer), self._left)
        chunk = self._source.read(wanted) if wanted else b""
        buffer[: len(chunk)] = chunk
        self._left -= len(chunk)
        return len(chunk)

    def close(self) -> None:
        self._source.close()
        super().close()


def part_of(source: BinaryIO, start: int, stop: int | None, size: int) -> BinaryIO:
    """The bytes from start to stop of an open file of that size; the file itself up to its end."""
    if start:
        source.seek(min(start, size))
    if stop is None or stop >= size:
        return source
    return io.BufferedReader(_Part(source, stop - start))
