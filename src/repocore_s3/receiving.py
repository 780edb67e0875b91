"""Bodies that clients send to the store themselves, in parts, by signed URLs.

Everything that is known of an upload stands in the name of its object, below ``uploads/``: whose
it is, the digest that was announced, its size, the size of its parts, and 128 bits that nobody
guesses.  So any server of a fleet goes on with it, and a client that was cut off finds it again.

All are uploads in parts, also those of one.  There is no object until the server makes one of the
parts; from then on no URL works any more, so nobody changes what the server reads.
"""

from __future__ import annotations

import contextlib
import io
import math
import re
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import BinaryIO, Final, Self, cast

import attrs

from repocore.errors import BlobMissingError, MissingError, RejectedError, TruncatedError
from repocore.ports import DirectPart, DirectUpload, Received
from repocore_s3.bucket import Bucket, HeldPart, SentPart, Upload, UploadGoneError
from repocore_s3.reading import ObjectReader
from repocore_s3.settings import S3Settings
from repocore_s3.spool import MOST_PARTS

__all__ = ["UPLOADS", "Receiving"]

#: Here, too, storages of other kinds kept bodies, before somebody moved them into a bucket.
UPLOADS: Final = "uploads/"

#: Parts that are signed at once: an answer is not to be megabytes for a file of terabytes.
_AT_ONCE: Final = 64
#: The longest that a signed URL can work.
_LONGEST: Final = timedelta(days=7)
_BUFFER: Final = 1 << 17
_TRIES: Final = 2
_ID: Final = re.compile(
    r"([0-9a-f]{64})-([1-9a-f][0-9a-f]{0,15})-([1-9a-f][0-9a-f]{0,15})-[0-9a-f]{32}\Z"
)
_OWNER: Final = re.compile(r"[0-9a-f]{32,64}\Z")
_UNKNOWN: Final = "There is no such upload: it was completed or swept, or is not yours; begin anew."


@attrs.frozen
class _Plan:
    """What the id of an upload says of it."""

    digest: str
    size: int
    part_size: int

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """That of an id; None for what is none."""
        found = _ID.match(text)
        if found is None:
            return None
        return cls(found[1], int(found[2], 16), int(found[3], 16))

    @property
    def known(self) -> str:
        """How ids of the same body begin."""
        return f"{self.digest}-{self.size:x}-"

    def new_id(self) -> str:
        """An id that nobody has."""
        return f"{self.known}{self.part_size:x}-{secrets.token_hex(16)}"

    def cuts(self) -> Iterator[tuple[int, slice]]:
        """Number and bytes of each part, all of one size but for the last."""
        for number, start in enumerate(range(0, self.size, self.part_size), 1):
            yield number, slice(start, min(start + self.part_size, self.size))


