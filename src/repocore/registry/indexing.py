"""Documents: whoever needs one first makes it, and no reader sees an older state than it found.

A reader notes the partition's serial when it arrives; a generation made from that serial or a
later one satisfies it.  Otherwise it makes one, or waits for who does: for at most the generation
that is being made, and one more.
"""

from __future__ import annotations

import hashlib
import io
import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, BinaryIO, Final

import attrs

from repocore.catalog import documents
from repocore.catalog.documents import Generation
from repocore.catalog.rows import StoredRepository, canonical, file_of
from repocore.errors import DocumentPendingError, FileMissingError, StorageError
from repocore.http import FileContent
from repocore.model import FilePath
from repocore.ports import Indexer
from repocore.registry.bodies import body_of
from repocore.registry.context import Context
from repocore.registry.generations import Output, SnapshotQuery
from repocore.registry.services import Services

__all__ = ["Indexing"]

_log = logging.getLogger(__name__)

#: Seconds between two looks at a generation that another process makes.
_PAUSE: Final = 0.005
#: A collector can take what was stored before it is published; then all begins again.
_TRIES: Final = 3


@attrs.frozen
class _State:
    """One answer of the hot statement."""

    serial: int | None
    made: int | None
    variant: str | None
    columns: tuple[Any, ...]

    @classmethod
    def of(cls, row: Sequence[Any]) -> _State:
        return cls(row[0], row[1], row[2], tuple(row[3:]))

    def satisfies(self, serial: int, variant: str) -> bool:
        return self.made is not None and self.made >= serial and self.variant == variant


