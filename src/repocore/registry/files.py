"""The room of files: ``session.files``."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, BinaryIO

import attrs

from repocore.catalog import (
    Transaction,
    blobs as stored_blobs,
    drafts,
    files,
    releases,
    removals,
    repositories,
    tables,
)
from repocore.catalog.commit import FileChange, commit
from repocore.catalog.rows import StoredRepository, file_of
from repocore.errors import (
    ConflictError,
    FileMissingError,
    InvalidPathError,
    RepocoreError,
    StorageError,
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
    Hasher,
    Resource,
    Survey,
    split_address,
)
from repocore.ports import Format
from repocore.registry.blobs import publish, refer
from repocore.registry.bodies import body_of
from repocore.registry.context import Context
from repocore.registry.uploading import Stored, Upload, Uploading

__all__ = ["Files"]


class Files:
    """Put, open, list and delete files; a path is text or a `FilePath`.

    Every method raises `InvalidPathError` for a path that is not normal or not of the format,
    `RepositoryMissingError`, `NotAuthenticatedError` and `AccessDeniedError`.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    @property
    def _uploading(self) -> Uploading:
        return Uploading(self._context)

    def put(  # noqa: PLR0913 - what a sender or an importer knows of a body
        self,
        address: str,
        path: str | FilePath,
        stream: Readable,
        *,
        length: int | None = None,
        announced: Sequence[Digest] = (),
        released_at: datetime | None = None,
        facts: FileFacts | None = None,
        link: bool = False,
        overwrite: bool = True,
        named: bool = False,
    ) -> File:
        """Store a body under a path and return its file; requires WRITE, before the first read.

        ``length`` and ``announced`` are what the sender says of the body.  The release that the
        path belongs to becomes visible with the file that makes it whole.  The same bytes again
        change nothing, but count as an announcement where the format says so.

        An importer gives ``released_at``, when the release was published where it comes from: it
        keeps that time (or one later than the release before it), announces nothing anew, and
        requires MANAGE of the repository, too.  So do ``facts`` that are known from elsewhere;
        then the content is not looked into.  With ``link``, a body that is an open file may
        become another name of that file, which must not be written to any more.  Without
        ``overwrite``, other bytes that are published are not replaced by who might.  With
        ``named``, the path is a file name, and the content tells where it belongs.

        Raises `TruncatedError`, `ChecksumMismatchError`, `TooLargeError`, `QuotaExceededError`,
        `InvalidPackageError`, `UploadRejectedError` (a plugin's veto), `ImmutableFileError`,
        `StorageFullError`, `StorageError`.  After any of them nothing has changed.
        """
        upload = Upload(
            path=FilePath.parse(path),
            stream=stream,
            length=length,
            announced=announced,
            released_at=released_at,
            facts=facts,
            link=link,
            overwrite=overwrite,
            named=named,
        )
        services = self._context.services
        with self._uploading.staged(address, upload) as ready:
            services.step("staged")
            [file] = publish(self._context, [ready])
        services.step("relayed")
        return file

    def put_all(
        self, address: str, uploads: Iterable[Upload], *, batch: int = 100, workers: int = 2
    ) -> Iterator[tuple[Upload, File | RepocoreError]]:
        """Put many bodies, ``batch`` of them in a transaction; yields each with what came of it.

        ``workers`` of a batch are read at a time.  What cannot be put keeps no other from being
        put.  Raises what is no upload's own fault: `StorageFullError`, `StorageError`, and errors
        of access.
        """
        return self._uploading.run(address, uploads, batch, workers)

    def refer(self, address: str, path: str | FilePath, digest: Digest) -> File | None:
        """Bind a path to bytes that the repository holds already, without sending them.

        Requires WRITE of the path and READ of a file with these bytes: to know a digest is not to
        know its bytes.  Returns None where there is none such; then upload them.
        """
        path = FilePath.parse(path)
        repository, format_, _ = self._uploading.writable(address, path)
        services = self._context.services
        with services.catalog.snapshot() as connection:
            rows = list(stored_blobs.with_digest(connection, repository.id, digest))
        for row in rows:
            if self._may_read(repository, format_, FilePath.parse(row.path)):
                break
        else:
            return None
        key = BlobKey(row.digest, row.generation)
        content = Stored(services.storage, key, row.size)
        facts = format_.inspect(path, content)
        change = self._uploading.change(repository, path, key, row.size, facts, format_)
        return refer(self._context, change)

    def rebind(
        self, address: str, moves: Mapping[FilePath, FilePath]
    ) -> builtins.list[File] | None:
        """Give the bytes of some paths (the keys) other paths, all of them in one transaction.

        A key may be a file of a draft, which ends with this, or one that may be read, which stays.
        Requires WRITE of every target, and that each key is of the same package and version.
        Returns None, having done nothing, where one of the keys is not there: not yet, or not any
        more.  Raises what `put` raises.
        """
        services = self._context.services
        targets = {to: self._uploading.writable(address, to) for to in moves.values()}
        repository, format_, _ = next(iter(targets.values()))
        with services.catalog.snapshot() as connection:
            rows = files.stored(connection, repository.id, [str(path) for path in moves])
        if len(rows) < len(moves):
            return None
        changes = [
            self._moved(repository, format_, rows[str(path)], path, to)
            for path, to in moves.items()
        ]
        # What hangs on something comes after it, and what announces a release last.
        changes.sort(key=lambda change: (change.facts.parent is not None, change.facts.announces))
        wanted = {path: row.digest for path, row in rows.items()}

        def work(transaction: Transaction) -> builtins.list[File] | None:
            now = files.stored(transaction.connection, repository.id, list(wanted))
            if {path: row.digest for path, row in now.items()} != wanted:
                return None
            # First, so that a quota does not count the same bytes twice.
            for partition, name in sorted({(r.partition, r.release) for r in now.values()}):
                ended = releases.select_draft(repository.id, partition, name)
                removals.remove(transaction, repository, ended, self._context.by)
            bound = [commit(transaction, change) for change in changes]
            if None in bound:
                message = "A clean-up met the upload; send it again."
                raise StorageError(message)
            return [file for file in bound if file is not None]

        return self._context.write(work)

    def _moved(
        self, repository: StoredRepository, format_: Format, row: Any, path: FilePath, to: FilePath
    ) -> FileChange:
        source, facts = format_.locate(path), format_.locate(to)
        if (source.package, source.version) != (facts.package, facts.version):
            message = f"{path} is not of the package of {to}."
            raise InvalidPathError(message)
        if row.released and not self._may_read(repository, format_, path):
            raise FileMissingError
        key = BlobKey(row.digest, row.generation)
        content = Stored(self._context.services.storage, key, row.size)
        facts = format_.inspect(to, content)
        return self._uploading.change(repository, to, key, row.size, facts, format_)

    def checksums(self, address: str, path: str | FilePath, *algorithms: str) -> Checksums:
        """The sums of a file's bytes, those of these algorithms included; requires READ.

        What nobody asked for at upload is summed at the first need, and kept.  Raises
        `FileMissingError`, and `BlobMissingError`.
        """
        file = self._find(address, path)[1]
        services = self._context.services
        with services.catalog.snapshot() as connection:
            known = stored_blobs.sums(connection, file.key)
        missing = frozenset(algorithms) - {n for n in algorithms if known.get(n)}
        if not missing:
            return known
        hasher = Hasher(missing)
        with services.storage.open(file.key) as stream:
            for _ in hasher.through(stream, services.settings.limits.chunk):
                pass
        found = hasher.checksums()
        services.catalog.write(lambda t: stored_blobs.learn(t, file.key, found))
        return attrs.evolve(found, md5=found.md5 or known.md5, sha1=found.sha1 or known.sha1)

    def _may_read(self, repository: StoredRepository, format_: Format, path: FilePath) -> bool:
        return self._context.allowed(Action.READ, self._resource(repository, format_, path))

    def _resource(self, repository: StoredRepository, format_: Format, path: FilePath) -> Resource:
        facts = format_.locate(path)
        value = repository.value
        if format_.read_grain is Grain.REPOSITORY:
            return Resource(value.format, value.name)
        return Resource(value.format, value.name, facts.package, facts.version)

    def stat(self, address: str, path: str | FilePath) -> File:
        """The file or the document of a path; requires READ.  Raises `FileMissingError`."""
        path = FilePath.parse(path)
        document = self._document(address, path)
        return self._find(address, path)[1] if document is None else document.file

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

        A document is made first, where it is older than what it is made from.  Raises
        `FileMissingError`, and `DocumentPendingError`.
        """
        path = FilePath.parse(path)
        document = self._document(address, path)
        if document is not None:
            return document
        repository, file = self._find(address, path)
        services = self._context.services

        def served() -> None:
            if file.partition is not None and file.release is not None:
                services.counter.count(repository.id, file.partition, file.release)

        return body_of(services.storage, file, served)

    def _document(self, address: str, path: FilePath) -> FileContent | None:
        """The document at a path; None where that is no document's."""
        services = self._context.services
        found = services.indexing.indexer(split_address(address)[0], path)
        if found is None:
            return None
        return services.indexing.content(self._context, address, path, found)

    def list(self, address: str, *, prefix: str = "", after: str = "") -> Iterator[File]:
        """The visible files that the principal may read, by path, a page at a time.

        ``prefix`` is a prefix of the path as text, ``after`` the path before the first.
        """
        context = self._context
        context.enter()
        stored = context.services.book.known.repositories.get(address)
        survey = Survey.NONE if stored is None else context.survey(Action.READ, stored.value)
        if stored is None or survey is Survey.NONE:
            stored = context.find(address, Action.READ)
        return self._pages(stored, prefix, after, unfiltered=survey is Survey.ALL)

    def _pages(
        self, repository: StoredRepository, prefix: str, after: str, *, unfiltered: bool
    ) -> Iterator[File]:
        services = self._context.services
        format_ = services.format(repository.value.format)
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
        """Delete a file of no release, or one that its release does without; requires DELETE.

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
        f = tables.files
        mine = (f.c.repository_id == repository.id) & (f.c.path == str(path))
        event = FileRemoved(repository=address, path=str(path), by=context.by)

        def work(transaction: Transaction) -> None:
            if file.release is not None and not file.mutable:
                _require_whole(transaction, repository, file, format_)
            gone = files.remove(transaction, mine)
            size = sum(one.size for one in gone)
            repositories.charge(transaction, repository, -size, -len(gone))
            if gone and file.release is not None:
                drafts.changed(transaction, repository.id, str(file.partition), file.release)
            if gone:
                transaction.emit(event, before={"digest": str(file.digest), "size": file.size})

        context.write(work)


def _require_whole(
    transaction: Transaction, repository: StoredRepository, file: File, format_: Format
) -> None:
    """Raise `ConflictError` where the file's release would not be whole without it."""
    partition, name = str(file.partition), str(file.release)
    drafts.lock(transaction, repository.id, partition)
    row = drafts.find(transaction, repository.id, partition, name)
    address = repository.value.address
    rest = files.of_draft(transaction, repository.id, address, partition, name)
    rest = [one for one in rest if one.path != file.path]
    if row is None or not format_.whole(drafts.draft_of(row, address), rest):
        message = f"{file.path} is a part of release {name}, which needs it; delete the release."
        raise ConflictError(message)