class Receiving:
    """The uploads below ``uploads/``; each owner has a folder of their own."""

    def __init__(self, bucket: Bucket, settings: S3Settings) -> None:
        self._bucket = bucket
        self._settings = settings

    def begin(self, owner: str, digest: str, size: int) -> DirectUpload:
        """See `ReceivingStorage.begin`."""
        if size < 1:
            raise RejectedError("There is nothing in it that could be sent directly.")
        wanted = _Plan(digest, size, max(self._settings.part_size, -(-size // MOST_PARTS)))
        folder = _folder(owner)
        for _ in range(_TRIES):
            for listed in self._bucket.list(f"{folder}{wanted.known}"):
                return self._signed(Upload(listed.name, ""), [])
            upload = self._unfinished(folder, wanted) or self._bucket.begin(
                f"{folder}{wanted.new_id()}", plain=True
            )
            plan = _Plan.parse(upload.name.removeprefix(folder)) or wanted
            # It may have been completed or swept since it was listed.
            with contextlib.suppress(UploadGoneError):
                return self._signed(upload, _lacking(plan, list(self._bucket.parts(upload))))
        raise MissingError(_UNKNOWN)

    def _unfinished(self, folder: str, wanted: _Plan) -> Upload | None:
        """The owner's upload of the same body; raises `RejectedError` for too many of others."""
        for upload in self._bucket.uploads(f"{folder}{wanted.known}"):
            return upload
        most = self._settings.direct_unfinished
        if len(list(islice(self._bucket.uploads(folder), most))) == most:
            message = f"You are sending {most} files already; let them finish first."
            raise RejectedError(message)
        return None

    def _signed(self, upload: Upload, lacking: list[tuple[int, slice]]) -> DirectUpload:
        lifetime = min(self._settings.direct_lifetime, _LONGEST)
        seconds = math.ceil(lifetime.total_seconds())
        expires = datetime.now(UTC) + timedelta(seconds=seconds)
        parts = tuple(
            DirectPart(
                start=cut.start,
                stop=cut.stop,
                method="PUT",
                url=self._bucket.part_url(upload, number, cut.stop - cut.start, seconds),
                headers={"Content-Length": str(cut.stop - cut.start)},
            )
            for number, cut in lacking
        )
        return DirectUpload(id=upload.name.rpartition("/")[2], expires=expires, parts=parts)

    def receive(self, owner: str, upload: str) -> Received:
        """See `ReceivingStorage.receive`."""
        plan = _Plan.parse(upload)
        if plan is None:
            raise MissingError(_UNKNOWN)
        name = f"{_folder(owner)}{upload}"
        if self._bucket.find(name) is None:
            self._complete(name, plan)
        try:
            opened = self._bucket.open(name)
        except BlobMissingError as error:  # another request was faster, and is through
            raise MissingError(_UNKNOWN) from error
        if opened is None or opened.size != plan.size:
            raise TruncatedError
        reader = ObjectReader(
            self._bucket, name, opened, retries=self._settings.retries, digest=None
        )
        content = cast("BinaryIO", io.BufferedReader(reader, _BUFFER))
        return Received(content, plan.size, plan.digest)

    def _complete(self, name: str, plan: _Plan) -> None:
        """Make the object of its parts; whoever finds it made meanwhile goes on, too."""
        upload = self._find(name)
        if upload is None:
            return
        try:
            held = list(self._bucket.parts(upload))
            lacking = _lacking(plan, held, most=plan.size)
            if lacking:
                missing = sum(cut.stop - cut.start for _, cut in lacking)
                message = (
                    f"{missing} of {plan.size} bytes have not arrived; send these parts again."
                )
                raise TruncatedError(message)
            count = -(-plan.size // plan.part_size)
            tags = {part.number: part.tag for part in held}
            self._bucket.complete(upload, [SentPart(tags[n + 1], {}) for n in range(count)])
        except UploadGoneError:
            return

    def forget(self, owner: str, upload: str) -> bool:
        """See `ReceivingStorage.forget`."""
        if _Plan.parse(upload) is None:
            return False
        name = f"{_folder(owner)}{upload}"
        begun = self._find(name)
        there = begun is not None and self._bucket.abort(begun)
        if self._bucket.find(name) is not None:
            self._bucket.delete(name)
            there = True
        return there

    def _find(self, name: str) -> Upload | None:
        return next((one for one in self._bucket.uploads(name) if one.name == name), None)


def _folder(owner: str) -> str:
    if not _OWNER.match(owner):
        raise ValueError("An owner is named by a digest.")
    return f"{UPLOADS}{owner}/"


def _lacking(plan: _Plan, held: list[HeldPart], *, most: int = _AT_ONCE) -> list[tuple[int, slice]]:
    """The first parts that have not come, or with another size: the last that is sent counts."""
    sizes = {part.number: part.size for part in held}
    missing = (
        (number, cut) for number, cut in plan.cuts() if sizes.get(number) != cut.stop - cut.start
    )
    return list(islice(missing, most))
