"""Objects on a local disk: durable, and only where they belong."""

from __future__ import annotations

import errno
import gc
import hashlib
import io
import os
import stat
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from repocore.errors import (
    BlobMissingError,
    ConfigurationError,
    StorageError,
    StorageFullError,
)
from repocore.model import BlobKey
from repocore.plugins.filesystem import DiskStorage
from repocore.testing.fakes import RecordingDisk

CONTENT = b"tide and harbour"
KEY = BlobKey.make(hashlib.sha256(CONTENT).hexdigest())


class FailingDisk(RecordingDisk):
    """A disk on which one call answers with an error from its n-th time on."""

    def __init__(self, call, number, times=0):
        super().__init__()
        self.broken = None
        self.call, self.number, self.times = call, number, times

    def armed(self):
        self.broken = self.call
        return self

    def __getattribute__(self, name):
        mine = super().__getattribute__
        if name in {"open", "write", "fsync", "rename", "unlink", "mkdir"} and (
            mine("broken") == name
        ):
            if mine("times") == 0:
                return mine("fail")
            self.times -= 1
        return mine(name)

    def fail(self, *arguments, **named):
        raise OSError(self.number, os.strerror(self.number), "/secret/place")


@pytest.fixture
def root(tmp_path):
    return tmp_path / "blobs"


@pytest.fixture
def storage(root):
    return DiskStorage(root)


def put(storage, key=KEY):
    write_and_commit(storage.writer(), key)
    return key


def write_and_commit(writer, key=KEY):
    writer.write(CONTENT)
    writer.commit(key)


def descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def object_of(root, key=KEY):
    return root / "sha256" / key.digest[:2] / str(key)


def test_tree_is_as_drawn(root, storage):
    """An object lies in a folder of its digest's first digits; uploads leave nothing."""
    put(storage)
    assert object_of(root).read_bytes() == CONTENT
    assert list((root / "uploads").iterdir()) == []
    assert (root / storage.location(KEY)) == object_of(root)


def test_file_and_folder_are_synchronised_before_commit_returns(root):
    """The file reaches the disk before it is named, the name before the commit returns."""
    disk = RecordingDisk()
    storage = DiskStorage(root, disk)
    disk.notes.clear()
    put(storage)
    begin, *rest = disk.notes
    assert begin == "create"
    assert rest == [
        f"write {len(CONTENT)}",
        "fsync file",
        "mkdir",  # the folder of these two digits is new, and so is its name
        "fsync folder",
        "rename",
        "fsync folder",
    ]


def test_known_folder_is_not_synchronised_again(root):
    """The second object of a folder costs two synchronisations, not three."""
    disk = RecordingDisk()
    storage = DiskStorage(root, disk)
    put(storage)
    disk.notes.clear()
    put(storage, key=BlobKey.make(KEY.digest))
    assert [note for note in disk.notes if "fsync" in note] == ["fsync file", "fsync folder"]


def test_folder_that_another_process_made_is_synchronised_once(root):
    """Who made a folder may have died before its name reached the disk."""
    put(DiskStorage(root))
    disk = RecordingDisk()
    storage = DiskStorage(root, disk)
    disk.notes.clear()
    put(storage, key=BlobKey.make(KEY.digest))
    assert disk.notes.count("fsync folder") == 2


def test_new_folders_up_to_the_root_are_synchronised(tmp_path):
    """Every folder that opening makes is written into the one above."""
    disk = RecordingDisk()
    DiskStorage(tmp_path / "new" / "deep", disk)
    assert disk.notes == ["mkdir", "fsync folder"] * 4


def test_vanished_folder_is_made_again(root, storage):
    """A folder that was cleared away while the server ran comes back."""
    put(storage)
    storage.delete(KEY)
    object_of(root).parent.rmdir()
    put(storage)
    assert storage.size(KEY) == len(CONTENT)


