"""Uploads that the store throttles, spoils, forgets or refuses."""

from __future__ import annotations

import hashlib
import os
from datetime import timedelta

import pytest
from s3_faults import Fault, rapids
from s3_stores import PART

from repocore.errors import StorageError, StorageFullError
from repocore.model import BlobKey

CONTENT = os.urandom(2 * PART + 5)


def key_of(content):
    return BlobKey.make(hashlib.sha256(content).hexdigest())


def begun(storage, content):
    writer = storage.writer(len(content))
    writer.write(content)
    return writer


def committed(storage, content):
    key = key_of(content)
    writer = begun(storage, content)
    try:
        writer.commit(key)
    finally:
        writer.abort()
    return key


@pytest.fixture
def way(store):
    with rapids(store.settings.endpoint) as opened:
        yield opened


@pytest.fixture
def corner(store, way):
    """A corner behind the rapids; few retries, since they wait ever longer."""
    return store.place(endpoint=way.address, retries=2)


def test_throttled_requests_are_sent_again(corner, way):
    """Each kind of request: what the store has no time for now, it has time for later."""
    way.faults.extend(Fault(method, "sha256", status=503) for method in ("PUT", "HEAD", "GET"))
    key = committed(corner.storage(), b"tide")
    with corner.storage().open(key) as stream:
        assert stream.read() == b"tide"
    assert way.methods() == ["PUT", "PUT", "HEAD", "HEAD", "GET", "GET"]


def test_store_that_is_always_busy_is_an_error(corner, way):
    """It says so, and not that the object were missing."""
    way.faults.append(Fault("PUT", "sha256", times=99, status=503))
    with pytest.raises(StorageError, match="too much to do"):
        committed(corner.storage(), b"tide")
    assert len(way.exchanges) == 3


def test_commit_can_be_tried_again(corner, way):
    """The body is still there."""
    way.faults.append(Fault("PUT", "sha256", times=3, status=503))
    writer = begun(corner.storage(), b"tide")
    key = key_of(b"tide")
    with pytest.raises(StorageError):
        writer.commit(key)
    writer.commit(key)
    writer.abort()
    assert corner.storage().size(key) == 4


@pytest.mark.parametrize(
    ("status", "code"),
    [(403, "QuotaExceeded"), (507, "XMinioStorageFull"), (413, "EntityTooLarge")],
)
def test_full_store_is_told_apart(corner, way, status, code):
    """Whoever uploads hears that there is no space, and nothing is there."""
    way.faults.append(Fault("PUT", "sha256", times=99, status=status, code=code))
    with pytest.raises(StorageFullError):
        committed(corner.storage(), b"tide")
    with pytest.raises(StorageFullError):
        committed(corner.storage(), CONTENT)
    way.faults.clear()
    assert corner.names() == []
    assert list(corner.bucket.uploads("")) == []


def test_refusal_is_told_by_its_code(corner, way):
    """An error has the code of the answer, and no address."""
    way.faults.append(Fault("PUT", "sha256", status=403, code="AccessDenied"))
    with pytest.raises(StorageError, match=r"refused it \(AccessDenied\)") as told:
        committed(corner.storage(), b"tide")
    assert way.address not in str(told.value)


@pytest.mark.parametrize("content", [b"tide", CONTENT], ids=["small", "large"])
def test_spoilt_body_is_never_committed(corner, way, content):
    """Refused by its MD5 where the store looks at that, and found out where it does not."""
    way.faults.append(Fault("PUT", "sha256", times=99, spoil_request=True))
    with pytest.raises(StorageError):
        committed(corner.storage(), content)
    way.faults.clear()
    assert list(corner.bucket.uploads("")) == []


def test_every_body_has_its_md5(corner, way):
    """Stores that look at no newer checksum look at that."""
    committed(corner.storage(), b"tide")
    committed(corner.storage(), CONTENT)
    puts = [exchange.headers for exchange in way.exchanges if exchange.method == "PUT"]
    assert len(puts) == 4
    assert all(len(fields["Content-MD5"]) == 24 for fields in puts)
    assert not any(name.lower().startswith("x-amz-checksum") for one in puts for name in one)


