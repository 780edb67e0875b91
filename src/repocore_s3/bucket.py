"""The few requests of S3 that are made of one bucket, typed, with the house's errors.

Names are those below the storage's prefix; ``b""`` of an MD5 says that there is none.  Each method
raises `StorageFullError` or `StorageError`, beside what it says.
"""

from __future__ import annotations

import base64
import contextlib
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, BinaryIO, Final

import attrs
from botocore.exceptions import ClientError

from repocore.errors import BlobMissingError, StorageError
from repocore_s3.clients import Clients
from repocore_s3.refusals import code_of, status_of, told_as_storage_errors
from repocore_s3.settings import Place, S3Settings

__all__ = [
    "Bucket",
    "Found",
    "HeldPart",
    "Listed",
    "Opened",
    "SentPart",
    "Upload",
    "UploadGoneError",
]

_MISSING: Final = frozenset({"404", "NoSuchKey", "NotFound"})
_RANGE: Final = re.compile(r"bytes (\d+)-(\d+)/(\d+)\Z")
_NOT_FOUND: Final = 404
_UNSATISFIABLE: Final = 416

Answer = dict[str, Any]


@attrs.frozen
class Found:
    """An object that is there: its bytes, and what the store calls its content."""

    size: int
    tag: str


@attrs.frozen
class Opened:
    """A part of an object on its way: ``body`` has the bytes from ``start`` to ``stop``.

    ``size`` is that of the whole object.
    """

    body: Any
    start: int
    stop: int
    size: int
    tag: str


@attrs.frozen
class Listed:
    """One name of a listing, and when the store says that it was written."""

    name: str
    at: datetime


@attrs.frozen
class Upload:
    """An upload in parts that nobody has completed: where to, which, and since when."""

    name: str
    id: str
    at: datetime | None = None


@attrs.frozen
class SentPart:
    """A part that the store has: its tag, and the checksums that it wants to be told again."""

    tag: str
    checksums: Mapping[str, str]


@attrs.frozen
class HeldPart:
    """A part that somebody has sent: its number, its bytes, and the tag that it has."""

    number: int
    size: int
    tag: str


class UploadGoneError(StorageError):
    """The store does not know the upload: it was completed, aborted or swept."""


