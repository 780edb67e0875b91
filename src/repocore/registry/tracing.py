"""Spans of what a registry does, for whoever takes them; nobody, unless a plugin brings a tracer.

What happens again and again by itself (looking for jobs, writing counts) begins no trace: only
requests, jobs, documents and questions to other servers do.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, BinaryIO, Final, cast

from repocore.catalog import Catalog
from repocore.config import Settings
from repocore.logs import request_id
from repocore.model import BlobKey
from repocore.ports import (
    BlobWriter,
    DirectUpload,
    LinkingStorage,
    Received,
    ReceivingStorage,
    Span,
    SpanKind,
    Storage,
    Tracer,
)

__all__ = ["Tracing"]

Attributes = Mapping[str, str | float | bool]


class _NoSpan:
    """Takes nothing."""

    trace_id = ""

    def rename(self, name: str, /) -> None:
        """Leave it."""

    def set(self, name: str, value: str | float | bool, /) -> None:  # noqa: FBT001 - a value
        """Leave it."""

    def fail(self, kind: str, /) -> None:
        """Leave it."""

    def end(self) -> None:
        """Leave it."""


_NO_SPAN: Final = _NoSpan()
_NOTHING: Final[AbstractContextManager[Span]] = nullcontext(_NO_SPAN)
_NONE: Final[Attributes] = {}


class Tracing:
    """The spans of one registry; threads share it."""

    def __init__(self, settings: Settings | None = None, tracer: Tracer | None = None) -> None:
        #: What other servers are told of the request that they are asked for.
        self._sends_id = settings is not None and settings.logs.send_request_id
        self._propagates = settings is not None and settings.tracing.propagate
        #: Who takes the spans; None where nobody does.
        self.tracer = tracer

    def span(
        self,
        name: str,
        attributes: Attributes = _NONE,
        kind: SpanKind = SpanKind.INTERNAL,
        *,
        root: bool = False,
    ) -> AbstractContextManager[Span]:
        """A span of the block, which fails with what the block raises.

        Without ``root`` there is one only within another.
        """
        if self.tracer is None or not (root or self.tracer.active()):
            return _NOTHING
        return _taken(self.tracer, name, attributes, kind)

    def fields(self) -> dict[str, str]:
        """Header fields for another server that is asked: none unless the settings say so."""
        fields: dict[str, str] = {}
        number = request_id() if self._sends_id else None
        if number is not None:
            fields["X-Request-ID"] = number
        parent = self.tracer.traceparent() if self.tracer and self._propagates else None
        if parent is not None:
            fields["traceparent"] = parent
        return fields

    def close(self) -> None:
        """Send what was not sent yet; idempotent."""
        if self.tracer is not None:
            self.tracer.close()

    def watch_catalog(self, catalog: Catalog) -> None:
        """Have its transactions be spans."""
        if self.tracer is None:
            return
        attributes = {"db.system.name": catalog.dialect.engine.dialect.name}
        catalog.span = lambda name: self.span(f"catalog {name}", attributes, SpanKind.CLIENT)

    def watch_storage(self, storage: Storage) -> Storage:
        """The storage, whose reads and writes are spans."""
        if self.tracer is None:
            return storage
        if isinstance(storage, ReceivingStorage):
            return cast("Storage", _ReceivingStorage(storage, self))
        if isinstance(storage, LinkingStorage):
            return cast("Storage", _LinkingStorage(storage, self))
        return cast("Storage", _Storage(storage, self))


@contextmanager
def _taken(tracer: Tracer, name: str, attributes: Attributes, kind: SpanKind) -> Generator[Span]:
    span = tracer.start(name, kind, attributes)
    try:
        with tracer.use(span):
            yield span
    except BaseException as error:
        span.fail(type(error).__name__)
        raise
    finally:
        span.end()


class _Storage:
    """A storage whose reads and writes are spans; all else is as it was."""

    def __init__(self, storage: Storage, tracing: Tracing) -> None:
        self._storage = storage
        self._tracing = tracing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    def writer(self, length: int | None = None) -> BlobWriter:
        return _Writer(self._storage.writer(length), self._tracing)

    def open(self, key: BlobKey, start: int = 0, stop: int | None = None) -> BinaryIO:
        # Until the first byte can be read; how long the rest takes is the reader's matter.
        with self._tracing.span("storage open"):
            return self._storage.open(key, start, stop)

    def size(self, key: BlobKey) -> int | None:
        with self._tracing.span("storage size"):
            return self._storage.size(key)

    def delete(self, key: BlobKey) -> None:
        with self._tracing.span("storage delete"):
            self._storage.delete(key)


class _LinkingStorage(_Storage):
    """One that takes files over."""

    def link(self, source: BinaryIO, /) -> BlobWriter | None:
        linked = cast("LinkingStorage", self._storage).link(source)
        return None if linked is None else _Writer(linked, self._tracing)


class _ReceivingStorage(_LinkingStorage):
    """One that clients send bodies to."""

    @property
    def _receiving(self) -> ReceivingStorage:
        return cast("ReceivingStorage", self._storage)

    def receives(self) -> int | None:
        return self._receiving.receives()

    def begin(self, owner: str, digest: str, size: int) -> DirectUpload:
        with self._tracing.span("storage begin"):
            return self._receiving.begin(owner, digest, size)

    def receive(self, owner: str, upload: str) -> Received:
        with self._tracing.span("storage receive"):
            return self._receiving.receive(owner, upload)

    def forget(self, owner: str, upload: str) -> bool:
        with self._tracing.span("storage forget"):
            return self._receiving.forget(owner, upload)


class _Writer:
    """A body on its way, whose end is a span: that is when it becomes durable."""

    def __init__(self, writer: BlobWriter, tracing: Tracing) -> None:
        self._writer = writer
        self._tracing = tracing
        self._size = 0

    def write(self, chunk: bytes, /) -> None:
        self._size += len(chunk)
        self._writer.write(chunk)

    def open(self) -> BinaryIO:
        return self._writer.open()

    def commit(self, key: BlobKey) -> None:
        with self._tracing.span("storage commit") as span:
            if self._size:  # what was taken over as a file was not counted
                span.set("repocore.size", self._size)
            self._writer.commit(key)

    def abort(self) -> None:
        self._writer.abort()
