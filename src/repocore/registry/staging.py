"""Read a body once: into the storage's writer, hashed on its way."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from typing import BinaryIO, cast

import attrs

from repocore.errors import RepocoreError, TooLargeError, TruncatedError
from repocore.http import Readable
from repocore.model import BlobKey, Checksums, Chunks, Hasher
from repocore.ports import BlobWriter, LinkingStorage, Storage

__all__ = ["Bounds", "Foreign", "Staged", "Unreadable", "stage"]


@attrs.frozen(kw_only=True)
class Bounds:
    """What a body may be: its announced length, the most it may have, bytes read at a time."""

    length: int | None
    limit: int
    chunk: int
    #: Whether the body is a file that the storage may keep under another name.
    link: bool = False

    @classmethod
    def exactly(cls, size: int, chunk: int) -> Bounds:
        """Those of a body whose length is known: no more and no less."""
        return cls(length=size, limit=size, chunk=chunk)


@attrs.frozen
class Staged:
    """A body that has arrived whole; nobody sees it before `commit`."""

    _writer: BlobWriter
    checksums: Checksums
    size: int

    def open(self) -> BinaryIO:
        """Read it from the start."""
        return self._writer.open()

    def commit(self, key: BlobKey) -> None:
        """Make it durable under the key."""
        self._writer.commit(key)


class Unreadable(Exception):  # noqa: N818 - whoever reads from elsewhere goes on without it
    """Somebody else does not give the bytes that they should have."""


@attrs.frozen
class Foreign:
    """A stream of somebody else: what fails is theirs, and not the storage that is written to."""

    _stream: Chunks

    def read(self, size: int = -1, /) -> bytes:
        """Some of it; raises `Unreadable`."""
        try:
            return self._stream.read(size)
        except (OSError, RepocoreError) as error:
            raise Unreadable from error


def _linked(storage: Storage, stream: Readable) -> BlobWriter | None:
    if not _links(type(storage)):
        return None
    return cast("LinkingStorage", storage).link(cast("BinaryIO", stream))


@cache
def _links(kind: type[Storage]) -> bool:
    """Asked once: to ask a protocol takes longer than to take a small file."""
    return issubclass(kind, LinkingStorage)


@contextmanager
def stage(
    storage: Storage, stream: Readable, algorithms: frozenset[str], bounds: Bounds
) -> Generator[Staged]:
    """Take a body in; what was not committed at the end of the block is forgotten.

    Raises `TooLargeError` (before the first byte where the length is announced), `TruncatedError`,
    and what the storage raises.
    """
    if bounds.length is not None and bounds.length > bounds.limit:
        raise TooLargeError
    linked = _linked(storage, stream) if bounds.link else None
    writer = linked or storage.writer(bounds.length)
    try:
        hasher = Hasher(algorithms)
        size = 0
        for chunk in hasher.through(stream, bounds.chunk):
            size += len(chunk)
            if size > bounds.limit:
                raise TooLargeError
            if linked is None:
                writer.write(chunk)
        if bounds.length is not None and size != bounds.length:
            raise TruncatedError
        yield Staged(writer, hasher.checksums(), size)
    finally:
        writer.abort()
