"""Decompression: bounded at every step, whole or refused."""

from __future__ import annotations

import bz2
import io
import random
import zlib

import pytest
import zstandard
from hypothesis import given, strategies as st

from repocore.errors import InvalidPackageError
from repocore.plugins.conda.limits import ArchiveLimits
from repocore.plugins.conda.streams import Budget, Bzip2Reader, StoredPart, ZstdReader
from repocore.plugins.conda.zips import Span

LIMITS = ArchiveLimits(unpacked=8 << 20, ratio=50, allowance=4 << 20)
MAGIC = b"\x28\xb5\x2f\xfd"
PARAMETERS = st.fixed_dictionaries(
    {
        "level": st.integers(1, 5),
        "write_checksum": st.booleans(),
        "write_content_size": st.booleans(),
    }
)


def zstd_reader(frame: bytes, limits: ArchiveLimits = LIMITS) -> ZstdReader:
    span = Span(0, len(frame), zlib.crc32(frame))
    return ZstdReader(StoredPart(io.BytesIO(frame), span), Budget.of(len(frame), limits), limits)


def bzip2_reader(data: bytes, limits: ArchiveLimits = LIMITS) -> Bzip2Reader:
    return Bzip2Reader(io.BytesIO(data), Budget.of(len(data), limits), limits)


READERS = {"zst": (zstd_reader, zstandard.compress), "bz2": (bzip2_reader, bz2.compress)}


def drained(reader: ZstdReader | Bzip2Reader, size: int = 4096) -> bytes:
    chunks = []
    while chunk := reader.read(size):
        assert len(chunk) <= size
        chunks.append(chunk)
    return b"".join(chunks)


@pytest.mark.parametrize("kind", READERS)
@given(data=st.binary(max_size=3000), times=st.integers(1, 60), size=st.integers(1, 9000))
def test_content_comes_back(kind, data, times, size):
    """Whatever was compressed, in pieces no larger than was asked for."""
    reader, compress = READERS[kind]
    assert drained(reader(compress(data * times)), size) == data * times


@given(st.binary(max_size=3000), PARAMETERS)
def test_frames_of_every_kind_are_read(data, parameters):
    """With and without a size, a checksum, a window of their own."""
    assert drained(zstd_reader(zstandard.ZstdCompressor(**parameters).compress(data))) == data
    stream = zstandard.ZstdCompressor(**parameters).compressobj()
    assert drained(zstd_reader(stream.compress(data) + stream.flush())) == data


@pytest.mark.parametrize("kind", READERS)
@given(cut=st.integers(0, 10_000))
def test_what_is_cut_off_is_refused(kind, cut):
    """A library takes it for the end; this reader does not."""
    reader, compress = READERS[kind]
    packed = compress(random.Random(7).randbytes(5000))
    with pytest.raises(InvalidPackageError):
        drained(reader(packed[: cut % (len(packed) - 1) + 1]))


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize("rest", [b"\0", b"x" * 600, b"\x50\x2a\x4d\x18\1\0\0\0x"])
def test_what_follows_is_refused(kind, rest):
    """Bytes behind the end, and a frame that readers pass over."""
    reader, compress = READERS[kind]
    with pytest.raises(InvalidPackageError):
        drained(reader(compress(b"content") + rest))


@pytest.mark.parametrize("kind", READERS)
def test_a_second_stream_is_refused_unless_it_is_allowed(kind):
    """Some clients would read it, and some not."""
    reader, compress = READERS[kind]
    packed = compress(b"one") + compress(b"two")
    with pytest.raises(InvalidPackageError):
        drained(reader(packed))
    assert drained(reader(packed, ArchiveLimits(streams=2))) == b"onetwo"
    with pytest.raises(InvalidPackageError):
        drained(reader(packed + compress(b"three"), ArchiveLimits(streams=2)))


@pytest.mark.parametrize("kind", READERS)
def test_a_bomb_stops_at_the_budget(kind):
    """What a byte unpacks to is counted, not kept."""
    reader, compress = READERS[kind]
    with pytest.raises(InvalidPackageError, match=r"more than 50 times its size"):
        drained(reader(compress(bytes(7 << 20))), 1 << 20)
    with pytest.raises(InvalidPackageError, match=r"more than 1000 bytes"):
        drained(reader(compress(bytes(1001)), ArchiveLimits(unpacked=1000)))


def test_empty_blocks_without_end_are_refused():
    """Three bytes that unpack to nothing, and cost a step each."""
    header = MAGIC + b"\x00\x58"
    honest = header + b"\0\0\0" * 5_000 + b"\1\0\0"
    assert drained(zstd_reader(honest)) == b""
    with pytest.raises(InvalidPackageError, match="too many blocks"):
        drained(zstd_reader(header + b"\0\0\0" * 50_000 + b"\1\0\0"))


@pytest.mark.parametrize(
    "frame",
    [
        MAGIC + b"\x08\x58\1\0\0",  # the reserved bit
        MAGIC + b"\x01\x58\x07\1\0\0",  # a dictionary
        MAGIC + b"\x00\x58\7\0\0",  # a reserved kind of block
        MAGIC + b"\x00\xf8\1\0\0",  # a window of two terabytes
        MAGIC + b"\xe0" + b"\xff" * 8 + b"\1\0\0",  # content, and so a window, without end
        b"\x27\xb5\x2f\xfd\x00\x58\1\0\0",  # another magic number
    ],
)
def test_frames_that_ask_for_more_are_refused(frame):
    """What a reader would have to set aside, or know."""
    with pytest.raises(InvalidPackageError):
        drained(zstd_reader(frame))


def test_a_window_of_the_highest_level_is_read():
    """What the best compression of builders asks for: 128 MiB."""
    options = zstandard.ZstdCompressionParameters(window_log=27)
    stream = zstandard.ZstdCompressor(compression_params=options).compressobj()
    assert drained(zstd_reader(stream.compress(b"content") + stream.flush())) == b"content"


def test_a_part_is_compared_with_its_checksum():
    """Even where nothing else would find the damage."""
    part = StoredPart(io.BytesIO(b"content"), Span(0, 7, zlib.crc32(b"kontent")))
    with pytest.raises(InvalidPackageError, match="checksum"):
        part.read()


@pytest.mark.parametrize("kind", READERS)
@given(data=st.binary(max_size=300))
def test_other_bytes_are_refused(kind, data):
    """Of one kind of error, whatever they are."""
    reader, _ = READERS[kind]
    if data:
        with pytest.raises(InvalidPackageError):
            drained(reader(data))
