"""See at start that the store does what is asked of it, and what else it can do."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import secrets
import time
from collections.abc import Callable
from typing import Final

import attrs

from repocore.errors import BlobMissingError, ConfigurationError, StorageError, StorageFullError
from repocore_s3.bucket import Bucket
from repocore_s3.refusals import explained, status_of

__all__ = ["PROBES", "Capabilities", "probe", "probe_uploads"]

_log = logging.getLogger(__name__)

#: Below this our probes lie; who dies in between leaves one, which a sweep takes.
PROBES: Final = "probe/"

_CONTENT: Final = b"tide and harbour"
_WRONG_MD5: Final = hashlib.md5(b"ebb", usedforsecurity=False).digest()
_WRONG_SHA256: Final = {"ChecksumSHA256": "A" * 43 + "="}
#: What a body with another checksum is refused with.
_SPOILT: Final = frozenset({400, 422})
_FORBIDDEN: Final = 403
_PRECONDITION_FAILED: Final = 412
_NO_ANSWER: Final = -1


@attrs.frozen(kw_only=True)
class Capabilities:
    """What a store can do beyond what we need of it; nothing is known without a probe."""

    #: Whether it calls the content of an object by its MD5.
    md5_tags: bool = False
    #: Whether it refuses a body with another MD5 than was announced.
    content_md5: bool = False
    #: The same for the checksums of the newer kind.
    checksums: bool = False
    #: Whether it writes an object only if there is none of that name.
    conditional_create: bool = False
    #: Whether it deletes many objects by one request.
    bulk_delete: bool = False

    @property
    def lacking(self) -> tuple[str, ...]:
        """What it does not do, in words."""
        words = {
            "MD5 as ETag": self.md5_tags,
            "checking of Content-MD5": self.content_md5,
            "checking of x-amz-checksum": self.checksums,
            "conditional create": self.conditional_create,
            "bulk delete": self.bulk_delete,
        }
        return tuple(word for word, there in words.items() if not there)


def probe(bucket: Bucket, *, writable: bool) -> Capabilities:
    """Write, read, list and delete a small object; without ``writable`` only read and list.

    Raises `ConfigurationError` with what is to be done where the store refuses one of these or
    does something else, `StorageError` where it does not answer.  Of a full one nothing is known.
    """
    names = [f"{PROBES}{int(time.time())}-{secrets.token_hex(16)}" for _ in range(2)]
    with explained("reading"):
        _require(_is_missing(bucket, names[0]), "reading finds an object that is not there")
    if not writable:
        with explained("listing"):
            next(iter(bucket.list(names[0])), None)
        return Capabilities()
    try:
        capabilities = _probe_writing(bucket, *names)
    except StorageFullError:
        # There is reading, and deleting what makes room.
        _log.warning("the object store is full; `repocore gc` may make room")
        return Capabilities()
    finally:
        for name in names:
            with contextlib.suppress(StorageError):
                bucket.delete(name)
    if capabilities.lacking:
        _log.info("the object store lacks: %s", ", ".join(capabilities.lacking))
    return capabilities


def probe_uploads(bucket: Bucket) -> None:
    """Begin an upload in parts as of a client, list its parts, and abort it.

    Raises as `probe` does.
    """
    with explained("beginning an upload"):
        upload = bucket.begin(f"{PROBES}{int(time.time())}-{secrets.token_hex(16)}", plain=True)
    try:
        list(bucket.parts(upload))
    except StorageError as error:
        if error.__cause__ is not None and status_of(error.__cause__) == _FORBIDDEN:
            message = (
                "plugins.s3: direct_uploads: the credentials may not list the parts of an upload; "
                "grant ListMultipartUploadParts"
            )
            raise ConfigurationError(problems=(message,)) from error
        raise
    finally:
        with contextlib.suppress(StorageError):
            bucket.abort(upload)


def _probe_writing(bucket: Bucket, first: str, second: str) -> Capabilities:
    md5 = hashlib.md5(_CONTENT, usedforsecurity=False)
    with explained("writing"):
        tag = bucket.put(first, _CONTENT, md5.digest())
    with explained("reading"):
        opened = bucket.open(first, 5, 8)
        _require(opened is not None and opened.body.read() == _CONTENT[5:8], "reading gives others")
    with explained("listing"):
        listed = [one.name for one in bucket.list(first)]
        _require(listed == [first], "listing does not give what was written")
    capabilities = Capabilities(
        md5_tags=tag == md5.hexdigest(),
        content_md5=_answer(lambda: bucket.put(second, _CONTENT, _WRONG_MD5)) in _SPOILT,
        checksums=_answer(lambda: bucket.put(second, _CONTENT, b"", **_WRONG_SHA256)) in _SPOILT,
        conditional_create=_answer(lambda: bucket.put(first, b"ebb", b"", IfNoneMatch="*"))
        == _PRECONDITION_FAILED,
        bulk_delete=_answer(lambda: bucket.delete_together([second])) == 0,
    )
    with explained("deleting"):
        bucket.delete(first)
        _require(_is_missing(bucket, first), "deleting leaves what was deleted")
    return capabilities


def _answer(request: Callable[[], object]) -> int:
    """The status that a request is refused with; 0 where it is not."""
    try:
        request()
    except StorageError as error:
        return (status_of(error.__cause__) if error.__cause__ else 0) or _NO_ANSWER
    return 0


def _is_missing(bucket: Bucket, name: str) -> bool:
    try:
        bucket.open(name)
    except BlobMissingError:
        return True
    return False


def _require(fact: bool, sentence: str) -> None:  # noqa: FBT001 - what must be true
    if not fact:
        message = f"plugins.s3: {sentence}; is `endpoint` that of a store like S3?"
        raise ConfigurationError(problems=(message,))
