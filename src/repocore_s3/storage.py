"""Objects in a bucket."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import BinaryIO, Final
from urllib.parse import quote

from repocore.errors import BlobMissingError
from repocore.model import BlobKey
from repocore.ports import BlobWriter, DirectUpload, Received
from repocore_s3.bucket import Bucket
from repocore_s3.clients import Clients
from repocore_s3.linking import LinkedWriter
from repocore_s3.probing import PROBES, Capabilities, probe, probe_uploads
from repocore_s3.reading import ObjectReader
from repocore_s3.receiving import UPLOADS, Receiving
from repocore_s3.refusals import explained
from repocore_s3.settings import Place, S3Settings
from repocore_s3.writing import S3Writer

__all__ = ["S3Storage", "open_storage"]

_OBJECTS: Final = "sha256/"
_BUFFER: Final = 1 << 17
#: The longest that a signed URL can work.
_LONGEST: Final = timedelta(days=7)


def open_storage(place: Place, settings: S3Settings, *, writable: bool = True) -> S3Storage:
    """Open a storage, and see that the store works unless the settings say not to.

    Raises `ConfigurationError` or `StorageError`, each with what is to be done.
    """
    clients = Clients(settings)
    with explained("opening"):
        clients.inner()
    bucket = Bucket(clients, place, settings)
    found = probe(bucket, writable=writable) if settings.probe else Capabilities()
    if settings.probe and settings.direct_uploads and writable:
        probe_uploads(bucket)
    return S3Storage(bucket, settings, found)


class S3Storage:
    """Objects in a bucket, each under a name that is written once.

    The store shows an object when it is whole, and has stored it durably when it answers.  For
    any number of threads and processes, before and after a fork.
    """

    def __init__(
        self, bucket: Bucket, settings: S3Settings, capabilities: Capabilities | None = None
    ) -> None:
        self._bucket = bucket
        self._settings = settings
        #: What the store can do, as far as it was looked at.
        self.capabilities = capabilities or Capabilities()
        self._receiving = Receiving(bucket, settings)

    def writer(self, length: int | None = None) -> S3Writer:
        """Start a body; raises `StorageFullError`, at once where the spool has no space for it,
        or `StorageError`.
        """
        return S3Writer(
            self._bucket,
            self._settings,
            _name,
            length=length,
            tags_are_md5=self.capabilities.md5_tags,
        )

    def link(self, source: BinaryIO, /) -> BlobWriter | None:
        """A writer of what `receive` has opened, which the store copies; None for other files."""
        return LinkedWriter.of(source, self._bucket, self._settings, _name)

    def receives(self) -> int | None:
        """What the settings say."""
        return self._settings.direct_smallest if self._settings.direct_uploads else None

    def begin(self, owner: str, digest: str, size: int) -> DirectUpload:
        """Begin an upload in parts, or go on with one; see `Receiving.begin`."""
        return self._receiving.begin(owner, digest, size)

    def receive(self, owner: str, upload: str) -> Received:
        """Make an object of the parts, and open it; see `Receiving.receive`."""
        return self._receiving.receive(owner, upload)

    def forget(self, owner: str, upload: str) -> bool:
        """Abort the upload, delete the object; see `Receiving.forget`."""
        return self._receiving.forget(owner, upload)

    def open(self, key: BlobKey, start: int = 0, stop: int | None = None) -> BinaryIO:
        """Read an object; raises `BlobMissingError` at once, or `StorageError`.

        What is read whole, from its start to its end, is compared with the key's digest.
        """
        name = _name(key)
        if stop is not None and stop <= start:
            if self._bucket.find(name) is None:
                raise BlobMissingError
            return io.BytesIO()
        opened = self._bucket.open(name, start, stop)
        if opened is None:
            return io.BytesIO()
        digest = key.digest if self._settings.verify else None
        reader = ObjectReader(
            self._bucket, name, opened, retries=self._settings.retries, digest=digest
        )
        return io.BufferedReader(reader, _BUFFER)

    def size(self, key: BlobKey) -> int | None:
        """The object's bytes, or None."""
        found = self._bucket.find(_name(key))
        return None if found is None else found.size

    def delete(self, key: BlobKey) -> None:
        """Delete the object; idempotent."""
        self._bucket.delete(_name(key))

    def keys(self) -> Iterator[BlobKey]:
        """Every object, page by page."""
        for listed in self._bucket.list(_OBJECTS):
            key = BlobKey.parse(listed.name.rpartition("/")[2])
            if key is not None and listed.name == _name(key):
                yield key

    def sweep(self, older_than: timedelta) -> int:
        """Abort uploads in parts that began so long ago, by the store's clock, and delete what
        else unfinished work has left; returns how many.
        """
        latest = datetime.now(UTC) - older_than
        count = 0
        for below in (_OBJECTS, UPLOADS, PROBES):
            uploads = [one for one in self._bucket.uploads(below) if one.at and one.at <= latest]
            count += sum(self._bucket.abort(one) for one in uploads)
        for below in (UPLOADS, PROBES):
            left = [one.name for one in self._bucket.list(below) if one.at <= latest]
            for name in left:
                self._bucket.delete(name)
            count += len(left)
        return count

    def location(self, key: BlobKey) -> str | None:
        """None: no front server sees these objects."""
        return None

    def url(
        self, key: BlobKey, *, filename: str, media_type: str, expires: timedelta
    ) -> str | None:
        """A signed URL where the settings want one: it works for GET, until then or until the
        credentials expire that signed it.
        """
        if not self._settings.redirect:
            return None
        return self._bucket.url(
            _name(key),
            math.ceil(min(expires, _LONGEST).total_seconds()),
            ResponseContentDisposition=_disposition(filename),
            ResponseContentType=media_type,
        )


def _name(key: BlobKey) -> str:
    name = str(key)
    if BlobKey.parse(name) is None:
        raise ValueError("A blob's key is 64 and 16 hexadecimal digits.")
    return f"{_OBJECTS}{name[:2]}/{name}"


def _disposition(name: str) -> str:
    """RFC 6266: a plain name for old clients, and the real one, encoded as RFC 8187 has it."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._+- ") else "_" for c in name)
    if plain == name:
        return f'attachment; filename="{name}"'
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
