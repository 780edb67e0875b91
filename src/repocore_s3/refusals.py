"""What a store says no with, in the house's errors and in words for who runs the server."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Generator
from typing import Any, Final, cast

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError as NoConnectionError,
    HTTPClientError,
    NoCredentialsError,
    ProfileNotFound,
    SSLError,
)

from repocore.errors import ConfigurationError, RepocoreError, StorageError, StorageFullError

__all__ = ["code_of", "explained", "status_of", "told_as_storage_errors"]

_OWN_FAILURE: Final = 500
_BUSY_STATUS: Final = 503
_BUSY: Final = frozenset({"SlowDown", "ServiceUnavailable", "Throttling", "RequestLimitExceeded"})
# 507 is WebDAV's Insufficient Storage, and 413 what a quota of Swift answers: no part that we send
# is larger than S3 allows.
_FULL_STATUS: Final = frozenset({413, 507})
_FULL: Final = frozenset(
    {"QuotaExceeded", "StorageFull", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded"}
)
_WORD: Final = re.compile(r"[A-Za-z0-9.]{1,64}\Z")

_BUSY_SENTENCE: Final = "The object store has too much to do; try again later."
_FAILING: Final = "The object store failed; try again later."
_SILENT: Final = "The object store does not answer; try again later."


def code_of(error: BaseException) -> str:
    """The code of what a store answered, ``NoSuchKey``; empty for what is no answer of one."""
    return str(_answer(error).get("Error", {}).get("Code", ""))


def status_of(error: BaseException) -> int:
    """The status of what a store answered; 0 for what is no answer of one."""
    return int(_answer(error).get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _answer(error: BaseException) -> dict[str, Any]:
    if not isinstance(error, ClientError):
        return {}
    return cast("Any", error).response


@contextlib.contextmanager
def told_as_storage_errors() -> Generator[None]:
    """Raise what botocore raises in the block as `StorageFullError` or `StorageError`.

    The sentence has the code of the answer, and no address; the cause is chained.
    """
    try:
        yield
    except RepocoreError:
        raise
    except (BotoCoreError, ClientError, OSError) as error:
        raise _storage_error(error) from error


def _storage_error(error: BaseException) -> StorageError:
    code, status = code_of(error), status_of(error)
    if code in _FULL or status in _FULL_STATUS:
        return StorageFullError()
    if code in _BUSY or status == _BUSY_STATUS:
        return StorageError(_BUSY_SENTENCE)
    if status >= _OWN_FAILURE:
        return StorageError(_FAILING)
    if _WORD.match(code):
        return StorageError(f"The object store refused it ({code}); try again later.")
    if isinstance(error, HTTPClientError | NoConnectionError):
        return StorageError(_SILENT)
    return StorageError()


# ---------------------------------------------------------------------------------- at the start

_ELSEWHERE: Final = "the bucket is in another region; set `region`"
_BY_CODE: Final = {
    "NoSuchBucket": "there is no such bucket; make it, or correct `storage`",
    "InvalidBucketName": "the store does not take the bucket's name; correct `storage`",
    "InvalidAccessKeyId": "the store does not know the access key; correct the credentials",
    "SignatureDoesNotMatch": "the store does not take the signature; correct `secret_key`",
    "InvalidToken": "the store does not take the session token; renew the credentials",
    "ExpiredToken": "the credentials have expired; renew them",
    "RequestTimeTooSkewed": (
        "the clocks of this machine and of the store differ too much; set the clock, "
        "by NTP for example"
    ),
    "AccessDenied": (
        "the credentials may not do that; they need GetObject, PutObject, DeleteObject, "
        "ListBucket, AbortMultipartUpload and ListBucketMultipartUploads"
    ),
    "AuthorizationHeaderMalformed": _ELSEWHERE,
    "IllegalLocationConstraintException": _ELSEWHERE,
    "PermanentRedirect": _ELSEWHERE,
    "TemporaryRedirect": _ELSEWHERE,
    "InvalidRegion": _ELSEWHERE,
}
_AS_DENIED: Final = frozenset({"403", "Forbidden", "AllAccessDisabled", "AccountProblem"})


@contextlib.contextmanager
def explained(doing: str) -> Generator[None]:
    """Say what is to be done where the store refuses ``doing`` at the start.

    Raises `ConfigurationError` for what settings or the store's owner can mend, `StorageError`
    for a store that does not answer; a full one is `StorageFullError` as ever.
    """
    try:
        yield
    except RepocoreError as error:
        cause = error.__cause__
        if cause is None or isinstance(error, StorageFullError):
            raise
        raise _explanation(cause, doing) from cause
    except (BotoCoreError, ClientError, OSError) as error:
        raise _explanation(error, doing) from error


def _explanation(error: BaseException, doing: str) -> RepocoreError:
    sentence = _sentence(error)
    if sentence is None:
        return StorageError(f"plugins.s3: {doing}: {_silence(error)}")
    return ConfigurationError(problems=(f"plugins.s3: {doing}: {sentence}",))


_BY_KIND: Final = (
    (NoCredentialsError, "there are no credentials; set `access_key` and `secret_key`"),
    (ProfileNotFound, "there is no such `profile` in the AWS configuration files"),
    (SSLError, "the store's certificate is not trusted; set `ca_bundle`"),
)


def _sentence(error: BaseException) -> str | None:
    """What is wrong with settings or store; None where it is only out of reach."""
    if isinstance(error, ClientError):
        return _sentence_of(error)
    for kind, sentence in _BY_KIND:
        if isinstance(error, kind):
            return sentence
    return None if isinstance(error, HTTPClientError | NoConnectionError | OSError) else str(error)


def _sentence_of(answer: ClientError) -> str | None:
    code, status, region = code_of(answer), status_of(answer), _region(answer)
    said = _BY_CODE.get("AccessDenied" if code in _AS_DENIED else code)
    if said is None and region:
        said = _ELSEWHERE
    if said is not None:
        return f'{said} = "{region}"' if region and said == _ELSEWHERE else said
    if code in _BUSY or status >= _OWN_FAILURE:
        return None
    return f"the store answered {code or status}; is `endpoint` that of a store like S3?"


def _region(error: BaseException) -> str:
    """The region that the answer names as the right one."""
    answer = _answer(error)
    told = answer.get("Error", {}).get("Region")
    fields = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = str(told or fields.get("x-amz-bucket-region", ""))
    return region if re.fullmatch(r"[a-z0-9-]{1,40}", region) else ""


def _silence(error: BaseException) -> str:
    code = code_of(error) or (str(status_of(error)) if status_of(error) else "")
    if code:
        return f"the store answered {code}; try again later"
    return f"the store does not answer ({type(error).__name__}); check `endpoint` and the network"
