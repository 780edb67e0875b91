"""The room of direct uploads: ``session.uploads``.

A client asks for signed URLs, sends the bytes to the storage by them, and says when it is through.
The server then reads back what arrived, as the body of a common upload, and the storage takes it
over under its own name; until then nobody sees it, and nothing else depends on it.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from contextlib import closing, suppress
from typing import Final

from repocore.errors import (
    AccessDeniedError,
    BlobMissingError,
    ConflictError,
    MissingError,
    NotAuthenticatedError,
    RejectedError,
    StorageError,
)
from repocore.model import Digest, File, FilePath
from repocore.ports import DirectUpload, ReceivingStorage
from repocore.registry.context import Context
from repocore.registry.files import Files
from repocore.registry.uploading import Upload, Uploading

__all__ = ["DirectUploads"]

_NOT_SO: Final = "This server does not take such a file directly; send it to its own address."
_UNKNOWN: Final = "There is no such upload; begin it anew."


class DirectUploads:
    """Begin, complete and forget uploads that go to the storage itself.

    An upload is its account's: to every other its id is unknown.  Each method raises
    `NotAuthenticatedError` for a stranger, and `ReadOnlyError` where nothing is to change.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    @property
    def smallest(self) -> int | None:
        """How large a file has to be that may be sent so; None: none is."""
        services = self._context.services
        if services.settings.read_only or not isinstance(services.storage, ReceivingStorage):
            return None
        return services.storage.receives()

    def begin(
        self, address: str, path: str | FilePath, *, size: int, digest: Digest
    ) -> DirectUpload:
        """Parts to be sent of a file of that size and sha256; requires WRITE of its path.

        The same words again go on with the upload: the answer has parts that have not arrived,
        signed anew, and none once all have.  Raises `InvalidPathError`, `RepositoryMissingError`,
        `TooLargeError` and `QuotaExceededError` before anything is signed; `RejectedError` where
        such a file is not taken directly; and `StorageError`.
        """
        upload = Upload(path=FilePath.parse(path), stream=io.BytesIO(), length=size)
        Uploading(self._context).admit(address, upload)
        owner, smallest = self._owner(), self.smallest
        if smallest is None or size < smallest or digest.algorithm != "sha256":
            raise RejectedError(_NOT_SO)
        return self._storage().begin(owner, digest.hex, size)

    def complete(
        self,
        address: str,
        path: str | FilePath,
        upload: str,
        *,
        announced: Sequence[Digest] = (),
        overwrite: bool = True,
    ) -> File:
        """Put what arrived, as `Files.put` does, and return its file; requires WRITE of its path.

        Idempotent, for any number of requests at once: who announces the sha256, and may read the
        file, finds it completed.  What is refused is deleted: wrong bytes, no package, a veto, a
        quota.  Raises what `Files.put` raises; `MissingError` for an unknown id; `TruncatedError`
        while parts are missing, which may still be sent.
        """
        path = FilePath.parse(path)
        Uploading(self._context).writable(address, path)
        owner, storage = self._owner(), self._storage()
        services = self._context.services
        try:
            received = storage.receive(owner, upload)
        except MissingError:
            return self._completed(address, path, announced)
        services.step("received")
        with closing(received.content):
            try:
                file = Files(self._context).put(
                    address,
                    path,
                    received.content,
                    length=received.size,
                    announced=(Digest("sha256", received.digest), *announced),
                    link=True,
                    overwrite=overwrite,
                )
            except BlobMissingError:  # another request was faster, and is through
                return self._completed(address, path, announced)
            except (RejectedError, ConflictError):
                _forget(storage, owner, upload)
                raise
        _forget(storage, owner, upload)
        services.step("forgotten")
        return file

    def _completed(self, address: str, path: FilePath, announced: Sequence[Digest]) -> File:
        """The file that another request has made of the upload; raises `MissingError`."""
        with suppress(MissingError, AccessDeniedError):
            file = Files(self._context).stat(address, path)
            if Digest("sha256", file.digest) in announced:
                return file
        raise MissingError(_UNKNOWN)

    def forget(self, upload: str) -> None:
        """Delete what arrived of an upload; raises `MissingError` for an unknown id."""
        owner = self._owner()
        self._context.services.require_writable()
        if self.smallest is None or not self._storage().forget(owner, upload):
            raise MissingError(_UNKNOWN)

    def _storage(self) -> ReceivingStorage:
        storage = self._context.services.storage
        if self.smallest is None or not isinstance(storage, ReceivingStorage):
            raise RejectedError(_NOT_SO)
        return storage

    def _owner(self) -> str:
        """Whoever is asking, in the names of objects; the same on every server of a fleet."""
        principal = self._context.principal
        if principal.anonymous:
            raise NotAuthenticatedError
        kind = "trusted" if principal.trusted else "account"
        return hashlib.sha256(f"{kind} {principal.name}".encode()).hexdigest()[:32]


def _forget(storage: ReceivingStorage, owner: str, upload: str) -> None:
    with suppress(StorageError):  # a sweep takes what stays
        storage.forget(owner, upload)
