"""Objects on file systems that fsspec opens, and who opens which URL."""

from __future__ import annotations

import errno
import hashlib
import io
import uuid
from datetime import timedelta
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.implementations.memory import MemoryFileSystem

from repocore.errors import BlobMissingError, ConfigurationError, StorageError, StorageFullError
from repocore.model import BlobKey
from repocore.plugins.filesystem import DiskStorage, TreeStorage, repocore_storage
from repocore.plugins.filesystem.trees import MemoryTree

CONTENT = b"tide and harbour"
KEY = BlobKey.make(hashlib.sha256(CONTENT).hexdigest())


def put(storage, key=KEY):
    writer = storage.writer()
    writer.write(CONTENT)
    writer.commit(key)


class Failing(LocalFileSystem):
    """A file system on which one call fails."""

    cachable = False
    call = ""
    error = OSError(errno.EIO, "broken", "/secret/place")

    def __getattribute__(self, name):
        mine = super().__getattribute__
        return mine("fail") if name and name == mine("call") else mine(name)

    def fail(self, *arguments, **named):
        raise self.error


class Picky(LocalFileSystem):
    """A file system that nothing is right for."""

    cachable = False

    def __init__(self, **options):
        raise ValueError(f"not so: {options}")


@pytest.fixture
def tree():
    return Failing()


@pytest.fixture
def storage(tree, tmp_path):
    return TreeStorage(tree, str(tmp_path))


# -------------------------------------------------------------------------------------- URLs


@pytest.mark.parametrize("form", ["{}", "file://{}", "local://{}"])
def test_paths_and_file_urls_are_disks(tmp_path, form):
    """A path, however it is written, is a local disk."""
    storage = repocore_storage(form.format(tmp_path / "blobs"), {})
    assert isinstance(storage, DiskStorage)
    assert (tmp_path / "blobs" / "sha256").is_dir()


def test_file_url_is_decoded(tmp_path):
    """The path of a file URL is percent-encoded, and a bare path is not."""
    repocore_storage((tmp_path / "wide river").as_uri(), {})
    repocore_storage(str(tmp_path / "50%25"), {})
    assert {path.name for path in tmp_path.iterdir()} == {"wide river", "50%25"}


def test_file_url_with_a_host_is_refused():
    """Two slashes where three are meant would be a path that nobody wrote."""
    with pytest.raises(ConfigurationError, match="three slashes"):
        repocore_storage("file://data/blobs", {})


def test_unknown_scheme_is_not_ours():
    """A scheme that fsspec does not know is left to other plugins."""
    assert repocore_storage("harbour://tide", {}) is None


@pytest.mark.parametrize(
    ("url", "options", "said"),
    [
        ("blobs", {"key": "x"}, "one of the storage_options: reserve"),
        ("blobs", {"reserve": "1 GiB"}, "one of the storage_options: reserve"),
        ("blobs", {"reserve": -1}, "one of the storage_options: reserve"),
        ("memory://a*b", {}, "must not hold"),
        ("tide-absent://blobs", {}, "not installed"),
        ("tide-picky://blobs", {"wrong": 1}, "does not open"),
    ],
)
def test_wrong_settings_are_told(url, options, said):
    """What cannot be opened is a matter of settings, in one sentence."""
    fsspec.register_implementation("tide-absent", "repocore_nowhere.Tide", clobber=True)
    fsspec.register_implementation("tide-picky", Picky, clobber=True)
    with pytest.raises(ConfigurationError, match=said):
        repocore_storage(url, options)


def test_memory_is_shared_by_name():
    """Two storages of one memory URL see the same objects, and others do not."""
    name = uuid.uuid4().hex
    put(repocore_storage(f"memory://{name}", {}))
    assert repocore_storage(f"memory://{name}", {}).size(KEY) == len(CONTENT)
    assert repocore_storage(f"memory://{name}x", {}).size(KEY) is None


def test_hook_is_asked_last():
    """A plugin that opens the same scheme goes before."""
    assert repocore_storage.repocore_impl["trylast"]


# ----------------------------------------------------------------------------------- objects


def test_tree_is_as_drawn(storage, tmp_path: Path):
    """The tree is that of the local disk."""
    put(storage)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files == [tmp_path / "sha256" / KEY.digest[:2] / str(KEY)]


