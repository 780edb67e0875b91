"""Read a body once: into the storage's writer, hashed on its way."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from typing import BinaryIO, cast

import attrs

from repocore.errors import TooLargeError, TruncatedError
from repocore.http import Readable
from repocore.model import BlobKey, Checksums, Hasher
from repocore.ports import BlobWriter, LinkingStorage, Storage

__all__ = ["Bounds", "Staged", "stage"]


@attrs.frozen(kw_only=True)
class Bounds:
    """What a body may be: its announced length, the most it may have, bytes read at a time."""

    length: int | None
    limit: int
    chunk: int
    #: Whether the body is a file that the storage may keep under another name.
    link: bool = False


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
