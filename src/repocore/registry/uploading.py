"""From bodies to changes: the way that every upload takes, one by one or many at once."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from datetime import datetime
from functools import partial
from itertools import islice
from typing import BinaryIO, Final

import attrs

from repocore.catalog import files, repositories
from repocore.catalog.commit import FileChange
from repocore.catalog.rows import StoredRepository, micros_at
from repocore.errors import (
    ConflictError,
    InvalidPackageError,
    InvalidPathError,
    QuotaExceededError,
    RejectedError,
    RepocoreError,
    TooLargeError,
)
from repocore.http import Readable
from repocore.logs import carried
from repocore.model import (
    Action,
    Attested,
    BlobKey,
    Checksums,
    Digest,
    File,
    FileFacts,
    FilePath,
    Resource,
    split_address,
)
from repocore.ports import Format, PlacingFormat, StagedContent, Storage
from repocore.registry.blobs import Body, publish
from repocore.registry.context import Context
from repocore.registry.staging import Bounds, Staged, stage

__all__ = ["Stored", "Upload", "Uploading"]

_MORE: Final = "delete something, or ask for a larger quota."
#: Bodies of a batch that wait for the disk together.
_WAITING: Final = 16


@attrs.frozen(kw_only=True)
class Upload:
    """A body for `Files.put_all`, with what `Files.put` is told of one."""

    path: FilePath
    stream: Readable
    length: int | None = None
    announced: Sequence[Digest] = ()
    released_at: datetime | None = None
    facts: FileFacts | None = None
    link: bool = False
    overwrite: bool = True
    named: bool = False
    #: Whether it is withdrawn from the first moment: of releases of one file.
    yanked: bool = False
    #: Asked for what came with it, once it has arrived: of `Attestations.put`.
    attested: Callable[[], Attested | None] | None = None


@attrs.frozen
class Stored:
    """A stored blob, seen as content that has arrived."""

    _storage: Storage
    _key: BlobKey
    size: int

    @property
    def checksums(self) -> Checksums:
        """Its sha256."""
        return Checksums(sha256=self._key.digest)

    def open(self) -> BinaryIO:
        """Read it from the start."""
        return self._storage.open(self._key)


def _placing(format_: Format) -> PlacingFormat:
    if isinstance(format_, PlacingFormat):
        return format_
    message = f"A file of the format {format_.name} does not tell where it belongs; name its path."
    raise InvalidPathError(message)


def _inspected(format_: Format, upload: Upload, content: StagedContent) -> FileFacts:
    if upload.named:
        return _placing(format_).inspect_named(str(upload.path), content)
    return format_.inspect(upload.path, content)


def _together(pool: Executor, store: Callable[[Body], None], bodies: Sequence[Body]) -> None:
    """Store all at once: the disk makes many durable in the time of one."""
    done = [pool.submit(carried(store), body) for body in bodies]
    wait(done)  # also where one failed: nobody may write to what is aborted next
    for future in done:
        future.result()


class Uploading:
    """Stage bodies for one principal, and publish many of them together."""

    def __init__(self, context: Context) -> None:
        self._context = context

    @property
    def storage(self) -> Storage:
        """Where bytes lie."""
        return self._context.services.storage

    def run(
        self, address: str, uploads: Iterable[Upload], batch: int, workers: int
    ) -> Iterator[tuple[Upload, File | RepocoreError]]:
        """See `Files.put_all`."""
        source = iter(uploads)
        with (
            ThreadPoolExecutor(workers, thread_name_prefix="repocore-put") as pool,
            ThreadPoolExecutor(_WAITING, thread_name_prefix="repocore-store") as disk,
        ):
            while some := list(islice(source, batch)):
                with ExitStack() as stack:
                    yield from self._batch(address, some, (pool, disk), stack)

    def _batch(
        self,
        address: str,
        uploads: Sequence[Upload],
        pools: tuple[Executor, Executor],
        stack: ExitStack,
    ) -> Iterator[tuple[Upload, File | RepocoreError]]:
        pool, disk = pools

        def begin(upload: Upload) -> tuple[Staged, FileChange] | RejectedError:
            opened = self.staged(address, upload)
            try:
                ready = opened.__enter__()
            except RejectedError as error:
                return error
            stack.push(opened)
            return ready

        found = list(zip(uploads, pool.map(begin, uploads), strict=True))
        ready = [(u, one) for u, one in found if not isinstance(one, RejectedError)]
        yield from ((u, one) for u, one in found if isinstance(one, RejectedError))
        services = self._context.services
        # In one order for all writers, so that two of them do not wait for each other.
        ready.sort(key=lambda pair: (pair[1][1].facts.partition or "", str(pair[0].path)))
        try:
            files = publish(self._context, [one for _, one in ready], partial(_together, disk))
        except (RejectedError, ConflictError):
            yield from (self._alone(upload, one) for upload, one in ready)
        else:
            yield from zip((upload for upload, _ in ready), files, strict=True)
        services.wake()

    def _alone(
        self, upload: Upload, ready: tuple[Staged, FileChange]
    ) -> tuple[Upload, File | RepocoreError]:
        try:
            return upload, publish(self._context, [ready])[0]
        except (RejectedError, ConflictError) as error:
            return upload, error

    @contextmanager
    def staged(self, address: str, upload: Upload) -> Generator[tuple[Staged, FileChange]]:
        """The body, arrived and looked into, and the change that it is to make."""
        services = self._context.services
        path = upload.path
        repository, format_, expected = self.writable(address, path, named=upload.named)
        if upload.released_at is not None or upload.facts is not None:
            self._context.find(address, Action.MANAGE)
        self._check_quota(repository, upload)
        sums = format_.needs_checksums | {digest.algorithm for digest in upload.announced}
        bounds = Bounds(
            length=upload.length,
            limit=self._limit(repository),
            chunk=services.settings.limits.chunk,
            link=upload.link,
        )
        with stage(services.storage, upload.stream, sums, bounds) as staged:
            staged.checksums.require(upload.announced)
            facts = upload.facts or _inspected(format_, upload, staged)
            if upload.attested is not None:
                facts = attrs.evolve(facts, attested=upload.attested())
            path = facts.path or path
            if (facts.package, facts.version) != (expected.package, expected.version):
                message = f"The content is not the package that {path} names."
                raise InvalidPackageError(message)
            self.validate(repository, path, staged, facts)
            key = BlobKey(staged.checksums.sha256, "")
            change = self.change(repository, path, key, staged.size, facts, format_)
            if change.may_overwrite and not upload.overwrite:
                kept = "this upload does not ask to replace it"
                change = attrs.evolve(change, may_overwrite=False, kept=kept)
            if upload.released_at is not None:
                at = micros_at(upload.released_at)
                change = attrs.evolve(change, released_at=at, yanked=upload.yanked)
            yield staged, change

    def admit(self, address: str, upload: Upload) -> None:
        """Return if a body of the announced length may come; raises what refuses it before its
        first byte otherwise.
        """
        repository, _, _ = self.writable(address, upload.path)
        if upload.length is not None and upload.length > self._limit(repository):
            raise TooLargeError
        self._check_quota(repository, upload)

    def writable(
        self, address: str, path: FilePath, *, named: bool = False
    ) -> tuple[StoredRepository, Format, FileFacts]:
        """The repository that a path may be written to, its format, and what the path tells.

        Raises `ReadOnlyError` to whoever might write otherwise: before the body is read.
        """
        found = self._writable(address, path, named=named)
        self._context.services.require_writable()
        return found

    def _writable(
        self, address: str, path: FilePath, *, named: bool
    ) -> tuple[StoredRepository, Format, FileFacts]:
        kind, name = split_address(address)
        format_ = self._context.services.formats.get(kind)
        if format_ is None:
            found = self._context.find(address, Action.WRITE)
            return found, self._context.services.format(kind), FileFacts()
        expected = _placing(format_).locate_named(str(path)) if named else format_.locate(path)
        scope = (expected.package, expected.version)
        return self._context.find(f"{kind}/{name}", Action.WRITE, scope), format_, expected

    def _limit(self, repository: StoredRepository) -> int:
        most = self._context.services.settings.limits.max_body
        own = repository.value.policy.max_size
        return most if own is None else min(own, most)

    def _check_quota(self, repository: StoredRepository, upload: Upload) -> None:
        """Refuse before the body what cannot fit; the commit counts exactly."""
        quota, most = repository.value.policy.quota, repository.value.policy.max_files
        if quota is None and most is None:
            return
        with self._context.services.catalog.snapshot() as connection:
            used, count = repositories.counted(connection, repository.id)
            # The content of a named file tells which path it is to have.
            full = most is not None and count >= most and not upload.named
            known = full and files.stored(connection, repository.id, [str(upload.path)])
        if full and not known:
            message = f"The repository holds {count} files, as many as it may; {_MORE}"
            raise QuotaExceededError(message)
        if quota is not None and used + (upload.length or 0) > quota:
            message = (
                f"{used} bytes of the repository's {quota} are used, and {upload.path} has "
                f"{upload.length or 'some'} more; {_MORE}"
            )
            raise QuotaExceededError(message)

    def validate(
        self, repository: StoredRepository, path: FilePath, content: StagedContent, facts: FileFacts
    ) -> None:
        """Ask the plugins for their veto; raises `UploadRejectedError`."""
        self._context.services.hooks.repocore_validate(
            session=self._context.session,
            repository=repository.value,
            path=path,
            content=content,
            facts=facts,
        )

    def change(
        self,
        repository: StoredRepository,
        path: FilePath,
        key: BlobKey,
        size: int,
        facts: FileFacts,
        format_: Format,
    ) -> FileChange:
        """What a commit is to make true."""
        value = repository.value
        resource = Resource(value.format, value.name, facts.package, facts.version)
        policy = value.policy.overwrite
        allowed = format_.overwrites if policy is None else policy
        may = allowed and self._context.allowed(Action.OVERWRITE, resource)
        return FileChange(
            repository=repository,
            path=path,
            key=key,
            size=size,
            facts=facts,
            sort_key=format_.sort_key(facts.version or ""),
            by=self._context.by,
            may_overwrite=may,
            kept="you lack the permission to overwrite"
            if allowed
            else "this repository keeps what is published as it is",
            whole=format_.whole,
        )
