"""Objects in a bucket: the contract of storages, and what it does not say."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import time
import tracemalloc
import zipfile
from datetime import timedelta

import pytest
from s3_faults import rapids
from s3_stores import CURRENT, PART, fewer

from repocore.errors import BlobMissingError, StorageError
from repocore.model import BlobKey
from repocore.testing import storage_contract
from repocore_s3.settings import S3Settings

NOW = timedelta(0)


@contextlib.contextmanager
def in_a_corner():
    yield CURRENT[0].storage()


TestS3 = pytest.mark.usefixtures("store", "few")(fewer(storage_contract(in_a_corner)))


def key_of(content: bytes) -> BlobKey:
    return BlobKey.make(hashlib.sha256(content).hexdigest())


def stored(storage, content: bytes = b"tide") -> BlobKey:
    key = key_of(content)
    writer = storage.writer(len(content))
    writer.write(content)
    writer.commit(key)
    writer.abort()
    return key


def test_names_are_those_of_every_storage(store):
    """Objects can be moved to another kind of storage, and back, under their names."""
    corner = store.place()
    key = stored(corner.storage())
    assert corner.names() == [f"sha256/{str(key)[:2]}/{key}"]


def test_two_storages_share_a_bucket(store):
    """Each sees what lies below its own prefix, and sweeps nothing else."""
    one, other = store.place("bay"), store.place("bay-of-others")
    key = stored(one.storage())
    upload = other.bucket.begin("sha256/ab/x")
    assert list(other.storage().keys()) == []
    assert one.storage().sweep(NOW) == 0
    assert other.bucket.abort(upload)
    assert list(one.storage().keys()) == [key]


def test_what_is_no_object_is_not_listed(store):
    """Somebody else's files below the prefix are no objects, and stay."""
    corner = store.place()
    corner.bucket.put("sha256/00/readme.txt", b"ours", b"")
    corner.bucket.put(f"sha256/ff/{key_of(b'tide')}", b"misplaced", b"")
    assert list(corner.storage().keys()) == []
    assert len(corner.names()) == 2


def test_listing_goes_on_page_by_page(store):
    """No number of objects is too large for a list."""
    corner = store.place()
    keys = {stored(corner.storage(), b"tide %d" % number) for number in range(5)}
    corner.bucket._page = 2
    assert set(corner.storage().keys()) == keys


def test_small_body_is_one_request(store):
    """One PUT, and one question whether it is there."""
    with rapids(store.settings.endpoint) as way:
        storage = store.storage(endpoint=way.address)
        stored(storage)
        assert way.methods() == ["PUT", "HEAD"]
        unasked = store.storage(endpoint=way.address, verify=False)
        stored(unasked)
        assert way.methods()[2:] == ["PUT"]


def test_large_body_is_sent_in_parts(store):
    """A body of two parts and a bit comes back whole, and nothing is left of the way."""
    corner = store.place()
    content = os.urandom(2 * PART + 77)
    with rapids(store.settings.endpoint) as way:
        storage = store.storage(endpoint=way.address)
        key = stored(storage, content)
        sizes = sorted(one.size for one in way.exchanges if one.method == "PUT")
    assert sizes == [77, PART, PART]
    assert storage.size(key) == len(content)
    with storage.open(key) as stream:
        assert stream.read() == content
    with storage.open(key, PART - 5, PART + 5) as stream:
        assert stream.read() == content[PART - 5 : PART + 5]
    assert list(corner.bucket.uploads("")) == []


def test_body_of_whole_parts_has_no_empty_one(store):
    """The last part ends where the body does."""
    content = bytes(2 * PART)
    with rapids(store.settings.endpoint) as way:
        stored(store.storage(endpoint=way.address), content)
        assert sorted(one.size for one in way.exchanges if one.method == "PUT") == [PART, PART]