def test_files_are_for_owner_and_group(root, storage):
    """Objects are read-only, and closed to the rest of the world."""
    put(storage)
    assert stat.S_IMODE(object_of(root).stat().st_mode) & ~0o440 == 0
    for folder in (root, root / "sha256", root / "uploads", object_of(root).parent):
        assert stat.S_IMODE(folder.stat().st_mode) & 0o007 == 0


def test_whole_object_is_a_real_file(storage):
    """What is read to the end has a descriptor at its position, so that a server can send it."""
    put(storage)
    with storage.open(KEY, 5) as stream:
        assert os.lseek(stream.fileno(), 0, os.SEEK_CUR) == 5
    with storage.open(KEY, 5, 8) as stream, pytest.raises(OSError, match="fileno"):
        stream.fileno()


def test_part_closes_its_file(storage):
    """A part owns the file that it is a part of."""
    put(storage)
    before = descriptors()
    storage.open(KEY, 1, 3).close()
    assert descriptors() == before


def test_forgotten_writer_and_storage_close_their_descriptors(tmp_path):
    """Descriptors go with their owners; the unfinished file stays for sweep."""
    gc.collect()  # what other tests have left
    before = descriptors()
    storage = DiskStorage(tmp_path)
    storage.writer().write(CONTENT)
    del storage
    gc.collect()
    assert descriptors() == before
    assert DiskStorage(tmp_path).sweep(timedelta(0)) == 1


def test_second_key_gets_the_bytes_of_a_deleted_object(root, storage):
    """A writer whose object the collector took writes it again under the next key."""
    writer = storage.writer()
    writer.write(CONTENT * 100_000)
    writer.commit(KEY)
    storage.delete(KEY)
    other = BlobKey.make(KEY.digest)
    writer.commit(other)
    writer.abort()
    assert object_of(root, other).read_bytes() == CONTENT * 100_000
    assert list(storage.keys()) == [other]


# ------------------------------------------------------------------------------------- links


@pytest.fixture
def outside(tmp_path):
    place = tmp_path / "outside"
    place.mkdir()
    (place / str(KEY)).write_bytes(CONTENT)
    return place


def test_link_in_an_objects_place_is_not_followed(root, storage, outside):
    """A planted link is no object: it is not read, measured or listed, and is replaced."""
    put(storage)
    object_of(root).unlink()
    object_of(root).symlink_to(outside / str(KEY))
    with pytest.raises(BlobMissingError):
        storage.open(KEY)
    assert storage.size(KEY) is None
    assert list(storage.keys()) == []
    put(storage)
    assert not object_of(root).is_symlink()
    assert storage.size(KEY) == len(CONTENT)


def test_deleting_a_link_leaves_its_target(root, storage, outside):
    """Deletion takes the planted link and not what it points to."""
    put(storage)
    object_of(root).unlink()
    object_of(root).symlink_to(outside / str(KEY))
    storage.delete(KEY)
    assert (outside / str(KEY)).read_bytes() == CONTENT
    assert not object_of(root).is_symlink()


def test_link_in_a_folders_place_is_not_followed(root, storage, outside):
    """A planted link to another folder shows nothing, takes nothing, and loses nothing."""
    object_of(root).parent.symlink_to(outside)
    with pytest.raises(BlobMissingError):
        storage.open(KEY)
    assert list(storage.keys()) == []
    storage.delete(KEY)
    with pytest.raises(StorageError):
        put(storage)
    assert [path.name for path in outside.iterdir()] == [str(KEY)]


@pytest.mark.parametrize("name", ["sha256", "uploads"])
def test_link_instead_of_the_two_folders_is_refused(root, outside, name):
    """A storage whose folders were replaced by links does not open, and names no path."""
    root.mkdir()
    (root / name).symlink_to(outside)
    with pytest.raises(ConfigurationError) as caught:
        DiskStorage(root)
    assert str(root) not in str(caught.value)


def test_swept_link_leaves_its_target(root, storage, outside):
    """Sweeping passes planted links by."""
    (root / "uploads" / "1-a").symlink_to(outside / str(KEY))
    assert storage.sweep(timedelta(0)) == 0
    assert (outside / str(KEY)).exists()