class Bucket:
    """A bucket, below a prefix."""

    def __init__(
        self, clients: Clients, place: Place, settings: S3Settings, *, page: int = 1000
    ) -> None:
        self._clients = clients
        self._place = place
        self._page = page
        self._written = {
            name: value
            for name, value in (
                ("StorageClass", settings.storage_class),
                ("ServerSideEncryption", settings.encryption),
                ("SSEKMSKeyId", settings.kms_key),
            )
            if value is not None
        }

    # ------------------------------------------------------------------------------- objects

    def find(self, name: str) -> Found | None:
        """The object, or None; a bucket that is gone is an error."""
        with told_as_storage_errors():
            try:
                answer = self._call("head_object", name)
            except ClientError as error:
                if status_of(error) != _NOT_FOUND:
                    raise
                # An answer without a body: it may also say that there is no bucket.
                self._clients.inner().head_bucket(Bucket=self._place.bucket)
                return None
            return Found(int(answer["ContentLength"]), _tag(answer))

    def open(self, name: str, start: int = 0, stop: int | None = None) -> Opened | None:
        """Begin to read; None where the object has no byte at ``start``.

        Raises `BlobMissingError`.
        """
        ranged = bool(start) or stop is not None
        wanted = {"Range": f"bytes={start}-{'' if stop is None else stop - 1}"} if ranged else {}
        with told_as_storage_errors():
            try:
                answer = self._call("get_object", name, **wanted)
            except ClientError as error:
                if code_of(error) in _MISSING:
                    raise BlobMissingError from error
                if status_of(error) == _UNSATISFIABLE:
                    return None
                raise
            return _opened(answer, start) if ranged else _opened_whole(answer)

    def put(self, name: str, body: BinaryIO | bytes, md5: bytes, **more: Any) -> str:
        """Write an object by one request; the tag that it has."""
        with told_as_storage_errors():
            answer = self._call(
                "put_object", name, Body=body, **_content_md5(md5), **self._written, **more
            )
            return _tag(answer)

    def delete(self, name: str) -> None:
        """Delete the object; idempotent."""
        with told_as_storage_errors():
            try:
                self._call("delete_object", name)
            except ClientError as error:
                # S3 says that it is gone, others that it was not there.
                if code_of(error) not in _MISSING:
                    raise

    def delete_together(self, names: Sequence[str]) -> None:
        """Delete objects by one request, which not every store takes."""
        objects = [{"Key": self._key(name)} for name in names]
        with told_as_storage_errors():
            answer = self._clients.inner().delete_objects(
                Bucket=self._place.bucket, Delete={"Objects": objects, "Quiet": True}
            )
        if answer.get("Errors"):
            raise StorageError

    def list(self, below: str) -> Iterator[Listed]:
        """Every object whose name begins so."""
        for page in self._pages("list_objects_v2", Prefix=self._key(below)):
            for entry in page.get("Contents", ()):
                yield Listed(self._name(entry["Key"]), entry["LastModified"])

    def url(self, name: str, seconds: int, **answered: str) -> str:
        """A URL that reads the object for so long, with these fields in the answer."""
        with told_as_storage_errors():
            return self._clients.outer().generate_presigned_url(
                "get_object",
                Params={"Bucket": self._place.bucket, "Key": self._key(name), **answered},
                ExpiresIn=seconds,
            )

    def copy(self, source: str, name: str) -> None:
        """Write an object of the bytes of another; up to 5 GiB.

        Raises `BlobMissingError` where the other is gone.
        """
        with told_as_storage_errors(), _told_when_missing():
            self._call("copy_object", name, **self._source(source), **self._written)

    # ------------------------------------------------------------------------ uploads in parts

    def begin(self, name: str, *, plain: bool = False) -> Upload:
        """Begin an upload in parts; a ``plain`` one is for parts that others send."""
        client = self._clients.plain() if plain else self._clients.inner()
        with told_as_storage_errors():
            answer = client.create_multipart_upload(
                Bucket=self._place.bucket, Key=self._key(name), **self._written
            )
            return Upload(name, answer["UploadId"])

    def part_url(self, upload: Upload, number: int, size: int, seconds: int) -> str:
        """A URL that takes a part of exactly so many bytes, for so long."""
        with told_as_storage_errors():
            return self._clients.outer().generate_presigned_url(
                "upload_part",
                Params={
                    "Bucket": self._place.bucket,
                    "Key": self._key(upload.name),
                    "UploadId": upload.id,
                    "PartNumber": number,
                    "ContentLength": size,
                },
                ExpiresIn=seconds,
            )

    def parts(self, upload: Upload) -> Iterator[HeldPart]:
        """The parts that have come, by number; raises `UploadGoneError`."""
        words = {"Key": self._key(upload.name), "UploadId": upload.id}
        for page in self._pages("list_parts", _told_when_gone, **words):
            for entry in page.get("Parts", ()):
                yield HeldPart(int(entry["PartNumber"]), int(entry["Size"]), _tag(entry))

    def copy_part(self, upload: Upload, number: int, source: str, cut: slice) -> str:
        """Send bytes of another object as a part; the part's tag.

        Raises `BlobMissingError` where the other is gone.
        """
        with told_as_storage_errors(), _told_when_missing():
            answer = self._call(
                "upload_part_copy",
                upload.name,
                UploadId=upload.id,
                PartNumber=number,
                CopySourceRange=f"bytes={cut.start}-{cut.stop - 1}",
                **self._source(source),
            )
            return _tag(answer["CopyPartResult"])

    def send(self, upload: Upload, number: int, body: BinaryIO, md5: bytes) -> SentPart:
        """Send the part of that number, from 1; raises `UploadGoneError`."""
        with told_as_storage_errors(), _told_when_gone():
            answer = self._call(
                "upload_part",
                upload.name,
                UploadId=upload.id,
                PartNumber=number,
                Body=body,
                **_content_md5(md5),
            )
            return SentPart(_tag(answer), _checksums(answer))

    def complete(self, upload: Upload, parts: Sequence[SentPart]) -> str:
        """Make the object of its parts, at once; its tag.  Raises `UploadGoneError`."""
        listed = [
            {"PartNumber": number, "ETag": f'"{part.tag}"', **part.checksums}
            for number, part in enumerate(parts, 1)
        ]
        with told_as_storage_errors(), _told_when_gone():
            answer = self._call(
                "complete_multipart_upload",
                upload.name,
                UploadId=upload.id,
                MultipartUpload={"Parts": listed},
            )
            return _tag(answer)

    def abort(self, upload: Upload) -> bool:
        """Forget the upload and its parts; whether it was there."""
        try:
            with told_as_storage_errors(), _told_when_gone():
                self._call("abort_multipart_upload", upload.name, UploadId=upload.id)
        except UploadGoneError:
            return False
        return True

    def uploads(self, below: str) -> Iterator[Upload]:
        """Every upload in parts that was begun and not ended."""
        for page in self._pages("list_multipart_uploads", Prefix=self._key(below)):
            for entry in page.get("Uploads", ()):
                yield Upload(self._name(entry["Key"]), entry["UploadId"], entry["Initiated"])

    # ------------------------------------------------------------------------------- requests

    def _call(self, operation: str, name: str, **more: Any) -> Answer:
        call = getattr(self._clients.inner(), operation)
        return call(Bucket=self._place.bucket, Key=self._key(name), **more)

    def _source(self, name: str) -> dict[str, Any]:
        """What a copy is made of.

        It has no condition: stores differ in what they compare with the tag of an object that was
        sent in parts.  Whoever copies asks for the tag afterwards.
        """
        return {"CopySource": {"Bucket": self._place.bucket, "Key": self._key(name)}}

    def _pages(
        self,
        operation: str,
        told: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
        **words: str,
    ) -> Iterator[Answer]:
        paginator = self._clients.inner().get_paginator(operation)
        pages = iter(
            paginator.paginate(
                Bucket=self._place.bucket,
                **words,
                PaginationConfig={"PageSize": self._page},
            )
        )
        while True:
            with told_as_storage_errors(), told():
                page = next(pages, None)
            if page is None:
                return
            yield page

    def _key(self, name: str) -> str:
        return f"{self._place.prefix}{name}"

    def _name(self, key: str) -> str:
        return key.removeprefix(self._place.prefix)


