"""Downloads that break, are cut short, stall or bring other bytes."""

from __future__ import annotations

import hashlib
import os
from datetime import timedelta

import pytest
from s3_faults import Fault, rapids

from repocore.errors import BlobMissingError, StorageError
from repocore.model import BlobKey
from repocore_s3 import reading

CONTENT = os.urandom(700_000)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(reading, "_FIRST_PAUSE", 0.001)


@pytest.fixture
def corner(store):
    return store.place()


@pytest.fixture
def key(corner):
    made = BlobKey.make(hashlib.sha256(CONTENT).hexdigest())
    writer = corner.storage().writer()
    writer.write(CONTENT)
    writer.commit(made)
    writer.abort()
    return made


def behind(corner, address, **settings):
    """A storage of the same corner that reaches it another way."""
    name = corner.place.prefix.strip("/").rpartition("/")[2]
    return corner.store.place(name, endpoint=address, **settings).storage()


def test_broken_download_is_taken_up_where_it_broke(store, corner, key):
    """The connection breaks twice, and nobody notices; no byte is fetched twice."""
    cuts = [Fault("GET", str(key), cut=300_000), Fault("GET", str(key), cut=1)]
    with rapids(store.settings.endpoint, *cuts) as way:
        with behind(corner, way.address).open(key) as stream:
            assert stream.read() == CONTENT
        ranges = [exchange.headers.get("Range") for exchange in way.exchanges]
    assert ranges[0] is None
    # What was on its way in a broken connection may be lost with it.
    firsts = [int(wanted.removeprefix("bytes=").partition("-")[0]) for wanted in ranges[1:]]
    assert 0 < firsts[0] <= 300_000
    assert firsts[0] <= firsts[1] <= firsts[0] + 1


def test_broken_part_is_taken_up_in_the_part(store, corner, key):
    """A part ends where it was to end, also when its rest is asked for."""
    with rapids(store.settings.endpoint, Fault("GET", str(key), cut=1000)) as way:
        with behind(corner, way.address).open(key, 10_000, 200_000) as stream:
            assert stream.read() == CONTENT[10_000:200_000]
        assert way.exchanges[-1].headers["Range"].endswith("-199999")


def test_download_that_breaks_always_is_an_error(store, corner, key):
    """The end of what came is not taken for the end of the object."""
    with rapids(store.settings.endpoint, Fault("GET", str(key), times=99, cut=0)) as way:
        storage = behind(corner, way.address, retries=2)
        with storage.open(key) as stream, pytest.raises(StorageError, match="breaks off"):
            stream.read()
        assert len(way.exchanges) == 3


def test_cut_bytes_are_never_the_end(store, corner, key):
    """Whoever reads in pieces gets an error in the end, and no short file."""
    with rapids(store.settings.endpoint, Fault("GET", str(key), cut=500_000)) as way:
        storage = behind(corner, way.address, retries=0)
        with storage.open(key) as stream, pytest.raises(StorageError, match="breaks off"):
            list(iter(lambda: stream.read(10_000), b""))


def test_object_that_goes_while_it_is_read_is_an_error(store, corner, key):
    """Its rest is not there to be asked for."""
    with rapids(store.settings.endpoint, Fault("GET", str(key), cut=1000)) as way:
        storage = behind(corner, way.address)
        with storage.open(key) as stream:
            corner.storage().delete(key)
            with pytest.raises(BlobMissingError):
                stream.read()


def test_another_object_under_the_name_is_noticed(store, corner, key):
    """The rest is not that of another object of the same size."""
    with rapids(store.settings.endpoint, Fault("GET", str(key), cut=1000)) as way:
        storage = behind(corner, way.address)
        with storage.open(key, 5) as stream:
            corner.bucket.put(f"sha256/{str(key)[:2]}/{key}", bytes(len(CONTENT)), b"")
            with pytest.raises(StorageError, match="other bytes"):
                stream.read()


def test_changed_byte_is_noticed(store, corner, key):
    """A byte that changed on its way, or in the store, ends the download before its end."""
    with rapids(store.settings.endpoint, Fault("GET", str(key), spoil_answer=True)) as way:
        storage = behind(corner, way.address)
        received: list[bytes] = []
        with storage.open(key) as stream, pytest.raises(StorageError, match="other bytes"):
            received.extend(iter(lambda: stream.read(100_000), b""))
        assert sum(map(len, received)) < len(CONTENT)


def test_silent_store_is_an_error_after_a_while(store, corner, key):
    """A stalled connection is left after the time-out."""
    with rapids(store.settings.endpoint, Fault("GET", str(key), times=9, stall=True)) as way:
        storage = behind(corner, way.address, retries=0, timeout=timedelta(seconds=0.3))
        with pytest.raises(StorageError, match="does not answer"):
            storage.open(key)


def test_store_that_stalls_once_is_asked_again(store, corner, key):
    """The second answer is as good."""
    with rapids(store.settings.endpoint, Fault("GET", str(key), stall=True)) as way:
        storage = behind(corner, way.address, retries=2, timeout=timedelta(seconds=0.5))
        with storage.open(key) as stream:
            assert stream.read() == CONTENT


def test_store_that_knows_no_parts_is_an_error(store, corner, key):
    """Its answer would be taken for a part of the object."""
    with rapids(store.settings.endpoint) as way:
        storage = behind(corner, way.address)
        client = storage._bucket._clients.inner()

        def without_range(params, **_):
            params["headers"].pop("Range", None)

        client.meta.events.register("before-call.s3.GetObject", without_range)
        with pytest.raises(StorageError, match="does not send the part"):
            storage.open(key, 5, 10)
