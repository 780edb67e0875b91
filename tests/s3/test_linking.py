"""Objects that the store copies to their own name."""

from __future__ import annotations

import hashlib
import io
import os

import pytest
from direct_uploads import ANN, send_all
from s3_faults import Fault, rapids
from s3_stores import PART

from repocore.errors import BlobMissingError, StorageError
from repocore.model import BlobKey
from repocore.ports import LinkingStorage
from repocore_s3 import linking

CONTENT = os.urandom(2 * PART + 5)
KEY = BlobKey.make(hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture
def corner(store):
    return store.place(direct_uploads=True)


@pytest.fixture
def received(corner):
    storage = corner.storage()
    opened = storage.receive(ANN, send_all(storage, CONTENT))
    yield storage, opened.content
    opened.content.close()


def test_the_store_copies_what_was_received(received):
    """Under the key's name, which is durable then; the writer can be read like any other."""
    storage, stream = received
    assert isinstance(storage, LinkingStorage)
    writer = storage.link(stream)
    with writer.open() as again:
        assert again.read() == CONTENT
    with pytest.raises(StorageError, match="ended"):
        writer.write(b"more")
    writer.commit(KEY)
    writer.commit(KEY)
    writer.abort()
    with storage.open(KEY) as blob:
        assert blob.read() == CONTENT
    with pytest.raises(StorageError, match="ended"):
        writer.open()
    with pytest.raises(StorageError, match="ended"):
        writer.commit(BlobKey.make("ab" * 32))


def test_large_ones_are_copied_in_parts(received, monkeypatch):
    """Each request copies as much as a store does before it is taken for silent."""
    monkeypatch.setattr(linking, "_AT_ONCE", PART)
    storage, stream = received
    writer = storage.link(stream)
    writer.commit(KEY)
    writer.abort()
    with storage.open(KEY) as blob:
        assert blob.read() == CONTENT
    assert list(storage._bucket.uploads("")) == []


def test_parts_of_a_copy_that_fails_are_not_left(moto, monkeypatch):
    """What the store refuses costs nothing afterwards."""
    monkeypatch.setattr(linking, "_AT_ONCE", PART)
    with rapids(moto.settings.endpoint) as way:
        storage = moto.storage(direct_uploads=True, endpoint=way.address, retries=0)
        opened = storage.receive(ANN, send_all(storage, CONTENT))
        writer = storage.link(opened.content)
        way.faults.append(Fault("PUT", "sha256", status=503))
        with opened.content, pytest.raises(StorageError):
            writer.commit(KEY)
        assert list(storage._bucket.uploads("")) == []
        writer.commit(KEY)
        assert storage.size(KEY) == len(CONTENT)


@pytest.mark.parametrize("at_once", [PART, 1 << 30])
def test_only_what_was_read_is_copied(corner, received, monkeypatch, at_once):
    """Not another object under the name, nor none."""
    monkeypatch.setattr(linking, "_AT_ONCE", at_once)
    storage, stream = received
    writer = storage.link(stream)
    [name] = corner.names()
    corner.bucket.put(name, os.urandom(len(CONTENT)), b"")
    with pytest.raises(StorageError):
        writer.commit(KEY)
    with pytest.raises(StorageError, match="other bytes"):
        writer.open()
    corner.bucket.delete(name)
    with pytest.raises(BlobMissingError):
        writer.commit(KEY)
    assert list(corner.bucket.uploads("")) == []


def test_a_copy_of_another_size_is_refused(corner, received, monkeypatch):
    """The store is asked what it has."""
    storage, stream = received
    writer = storage.link(stream)
    monkeypatch.setattr(type(corner.bucket), "copy", lambda *_: None)
    with pytest.raises(StorageError, match="copied other bytes"):
        writer.commit(KEY)


def test_other_files_are_not_linked(store, received, tmp_path):
    """Files of this machine, bytes, objects of another storage, and parts of one."""
    storage, stream = received
    path = tmp_path / "x"
    path.write_bytes(b"tide")
    with path.open("rb") as file:
        assert storage.link(file) is None
    assert storage.link(io.BytesIO(b"tide")) is None
    assert store.storage().link(stream) is None
    writer = storage.link(stream)
    writer.commit(KEY)
    with storage.open(KEY, 1) as part:
        assert storage.link(part) is None