def test_root_may_be_a_link(tmp_path):
    """Where the storage lies is the administrator's word, links included."""
    (tmp_path / "big").mkdir()
    (tmp_path / "blobs").symlink_to(tmp_path / "big")
    put(DiskStorage(tmp_path / "blobs"))
    assert object_of(tmp_path / "big").exists()


@pytest.mark.parametrize("plant", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_no_object(root, storage, plant):
    """A pipe or a folder in an object's place is missing content, and nobody waits for it."""
    object_of(root).parent.mkdir()
    plant(object_of(root))
    with pytest.raises(BlobMissingError):
        storage.open(KEY)
    assert storage.size(KEY) is None
    assert list(storage.keys()) == []


def test_strange_names_are_not_listed(root, storage):
    """Only a key in the folder of its digits is an object."""
    put(storage)
    folder = object_of(root).parent
    (folder / "README").write_text("hello")
    wrong = root / "sha256" / ("00" if KEY.digest[:2] != "00" else "01")
    wrong.mkdir()
    (wrong / str(BlobKey.make(KEY.digest))).write_bytes(CONTENT)
    (root / "sha256" / "note.txt").write_text("hello")
    assert list(storage.keys()) == [KEY]


def test_key_that_is_none_leads_nowhere(storage):
    """A key that was not made from a digest never becomes a path."""
    with pytest.raises(ValueError, match="hexadecimal"):
        storage.open(BlobKey("../../etc", "passwd"))


# ------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize("call", ["open", "write", "fsync", "rename", "mkdir"])
@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, StorageFullError),
        (errno.EDQUOT, StorageFullError),
        (errno.EIO, StorageError),
    ],
)
def test_failing_disk_is_told_without_a_path(root, call, number, kind):
    """Whichever call fails, the error is the house's, names no path, and leaves no object."""
    disk = FailingDisk(call, number)
    storage = DiskStorage(root, disk)
    disk.armed()
    with pytest.raises(StorageError) as caught:
        put(storage)
    assert type(caught.value) is kind
    assert "/" not in str(caught.value).replace("repocore check", "")
    assert isinstance(caught.value.__cause__, OSError)
    assert list(DiskStorage(root).keys()) == []


@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_failed_writer_can_only_be_aborted(root, call):
    """After one failure the writer does not pretend that trying again proves anything."""
    disk = FailingDisk(call, errno.EIO)
    storage = DiskStorage(root, disk)
    writer = storage.writer()
    disk.armed()
    with pytest.raises(StorageError):
        write_and_commit(writer)
    disk.broken = None
    with pytest.raises(StorageError, match="ended"):
        writer.commit(KEY)
    with pytest.raises(StorageError, match="ended"):
        writer.write(CONTENT)
    writer.abort()
    assert list((root / "uploads").iterdir()) == []


def test_short_writes_are_finished(root):
    """A disk that takes a few bytes at a time gets them all."""

    class Stingy(RecordingDisk):
        def write(self, fd, data, /):
            return super().write(fd, data[:3])

    storage = DiskStorage(root, Stingy())
    put(storage)
    assert object_of(root).read_bytes() == CONTENT


@pytest.mark.parametrize("call", ["open", "unlink"])
def test_failing_delete_and_sweep_are_told(root, call):
    """Deleting tells of a failing disk, too."""
    disk = FailingDisk(call, errno.EIO)
    storage = DiskStorage(root, disk)
    put(storage)
    storage.writer()
    gc.collect()
    disk.armed()
    for work in (lambda: storage.delete(KEY), lambda: storage.sweep(timedelta(0))):
        with pytest.raises(StorageError):
            work()


def test_failing_reads_are_told(root):
    """A disk that does not open files says so, and does not call them missing."""
    disk = FailingDisk("open", errno.EIO)
    storage = DiskStorage(root, disk)
    put(storage)
    disk.armed()
    for work in (
        lambda: storage.open(KEY),
        lambda: storage.size(KEY),
        lambda: list(storage.keys()),
    ):
        with pytest.raises(StorageError):
            work()


