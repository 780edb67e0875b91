"""Read an object: never fewer bytes than it has, however often its connection breaks."""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
import os
import random
import time
from typing import Any, Final

from botocore.exceptions import BotoCoreError
from urllib3.exceptions import HTTPError

from repocore.errors import StorageError
from repocore_s3.bucket import Bucket, Opened

__all__ = ["ObjectReader"]

_log = logging.getLogger(__name__)

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 5.0
_BROKEN: Final = "The object store breaks off each time that an object is read; try again later."
# A source of its own: drawing from it disturbs nobody who has seeded the shared one.
_chance: Final = random.SystemRandom()
_OTHER: Final = "The object store holds other bytes than those that were stored."


class ObjectReader(io.RawIOBase):
    """The bytes of an open object; where their connection breaks, it asks for the rest.

    Raises `StorageError` after ``retries`` breaks in a row without a byte between them, where
    another object is found under the name, and, given a ``digest``, before the last bytes of an
    object that was read from end to end and has another sha256.
    """

    def __init__(
        self, bucket: Bucket, name: str, opened: Opened, *, retries: int, digest: str | None
    ) -> None:
        super().__init__()
        #: Where it lies, and how it is called there.
        self.bucket = bucket
        self.name = name
        self._opened: Opened | None = opened
        self._first = opened.start
        self._stop = opened.stop
        self._known = (opened.size, opened.tag)
        self._retries = retries
        self._position = opened.start
        #: Whether it is all of the object.
        self.whole = opened.start == 0 and opened.stop == opened.size
        self._digest = digest if self.whole else None
        self._sum = hashlib.sha256()

    @property
    def size(self) -> int:
        """The bytes of the whole object."""
        return self._known[0]

    @property
    def tag(self) -> str:
        """What the store calls its content."""
        return self._known[1]

    def again(self) -> ObjectReader:
        """The same object from its start, by another reader; raises `StorageError`."""
        opened = self.bucket.open(self.name)
        if opened is None or (opened.size, opened.tag) != self._known:
            raise StorageError(_OTHER)
        return ObjectReader(self.bucket, self.name, opened, retries=self._retries, digest=None)

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes; the next read asks for the bytes from there."""
        return True

    def tell(self) -> int:
        """The position, from the first byte that was asked for."""
        return self._position - self._first

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go elsewhere; what was not read in one go is not compared with its digest."""
        origin = {os.SEEK_SET: self._first, os.SEEK_CUR: self._position, os.SEEK_END: self._stop}
        position = origin[whence] + offset
        if position < self._first:
            raise ValueError("There is nothing before the start.")
        if position != self._position:
            self._drop()
            self._position = position
            self._digest = None
        return self.tell()

    def readinto(self, buffer: Any, /) -> int:
        """Read up to as much as fits; 0 at the end only."""
        wanted = min(len(buffer), self._stop - self._position)
        chunk = self._chunk(wanted) if wanted > 0 else b""
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        """Give the connection back."""
        self._drop()
        super().close()

    def _chunk(self, wanted: int) -> bytes:
        broken = 0
        while True:
            chunk = self._try(wanted)
            if chunk:
                break
            # Broken, or at an end that is none.
            self._drop()
            broken += 1
            if broken > self._retries:
                raise StorageError(_BROKEN)
            _log.warning("an object broke off after %s bytes; reading on", self._position)
            pause = min(_FIRST_PAUSE * 2 ** (broken - 1), _LONGEST_PAUSE)
            time.sleep(pause * _chance.uniform(0.5, 1))
        self._position += len(chunk)
        self._compare(chunk)
        return chunk

    def _try(self, wanted: int) -> bytes:
        if self._opened is None:
            self._opened = self._reopen()
        try:
            return self._opened.body.read(wanted)
        except (BotoCoreError, HTTPError, OSError) as error:
            _log.info("reading from the object store: %s", error)
            return b""

    def _reopen(self) -> Opened:
        opened = self.bucket.open(self.name, self._position, self._stop)
        if opened is None or (opened.size, opened.tag) != self._known:
            raise StorageError(_OTHER)
        return opened

    def _compare(self, chunk: bytes) -> None:
        if self._digest is not None:
            self._sum.update(chunk)
            if self._position == self._stop and self._sum.hexdigest() != self._digest:
                raise StorageError(_OTHER)

    def _drop(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            with contextlib.suppress(Exception):  # what is thrown away may break
                opened.body.close()
