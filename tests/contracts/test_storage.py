"""The contract of storages: every storage of ours keeps it, and broken ones do not."""

from __future__ import annotations

import contextlib
import io
import tempfile
import uuid
from pathlib import Path

import pytest
from fsspec.implementations.local import LocalFileSystem
from hypothesis import Phase, settings

from repocore.model import BlobKey
from repocore.plugins.filesystem import DiskStorage, TreeStorage, repocore_storage
from repocore.testing import storage_contract
from repocore.testing.fakes import (
    FaultyStorage,
    MemoryStorage,
    MemoryWriter,
    RecordingDisk,
    RecordingStorage,
)


def simply(make):
    """A factory of context managers from one of storages that need no closing."""

    @contextlib.contextmanager
    def opened():
        yield make()

    return opened


@contextlib.contextmanager
def on_disk():
    # Hundreds of short lives: what fsync does to the disk is shown by another test.
    with tempfile.TemporaryDirectory() as folder:
        yield DiskStorage(folder, RecordingDisk(durable=False))


@contextlib.contextmanager
def on_local_tree():
    with tempfile.TemporaryDirectory() as folder:
        yield TreeStorage(LocalFileSystem(), folder)


TestDisk = storage_contract(on_disk)
TestLocalTree = storage_contract(on_local_tree)
# The same code as the local tree's, on a file system that is slow with many names.
TestMemoryTree = pytest.mark.slow(
    storage_contract(simply(lambda: repocore_storage(f"memory://{uuid.uuid4().hex}", {})))
)
TestMemoryStorage = storage_contract(simply(MemoryStorage))
TestFaultyStorage = storage_contract(simply(lambda: FaultyStorage(MemoryStorage())))
TestRecordingStorage = storage_contract(simply(lambda: RecordingStorage(MemoryStorage())))


def test_disk_contract_with_real_fsync(tmp_path: Path):
    """A disk that is really synchronised reads back what it stored, too."""
    numbers = iter(range(1000))
    contract = storage_contract(simply(lambda: DiskStorage(tmp_path / str(next(numbers)))))
    for name in ("stored_object", "threads_side_by_side", "two_writers_of_one_key"):
        getattr(contract(), f"test_{name}")()


# ------------------------------------------------------------------------------------- broken


class Truncating(MemoryStorage):
    def open(self, key, start=0, stop=None):
        return io.BytesIO(super().open(key, start, stop).read()[:-1])


class IgnoringStart(MemoryStorage):
    def open(self, key, start=0, stop=None):
        return super().open(key, 0, stop)


class IgnoringStop(MemoryStorage):
    def open(self, key, start=0, stop=None):
        return super().open(key, start)


class InclusiveStop(MemoryStorage):
    def open(self, key, start=0, stop=None):
        return super().open(key, start, None if stop is None else stop + 1)


class EmptyForMissing(MemoryStorage):
    def open(self, key, start=0, stop=None):
        return super().open(key, start, stop) if key in self.objects else io.BytesIO()


class LateMissing(MemoryStorage):
    def open(self, key, start=0, stop=None):
        storage = super()

        class Lazy(io.RawIOBase):
            def readall(self):
                return storage.open(key, start, stop).read()

        return Lazy()


class SharedPosition(MemoryStorage):
    def __init__(self):
        super().__init__()
        self.streams = {}

    def open(self, key, start=0, stop=None):
        if start or stop is not None or key not in self.objects:
            return super().open(key, start, stop)
        return self.streams.setdefault(key, super().open(key))


class SizeOfMissing(MemoryStorage):
    def size(self, key):
        return super().size(key) or 0


class DeletingOnce(MemoryStorage):
    def delete(self, key):
        del self.objects[key]


class DeletingAllGenerations(MemoryStorage):
    def delete(self, key):
        for other in list(self.objects):
            if other.digest == key.digest:
                del self.objects[other]


class KeepingDeleted(MemoryStorage):
    def delete(self, key):
        """Do nothing."""


class ListingUploads(MemoryStorage):
    def keys(self):
        yield from super().keys()
        yield from (BlobKey.make("0" * 64) for _ in self.uploads)


class ListingNothing(MemoryStorage):
    def keys(self):
        return iter(())