def test_abort_is_silent_on_a_failing_disk(root):
    """What cannot be deleted now is left to sweep."""
    disk = FailingDisk("unlink", errno.EIO)
    storage = DiskStorage(root, disk)
    writer = storage.writer()
    disk.armed()
    writer.abort()
    disk.broken = None
    assert storage.sweep(timedelta(0)) == 1


def test_ended_writer_refuses(storage):
    """A writer takes nothing after its end."""
    writer = storage.writer()
    writer.abort()
    for work in (lambda: writer.write(b"x"), writer.open, lambda: writer.commit(KEY)):
        with pytest.raises(StorageError, match="ended"):
            work()
    writer = storage.writer()
    writer.commit(KEY)
    for work in (lambda: writer.write(b"x"), writer.open):
        with pytest.raises(StorageError, match="ended"):
            work()


def test_root_that_is_a_file_is_refused(tmp_path):
    """A storage that does not open is a matter of settings; the message names no path."""
    (tmp_path / "blobs").write_text("not a folder")
    with pytest.raises(ConfigurationError) as caught:
        DiskStorage(tmp_path / "blobs")
    assert str(tmp_path) not in str(caught.value)


# ----------------------------------------------------------------------------- several at once


def aged(root):
    old = time.time() - 7200
    for upload in (root / "uploads").iterdir():
        os.utime(upload, (old, old))


def test_living_upload_is_never_swept(root, storage):
    """A sweep leaves alone what somebody writes, however long nothing has arrived."""
    writer = storage.writer()
    writer.write(CONTENT)
    aged(root)
    assert DiskStorage(root).sweep(timedelta(0)) == 0
    writer.commit(KEY)
    assert storage.size(KEY) == len(CONTENT)


def test_sweep_goes_by_age(root, storage):
    """What a dead process left is swept when it is old enough."""
    left = storage.writer()
    left.write(CONTENT)
    del left
    gc.collect()
    assert storage.sweep(timedelta(hours=1)) == 0
    aged(root)
    assert storage.sweep(timedelta(hours=1)) == 1
    assert storage.sweep(timedelta(0)) == 0


def test_age_is_enough_where_there_are_no_locks(root, storage, monkeypatch):
    """On a file system without locks the sweep goes by age alone."""

    def refuse(descriptor, how):
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr("fcntl.flock", refuse)
    writer = storage.writer()
    aged(root)
    assert storage.sweep(timedelta(hours=1)) == 1
    with pytest.raises(StorageError):
        writer.commit(KEY)


def test_sweeps_side_by_side_count_once(root, storage):
    """Two sweeps may meet: what one has deleted is no error of the other."""

    class Racing(RecordingDisk):
        def __init__(self, call):
            super().__init__()
            self.call = call

        def meet(self):
            for upload in (root / "uploads").iterdir():
                upload.unlink()

        def open(self, path, flags, mode=0o777, *, dir_fd=None):
            if self.call == "open" and "-" in path:
                self.meet()
            return super().open(path, flags, mode, dir_fd=dir_fd)

        def unlink(self, path, *, dir_fd=None):
            self.meet()
            super().unlink(path, dir_fd=dir_fd)

    for call in ("open", "unlink"):
        storage.writer()
        gc.collect()
        assert DiskStorage(root, Racing(call)).sweep(timedelta(0)) == 0


def test_listing_threads_do_not_share_a_position(storage):
    """Each of several listings at once sees everything."""
    keys = {put(storage, key=BlobKey.make(KEY.digest)) for _ in range(50)}
    seen = []

    def look():
        seen.extend(set(storage.keys()) == keys for _ in range(20))

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(seen)
    assert len(seen) == 80


def test_disk_has_no_urls(storage):
    """A disk serves nothing by itself."""
    where = {"filename": "x", "media_type": "text/plain", "expires": timedelta(1)}
    assert storage.url(KEY, **where) is None


