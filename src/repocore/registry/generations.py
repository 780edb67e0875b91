"""One generation of documents: the snapshot that it is made from, and where it goes."""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import attrs

from repocore.catalog import blobs, documents
from repocore.catalog.documents import Generation, Made
from repocore.catalog.rows import StoredRepository
from repocore.errors import DuplicateDocumentError
from repocore.model import BlobKey, Checksums, FilePath, Hasher, Repository
from repocore.ports import BlobWriter, DocumentWriter, Indexer, Listed, Members
from repocore.registry.services import Services

__all__ = ["Output", "SnapshotQuery"]

#: Immutable documents that wait for one transaction; more are written ahead of the others.
_PENDING: Final = 500


@attrs.frozen
class SnapshotQuery:
    """A `repocore.ports.ReleaseQuery` over a connection that sees one state."""

    _services: Services
    _connection: Any
    _stored: StoredRepository
    partition: str
    serial: int
    previous: int

    @property
    def repository(self) -> Repository:
        """Whose releases they are."""
        return self._stored.value

    def records(self) -> Iterator[Sequence[tuple[str, str, int, bytes]]]:
        """(name, section, released_at, record) of the listed releases by name, in chunks."""
        dialect = self._services.catalog.dialect
        return documents.records(dialect, self._connection, self._stored.id, self.partition)

    def members(self, cuts: Mapping[str, int], stamp: str) -> Iterator[Sequence[Members]]:
        """The listed releases of some sections as members of JSON objects, by name, in chunks."""
        dialect, mine = self._services.catalog.dialect, (self._stored.id, self.partition)
        found = documents.members(dialect, self._connection, *mine, cuts, stamp)
        for each in found:
            sections = zip(cuts, each, strict=True)
            yield [Members(section, *columns) for section, columns in sections if columns[0]]

    def listed(self, packages: Iterable[str] | None = None) -> Iterator[Sequence[Listed]]:
        """The listed releases, of these packages or of all, by package and name, in chunks."""
        dialect = self._services.catalog.dialect
        for package in [None] if packages is None else sorted(packages):
            found = documents.listed(
                dialect, self._connection, self._stored.id, self.partition, package
            )
            for rows in found:
                yield [_listed(*row) for row in rows]

    def changed(self, since: int) -> set[str]:
        """The packages with a release that came, changed or went after a serial."""
        return documents.changed(self._connection, self._stored.id, self.partition, since)

    def withdrawn(self) -> list[str]:
        """The names of releases that were listed once and are not now, in order."""
        dialect = self._services.catalog.dialect
        found = documents.withdrawn(dialect, self._connection, self._stored.id, self.partition)
        return [name for _, name in found]

    def document(self, path: FilePath) -> bytes | None:
        """A document of the generation before, or None."""
        row = documents.find(self._connection, self._stored.id, str(path))
        if row is None or row.content is not None:
            return None if row is None else row.content
        with self._services.storage.open(BlobKey(row.digest, row.generation)) as stream:
            return stream.read()

    def partitions(self) -> Sequence[SnapshotQuery]:
        """Each partition of the repository, by name, from the same snapshot."""
        return [
            attrs.evolve(
                self,
                partition=name,
                serial=documents.serial(self._connection, self._stored.id, name) or 0,
                previous=0,
            )
            for name in documents.partitions(self._connection, self._stored.id)
        ]


def _listed(  # noqa: PLR0913, PLR0917 - the columns of the query
    name: str, package: str, version: str, section: str, at: int, record: bytes, extra: bytes | None
) -> Listed:
    return Listed(name, package, version, section, at, record, extra or b"")


class _Writer:
    """A document on its way: in memory while it is small, in the storage beyond."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._hasher = Hasher(())
        self._chunks: list[bytes] = []
        self._stored: BlobWriter | None = None
        self.size = 0

    def write(self, chunk: bytes, /) -> None:
        """Add a chunk."""
        self._hasher.update(chunk)
        self.size += len(chunk)
        if self._stored is None and self.size > self._services.settings.limits.small_document:
            self._stored = self._services.storage.writer()
            for held in self._chunks:
                self._stored.write(held)
            self._chunks = []
        if self._stored is None:
            self._chunks.append(chunk)
        else:
            self._stored.write(chunk)

    def finish(self, path: FilePath, media_type: str) -> Made:
        """What was written; bytes in the storage are durable now, under a reserved key."""
        sums = self._hasher.checksums()
        key = None if self._stored is None else self._store(self._stored, sums)
        return Made(
            path=str(path),
            media_type=media_type,
            immutable=False,
            digest=sums.sha256,
            size=self.size,
            content=b"".join(self._chunks) if key is None else None,
            key=key,
        )

    def _store(self, written: BlobWriter, sums: Checksums) -> BlobKey:
        services = self._services
        reserved = services.catalog.write(lambda t: blobs.reserve(t, sums, self.size))
        if not reserved.stored or services.storage.size(reserved.key) != self.size:
            written.commit(reserved.key)
        written.abort()
        return reserved.key

    def abort(self) -> None:
        """Forget it; does nothing after `finish`."""
        if self._stored is not None:
            self._stored.abort()


class Output:
    """A `repocore.ports.DocumentOutput`; ``complete``: what it has not is superseded."""

    def __init__(
        self, services: Services, of: Generation, indexer: Indexer, *, complete: bool
    ) -> None:
        self._services = services
        self._of = of
        self._indexer = indexer
        self._made: dict[str, Made] = {}
        self._pending: list[Made] = []
        self._dropped: list[str] = []
        self._kept: set[str] | None = set() if complete else None
        self._writers: list[_Writer] = []

    @contextmanager
    def open(self, path: FilePath, media_type: str) -> Generator[DocumentWriter]:
        """Write a document in pieces; two of one path raise `DuplicateDocumentError`."""
        self._claim(path)
        writer = _Writer(self._services)
        self._writers.append(writer)
        yield writer
        self._made[str(path)] = writer.finish(path, media_type)

    def add(self, path: FilePath, content: bytes, media_type: str) -> None:
        """Write an immutable document."""
        self._claim(path)
        made = Made(
            path=str(path),
            media_type=media_type,
            immutable=True,
            digest=hashlib.sha256(content).hexdigest(),
            size=len(content),
            content=content,
            key=None,
        )
        if self._kept is not None:
            self._kept.add(made.path)
        self._pending.append(made)
        if len(self._pending) >= _PENDING:
            # Nothing names them yet, and they say nothing new of what they are named by.
            pending, self._pending = self._pending, []
            self._services.catalog.write(lambda t: documents.add(t, self._of, pending))

    def drop(self, path: FilePath) -> None:
        """The generation does without this immutable document."""
        self._dropped.append(str(path))

    def _claim(self, path: FilePath) -> None:
        if str(path) in self._made or self._indexer.partition(path) != self._of.partition:
            message = f"The indexer {self._indexer.kind} may not make {path}, or made it twice."
            raise DuplicateDocumentError(message)

    def publish(self) -> bool:
        """Make it the generation of its kind; False: make it again."""
        made = [*self._made.values(), *self._pending]
        kept = None if self._kept is None else frozenset(self._kept)
        services = self._services
        done = services.catalog.write(
            lambda t: documents.publish(t, self._of, made, self._dropped, kept)
        )
        services.step("published")
        return done is not None

    def abort(self) -> None:
        """Forget what is on its way."""
        for writer in self._writers:
            writer.abort()
