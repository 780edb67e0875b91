"""Take an object over under another name: the store copies it, and nobody sends its bytes again."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, BinaryIO, Final, Self, cast

from repocore.errors import BlobMissingError, StorageError
from repocore.model import BlobKey
from repocore_s3.bucket import Bucket, Found, SentPart
from repocore_s3.reading import ObjectReader
from repocore_s3.settings import S3Settings
from repocore_s3.spool import MOST_PARTS

__all__ = ["LinkedWriter"]

#: Bytes that one request copies; S3 takes up to 5 GiB, but stores are silent while they do it.
_AT_ONCE: Final = 256 << 20
_BUFFER: Final = 1 << 17
_ENDED: Final = "This upload has ended; start again."
_OTHER: Final = "The object store has copied other bytes than it was told; try again later."


class LinkedWriter:
    """A body that is an object of the bucket already; it takes no more bytes.

    The object's tag is asked for after each copy: what was read is what is copied.
    """

    def __init__(
        self, reader: ObjectReader, settings: S3Settings, name_of: Callable[[BlobKey], str]
    ) -> None:
        self._source = reader
        self._bucket = reader.bucket
        self._object = Found(reader.size, reader.tag)
        self._settings = settings
        self._name_of = name_of
        self._names: set[str] = set()
        self._over = False

    @classmethod
    def of(
        cls,
        source: BinaryIO,
        bucket: Bucket,
        settings: S3Settings,
        name_of: Callable[[BlobKey], str],
    ) -> Self | None:
        """The writer of a file that is a whole object of the bucket; None for another."""
        raw = cast("Any", source).raw if isinstance(source, io.BufferedReader) else None
        if not isinstance(raw, ObjectReader) or raw.bucket is not bucket or not raw.whole:
            return None
        return cls(raw, settings, name_of)

    def write(self, chunk: bytes, /) -> None:
        """Raises `StorageError`: it has all of its bytes."""
        raise StorageError(_ENDED)

    def open(self) -> BinaryIO:
        """Read it from its start; raises `StorageError`."""
        self._require()
        return io.BufferedReader(self._source.again(), _BUFFER)

    def commit(self, key: BlobKey) -> None:
        """Copy it to its object's name; returns when the store has all of it.

        Idempotent, for the same key and after an error.  Raises `BlobMissingError` where somebody
        deleted what is to be copied, `StorageError`.
        """
        name = self._name_of(key)
        if name in self._names:
            return
        self._require()
        if self._object.size <= _AT_ONCE:
            self._bucket.copy(self._source.name, name)
        else:
            self._copy_parts(name)
        self._verify(name)
        self._names.add(name)

    def abort(self) -> None:
        """Forget it; what was committed stays, and so does the object that it came from."""
        self._over = True

    def _require(self) -> None:
        if self._over:
            raise StorageError(_ENDED)

    def _verify(self, name: str) -> None:
        """Ask for both: nobody but the server can write there, and it sees that nobody has."""
        source, copied = self._bucket.find(self._source.name), self._bucket.find(name)
        if source is None:
            raise BlobMissingError
        if source != self._object or copied is None or copied.size != source.size:
            raise StorageError(_OTHER)

    def _copy_parts(self, name: str) -> None:
        size = self._object.size
        step = max(_AT_ONCE, -(-size // MOST_PARTS))
        cuts = [slice(start, min(start + step, size)) for start in range(0, size, step)]
        upload = self._bucket.begin(name)

        def copy(numbered: tuple[int, slice]) -> SentPart:
            number, cut = numbered
            tag = self._bucket.copy_part(upload, number, self._source.name, cut)
            return SentPart(tag, {})

        pool = ThreadPoolExecutor(min(self._settings.parallel_parts, len(cuts)))
        try:
            self._bucket.complete(upload, list(pool.map(copy, enumerate(cuts, 1))))
        except BaseException:
            with contextlib.suppress(StorageError):  # a sweep takes what stays
                self._bucket.abort(upload)
            raise
        finally:
            # After an error those that nobody has begun are not sent.
            pool.shutdown(cancel_futures=True)
