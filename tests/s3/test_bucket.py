"""The requests that are made of a bucket."""

from __future__ import annotations

import pytest
from s3_faults import Fault, rapids

from repocore.errors import BlobMissingError, StorageError
from repocore_s3.bucket import UploadGoneError
from repocore_s3.settings import Checksums


def test_names_are_below_the_prefix(store):
    """What lists gives what reads take."""
    corner = store.place("quay")
    corner.bucket.put("a/b+c ü", b"tide", b"")
    assert [listed.name for listed in corner.bucket.list("a/")] == ["a/b+c ü"]
    found = corner.bucket.find("a/b+c ü")
    assert found is not None
    assert found.size == 4
    raw = store.client.head_object(Bucket=store.bucket, Key=f"{store.top}/quay/a/b+c ü")
    assert raw["ContentLength"] == 4


def test_reading_behind_the_end(store):
    """There is an object, and it has nothing there."""
    bucket = store.place().bucket
    bucket.put("x", b"tide", b"")
    bucket.put("empty", b"", b"")
    assert bucket.open("x", 4) is None
    assert bucket.open("empty", 0, 5) is None
    opened = bucket.open("empty")
    assert opened is not None
    assert (opened.size, opened.body.read()) == (0, b"")
    with pytest.raises(BlobMissingError):
        bucket.open("gone", 4)


def test_bulk_delete(store):
    """Stores that take it delete all."""
    bucket = store.place().bucket
    for name in ("a", "b"):
        bucket.put(name, b"tide", b"")
    if not store.capabilities.bulk_delete:
        with pytest.raises(StorageError):
            bucket.delete_together(["a", "b"])
        return
    bucket.delete_together(["a", "b"])
    assert list(bucket.list("")) == []


def test_deleting_is_idempotent_everywhere(store):
    """Also of a store that says of what is not there that it is not there."""
    with rapids(store.settings.endpoint) as way:
        bucket = store.place(endpoint=way.address).bucket
        bucket.delete("gone")
        way.faults.append(Fault("DELETE", "gone", status=404, code="NoSuchKey"))
        bucket.delete("gone")
        way.faults.append(Fault("DELETE", "gone", status=403, code="AccessDenied"))
        with pytest.raises(StorageError):
            bucket.delete("gone")


def test_upload_that_nobody_knows(store):
    """It is gone for whoever aborts."""
    bucket = store.place().bucket
    upload = bucket.begin("x")
    assert bucket.abort(upload)
    assert not bucket.abort(upload)


@pytest.mark.s3_real
def test_upload_that_nobody_knows_takes_no_part(real_store):
    """It is gone for whoever sends or completes."""
    bucket = real_store.place().bucket
    upload = bucket.begin("x")
    sent = bucket.send(upload, 1, b"tide", b"")
    assert bucket.abort(upload)
    with pytest.raises(UploadGoneError):
        bucket.send(upload, 2, b"tide", b"")
    with pytest.raises(StorageError):  # of some stores it is their failure
        bucket.complete(upload, [sent])


def test_newer_checksums_are_told_when_parts_are_joined(store):
    """A store that takes them wants to hear those of the parts again."""
    with rapids(store.settings.endpoint) as way:
        corner = store.place(endpoint=way.address, checksums=Checksums.WHEN_SUPPORTED)
        upload = corner.bucket.begin("x")
        part = corner.bucket.send(upload, 1, b"tide", b"")
        corner.bucket.complete(upload, [part])
        [sent] = [one for one in way.exchanges if one.method == "PUT"]
    assert any(name.lower().startswith("x-amz-checksum-") for name in sent.headers)
    assert all(name.startswith("Checksum") for name in part.checksums)
    assert store.real or part.checksums
    assert corner.bucket.find("x").size == 4