def _opened_whole(answer: Answer) -> Opened:
    size = int(answer["ContentLength"])
    return Opened(answer["Body"], 0, size, size, _tag(answer))


def _opened(answer: Answer, start: int) -> Opened:
    told = _RANGE.match(str(answer.get("ContentRange", "")))
    if told is None or int(told[1]) != start:
        answer["Body"].close()
        message = "The object store does not send the part of an object that it is asked for."
        raise StorageError(message)
    return Opened(answer["Body"], start, int(told[2]) + 1, int(told[3]), _tag(answer))


def _tag(answer: Answer) -> str:
    return str(answer.get("ETag", "")).strip('"')


def _content_md5(md5: bytes) -> dict[str, str]:
    return {"ContentMD5": base64.b64encode(md5).decode()} if md5 else {}


def _checksums(answer: Answer) -> dict[str, str]:
    return {
        name: value
        for name, value in answer.items()
        if name.startswith("Checksum") and name != "ChecksumType"
    }


@contextlib.contextmanager
def _told_when_gone() -> Generator[None]:
    try:
        yield
    except ClientError as error:
        if code_of(error) == "NoSuchUpload" or status_of(error) == _NOT_FOUND:
            raise UploadGoneError from error
        raise


@contextlib.contextmanager
def _told_when_missing() -> Generator[None]:
    try:
        yield
    except ClientError as error:
        if code_of(error) in _MISSING:
            raise BlobMissingError from error
        raise
