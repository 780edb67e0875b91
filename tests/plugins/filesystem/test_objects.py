"""Names, errors and parts that every storage on a file system shares."""

from __future__ import annotations

import errno
import io
import time

import pytest
from hypothesis import given, strategies as st

from repocore.errors import BlobMissingError, StorageError, StorageFullError
from repocore.model import BlobKey
from repocore.plugins.filesystem.objects import (
    began_before,
    object_name,
    part_of,
    told_as_storage_errors,
    upload_name,
)

positions = st.integers(min_value=0, max_value=60)


@given(
    content=st.binary(max_size=50),
    start=positions,
    stop=st.none() | positions,
    piece=st.integers(min_value=1, max_value=60),
)
def test_part_is_a_slice(content, start, stop, piece):
    """A part, read in pieces of any size, is the slice of the content."""
    with part_of(io.BytesIO(content), start, stop, len(content)) as part:
        read = b"".join(iter(lambda: part.read(piece), b""))
    assert read == content[start:stop]


def test_upload_names_differ_and_tell_their_age():
    """A name says when its body began; names of other origin are never old."""
    name = upload_name()
    assert upload_name() != name
    assert began_before(name, time.time())
    assert not began_before(name, time.time() - 60)
    assert not began_before("README", time.time())


@pytest.mark.parametrize("key", [BlobKey("..", "x"), BlobKey("0" * 64, "../.."), BlobKey("", "")])
def test_only_keys_become_names(key):
    """What is not made of digits never becomes a part of a path."""
    with pytest.raises(ValueError, match="hexadecimal"):
        object_name(key)


@pytest.mark.parametrize(
    ("raised", "seen"),
    [
        (OSError(errno.ENOSPC, "full"), StorageFullError),
        (OSError(errno.EDQUOT, "quota"), StorageFullError),
        (OSError(errno.EIO, "broken"), StorageError),
        (RuntimeError("surprise"), StorageError),
        (BlobMissingError(), BlobMissingError),
        (StorageFullError(), StorageFullError),
    ],
)
def test_errors_are_the_house_s(raised, seen):
    """A file system's exception becomes one of two; the house's own pass unchanged."""
    with pytest.raises(seen) as caught, told_as_storage_errors():
        raise raised
    assert type(caught.value) is seen


def test_interruption_is_no_storage_error():
    """Whoever ends the program is not told that the disk is broken."""
    with pytest.raises(KeyboardInterrupt), told_as_storage_errors():
        raise KeyboardInterrupt
