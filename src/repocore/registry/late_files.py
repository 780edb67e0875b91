"""Files that are opened when they are read first: thousands of them may wait at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

from repocore.errors import RejectedError

__all__ = ["LateFile"]


class LateFile:
    """A file that waits to be read, once; it is closed at its end.

    It raises `RejectedError` where that does not work.
    """

    def __init__(self, name: str, opener: Callable[[], BinaryIO]) -> None:
        self._name = name
        self._opener = opener
        self._stream: BinaryIO | None = None
        self._ended = False

    def read(self, size: int = -1, /) -> bytes:
        """Up to ``size`` bytes."""
        if self._ended:
            return b""
        try:
            chunk = self._opened().read(size)
        except OSError as error:
            raise self._unreadable(error) from error
        if not chunk:
            self.close()
        return chunk

    def fileno(self) -> int:
        """A descriptor, for a storage that can take the file over; `OSError` where it has none."""
        return self._opened().fileno()

    def close(self) -> None:
        """Give the descriptor back: there is no more to be read.  Idempotent."""
        self._ended = True
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _opened(self) -> BinaryIO:
        if self._stream is None:
            try:
                self._stream = self._opener()
            except OSError as error:
                raise self._unreadable(error) from error
        return self._stream

    def _unreadable(self, error: OSError) -> RejectedError:
        return RejectedError(f"{self._name} cannot be read: {error.strerror or 'it has failed'}.")
