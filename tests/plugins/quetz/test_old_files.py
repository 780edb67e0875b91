"""Files of an old quetz, opened when they are read."""

from __future__ import annotations

import uuid

import fsspec
import pytest

from repocore.errors import ConfigurationError, RejectedError
from repocore.plugins.quetz import old_files
from repocore.plugins.quetz.old_config import ObjectStore, OldQuetz
from repocore.plugins.quetz.old_files import open_old_files


def test_files_of_a_folder(tmp_path) -> None:
    """With a descriptor, for a storage that takes them over; links are none."""
    folder = tmp_path / "channels" / "main" / "noarch"
    folder.mkdir(parents=True)
    (folder / "a.conda").write_bytes(b"abc")
    (folder / "b.conda").symlink_to(folder / "a.conda")
    files = open_old_files(OldQuetz(folder=tmp_path, database_url=""))
    found = files.find("main", "noarch", "a.conda")
    assert found is not None
    assert found.size == 3
    assert isinstance(found.fileno(), int)
    assert (found.read(2), found.read(), found.read()) == (b"ab", b"c", b"")
    found.close()
    for name in ("b.conda", "c.conda"):
        assert files.find("main", "noarch", name) is None


def test_a_file_that_went_away(tmp_path) -> None:
    """Is told when it is read."""
    folder = tmp_path / "channels" / "main" / "noarch"
    folder.mkdir(parents=True)
    (folder / "a.conda").write_bytes(b"abc")
    found = open_old_files(OldQuetz(folder=tmp_path, database_url="")).find(
        "main", "noarch", "a.conda"
    )
    assert found is not None
    (folder / "a.conda").unlink()
    with pytest.raises(RejectedError, match="cannot be read"):
        found.read()


def test_files_of_a_bucket(monkeypatch) -> None:
    """By their keys, in pieces."""
    system = fsspec.filesystem("memory")
    bucket = uuid.uuid4().hex
    system.pipe(f"/{bucket}/p-main/noarch/a.conda", b"abc")
    monkeypatch.setattr(old_files, "_system", lambda _store: system)
    objects = ObjectStore(bucket_name=bucket, bucket_prefix="p-")
    files = open_old_files(OldQuetz(folder=None, database_url="", objects=objects))
    found = files.find("main", "noarch", "a.conda")
    assert found is not None
    assert (found.size, found.read(2), found.read(2)) == (3, b"ab", b"c")
    found.close()
    with pytest.raises(OSError, match="fileno"):
        files.find("main", "noarch", "a.conda").fileno()
    assert files.find("main", "noarch", "c.conda") is None


def test_without_the_library_the_extra_is_named(monkeypatch) -> None:
    """And how to install it."""

    def missing(*_words, **_options):
        raise ImportError("s3fs")

    monkeypatch.setattr(fsspec, "filesystem", missing)
    with pytest.raises(ConfigurationError, match=r"pip install 'repocore\[quetz-s3\]'"):
        open_old_files(OldQuetz(folder=None, database_url="", objects=ObjectStore(url="x")))
