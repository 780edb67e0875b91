"""The fakes do what they say; the contract of storages is run on them elsewhere."""

from __future__ import annotations

import hashlib
from datetime import timedelta

import pytest

from repocore.errors import StorageError, StorageFullError
from repocore.model import BlobKey
from repocore.testing.fakes import (
    FaultyStorage,
    MemoryStorage,
    RecordingProgress,
    RecordingStorage,
)

CONTENT = b"tide and harbour"
KEY = BlobKey.make(hashlib.sha256(CONTENT).hexdigest())
WHERE = {"filename": "x", "media_type": "text/plain", "expires": timedelta(1)}


def put(storage):
    writer = storage.writer()
    try:
        writer.write(CONTENT)
        writer.open().close()
        writer.commit(KEY)
    finally:
        writer.abort()


def test_memories_share_nothing():
    """Two storages in memory are two storages."""
    put(first := MemoryStorage())
    assert list(first.keys()) == [KEY]
    assert list(MemoryStorage().keys()) == []


def test_ended_memory_writer_refuses():
    """A writer in memory takes nothing after its end."""
    writer = MemoryStorage().writer()
    writer.abort()
    for work in (lambda: writer.write(b"x"), writer.open, lambda: writer.commit(KEY)):
        with pytest.raises(StorageError, match="ended"):
            work()


@pytest.mark.parametrize("call", ["writer", "write", "open_upload", "commit", "abort"])
def test_storage_fails_at_the_call_that_was_named(call):
    """Each step of an upload can be made to fail, and no other does."""
    storage = FaultyStorage(MemoryStorage())
    storage.fail([call])
    with pytest.raises(StorageError):
        put(storage)
    storage.heal()
    put(storage)
    assert storage.size(KEY) == len(CONTENT)


@pytest.mark.parametrize(
    ("call", "work"),
    [
        ("open", lambda storage: storage.open(KEY)),
        ("size", lambda storage: storage.size(KEY)),
        ("delete", lambda storage: storage.delete(KEY)),
        ("keys", lambda storage: storage.keys()),
        ("sweep", lambda storage: storage.sweep(timedelta(0))),
    ],
)
def test_storage_fails_where_it_is_asked(call, work):
    """Each call of a storage can be made to fail, with any error."""
    storage = FaultyStorage(MemoryStorage())
    storage.fail([call], KeyError("tide"))
    put(storage)
    with pytest.raises(KeyError):
        work(storage)


@pytest.mark.parametrize("call", ["writer", "write", "commit", "delete"])
def test_late_failure_comes_after_the_deed(call):
    """A late failure loses the answer, not the deed."""
    storage = FaultyStorage(MemoryStorage())
    if call == "delete":
        put(storage)
    storage.fail([call], late=True)
    with pytest.raises(StorageError):
        storage.delete(KEY) if call == "delete" else put(storage)
    assert storage.size(KEY) == (len(CONTENT) if call == "commit" else None)


def test_failure_waits_for_its_turn():
    """The n-th call fails, and those before it do not."""
    storage = FaultyStorage(MemoryStorage())
    storage.fail(["write"], after=2)
    writer = storage.writer()
    writer.write(b"1")
    writer.write(b"2")
    with pytest.raises(StorageError):
        writer.write(b"3")


def test_storage_is_full_after_so_many_bytes():
    """Space is used up by what is written; then the storage is full."""
    storage = FaultyStorage(MemoryStorage())
    storage.fill(len(CONTENT))
    put(storage)
    with pytest.raises(StorageFullError):
        put(storage)


def test_notes_are_in_order():
    """A recording storage has the calls that change it, in their order."""
    storage = RecordingStorage(MemoryStorage())
    put(storage)
    storage.open(KEY, 2, 5)
    storage.delete(KEY)
    storage.sweep(timedelta(0))
    assert storage.notes == [
        "writer",
        "write 16",
        "open upload",
        "commit",
        "abort",
        "open 2-5",
        "delete",
        "sweep",
    ]


@pytest.mark.parametrize("wrap", [FaultyStorage, RecordingStorage, lambda storage: storage])
def test_fakes_have_no_front_server(wrap):
    """A storage in memory has neither locations nor URLs, and its wrappers say the same."""
    storage = wrap(MemoryStorage())
    assert storage.location(KEY) is None
    assert storage.url(KEY, **WHERE) is None


def test_progress_is_kept_and_can_give_up():
    """A progress keeps what was reported, and ends the work when it is told to."""
    progress = RecordingProgress(stop_after=2)
    progress.start(3, "sounding")
    progress.log("deep")
    progress.advance()
    progress.check()
    progress.advance()
    with pytest.raises(KeyboardInterrupt):
        progress.check()
    assert progress.phases == [("sounding", 3)]
    assert (progress.steps, progress.lines, progress.checks) == (2, ["deep"], 2)
