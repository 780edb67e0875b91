"""Errors of botocore in the house's words."""

from __future__ import annotations

import pickle

import pytest
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
    SSLError,
)

from repocore.errors import (
    BlobMissingError,
    ConfigurationError,
    StorageError,
    StorageFullError,
)
from repocore_s3.refusals import code_of, explained, status_of, told_as_storage_errors

OURS = "https://s3.example/harbour"


def answer(status, code, message=""):
    return ClientError(
        {
            "Error": {"Code": code, "Message": message},
            "ResponseMetadata": {"HTTPStatusCode": status},
        },
        "PutObject",
    )


def told(error):
    with pytest.raises(StorageError) as caught, told_as_storage_errors():
        raise error
    assert caught.value.__cause__ is error
    return caught.value


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (answer(403, "QuotaExceeded"), StorageFullError, "full"),
        (answer(400, "XMinioAdminBucketQuotaExceeded"), StorageFullError, "full"),
        (answer(507, "507"), StorageFullError, "full"),
        (answer(413, "EntityTooLarge"), StorageFullError, "full"),
        (answer(503, "SlowDown"), StorageError, "too much to do"),
        (answer(400, "RequestLimitExceeded"), StorageError, "too much to do"),
        (answer(500, "InternalError"), StorageError, "failed"),
        (answer(403, "AccessDenied", "s3cret"), StorageError, "refused it (AccessDenied)"),
        (answer(400, "<b>s3cret</b>"), StorageError, "The storage failed"),
        (EndpointConnectionError(endpoint_url=OURS), StorageError, "does not answer"),
        (ReadTimeoutError(endpoint_url=OURS), StorageError, "does not answer"),
        (ConnectionResetError("s3cret"), StorageError, "The storage failed"),
    ],
)
def test_what_the_house_makes_of_it(error, kind, words):
    """The kind, a sentence, the cause beneath; no address, and nothing that others wrote."""
    made = told(error)
    assert type(made) is kind
    assert words in str(made)
    assert OURS not in str(made)
    assert "s3cret" not in str(made)
    assert str(pickle.loads(pickle.dumps(made))) == str(made)


def test_the_houses_own_pass():
    """They are told already."""
    error = BlobMissingError()
    assert told_itself(error) is error


def told_itself(error):
    with pytest.raises(StorageError) as caught, told_as_storage_errors():
        raise error
    return caught.value


def test_other_mistakes_pass():
    """They are ours, and not the store's."""
    with pytest.raises(KeyError), told_as_storage_errors():
        raise KeyError


def test_code_and_status():
    """Of what is no answer of a store there is none."""
    assert (code_of(answer(404, "NoSuchKey")), status_of(answer(404, "NoSuchKey"))) == (
        "NoSuchKey",
        404,
    )
    assert (code_of(OSError()), status_of(OSError())) == ("", 0)


@pytest.mark.parametrize(
    ("error", "kind", "sentence"),
    [
        (NoCredentialsError(), ConfigurationError, "there are no credentials"),
        (SSLError(endpoint_url=OURS, error="x"), ConfigurationError, "set `ca_bundle`"),
        (EndpointConnectionError(endpoint_url=OURS), StorageError, "check `endpoint`"),
        (answer(403, "403"), ConfigurationError, "credentials may not do that"),
        (answer(503, "SlowDown"), StorageError, "answered SlowDown; try again later"),
        (ConnectionResetError(), StorageError, "does not answer (ConnectionResetError)"),
    ],
)
@pytest.mark.parametrize("wrapped", [True, False])
def test_explanation(error, kind, sentence, wrapped):
    """What settings can mend is a mistake of theirs, anything else is the store's."""

    def fail():
        if not wrapped:
            raise error
        with told_as_storage_errors():
            raise error

    with pytest.raises(kind) as caught, explained("reading"):
        fail()
    assert "plugins.s3: reading: " in str(caught.value)
    assert sentence in str(caught.value)
    assert OURS not in str(caught.value)


def test_what_explains_itself_passes():
    """An error without a cause has its own sentence."""
    with pytest.raises(StorageError, match="does not send"), explained("reading"):
        raise StorageError("The object store does not send the part.")