def test_second_key_is_a_copy(storage):
    """A body can become a second object as long as the first is there."""
    writer = storage.writer()
    writer.write(CONTENT)
    writer.commit(KEY)
    other = BlobKey.make(KEY.digest)
    writer.commit(other)
    assert set(storage.keys()) == {KEY, other}
    storage.delete(KEY)
    with pytest.raises(StorageError):
        writer.commit(BlobKey.make(KEY.digest))


@pytest.mark.parametrize("call", ["open", "makedirs", "mv", "ls", "info", "rm_file"])
def test_failing_tree_is_told_without_a_path(storage, tree, call):
    """Whatever call of the file system fails, the error is the house's and names no path."""
    put(storage)
    tree.call = call
    works = {
        "open": lambda: storage.open(KEY),
        "makedirs": storage.writer,
        "mv": lambda: put(storage, BlobKey.make(KEY.digest)),
        "ls": lambda: list(storage.keys()),
        "info": lambda: storage.size(KEY),
        "rm_file": lambda: storage.delete(KEY),
    }
    with pytest.raises(StorageError) as caught:
        works[call]()
    assert "secret" not in str(caught.value)
    assert not isinstance(caught.value, StorageFullError)


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), OSError(errno.EDQUOT, "quota")])
def test_full_tree_is_told(storage, tree, error):
    """A full file system is told apart from a broken one."""
    writer = storage.writer()
    writer.write(CONTENT)
    tree.call, tree.error = "mv", error
    with pytest.raises(StorageFullError):
        writer.commit(KEY)
    with pytest.raises(StorageError, match="ended"):
        writer.commit(KEY)
    tree.call = ""
    writer.abort()
    assert list(storage.keys()) == []
    assert storage.sweep(timedelta(0)) == 0


def test_any_exception_is_a_storage_error(storage, tree):
    """File systems of others raise what they like; callers see one kind."""
    tree.call, tree.error = "info", RuntimeError("token=secret")
    with pytest.raises(StorageError) as caught:
        storage.size(KEY)
    assert "secret" not in str(caught.value)


def test_object_that_goes_while_it_is_opened_is_missing(storage, tree):
    """Between the look and the opening a collector may pass."""
    put(storage)
    tree.call, tree.error = "open", FileNotFoundError(errno.ENOENT, "gone")
    with pytest.raises(BlobMissingError):
        storage.open(KEY)


def test_abort_is_silent(storage, tree):
    """Aborting does not hide the error that led to it."""
    writer = storage.writer()
    tree.call = "rm_file"
    writer.abort()
    tree.call = ""
    assert storage.sweep(timedelta(0)) == 1


def test_abort_deletes_what_does_not_close(storage, tmp_path):
    """An upload that fails to close is deleted all the same."""
    writer = storage.writer()

    class Stuck(io.BytesIO):
        def close(self):
            raise OSError(errno.EIO, "stuck")

    writer._stream.close()
    writer._stream = Stuck()
    writer.abort()
    assert list((tmp_path / "uploads").iterdir()) == []


def test_ended_writer_refuses(storage):
    """A writer takes nothing after its end."""
    writer = storage.writer()
    writer.commit(KEY)
    for work in (lambda: writer.write(b"x"), writer.open):
        with pytest.raises(StorageError, match="ended"):
            work()


def test_strange_names_are_passed_by(storage, tmp_path):
    """Only a key in the folder of its digits is an object, only our uploads are swept."""
    put(storage)
    (tmp_path / "sha256" / KEY.digest[:2] / "README").write_text("hello")
    (tmp_path / "uploads" / "README").write_text("hello")
    assert list(storage.keys()) == [KEY]
    assert storage.sweep(timedelta(0)) == 0


def test_no_front_server_sees_a_tree(storage):
    """Neither a location nor a URL is promised."""
    where = {"filename": "x", "media_type": "text/plain", "expires": timedelta(1)}
    assert storage.location(KEY) is None
    assert storage.url(KEY, **where) is None


def test_folder_is_no_object(storage, tmp_path):
    """A folder in an object's place has no size."""
    (tmp_path / "sha256" / KEY.digest[:2] / str(KEY)).mkdir(parents=True)
    assert storage.size(KEY) is None


def test_memory_deletes_only_what_is_there():
    """The memory raises as a disk does, so that the storage need not know the difference."""
    fresh = MemoryFileSystem()
    tree = MemoryTree(fresh, {})
    for work in (tree.rm_file, tree.info, tree.open):
        with pytest.raises(FileNotFoundError):
            work("/tide")
