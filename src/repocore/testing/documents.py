"""Releases and documents in memory, to try an indexer without a registry.

    releases = MemoryReleases(Repository(format="conda", name="main"))
    releases.put("noarch", Listed(...))
    made = make_documents(indexer, releases, "noarch")
    made.mutable["noarch/repodata.json"]

They are real implementations of `repocore.ports.ReleaseQuery` and `DocumentOutput`, and no mocks.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, TypeVar

import attrs

from repocore.errors import DuplicateDocumentError
from repocore.model import FilePath, Repository
from repocore.ports import DocumentWriter, Indexer, Listed, Members

__all__ = ["Documents", "MemoryOutput", "MemoryQuery", "MemoryReleases", "make_documents"]

T = TypeVar("T")

_CHUNK: Final = 100


@attrs.define
class _Partition:
    serial: int = 0
    listed: dict[str, Listed] = attrs.field(factory=dict[str, Listed])
    gone: dict[str, str] = attrs.field(factory=dict[str, str])
    changed: dict[str, int] = attrs.field(factory=dict[str, int])

    def change(self, package: str) -> None:
        self.serial += 1
        self.changed[package] = self.serial


class MemoryReleases:
    """The releases of one repository, which come and go."""

    def __init__(self, repository: Repository) -> None:
        self.repository = repository
        self._partitions: dict[str, _Partition] = {}

    def put(self, partition: str, *releases: Listed) -> None:
        """List releases, each with a serial of its own; one of the same name is replaced."""
        found = self._partitions.setdefault(partition, _Partition())
        for release in releases:
            found.listed[release.name] = release
            found.gone.pop(release.name, None)
            found.change(release.package)

    def withdraw(self, partition: str, *names: str) -> None:
        """Delete or yank releases; those that are not listed are passed over."""
        found = self._partitions.setdefault(partition, _Partition())
        for name in names:
            release = found.listed.pop(name, None)
            if release is not None:
                found.gone[name] = release.package
                found.change(release.package)

    def query(
        self,
        partition: str,
        *,
        previous: int = 0,
        documents: Mapping[str, bytes] | None = None,
        chunk: int = _CHUNK,
    ) -> MemoryQuery:
        """What an indexer sees now; ``documents`` are those of the generation before."""
        parts = dict(self._partitions)
        kept = {
            name: attrs.evolve(
                part, listed=dict(part.listed), gone=dict(part.gone), changed=dict(part.changed)
            )
            for name, part in parts.items()
        }
        return MemoryQuery(self.repository, partition, kept, previous, documents or {}, chunk)


@attrs.frozen
class MemoryQuery:
    """A `repocore.ports.ReleaseQuery` of what `MemoryReleases` had when it was asked."""

    repository: Repository
    partition: str
    _parts: Mapping[str, _Partition]
    previous: int
    _documents: Mapping[str, bytes]
    _chunk: int

    @property
    def _part(self) -> _Partition:
        return self._parts.get(self.partition, _Partition())

    @property
    def serial(self) -> int:
        """The partition's serial; of the whole repository, the sum of all."""
        if self.partition:
            return self._part.serial
        return sum(part.serial for part in self._parts.values())

    def records(self) -> Iterator[Sequence[tuple[str, str, int, bytes]]]:
        """(name, section, released_at, record) of the listed releases by name, in chunks."""
        rows = sorted(self._part.listed.items())
        yield from _chunks(
            [(name, r.section, r.released_at, r.record) for name, r in rows], self._chunk
        )

    def members(self, cuts: Mapping[str, int], stamp: str) -> Iterator[Sequence[Members]]:
        """The listed releases of some sections as members of JSON objects, by name, in chunks."""
        for rows in self.records():
            yield [
                _members([row for row in rows if row[1] == section], cut, stamp)
                for section, cut in cuts.items()
                if any(row[1] == section for row in rows)
            ]

    def listed(self, packages: Iterable[str] | None = None) -> Iterator[Sequence[Listed]]:
        """The listed releases, of these packages or of all, by package and name, in chunks."""
        wanted = None if packages is None else set(packages)
        found = [r for r in self._part.listed.values() if wanted is None or r.package in wanted]
        found.sort(key=lambda r: (r.package, r.name))
        yield from _chunks(found, self._chunk)

    def changed(self, since: int) -> set[str]:
        """The packages with a release that came, changed or went after a serial."""
        return {package for package, at in self._part.changed.items() if at > since}

    def withdrawn(self) -> list[str]:
        """The names of releases that were listed once and are not now, in order."""
        return sorted(self._part.gone)

    def document(self, path: FilePath) -> bytes | None:
        """A document of the generation before, or None."""
        return self._documents.get(str(path))

    def partitions(self) -> Sequence[MemoryQuery]:
        """Each partition, by name."""
        return [attrs.evolve(self, partition=name, previous=0) for name in sorted(self._parts)]


