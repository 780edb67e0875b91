"""The room of files: ``session.files``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import BinaryIO

import attrs

from repocore.catalog import Transaction, blobs as stored_blobs, files, repositories, tables
from repocore.catalog.commit import FileChange
from repocore.catalog.rows import StoredRepository, file_of
from repocore.errors import (
    ConflictError,
    FileMissingError,
    InvalidPackageError,
    QuotaExceededError,
)
from repocore.http import FileContent, Readable
from repocore.model import (
    Action,
    BlobKey,
    Checksums,
    Digest,
    File,
    FileFacts,
    FilePath,
    FileRemoved,
    Grain,
    Resource,
    Survey,
    split_address,
)
from repocore.ports import Format, Storage
from repocore.registry.blobs import publish, refer
from repocore.registry.context import Context
from repocore.registry.staging import Bounds, Staged, stage

__all__ = ["Files"]


class Files:
    """Put, open, list and delete files; a path is text or a `FilePath`.

    Every method raises `InvalidPathError` for a path that is not normal or not of the format,
    `RepositoryMissingError`, `NotAuthenticatedError` and `AccessDeniedError`.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    def put(
        self,
        address: str,
        path: str | FilePath,
        stream: Readable,
        *,
        length: int | None = None,
        announced: Sequence[Digest] = (),
    ) -> File:
        """Store a body under a path and return its file; requires WRITE, before the first read.

        ``length`` and ``announced`` are what the sender says of the body.  The release that the
        path belongs to becomes visible with the file that makes it whole.  The same bytes again
        change nothing, but count as an announcement where the format says so.

        Raises `TruncatedError`, `ChecksumMismatchError`, `TooLargeError`, `QuotaExceededError`,
        `InvalidPackageError`, `UploadRejectedError` (a plugin's veto), `ImmutableFileError`,
        `StorageFullError`, `StorageError`.  After any of them nothing has changed.
        """
        path = FilePath.parse(path)
        services = self._context.services
        repository, format_, expected = self._writable(address, path)
        self._check_quota(repository, length)
        sums = format_.needs_checksums | {digest.algorithm for digest in announced}
        bounds = Bounds(
            length=length, limit=self._limit(repository), chunk=services.settings.limits.chunk
        )
        with stage(services.storage, stream, sums, bounds) as staged:
            staged.checksums.require(announced)
            facts = format_.inspect(path, staged)
            if (facts.package, facts.version) != (expected.package, expected.version):
                message = f"The content is not the package that {path} names."
                raise InvalidPackageError(message)
            self._validate(repository, path, staged, facts)
            services.step("staged")
            key = BlobKey(staged.checksums.sha256, "")
            change = self._change(repository, path, key, staged.size, facts, format_)
            file = publish(services, staged, change)
        services.wake()
        services.step("relayed")
        return file

    def _writable(self, address: str, path: FilePath) -> tuple[StoredRepository, Format, FileFacts]:
        kind, name = split_address(address)
        format_ = self._context.services.formats.get(kind)
        if format_ is None:
            found = self._context.find(address, Action.WRITE)
            return found, self._context.services.format(kind), FileFacts()
        expected = format_.locate(path)
        scope = (expected.package, expected.version)
        return self._context.find(f"{kind}/{name}", Action.WRITE, scope), format_, expected

    def _limit(self, repository: StoredRepository) -> int:
        most = self._context.services.settings.limits.max_body
        own = repository.value.policy.max_size
        return most if own is None else min(own, most)

    def _check_quota(self, repository: StoredRepository, length: int | None) -> None:
        """Refuse before the body what cannot fit; the commit counts exactly."""
        quota = repository.value.policy.quota
        if quota is None:
            return
        with self._context.services.catalog.snapshot() as connection:
            used = repositories.size(connection, repository.id)
        if used + (length or 0) > quota:
            raise QuotaExceededError

    def _validate(
        self, repository: StoredRepository, path: FilePath, content: Staged, facts: FileFacts
    ) -> None:
        self._context.services.hooks.repocore_validate(
            session=self._context.session,
            repository=repository.value,
            path=path,
            content=content,
            facts=facts,
        )

    def _change(
        self,
        repository: StoredRepository,
        path: FilePath,
        key: BlobKey,
        size: int,
        facts: FileFacts,
        format_: Format,
    ) -> FileChange:
        value = repository.value
        resource = Resource(value.format, value.name, facts.package, facts.version)
        may = value.policy.overwrite and self._context.allowed(Action.OVERWRITE, resource)
        return FileChange(
            repository=repository,
            path=path,
            key=key,
            size=size,
            facts=facts,
            sort_key=format_.sort_key(facts.version or ""),
            by=self._context.by,
            may_overwrite=may,
            whole=format_.whole,
        )

    def refer(self, address: str, path: str | FilePath, digest: Digest) -> File | None:
        """Bind a path to bytes that the repository holds already, without sending them.

        Requires WRITE of the path and READ of a file with these bytes: to know a digest is not to
        know its bytes.  Returns None where there is none such; then upload them.
        """
        path = FilePath.parse(path)
        repository, format_, _ = self._writable(address, path)
        services = self._context.services
        with services.catalog.snapshot() as connection:
            rows = list(stored_blobs.with_digest(connection, repository.id, digest))
        for row in rows:
            if self._may_read(repository, format_, FilePath.parse(row.path)):
                break
        else:
            return None
        key = BlobKey(row.digest, row.generation)
        content = _Stored(services.storage, key, row.size)
        facts = format_.inspect(path, content)
        change = self._change(repository, path, key, row.size, facts, format_)
        file = refer(services, change)
        services.wake()
        return file

    def _may_read(self, repository: StoredRepository, format_: Format, path: FilePath) -> bool:
        return self._context.allowed(Action.READ, self._resource(repository, format_, path))

    def _resource(self, repository: StoredRepository, format_: Format, path: FilePath) -> Resource:
        facts = format_.locate(path)
        value = repository.value
        if format_.read_grain is Grain.REPOSITORY:
            return Resource(value.format, value.name)
        return Resource(value.format, value.name, facts.package, facts.version)

    def stat(self, address: str, path: str | FilePath) -> File:
        """The file of a path; requires READ.  Raises `FileMissingError`."""
        return self._find(address, path)[1]

    def _find(self, address: str, path: str | FilePath) -> tuple[StoredRepository, File]:
        path = FilePath.parse(path)
        format_ = self._context.services.formats.get(split_address(address)[0])
        scope: tuple[str | None, str | None] = (None, None)
        if format_ is not None:
            facts = format_.locate(path)
            if format_.read_grain is Grain.PACKAGE:
                scope = (facts.package, facts.version)
        text = str(path)
        hot = self._context.services.catalog.hot
        repository, rows = self._context.read(address, scope, lambda number: hot.file(number, text))
        if not rows:
            raise FileMissingError
        return repository, file_of(address, path, rows[0])

    def open(
        self, address: str, path: str | FilePath, start: int = 0, stop: int | None = None
    ) -> BinaryIO:
        """Read a file, or its bytes from ``start`` to ``stop`` (exclusive); requires READ.

        The caller closes.  Raises `FileMissingError`, and `BlobMissingError` where the storage
        lost the bytes.
        """
        content = self.content(address, path)
        opened = content.open(start, stop)
        if start == 0:
            content.served()
        return opened

    def content(self, address: str, path: str | FilePath) -> FileContent:
        """A file as the body of a response; requires READ, counts once it is served.

        Raises `FileMissingError`.
        """
        repository, file = self._find(address, path)
        services = self._context.services
        storage = services.storage

        def served() -> None:
            if file.partition is not None and file.release is not None:
                services.counter.count(repository.id, file.partition, file.release)

        return FileContent(
            file=file,
            open=lambda start, stop: storage.open(file.key, start, stop),
            url=lambda lifetime: _url(storage, file, lifetime),
            location=storage.location(file.key),
            served=served,
        )

    def list(self, address: str, *, prefix: str = "") -> Iterator[File]:
        """The visible files that the principal may read, by path, a page at a time.

        ``prefix`` is a prefix of the path as text.
        """
        context = self._context
        context.enter()
        stored = context.services.book.known.repositories.get(address)
        survey = Survey.NONE if stored is None else context.survey(Action.READ, stored.value)
        if stored is None or survey is Survey.NONE:
            stored = context.find(address, Action.READ)
        return self._pages(stored, prefix, unfiltered=survey is Survey.ALL)

    def _pages(
        self, repository: StoredRepository, prefix: str, *, unfiltered: bool
    ) -> Iterator[File]:
        services = self._context.services
        format_ = services.format(repository.value.format)
        after = ""
        while True:
            with services.catalog.snapshot() as connection:
                page = files.page(
                    connection,
                    repository.id,
                    repository.value.address,
                    prefix,
                    after,
                    services.settings.limits.page,
                )
            for file in page:
                if unfiltered or self._may_read(repository, format_, file.path):
                    yield file
            if len(page) < services.settings.limits.page:
                return
            after = str(page[-1].path)

    def delete(self, address: str, path: str | FilePath) -> None:
        """Delete a file of no release, or a mutable one; requires DELETE.

        Raises `FileMissingError`, and `ConflictError` for a file that its release needs: a release
        is deleted whole.
        """
        path = FilePath.parse(path)
        context = self._context
        format_ = context.services.format(split_address(address)[0])
        facts = format_.locate(path)
        repository = context.find(address, Action.DELETE, (facts.package, facts.version))
        rows = context.services.catalog.hot.file(repository.id, str(path))[1]
        if not rows:
            raise FileMissingError
        file = file_of(address, path, rows[0])
        if file.release is not None and not file.mutable:
            message = f"{path} is a part of release {file.release}; delete the release."
            raise ConflictError(message)
        f = tables.files
        mine = (f.c.repository_id == repository.id) & (f.c.path == str(path))
        event = FileRemoved(repository=address, path=str(path), by=context.by)

        def work(transaction: Transaction) -> None:
            count, size = files.remove(transaction, mine)
            repositories.charge(transaction, repository, -size)
            if count:
                transaction.emit(event)

        context.services.catalog.write(work)
        context.services.wake()


def _url(storage: Storage, file: File, lifetime: timedelta) -> str | None:
    return storage.url(
        file.key, filename=file.path.name, media_type=file.media_type, expires=lifetime
    )


@attrs.frozen
class _Stored:
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