class Indexing:
    """The gate before the documents of a registry."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._locks: dict[tuple[int, str, str], threading.Lock] = {}
        self._lock = threading.Lock()
        self._changing: dict[tuple[int, str, str], int] = {}
        self._variants: dict[tuple[int, str], tuple[StoredRepository, str]] = {}
        #: How often a reader got an older generation because the newest took too long.
        self.late = 0

    def indexer(self, kind: str, path: FilePath) -> tuple[Indexer, str] | None:
        """Whose document a path is, and of which partition; None: of nobody."""
        for indexer in self._services.indexers.get(kind, ()):
            partition = indexer.partition(path)
            if partition is not None:
                return indexer, partition
        return None

    def content(
        self, context: Context, address: str, path: FilePath, found: tuple[Indexer, str]
    ) -> FileContent:
        """A document as of now or later; requires READ of the repository.

        Raises `FileMissingError`, and `DocumentPendingError` where none was ever made and the
        first takes too long.
        """
        indexer, partition = found
        hot = self._services.catalog.hot
        text = str(path)

        def ask() -> tuple[StoredRepository, _State]:
            stored, rows = context.read(
                address,
                (None, None),
                lambda number: hot.document(number, partition, indexer.kind, text),
            )
            return stored, _State.of(rows[0])

        stored, state = ask()
        if indexer.is_immutable(path):
            return self._content(address, path, state)
        if state.serial is None and not indexer.standing(partition):
            raise FileMissingError
        late = False
        variant = self._variant(indexer, stored)
        wanted = state.serial or 0
        if not state.satisfies(wanted, variant):
            late = not self._ensure(stored, indexer, partition, wanted)
            state = ask()[1]
            if late and state.made is None:
                raise DocumentPendingError
        return self._content(address, path, state, late=late)

    def ahead(self) -> None:
        """Make what was asked for once and has changed, but not since the call before this.

        So the next reader need not wait, and nothing is made while uploads come one after another.
        """
        with self._services.catalog.snapshot() as connection:
            found = {row[:3]: row[3] for row in documents.behind(connection)}
        known = {stored.id: stored for stored in self._services.book.known.repositories.values()}
        for (repository, partition, kind), serial in found.items():
            stored = known.get(repository)
            if stored is None or self._changing.get((repository, partition, kind)) != serial:
                continue
            for indexer in self._services.indexers.get(stored.value.format, ()):
                if indexer.kind == kind:
                    self._ensure(stored, indexer, partition, serial)
        self._changing = found

    def _content(
        self, address: str, path: FilePath, state: _State, *, late: bool = False
    ) -> FileContent:
        digest, size, media_type, made_at, generation, content, immutable = state.columns
        if digest is None:
            raise FileMissingError
        columns = (digest, size, None, None, media_type, not immutable, made_at, "system")
        file = file_of(address, path, (*columns, generation or ""))
        if late:
            self.late += 1
        if content is None:
            return body_of(self._services.storage, file, serial=state.made, late=late)
        return FileContent(
            file=file,
            open=_slices(content),
            url=_nowhere,
            location=None,
            serial=state.made,
            late=late,
        )

    def _ensure(
        self, stored: StoredRepository, indexer: Indexer, partition: str, wanted: int
    ) -> bool:
        """Have a generation of that serial or a later one; False where it takes too long."""
        until = time.monotonic() + self._services.settings.limits.document_wait.total_seconds()
        lock = self._lock_of(stored.id, partition, indexer.kind)
        while (left := until - time.monotonic()) > 0:
            if not lock.acquire(timeout=left):
                return False
            try:
                if self._is_made(stored, indexer, partition, wanted):
                    return True
                with self._services.catalog.single(_name(stored, partition, indexer)) as alone:
                    if alone and not self._is_made(stored, indexer, partition, wanted):
                        self._make(stored, indexer, partition)
                    if alone:
                        return True
            finally:
                lock.release()
            time.sleep(_PAUSE)
        return False

    def _lock_of(self, *key: Any) -> threading.Lock:
        with self._lock:
            return self._locks.setdefault(key, threading.Lock())

    def _is_made(
        self, stored: StoredRepository, indexer: Indexer, partition: str, wanted: int
    ) -> bool:
        rows = self._services.catalog.hot.document(stored.id, partition, indexer.kind, "")[1]
        return _State.of(rows[0]).satisfies(wanted, self._variant(indexer, stored))

    def _variant(self, indexer: Indexer, stored: StoredRepository) -> str:
        """What else than releases goes into the documents, as one word."""
        known = self._variants.get((stored.id, indexer.kind))
        if known is not None and known[0] is stored:
            return known[1]
        text = canonical([indexer.variant, dict(stored.value.options), stored.value.address])
        variant = hashlib.blake2b(text, digest_size=8).hexdigest()
        self._variants[stored.id, indexer.kind] = (stored, variant)
        return variant

    def _make(self, stored: StoredRepository, indexer: Indexer, partition: str) -> None:
        """Make and publish a generation of the newest serial."""
        about = {"repocore.repository": stored.value.address, "repocore.partition": partition}
        name = f"documents {indexer.kind}"
        with self._services.tracing.span(name, about, root=True):
            self._make_until_published(stored, indexer, partition)

    def _make_until_published(
        self, stored: StoredRepository, indexer: Indexer, partition: str
    ) -> None:
        for _ in range(_TRIES):
            if self._tried(stored, indexer, partition):
                return
        message = "A clean-up met the documents; ask for them again."
        raise StorageError(message)

    def _tried(self, stored: StoredRepository, indexer: Indexer, partition: str) -> bool:
        services = self._services
        variant = self._variant(indexer, stored)
        started = time.monotonic()
        with services.catalog.snapshot() as connection:
            serial = documents.serial(connection, stored.id, partition) or 0
            before = documents.generation(connection, stored.id, partition, indexer.kind)
            previous = 0 if before is None or before.variant != variant else before.serial
            of = Generation(
                repository=stored.id,
                partition=partition,
                kind=indexer.kind,
                serial=serial,
                variant=variant,
            )
            query = SnapshotQuery(services, connection, stored, partition, serial, previous)
            output = Output(services, of, indexer, complete=previous == 0)
            try:
                indexer.make(query, output)
                services.step("made")
            except BaseException:
                output.abort()
                raise
        published = output.publish()
        spent = (time.monotonic() - started) * 1000
        where = f"{stored.value.address}/{partition}".rstrip("/")
        _log.debug("%s: %s of serial %s made in %.0f ms", where, indexer.kind, serial, spent)
        return published


def _slices(content: bytes) -> Callable[[int, int | None], BinaryIO]:
    return lambda start, stop: io.BytesIO(content[start:stop])


def _nowhere(_lifetime: timedelta) -> None:
    """No storage serves it."""


def _name(stored: StoredRepository, partition: str, indexer: Indexer) -> str:
    text = canonical([stored.id, partition, indexer.kind])
    return f"index-{hashlib.blake2b(text, digest_size=8).hexdigest()}"
