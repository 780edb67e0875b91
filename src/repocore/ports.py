"""What the core asks of storages, formats and those who watch long work."""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, BinaryIO, Generic, Protocol, TypeVar, runtime_checkable

import attrs

from repocore.model import (
    Action,
    BlobKey,
    Checksums,
    DraftRelease,
    Event,
    File,
    FileFacts,
    FilePath,
    Grain,
    Job,
    Payload,
    Repository,
    Resource,
)

__all__ = [
    "AttestedFormat",
    "BlobWriter",
    "ConfigurableFormat",
    "DirectPart",
    "DirectUpload",
    "DocumentOutput",
    "DocumentWriter",
    "Format",
    "Indexer",
    "JobEngine",
    "JobHandler",
    "JobRunner",
    "LinkingStorage",
    "Listed",
    "Members",
    "OwnTables",
    "PlacingFormat",
    "Progress",
    "Received",
    "ReceivingStorage",
    "ReleaseQuery",
    "RetainingFormat",
    "Span",
    "SpanKind",
    "StagedContent",
    "Storage",
    "Tracer",
]


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


@attrs.frozen(kw_only=True)
class DirectPart:
    """Bytes ``start`` to ``stop`` (exclusive) of a body, and the request that sends them.

    Whoever has the URL can send them, and nothing else: it is a secret.
    """

    start: int
    stop: int
    method: str
    url: str = attrs.field(repr=False)
    headers: Mapping[str, str]


@attrs.frozen(kw_only=True)
class DirectUpload:
    """A body on its way from a client to a storage.

    ``parts`` are some that have not arrived, in order, to be sent until ``expires``; without any,
    all of it has.
    """

    id: str
    expires: datetime
    parts: tuple[DirectPart, ...]


@attrs.frozen
class Received:
    """What arrived of a direct upload, for `LinkingStorage.link`; the caller closes ``content``.

    The storage has so many bytes; that they have the ``digest`` (a sha256) was only announced.
    """

    content: BinaryIO
    size: int
    digest: str


@runtime_checkable
class ReceivingStorage(LinkingStorage, Protocol):
    """A storage that clients can send bodies to themselves; a `Storage` may be one.

    Nothing that arrives is a blob: who reads it back, and finds it good, takes it over by `link`.
    ``owner`` is whoever began an upload; another's id is unknown.  What nobody completes is swept.
    """

    def receives(self) -> int | None:
        """The smallest body that may be sent; None where the settings want none."""
        ...

    def begin(self, owner: str, digest: str, size: int) -> DirectUpload:
        """Begin an upload, or go on with the owner's one of the same digest (a sha256) and size.

        Each URL takes exactly the bytes of its part.  Raises `RejectedError` for too many
        unfinished uploads of one owner, and `StorageError`.
        """
        ...

    def receive(self, owner: str, upload: str) -> Received:
        """Open what arrived, all of it; idempotent, and no more can be sent from then on.

        Raises `MissingError` for an unknown id, `TruncatedError` while parts are missing (those
        that came are kept), and `StorageError`.
        """
        ...

    def forget(self, owner: str, upload: str) -> bool:
        """Delete whatever arrived; whether there was such an upload.  Raises `StorageError`."""
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
    def overwrites(self) -> bool:
        """Whether released bytes may be replaced where the repository's policy does not say."""
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


@runtime_checkable
class ConfigurableFormat(Protocol):
    """A format whose repositories have options of their own; a `Format` may be one."""

    def check_options(self, options: Mapping[str, Any], /) -> None:
        """Return where they mean something; else raise `RejectedError`, with every mistake."""
        ...


@runtime_checkable
class PlacingFormat(Protocol):
    """A format whose files tell where they belong; a `Format` may be one."""

    def locate_named(self, name: str, /) -> FileFacts:
        """What the name of a file alone tells; raises `InvalidPathError`."""
        ...

    def inspect_named(self, name: str, content: StagedContent, /) -> FileFacts:
        """As `Format.inspect`, with the path that the content tells."""
        ...


@runtime_checkable
class RetainingFormat(Protocol):
    """A format whose partitions hold many packages in many versions; a `Format` may be one.

    Then retention keeps the newest versions of a package in a partition, with every release of
    them, instead of the newest releases of the partition.
    """

    @property
    def lasting(self) -> frozenset[str]:
        """Packages that retention takes nothing of."""
        ...


@runtime_checkable
class AttestedFormat(Protocol):
    """A format that keeps attestations beside its files; a `Format` may be one.

    They are a file of the same release, which its record names by a digest, so that they come and
    go with the release, and are copied with it.
    """

    def attestations(self, path: FilePath, record: bytes, /) -> FilePath | None:
        """Where those of a file are, by the record of its release; None where it has none."""
        ...

    def attest(self, facts: FileFacts, digest: str, /) -> FileFacts:
        """The facts of the attestations with that sha256, of a file with these facts.

        They tell the path, and record and extra of the release as they are from then on.
        """
        ...


