"""What the core asks of storages, formats and those who watch long work."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import BinaryIO, Protocol, runtime_checkable

from repocore.model import BlobKey, Checksums, DraftRelease, File, FileFacts, FilePath, Grain

__all__ = ["BlobWriter", "Format", "LinkingStorage", "Progress", "StagedContent", "Storage"]


class BlobWriter(Protocol):
    """One body on its way into a storage; visible to nobody before ``commit``."""

    def write(self, chunk: bytes, /) -> None:
        """Add a chunk; raises `StorageFullError` or `StorageError`."""
        ...

    def open(self) -> BinaryIO:
        """Read what was written so far, from its start; before ``commit`` or ``abort`` only."""
        ...

    def commit(self, key: BlobKey) -> None:
        """Make the bytes durable under the key: all of them or none; they survive a power cut
        when this returns.  Idempotent for the same key.
        """
        ...

    def abort(self) -> None:
        """Forget the bytes; does nothing after ``commit`` or a second time."""
        ...


class Storage(Protocol):
    """Immutable objects by key."""

    def writer(self, length: int | None = None) -> BlobWriter:
        """Start a body; raises `StorageFullError` or `StorageError`.

        ``length`` is what its sender announced; a storage that can tell refuses at once what it
        has no space for.  Fewer bytes may come, or more.
        """
        ...

    def open(self, key: BlobKey, start: int = 0, stop: int | None = None) -> BinaryIO:
        """Read bytes ``start`` to ``stop`` (exclusive; None is the end).

        Raises `BlobMissingError` at once when there is no such object.
        """
        ...

    def size(self, key: BlobKey) -> int | None:
        """The object's bytes, or None where there is no such object."""
        ...

    def delete(self, key: BlobKey) -> None:
        """Delete the object; idempotent."""
        ...

    def keys(self) -> Iterator[BlobKey]:
        """Every committed object, in no order; for audits and the collector."""
        ...

    def sweep(self, older_than: timedelta) -> int:
        """Delete what unfinished writers of that age left behind; returns how many."""
        ...

    def location(self, key: BlobKey) -> str | None:
        """The object's name below the storage's root where a front server could send it."""
        ...

    def url(
        self, key: BlobKey, *, filename: str, media_type: str, expires: timedelta
    ) -> str | None:
        """A URL that serves the object until then; None: stream it."""
        ...


@runtime_checkable
class LinkingStorage(Protocol):
    """A storage that can take an open file over without copying it; a `Storage` may be one."""

    def link(self, source: BinaryIO, /) -> BlobWriter | None:
        """A writer that has the file's bytes already, and takes no more; None: copy them."""
        ...


class StagedContent(Protocol):
    """A body that has arrived whole and is not committed yet."""

    @property
    def size(self) -> int:
        """Its bytes."""
        ...

    @property
    def checksums(self) -> Checksums:
        """Its sha256, and what else was needed."""
        ...

    def open(self) -> BinaryIO:
        """Read it from the start; the caller closes."""
        ...


class Format(Protocol):
    """What a package ecosystem means by path, package and release."""

    @property
    def name(self) -> str:
        """The first segment of its repositories' addresses."""
        ...

    @property
    def read_grain(self) -> Grain:
        """The finest resource that READ can tell apart."""
        ...

    @property
    def needs_checksums(self) -> frozenset[str]:
        """Algorithms besides sha256 that every upload is hashed with."""
        ...

    def locate(self, path: FilePath) -> FileFacts:
        """What the path alone tells: asked before a body is touched.

        Raises `InvalidPathError` for a path that is not of the format.
        """
        ...

    def inspect(self, path: FilePath, content: StagedContent) -> FileFacts:
        """The facts of path and content; raises `InvalidPackageError`."""
        ...

    def scope(self, partition: str) -> tuple[str | None, str | None]:
        """The package and version of all releases of the partition; None where they differ."""
        ...

    def whole(self, draft: DraftRelease, files: Sequence[File]) -> bool:
        """Whether the draft, with these files stored, may be seen now."""
        ...

    def sort_key(self, version: str) -> bytes:
        """A key whose byte order is the order of versions."""
        ...


class Progress(Protocol):
    """Where long work reports."""

    def start(self, total: int | None, message: str) -> None:
        """Begin a phase of ``total`` steps; None where nobody knows how many."""
        ...

    def advance(self, steps: int = 1) -> None:
        """Some steps are done."""
        ...

    def log(self, text: str) -> None:
        """A line for people."""
        ...

    def check(self) -> None:
        """Give up here if that was asked for, by raising."""
        ...