def _members(rows: Sequence[tuple[str, str, int, bytes]], cut: int, stamp: str) -> Members:
    texts = [
        f'{json.dumps(name[: len(name) - cut])}:{record[:-1].decode()},"{stamp}":{at // 1000}}}'
        for name, _, at, record in rows
    ]
    times = [at for _, _, at, _ in rows]
    return Members(rows[0][1], len(rows), min(times), max(times), ",".join(texts).encode())


def _chunks(rows: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (rows[start : start + size] for start in range(0, len(rows), size))


class _Writer:
    def __init__(self) -> None:
        self.chunks: list[bytes] = []

    def write(self, chunk: bytes, /) -> None:
        self.chunks.append(bytes(chunk))


class MemoryOutput:
    """A `repocore.ports.DocumentOutput` that keeps what an indexer makes."""

    def __init__(self) -> None:
        self.opened: dict[str, bytes] = {}
        self.added: dict[str, bytes] = {}
        self.dropped: set[str] = set()
        self.media_types: dict[str, str] = {}

    @contextmanager
    def open(self, path: FilePath, media_type: str) -> Generator[DocumentWriter]:
        """Write a document in pieces; two of one path raise `DuplicateDocumentError`."""
        if str(path) in self.media_types:
            raise DuplicateDocumentError(f"Two documents are {path}.")
        self.media_types[str(path)] = media_type
        writer = _Writer()
        yield writer
        self.opened[str(path)] = b"".join(writer.chunks)

    def add(self, path: FilePath, content: bytes, media_type: str) -> None:
        """Write an immutable document."""
        if str(path) in self.opened:
            raise DuplicateDocumentError(f"Two documents are {path}.")
        self.media_types[str(path)] = media_type
        self.added[str(path)] = bytes(content)

    def drop(self, path: FilePath) -> None:
        """The generation does without this immutable document."""
        self.dropped.add(str(path))


@attrs.frozen(kw_only=True)
class Documents:
    """One generation: contents by path.  Superseded immutable ones are not in it."""

    serial: int
    variant: str
    mutable: Mapping[str, bytes]
    immutable: Mapping[str, bytes]


def make_documents(
    indexer: Indexer,
    releases: MemoryReleases,
    partition: str,
    before: Documents | None = None,
    *,
    chunk: int = _CHUNK,
) -> Documents:
    """Make a generation, from scratch or from the one before, as a registry does."""
    fresh = before is None or before.variant != indexer.variant
    there = {} if before is None else {**before.mutable, **before.immutable}
    previous = 0 if before is None or fresh else before.serial
    query = releases.query(partition, previous=previous, documents=there, chunk=chunk)
    output = MemoryOutput()
    indexer.make(query, output)
    kept = {} if before is None or previous == 0 else dict(before.immutable)
    for path in output.dropped:
        kept.pop(path, None)
    return Documents(
        serial=query.serial,
        variant=indexer.variant,
        mutable=output.opened,
        immutable={**kept, **output.added},
    )