@attrs.frozen
class Listed:
    """A listed release as an indexer sees it; ``released_at`` is in microseconds since 1970."""

    name: str
    package: str
    version: str
    section: str
    released_at: int
    record: bytes
    extra: bytes


@attrs.frozen
class Members:
    """Records of one section as members of a JSON object: ``"name":record,"name":record``.

    The times are those of the oldest and the newest of them, in microseconds since 1970.
    """

    section: str
    count: int
    oldest: int
    newest: int
    text: bytes


class ReleaseQuery(Protocol):
    """The releases of one partition, all from one snapshot.

    For documents of a whole repository ``partition`` is empty, and `partitions` has the rest.
    """

    @property
    def repository(self) -> Repository:
        """Whose releases they are."""
        ...

    @property
    def partition(self) -> str:
        """Its name; empty for the whole repository."""
        ...

    @property
    def serial(self) -> int:
        """The partition's serial; of a whole repository, the sum of all partitions'."""
        ...

    @property
    def previous(self) -> int:
        """The serial that the documents of this kind were last made from; 0 where they never were,
        or were made by other code or settings.
        """
        ...

    def records(self) -> Iterator[Sequence[tuple[str, str, int, bytes]]]:
        """(name, section, released_at, record) of the listed releases by name, in chunks."""
        ...

    def members(self, cuts: Mapping[str, int], stamp: str) -> Iterator[Sequence[Members]]:
        """The listed releases of some sections as members of JSON objects, by name, in chunks.

        ``cuts`` says of each section how many characters names lose at their end.  Each record has
        ``stamp`` as its last key, with the milliseconds since 1970 at which it was released.
        Records are not empty.  This is `records` for whoever copies all of them: the database puts
        them together, and Python looks at none.
        """
        ...

    def listed(self, packages: Iterable[str] | None = None) -> Iterator[Sequence[Listed]]:
        """The listed releases, of these packages or of all, by package and name, in chunks.

        Those that hang on another release are not among them.
        """
        ...

    def changed(self, since: int) -> set[str]:
        """The packages with a release that came, changed or went after a serial."""
        ...

    def withdrawn(self) -> list[str]:
        """The names of releases that were listed once and are not now, in order."""
        ...

    def document(self, path: FilePath) -> bytes | None:
        """A document of the generation before, or None; for small ones."""
        ...

    def partitions(self) -> Sequence[ReleaseQuery]:
        """Each partition of the repository, by name, from the same snapshot."""
        ...


class DocumentWriter(Protocol):
    """One document on its way; published with its generation."""

    def write(self, chunk: bytes, /) -> None:
        """Add a chunk; raises `StorageFullError` or `StorageError`."""
        ...


class DocumentOutput(Protocol):
    """Where an indexer puts a generation of documents."""

    def open(self, path: FilePath, media_type: str) -> AbstractContextManager[DocumentWriter]:
        """Write a document in pieces; two of one path raise `DuplicateDocumentError`.

        What an earlier generation had and this one has not is gone with it.
        """
        ...

    def add(self, path: FilePath, content: bytes, media_type: str) -> None:
        """Write an immutable document, whose path has the digest of its content.

        It stays for days after the generation in which `drop` names it.
        """
        ...

    def drop(self, path: FilePath) -> None:
        """The generation does without this immutable document."""
        ...


class Indexer(Protocol):
    """Derives one kind of documents from releases.

    The documents of one kind and partition are one generation: all of one serial, published in
    one transaction.  Same releases, same bytes, whatever was there before.
    """

    @property
    def format(self) -> str:
        """The name of the format whose repositories it indexes."""
        ...

    @property
    def kind(self) -> str:
        """Its name, unique for the format."""
        ...

    @property
    def variant(self) -> str:
        """What besides releases goes into its documents; another one makes them all anew."""
        ...

    def partition(self, path: FilePath) -> str | None:
        """The partition that a path is a document of, ``""`` for the whole repository; else None.

        It must not depend on what there is: a document that was not made is missing.
        """
        ...

    def paths(self, partitions: Sequence[str]) -> Iterable[FilePath]:
        """The documents that are not immutable of a repository where these partitions had releases.

        An export asks for each of them; those that are not made are missing from it.
        """
        ...

    def is_immutable(self, path: FilePath) -> bool:
        """Whether such a document never changes, so that no reader waits for a newer one."""
        ...

    def standing(self, partition: str) -> bool:
        """Whether there are documents of a partition that never had a release."""
        ...

    def make(self, query: ReleaseQuery, output: DocumentOutput) -> None:
        """Make the generation of a query; ``query.previous`` lets it make only what has changed."""
        ...


SessionT = TypeVar("SessionT")


def _administrators(_payload: Payload) -> tuple[Action, Resource]:
    return Action.ADMIN, Resource()


