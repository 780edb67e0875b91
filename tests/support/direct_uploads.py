"""Direct uploads, as a client does them; and a storage in memory that takes them."""

from __future__ import annotations

import hashlib
import http.client
import io
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import attrs

from repocore.errors import BlobMissingError, MissingError, StorageError, TruncatedError
from repocore.ports import BlobWriter, DirectPart, DirectUpload, Received
from repocore.testing.fakes import MemoryStorage

ANN, BOB = "a" * 32, "b" * 32


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def send(part: DirectPart, content: bytes, **headers: str) -> int:
    """Send a part as any client does; the status."""
    parts = urlsplit(part.url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    try:
        fields = {**part.headers, **headers}
        connection.request(part.method, f"{parts.path}?{parts.query}", content, fields)
        return connection.getresponse().status
    finally:
        connection.close()


def send_all(storage: Any, content: bytes, owner: str = ANN, *, digest: str | None = None) -> str:
    """Begin, and send all parts that are asked for, until none is; the id."""
    while True:
        upload = storage.begin(owner, digest or digest_of(content), len(content))
        for part in upload.parts:
            assert send(part, content[part.start : part.stop]) == 200
        if not upload.parts:
            return upload.id


@attrs.define
class Arriving:
    """A body in the memory of a storage."""

    owner: str
    digest: str
    size: int
    content: bytes | None = None


class Opened(io.BytesIO):
    """What arrived, opened; it knows its upload."""

    upload: str = ""


class TakenOver:
    """The writer of what arrived, as `LinkingStorage.link` makes it."""

    def __init__(self, storage: ReceivingMemory, upload: str) -> None:
        self._storage = storage
        self._upload = upload

    def write(self, chunk: bytes, /) -> None:
        raise StorageError

    def _content(self) -> bytes:
        found = self._storage.arriving.get(self._upload)
        if found is None or found.content is None:
            raise BlobMissingError
        return found.content

    def open(self) -> BinaryIO:
        return io.BytesIO(self._content())

    def commit(self, key: Any) -> None:
        self._storage.objects[key] = self._content()
        self._storage.linked += 1

    def abort(self) -> None:
        """What arrived stays."""


class ReceivingMemory(MemoryStorage):
    """A storage in memory whose clients are the tests: they call `arrive`."""

    def __init__(self, smallest: int | None = 3) -> None:
        super().__init__()
        self.smallest = smallest
        self.arriving: dict[str, Arriving] = {}
        self.linked = 0
        self.failing = False

    def arrive(self, upload: str, content: bytes) -> None:
        self.arriving[upload].content = content

    def link(self, source: BinaryIO, /) -> BlobWriter | None:
        return TakenOver(self, source.upload) if isinstance(source, Opened) else None

    def receives(self) -> int | None:
        return self.smallest

    def begin(self, owner: str, digest: str, size: int) -> DirectUpload:
        wanted = Arriving(owner, digest, size)
        for name, one in self.arriving.items():
            if attrs.evolve(one, content=None) == wanted:
                return self._told(name, [] if one.content else [slice(0, size)])
        name = f"{digest[:8]}-{len(self.arriving)}"
        self.arriving[name] = wanted
        return self._told(name, [slice(0, size)])

    def _told(self, name: str, cuts: list[slice]) -> DirectUpload:
        parts = tuple(
            DirectPart(
                start=cut.start,
                stop=cut.stop,
                method="PUT",
                url=f"https://store.example/{name}?signature=high-water",
                headers={"Content-Length": str(cut.stop)},
            )
            for cut in cuts
        )
        expires = datetime.now(UTC) + timedelta(hours=1)
        return DirectUpload(id=name, expires=expires, parts=parts)

    def receive(self, owner: str, upload: str) -> Received:
        found = self.arriving.get(upload)
        if found is None or found.owner != owner:
            raise MissingError("There is no such upload.")
        if found.content is None:
            raise TruncatedError
        opened = Opened(found.content)
        opened.upload = upload
        return Received(opened, found.size, found.digest)

    def forget(self, owner: str, upload: str) -> bool:
        if self.failing:
            raise StorageError
        found = self.arriving.get(upload)
        if found is None or found.owner != owner:
            return False
        del self.arriving[upload]
        return True