def test_failed_part_takes_the_upload_with_it(corner, way):
    """What is left half done costs, and is aborted at once."""
    way.faults.append(Fault("PUT", "partNumber=2", times=9, status=403, code="AccessDenied"))
    with pytest.raises(StorageError):
        committed(corner.storage(), CONTENT)
    assert "DELETE" in way.methods()
    assert list(corner.bucket.uploads("")) == []
    assert corner.names() == []


def test_lost_answer_to_the_last_request_is_no_loss(corner, way):
    """The upload was completed; it is completed again, and is there."""
    way.faults.append(Fault("POST", "uploadId", lose=True))
    key = committed(corner.storage(), CONTENT)
    assert corner.storage().size(key) == len(CONTENT)
    with corner.storage().open(key) as stream:
        assert hashlib.sha256(stream.read()).hexdigest() == key.digest


def test_lost_answer_is_no_loss_whatever_is_said_later(corner, way):
    """Some stores fail where the upload that they are to complete is not there any more."""
    way.faults.append(Fault("POST", "uploadId", lose=True))
    way.faults.append(Fault("POST", "uploadId", times=9, status=500, code="InternalError"))
    key = committed(corner.storage(), CONTENT)
    assert corner.storage().size(key) == len(CONTENT)


def test_swept_upload_is_sent_once_more(corner, way):
    """A clean-up takes an upload that lasts: its parts are sent again, from the spool."""
    way.faults.append(Fault("POST", "uploadId", status=404, code="NoSuchUpload"))
    key = committed(corner.storage(), CONTENT)
    assert corner.storage().size(key) == len(CONTENT)
    begun_ = [one for one in way.exchanges if one.path.endswith("?uploads")]
    assert len(begun_) == 2


def test_upload_that_is_always_swept_is_an_error(corner, way):
    """It does not go on for ever."""
    way.faults.append(Fault("POST", "uploadId", times=9, status=404, code="NoSuchUpload"))
    with pytest.raises(StorageError, match="clean-up"):
        committed(corner.storage(), CONTENT)
    assert corner.names() == []


def test_store_that_forgets_is_noticed(corner, way):
    """It says that it has the object, and has it not."""
    way.faults.append(Fault("HEAD", "sha256", status=404, code="NoSuchKey"))
    with pytest.raises(StorageError, match="other bytes"):
        committed(corner.storage(), b"tide")


def test_silence_during_an_upload_is_an_error(store):
    """The client is told, and may come again."""
    with rapids(store.settings.endpoint, Fault("PUT", "sha256", times=9, stall=True)) as way:
        corner = store.place(endpoint=way.address, retries=0, timeout=timedelta(seconds=0.3))
        with pytest.raises(StorageError, match="does not answer"):
            committed(corner.storage(), b"tide")


def test_nothing_is_written_after_the_end(corner):
    """A writer that was committed, or aborted, takes no more."""
    writer = begun(corner.storage(), b"tide")
    writer.commit(key_of(b"tide"))
    for call in (lambda: writer.write(b"x"), writer.open):
        with pytest.raises(StorageError, match="ended"):
            call()
    writer.abort()
    with pytest.raises(StorageError, match="ended"):
        writer.commit(key_of(b"flow"))


def test_objects_are_written_as_the_settings_say(store, way):
    """Storage class and encryption go with what makes an object, one way or the other."""
    chosen = {"storage_class": "STANDARD_IA", "encryption": "aws:kms", "kms_key": "quay"}
    corner = store.place(endpoint=way.address, retries=0, verify=False, **chosen)
    for content in (b"tide", CONTENT):
        try:
            committed(corner.storage(), content)
        except StorageError:
            assert store.real  # few of them have keys
    for exchange in way.exchanges:
        if "partNumber" not in exchange.path and "uploadId" not in exchange.path:
            sent = {name.lower(): value for name, value in exchange.headers.items()}
            assert sent["x-amz-storage-class"] == "STANDARD_IA"
            assert sent["x-amz-server-side-encryption"] == "aws:kms"
            assert sent["x-amz-server-side-encryption-aws-kms-key-id"] == "quay"