@attrs.frozen(kw_only=True)
class JobHandler(Generic[SessionT]):
    """A kind of job: what does it, who may submit it, how long it may take.

    ``run(session, payload, progress)`` returns a sentence on what it did, or None.  It is
    idempotent: a worker that dies leaves it half done, and another begins anew.  The session may
    do everything, in the name of who submitted the job; ``needs(payload)`` says what that takes.
    It calls ``progress.check()`` wherever it can be ended, and lets pass what that raises.
    `JobError`, `RejectedError`, `AccessError` and `ConfigurationError` end the job; any other
    exception has it tried again, ``attempts`` times (the setting's otherwise).
    """

    run: Callable[[SessionT, Payload, Progress], str | None]
    summary: str
    needs: Callable[[Payload], tuple[Action, Resource]] = _administrators
    attempts: int | None = None
    #: How long one attempt may take; then ``check`` raises `JobTimeoutError`.
    timeout: timedelta | None = None


class JobRunner(Protocol):
    """Who sees to it that jobs are run."""

    def submit(self, emit: Callable[[Event], None], job: Job) -> None:
        """A job is being queued: called within the transaction of its row, maybe more than once.
        ``emit`` tells listeners in the same commit; whoever looks at the rows needs nothing.
        """
        ...

    def wake(self) -> None:
        """Jobs were committed: do not wait to look for them."""
        ...

    def run(self, until: Callable[[], bool]) -> None:
        """Run jobs, and return soon after ``until()`` is true or ``close`` was called."""
        ...

    def drain(self) -> int:
        """Run jobs until none is due, and return the number of attempts."""
        ...

    def cancel(self, number: int) -> None:
        """A job was cancelled; its row says so too."""
        ...

    def close(self) -> None:
        """End; what runs is put back where its handler lets it.  Idempotent."""
        ...


class JobEngine(Protocol):
    """The queue of another project, with tables in the database of the catalog.

    ``connection`` is the driver's, in a transaction that is not the engine's to end: what it does
    is done together with what the catalog notes of it, or not at all.
    """

    def defer(self, connection: Any, jobs: Sequence[Job]) -> Sequence[int]:
        """Queue a task for each job; their numbers, in that order."""
        ...

    def withdraw(self, connection: Any, tasks: Mapping[int, int]) -> Collection[int]:
        """Delete those tasks that nobody has begun; the others that have not ended.

        Each comes with the number of its job: one of another job is none of them.
        """
        ...

    def revive(self, connection: Any, tasks: Mapping[int, int]) -> Collection[int]:
        """Queue those tasks again whose worker is gone; all that are now in the queue.

        Of the job of each, given as above, nothing was heard for longer than a lease.
        """
        ...


class OwnTables(Protocol):
    """Tables of a plugin in the database of the catalog, such as those of another queue."""

    def pending(self) -> Sequence[tuple[str, str]]:
        """What `migrate` would do, in order: names, and what each is."""
        ...

    def migrate(self) -> Sequence[str]:
        """Make them, or bring them to this version; the names of what was done.

        Idempotent, also when several processes start at once.  Raises `ConfigurationError` where
        they are not for us.
        """
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


class SpanKind(enum.Enum):
    """What a span is about, in the words of OpenTelemetry."""

    #: A request that somebody sent us.
    SERVER = "server"
    #: One that we send, to a database or to another server.
    CLIENT = "client"
    #: A job, which somebody has queued before.
    CONSUMER = "consumer"
    INTERNAL = "internal"


class Span(Protocol):
    """Something that takes a while, as a trace tells of it."""

    @property
    def trace_id(self) -> str:
        """The trace that it is of, in 32 hexadecimal digits; empty where nobody takes it."""
        ...

    def rename(self, name: str, /) -> None:
        """Give it another name, while it lasts."""
        ...

    def set(self, name: str, value: str | float | bool, /) -> None:  # noqa: FBT001 - a value
        """Add an attribute; the caller sees to it that it is no secret."""
        ...

    def fail(self, kind: str, /) -> None:
        """Say that it did not work out, and by which kind of error; never by its words."""
        ...

    def end(self) -> None:
        """It is over; what comes later is ignored.  Idempotent."""
        ...


class Tracer(Protocol):
    """Who takes spans; of `repocore.hookspecs.repocore_tracer`.  Threads share it."""

    def start(
        self,
        name: str,
        kind: SpanKind,
        attributes: Mapping[str, str | float | bool],
        parent: str | None = None,
        /,
    ) -> Span:
        """Begin a span: below the one of `use`, or below one elsewhere (a ``traceparent``)."""
        ...

    def use(self, span: Span, /) -> AbstractContextManager[object]:
        """Have what begins in the block be below this span."""
        ...

    def active(self) -> bool:
        """Whether a span is in use here."""
        ...

    def traceparent(self) -> str | None:
        """The span in use as other servers are told of it (W3C Trace Context), or None."""
        ...

    def close(self) -> None:
        """Send what was not sent yet, for a few seconds at most, and take no more; idempotent."""
        ...