class SmallDisk(RecordingDisk):
    """A disk of 512 pages of 512 bytes, of which some are free."""

    def __init__(self, free):
        super().__init__()
        self.free = free

    def fstatvfs(self, fd):
        found = list(os.fstatvfs(fd))
        found[1], found[2], found[4] = 512, 512, self.free
        return os.statvfs_result(found)


def test_body_that_does_not_fit_is_refused_before_it_comes(root):
    """A disk without space for the announced length is full at once; nothing is left behind."""
    small = DiskStorage(root, SmallDisk(2), reserve=0)
    with pytest.raises(StorageFullError):
        small.writer(1025)
    assert not list((root / "uploads").iterdir())
    for length in (1024, None):
        small.writer(length).abort()


@pytest.mark.parametrize(("reserve", "kept"), [(None, 32), (1024, 2), (0, 0)])
def test_some_of_the_disk_is_left_to_the_catalog(root, reserve, kept):
    """Uploads stop at the reserve, a sixteenth of a small disk, also those of unknown length."""
    disk = SmallDisk(kept + 1)
    small = DiskStorage(root, disk, reserve=reserve)
    writer = small.writer()
    writer.write(b"x" * 512)
    with pytest.raises(StorageFullError):
        writer.write(b"x" * 513)
    writer.abort()
    with pytest.raises(StorageFullError):
        small.writer(513)
    small.writer(512).abort()


def test_link_is_another_name(storage, tmp_path):
    """The bytes are there once; both names go by themselves."""
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    with source.open("rb") as stream:
        writer = storage.link(stream)
    assert writer is not None
    with writer.open() as written:
        assert written.read() == CONTENT
    writer.commit(KEY)
    writer.abort()
    assert source.stat().st_nlink == 2
    source.unlink()
    with storage.open(KEY) as stored:
        assert stored.read() == CONTENT


def test_link_that_is_given_up_leaves_nothing(storage, tmp_path):
    """The source stays as it was."""
    source = tmp_path / "source"
    source.write_bytes(CONTENT)
    with source.open("rb") as stream:
        writer = storage.link(stream)
    assert writer is not None
    writer.abort()
    assert (source.stat().st_nlink, source.read_bytes()) == (1, CONTENT)
    assert list(storage.keys()) == []


def test_what_cannot_be_linked_is_copied(storage, tmp_path, monkeypatch):
    """No link and no clone: the caller writes the bytes."""
    assert storage.link(io.BytesIO(CONTENT)) is None
    source = tmp_path / "source"
    source.write_bytes(CONTENT)

    def refuse(*_args, **_given):
        raise OSError(errno.EXDEV, "another disk")

    monkeypatch.setattr("os.link", refuse)
    monkeypatch.setattr("fcntl.ioctl", refuse)
    with source.open("rb") as stream:
        assert storage.link(stream) is None
    reader, pipe = os.pipe()
    os.close(pipe)
    with os.fdopen(reader, "rb") as stream:
        assert storage.link(stream) is None
    assert list(tmp_path.rglob("uploads/*")) == []


def test_clone_where_there_is_no_link(storage, tmp_path, monkeypatch):
    """A disk that shares bytes is asked to, and the clone is a file like any other."""
    source = tmp_path / "source"
    source.write_bytes(CONTENT)

    def refuse(*_args, **_given):
        raise OSError(errno.EMLINK, "too many links")

    def clone(target, request, descriptor):
        assert request == 0x40049409
        os.write(target, os.pread(descriptor, len(CONTENT), 0))

    monkeypatch.setattr("os.link", refuse)
    monkeypatch.setattr("fcntl.ioctl", clone)
    with source.open("rb") as stream:
        writer = storage.link(stream)
    assert writer is not None
    writer.commit(KEY)
    with storage.open(KEY) as stored:
        assert stored.read() == CONTENT
    assert source.stat().st_nlink == 1