class Shared(MemoryStorage):
    everything = {}  # noqa: RUF012 - the fault

    def __init__(self):
        super().__init__()
        self.objects = self.everything


class SweepingObjects(MemoryStorage):
    def sweep(self, older_than):
        self.objects.clear()
        return super().sweep(older_than)


class SweepingNothing(MemoryStorage):
    def sweep(self, older_than):
        return len(self.uploads)


class EscapingLocation(MemoryStorage):
    def location(self, key):
        return f"../{key}"


class BrokenWriter(MemoryWriter):
    """A writer of which one method is wrong; see below."""


def writing(**methods):
    """A storage whose writers have these methods instead."""
    kind = type("Writer", (BrokenWriter,), methods)

    class Storage(MemoryStorage):
        def writer(self, length=None):
            writer = kind(self)
            self.uploads[writer] = 0.0
            return writer

    return Storage


def commit_once(self, key):
    assert not self._committed
    MemoryWriter.commit(self, key)


def commit_first(self, key):
    if not self._committed:
        MemoryWriter.commit(self, key)


def commit_digest(self, key):
    MemoryWriter.commit(self, BlobKey(key.digest, "0" * 16))


def write_visibly(self, chunk):
    MemoryWriter.write(self, chunk)
    self._storage.objects[BlobKey.make("0" * 64)] = bytes(self._body)


def write_last(self, chunk):
    self._body = bytearray(chunk)


def abort_everything(self):
    MemoryWriter.abort(self)
    for key, content in list(self._storage.objects.items()):
        if content == self._body:
            del self._storage.objects[key]


def abort_nothing(self):
    """Do nothing."""


def open_at_end(self):
    stream = MemoryWriter.open(self)
    stream.seek(0, io.SEEK_END)
    return stream


BROKEN = {
    "truncates": Truncating,
    "ignores start": IgnoringStart,
    "ignores stop": IgnoringStop,
    "includes stop": InclusiveStop,
    "opens what is missing": EmptyForMissing,
    "misses late": LateMissing,
    "shares positions": SharedPosition,
    "sizes what is missing": SizeOfMissing,
    "deletes once": DeletingOnce,
    "deletes other generations": DeletingAllGenerations,
    "does not delete": KeepingDeleted,
    "lists uploads": ListingUploads,
    "lists nothing": ListingNothing,
    "shares its objects": Shared,
    "sweeps objects": SweepingObjects,
    "sweeps nothing": SweepingNothing,
    "locates outside": EscapingLocation,
    "commits once": writing(commit=commit_once),
    "commits under the first key only": writing(commit=commit_first),
    "forgets generations": writing(commit=commit_digest),
    "shows before commit": writing(write=write_visibly),
    "keeps the last chunk": writing(write=write_last),
    "aborts what was committed": writing(abort=abort_everything),
    "does not abort": writing(abort=abort_nothing),
    "reads from the end": writing(open=open_at_end),
}


@pytest.mark.parametrize("fault", BROKEN)
@pytest.mark.usefixtures("any_failure")
def test_broken_storage_fails(fault):
    """A storage with one fault fails at least one test of the contract."""
    contract = storage_contract(simply(BROKEN[fault]))()
    tests = [getattr(contract, name) for name in dir(contract) if name.startswith("test_")]
    examples = [test for test in tests if not hasattr(test, "hypothesis")]
    assert any(fails(test) for test in examples if test.__name__ != "test")


def fails(test) -> bool:
    try:
        test()
    except Exception:  # noqa: BLE001 - however a broken storage fails, it fails
        return True
    return False


@pytest.fixture
def unshrunk():
    """Failures are not made small: that they come is enough."""
    before = settings.get_current_profile_name()
    settings.register_profile("unshrunk", settings(), phases=[Phase.generate], database=None)
    settings.load_profile("unshrunk")
    yield
    settings.load_profile(before)


def test_machine_finds_faults_too(unshrunk):
    """The machine by itself finds a storage that shows what is not committed."""
    contract = storage_contract(simply(writing(write=write_visibly)))()
    with pytest.raises((AssertionError, ExceptionGroup)):
        contract.test_any_order_of_calls()


def test_each_class_is_fresh():
    """Two calls make two classes, so that two plugins are tested side by side."""
    make = simply(MemoryStorage)
    assert storage_contract(make) is not storage_contract(make)
