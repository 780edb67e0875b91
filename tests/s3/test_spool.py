"""Bodies on their way to the store."""

from __future__ import annotations

import errno
import hashlib
import os

import pytest
from hypothesis import given, strategies as st

from repocore.errors import StorageError, StorageFullError
from repocore_s3 import spool as module
from repocore_s3.spool import Part, Spool


def md5(content):
    return hashlib.md5(content).digest()


@given(chunks=st.lists(st.binary(max_size=20), max_size=8), part_size=st.integers(1, 9))
def test_parts_are_the_body(chunks, part_size):
    """However it comes, it is cut into parts of that size, the last of which may be shorter."""
    content = b"".join(chunks)
    spool = Spool(None, part_size, None)
    for chunk in chunks:
        spool.write(chunk)
    parts = spool.parts()
    read = [spool.read(part).read() for part in parts]
    assert b"".join(read) == content
    assert all(len(one) == part_size for one in read[:-1])
    assert len(parts) == max(-(-len(content) // part_size), 1)
    assert [part.md5 for part in parts] == [md5(one) for one in read]
    with spool.open() as stream:
        assert stream.read() == content
    spool.close()


def test_reader_outlives_the_spool_and_sees_no_more():
    """It reads what was there when it was opened."""
    spool = Spool(None, 100, None)
    spool.write(b"tide")
    reader = spool.open()
    spool.write(b" and harbour")
    spool.close()
    with reader:
        assert reader.read() == b"tide"
        assert reader.seek(-2, os.SEEK_END) == 2
        assert reader.read() == b"de"
        assert reader.read() == b""


def test_piece_is_sought_in_as_the_client_does():
    """It is read twice: to be signed, and to be sent."""
    spool = Spool(None, 4, None)
    spool.write(b"tideflow")
    piece = spool.read(spool.parts()[1])
    assert (piece.seek(0, os.SEEK_END), piece.seek(0)) == (4, 0)
    assert piece.read() == b"flow"
    assert piece.tell() == 4
    with pytest.raises(ValueError, match="before the start"):
        piece.seek(-1)
    spool.close()


def test_file_has_no_name(tmp_path):
    """A server that dies leaves nothing behind."""
    spool = Spool(tmp_path, 4, None)
    spool.write(b"tide and harbour")
    assert list(tmp_path.iterdir()) == []
    spool.close()


def test_file_systems_without_unnamed_files_will_do(tmp_path, monkeypatch):
    """The name is gone before anything is written."""
    opening = os.open

    def refuse(path, flags, mode=0o777, **more):
        if flags & os.O_TMPFILE == os.O_TMPFILE:
            raise OSError(errno.EOPNOTSUPP, "not supported")
        return opening(path, flags, mode, **more)

    monkeypatch.setattr(os, "open", refuse)
    spool = Spool(tmp_path, 4, None)
    spool.write(b"tide")
    assert list(tmp_path.iterdir()) == []
    assert spool.open().read() == b"tide"
    spool.close()


def test_folder_that_is_gone_is_an_error(tmp_path):
    """It names no folder of the server."""
    with pytest.raises(StorageError) as told:
        Spool(tmp_path / "gone", 4, None)
    assert str(tmp_path) not in str(told.value)


def test_announced_body_that_has_no_space_is_refused_at_once(tmp_path):
    """Before its first byte."""
    with pytest.raises(StorageFullError):
        Spool(tmp_path, 4, 1 << 60)


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, StorageFullError), (errno.EIO, StorageError)]
)
def test_disk_that_fails_is_an_error(monkeypatch, number, kind):
    """A full disk is told apart."""
    spool = Spool(None, 100, None)

    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "write", fail)
    with pytest.raises(StorageError) as told:
        spool.write(b"tide")
    monkeypatch.undo()
    assert type(told.value) is kind
    spool.close()


def test_short_writes_are_gone_on_with(monkeypatch):
    """A disk may take less than it was given."""
    writing = os.write
    spool = Spool(None, 5, None)
    monkeypatch.setattr(os, "write", lambda file, data: writing(file, bytes(data[:2])))
    spool.write(b"tide and harbour")
    monkeypatch.undo()
    assert [(one.start, one.stop) for one in spool.parts()] == [(0, 5), (5, 10), (10, 15), (15, 16)]
    assert spool.parts()[1] == Part(5, 10, md5(b"and h"))
    spool.close()


def test_more_parts_than_s3_takes(monkeypatch):
    """An announced body has larger parts; one that was not announced is refused, in words."""
    monkeypatch.setattr(module, "MOST_PARTS", 3)
    announced = Spool(None, 2, 10)
    announced.write(b"0123456789")
    assert [one.stop - one.start for one in announced.parts()] == [4, 4, 2]
    announced.close()
    surprising = Spool(None, 2, None)
    surprising.write(b"012345")
    assert len(surprising.parts()) == 3
    with pytest.raises(StorageError, match="part_size"):
        surprising.write(b"6")
    surprising.close()
