"""Write an object: one request for a small body, parts side by side for a large one."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, Final

from repocore.errors import StorageError
from repocore.model import BlobKey
from repocore_s3.bucket import Bucket, SentPart, Upload, UploadGoneError
from repocore_s3.settings import S3Settings
from repocore_s3.spool import Part, Spool

__all__ = ["S3Writer"]

_ENDED: Final = "This upload has ended; start again."
_OTHER: Final = "The object store has got other bytes than it was sent; try again later."
#: A sweep may take an upload in parts that lasts too long; then it is sent once more.
_TRIES: Final = 2


class S3Writer:
    """A body in a spool; after `abort` nothing can be done with it.

    ``tags_are_md5`` says that the store calls the content of an object, and of a part, by its MD5.
    """

    def __init__(
        self,
        bucket: Bucket,
        settings: S3Settings,
        name_of: Callable[[BlobKey], str],
        *,
        length: int | None,
        tags_are_md5: bool,
    ) -> None:
        self._bucket = bucket
        self._settings = settings
        self._name_of = name_of
        self._tags_are_md5 = tags_are_md5 and settings.verify
        self._names: set[str] = set()
        self._spool = Spool(settings.spool, settings.part_size, length)
        self._failed = False

    def write(self, chunk: bytes, /) -> None:
        """Add a chunk; raises `StorageFullError` or `StorageError`."""
        self._require(usable=not self._names)
        # Of a chunk that failed nobody knows how much is there.
        self._failed = True
        self._spool.write(chunk)
        self._failed = False

    def open(self) -> BinaryIO:
        """Read what was written so far, from its start."""
        self._require(usable=not self._names)
        return self._spool.open()

    def commit(self, key: BlobKey) -> None:
        """Send the body to its object's name; returns when the store has all of it.

        Idempotent, for the same key and after an error; under another key it is sent again.
        """
        name = self._name_of(key)
        if name in self._names:
            return
        self._require()
        parts = self._spool.parts()
        tag = self._send_whole(name, parts[0]) if len(parts) == 1 else self._send(name, parts)
        if self._settings.verify and not self._is_there(name, tag):
            raise StorageError(_OTHER)
        self._names.add(name)

    def abort(self) -> None:
        """Forget the body; what was committed stays."""
        self._failed = True
        self._spool.close()

    def _require(self, *, usable: bool = True) -> None:
        if self._failed or not usable:
            raise StorageError(_ENDED)

    def _send_whole(self, name: str, part: Part) -> str:
        tag = self._bucket.put(name, self._spool.read(part), part.md5)
        self._compare(tag, part)
        return tag

    def _send(self, name: str, parts: list[Part]) -> str | None:
        """Send parts, and make the object of them; None for a tag that nobody has told us."""
        for _ in range(_TRIES):
            upload = self._bucket.begin(name)
            try:
                return self._bucket.complete(upload, self._send_parts(upload, parts))
            except StorageError as error:
                # A request whose answer was lost is sent again, and refused: it was completed.
                if self._was_completed(name):
                    return None
                if not isinstance(error, UploadGoneError):
                    self._give_up(upload)
                    raise
            except BaseException:
                self._give_up(upload)
                raise
        message = "A clean-up met the upload; send it again."
        raise StorageError(message)

    def _send_parts(self, upload: Upload, parts: list[Part]) -> list[SentPart]:
        def send(numbered: tuple[int, Part]) -> SentPart:
            number, part = numbered
            sent = self._bucket.send(upload, number, self._spool.read(part), part.md5)
            self._compare(sent.tag, part)
            return sent

        pool = ThreadPoolExecutor(min(self._settings.parallel_parts, len(parts)))
        try:
            return list(pool.map(send, enumerate(parts, 1)))
        finally:
            # After an error those that nobody has begun are not sent.
            pool.shutdown(cancel_futures=True)

    def _was_completed(self, name: str) -> bool:
        with contextlib.suppress(StorageError):
            return self._is_there(name, None)
        return False

    def _give_up(self, upload: Upload) -> None:
        with contextlib.suppress(StorageError):  # a sweep takes what stays
            self._bucket.abort(upload)

    def _compare(self, tag: str, part: Part) -> None:
        if self._tags_are_md5 and tag != part.md5.hex():
            raise StorageError(_OTHER)

    def _is_there(self, name: str, tag: str | None) -> bool:
        found = self._bucket.find(name)
        return (
            found is not None
            and found.size == self._spool.size
            and (tag is None or not tag or found.tag == tag)
        )