def test_memory_does_not_grow_with_the_body(store):
    """Writing and reading 6 parts takes less memory than two of them."""
    storage = store.storage(parallel_parts=2)
    chunk = os.urandom(1 << 20)
    content = chunk * (6 * PART // len(chunk))
    key = key_of(content)
    del content
    stored(storage)  # what the first request loads is not counted
    tracemalloc.start()
    writer = storage.writer()
    for _ in range(6 * PART // len(chunk)):
        writer.write(chunk)
    writer.commit(key)
    writer.abort()
    with storage.open(key) as stream:
        while stream.read(1 << 18):
            pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * PART


def test_sweep_aborts_uploads_that_nobody_ended(store):
    """A server that died between two parts leaves an upload, which costs until it is aborted."""
    corner = store.place()
    upload = corner.bucket.begin(f"sha256/ab/{key_of(b'tide')}")
    corner.bucket.send(upload, 1, b"tide", b"")
    until = time.monotonic() + 10
    while not (swept := corner.storage().sweep(NOW)) and time.monotonic() < until:
        time.sleep(0.2)  # a store that knows whole seconds may be one ahead
    assert swept == 1
    assert list(corner.bucket.uploads("")) == []
    assert corner.storage().sweep(NOW) == 0


@pytest.mark.s3_real
def test_sweep_leaves_young_uploads(real_store):
    """An upload in parts that began a moment ago is somebody's."""
    corner = real_store.place()
    upload = corner.bucket.begin(f"sha256/ab/{key_of(b'tide')}")
    assert corner.storage().sweep(timedelta(hours=1)) == 0
    assert [one.id for one in corner.bucket.uploads("sha256/")] == [upload.id]
    corner.bucket.abort(upload)


def test_sweep_takes_probes_and_old_uploads(store):
    """What a dead probe left, and what storages of other kinds did not finish."""
    corner = store.place()
    corner.bucket.put("probe/1-x", b"tide", b"")
    corner.bucket.put("uploads/1-x", b"tide", b"")
    key = stored(corner.storage())
    assert corner.storage().sweep(timedelta(days=1)) == 0
    assert corner.storage().sweep(timedelta(seconds=-60)) == 2
    assert list(corner.storage().keys()) == [key]


def test_a_bucket_that_is_gone_is_no_missing_object(store):
    """Else a check would say that everything is lost, and everybody would believe it."""
    corner = store.place()
    gone = type(corner.place)("repocore-gone-with-the-tide", "")
    storage = type(corner.storage())(
        type(corner.bucket)(store.clients, gone, store.settings), store.settings
    )
    key = key_of(b"tide")
    for ask in (storage.size, storage.open, storage.delete):
        with pytest.raises(StorageError) as told:
            ask(key)
        assert not isinstance(told.value, BlobMissingError)
    with pytest.raises(StorageError):
        list(storage.keys())


def test_other_bytes_under_a_name_are_noticed(store):
    """What is read from end to end has its digest, or is not given out whole."""
    corner = store.place()
    key = key_of(b"tide")
    corner.bucket.put(f"sha256/{str(key)[:2]}/{key}", b"ebbs", b"")
    with corner.storage().open(key) as stream, pytest.raises(StorageError, match="other bytes"):
        stream.read()
    trusting = type(corner.storage())(
        corner.bucket, S3Settings(endpoint=store.settings.endpoint, verify=False)
    )
    with trusting.open(key) as stream:
        assert stream.read() == b"ebbs"


def test_objects_can_be_sought_in(store):
    """A ZIP is read from its end, without the rest."""
    content = b"0123456789" * 1000
    storage = store.storage()
    with storage.open(stored(storage, content)) as stream:
        assert stream.seek(-5, os.SEEK_END) == len(content) - 5
        assert stream.read() == b"56789"
        assert stream.seek(0) == 0
        assert stream.read(3) == b"012"
        assert stream.seek(4000, os.SEEK_CUR) == 4003
        assert stream.read(2) == b"34"
        with pytest.raises((OSError, ValueError)):
            stream.seek(-1)


def test_a_zip_is_read_through_the_storage(store, tmp_path):
    """Whatever reads files reads objects."""
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("tide.txt", "ebb and flow")
    storage = store.storage()
    key = stored(storage, (tmp_path / "a.zip").read_bytes())
    with storage.open(key) as stream, zipfile.ZipFile(stream) as archive:
        assert archive.read("tide.txt") == b"ebb and flow"


def test_a_part_can_be_sought_in(store):
    """Positions are those of the part."""
    storage = store.storage()
    with storage.open(stored(storage, b"0123456789"), 2, 8) as stream:
        stream.seek(-2, os.SEEK_END)
        assert stream.read() == b"67"
        stream.seek(1)
        assert stream.read() == b"34567"


# A program of its own: the threads of this one may hold locks that a child would wait for.
FORKING = """
import json
import os
import sys
from repocore.config import Secret
from repocore.model import BlobKey
from repocore_s3.settings import Addressing, S3Settings, read_place
from repocore_s3.storage import open_storage

given = json.loads(sys.argv[1])
table = given["table"]
secrets = {name: Secret(table.pop(name)) for name in ("access_key", "secret_key")}
addressing = Addressing(table.pop("addressing"))
settings = S3Settings(**table, **secrets, addressing=addressing)
storage = open_storage(read_place(given["url"]), settings)
key = BlobKey.parse(given["key"])
assert storage.size(key) == 4
child = os.fork()
for _ in range(20):
    assert storage.size(key) == 4
with storage.open(key) as stream:
    assert stream.read() == b"tide"
if child:
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""


@pytest.mark.skipif(sys.platform != "linux", reason="servers that fork run on Linux")
def test_a_forked_process_has_connections_of_its_own(store):
    """Two processes on one connection would read each other's answers."""
    corner = store.place()
    key = stored(corner.storage())
    given = json.dumps({"url": corner.url, "table": corner.table(), "key": str(key)})
    command = [sys.executable, "-c", FORKING, given]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100)
    assert (done.returncode, done.stderr) == (0, "")


def test_location_is_none(store):
    """No front server reaches the objects by a path."""
    assert store.storage().location(key_of(b"tide")) is None


def test_only_a_key_becomes_a_name(store):
    """Nothing that a client sent becomes part of a name."""
    with pytest.raises(ValueError, match="hexadecimal"):
        store.storage().size(BlobKey("../..", "x"))
