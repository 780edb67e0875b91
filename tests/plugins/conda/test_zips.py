"""The container of a ``.conda``: one reading, or none."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

import pytest
from hypothesis import example, given, strategies as st

from repocore.errors import InvalidPackageError
from repocore.plugins.conda.zips import read_directory

STEM = "tide-1.0-0"
PARTS = {
    "metadata.json": b'{"conda_pkg_format_version": 2}',
    f"pkg-{STEM}.tar.zst": b"payload" * 9,
    f"info-{STEM}.tar.zst": b"info",
}
SHORT = {
    "metadata.json": "metadata.json",
    "info": f"info-{STEM}.tar.zst",
    "pkg": f"pkg-{STEM}.tar.zst",
}


def built(
    parts=PARTS,
    *,
    flags: int = 0,
    long: bool = False,
    after: str = "",
    extra: bytes = b"",
    method: int = 0,
    end64: bool = False,
) -> bytes:
    """A ZIP as different builders write it, field by field."""
    body, directory = b"", b""
    for name, content in parts.items():
        crc, size, raw = zlib.crc32(content), len(content), name.encode()
        more = struct.pack("<2H2Q", 1, 16, size, size) + extra if long else extra
        said = 0xFFFFFFFF if long else size
        sums = (0, 0, 0) if flags & 8 else (crc, said, said)
        offset = len(body)
        lead = b"" if flags & 8 and long else more
        body += struct.pack(
            "<4s5H3L2H", b"PK\3\4", 45, flags, method, 0, 0, *sums, len(raw), len(lead)
        )
        body += raw + lead + content
        body += {
            "": b"",
            "short": struct.pack("<4s3L", b"PK\7\10", crc, size, size),
            "long": struct.pack("<4sL2Q", b"PK\7\10", crc, size, size),
            "wrong": struct.pack("<4s3L", b"PK\7\10", crc, size + 1, size),
            "bare": struct.pack("<3L", crc, size, size),
        }[after]
        directory += struct.pack(
            "<4s6H3L5H2L", b"PK\1\2", 45, 45, flags, method, 0, 0, crc, said, said,
            len(raw), len(more), 0, 0, 0, 0, offset,
        ) + raw + more  # fmt: skip
    start, count = len(body), len(parts)
    tail = b""
    if end64:
        tail = struct.pack(
            "<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(directory), start
        )
        tail += struct.pack("<4sLQL", b"PK\6\7", 0, start + len(directory), 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(directory), start, 0)
    return body + directory + tail + end


def read(data: bytes, stem: str = STEM) -> dict[str, bytes]:
    spans = read_directory(io.BytesIO(data), len(data), stem)
    assert all(zlib.crc32(data[s.start : s.start + s.size]) == s.crc for s in spans.values())
    return {name: data[span.start : span.start + span.size] for name, span in spans.items()}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"flags": 0x800},
        {"long": True},  # as rattler-build writes every package
        {"flags": 8, "after": "short"},  # as libarchive does
        {"flags": 8, "after": "long", "long": True},
        {"extra": struct.pack("<2H5s", 0x5455, 5, b"times")},
    ],
    ids=str,
)
def test_what_builders_write_is_read(options):
    """Sizes of 32 and 64 bits, in the header or behind the content; and Python reads the same."""
    data = built(**options)
    found = read(data)
    assert {SHORT[name]: content for name, content in found.items()} == PARTS
    with zipfile.ZipFile(io.BytesIO(data)) as opened:
        assert {name: opened.read(name) for name in opened.namelist()} == PARTS


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_members_may_come_in_any_order(order):
    """Builders differ."""
    parts = [list(PARTS.items())[place] for place in order]
    assert set(read(built(dict(parts)))) == set(SHORT)


@pytest.mark.parametrize(
    "options",
    [
        {"flags": 1},
        {"flags": 8},
        {"flags": 8, "after": "wrong"},
        {"flags": 8, "after": "bare"},
        {"after": "short"},
        {"method": 8},
        {"end64": True},  # a second end record, that some readers go by
        {"extra": struct.pack("<2H4s", 0x7075, 4, b"name")},  # another name, that some go by
        {"extra": struct.pack("<2H4s", 0x9999, 4, b"what")},
        {"extra": b"\1"},
        {"extra": struct.pack("<2H", 0x5455, 9)},
        {"extra": struct.pack("<2H8s", 1, 8, b"12345678")},
    ],
    ids=str,
)
def test_what_readers_may_differ_on_is_refused(options):
    """Encryption, descriptors that are missing or wrong, second names, second ends."""
    with pytest.raises(InvalidPackageError):
        read(built(**options))


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {name: PARTS[name] for name in list(PARTS)[:2]},
        {**PARTS, "more": b""},
        {**{f"./{name}": content for name, content in PARTS.items()}},
        {**{name.upper(): content for name, content in PARTS.items()}},
        {"metadata.json": b"", "pkg-ebb-1.0-0.tar.zst": b"", f"info-{STEM}.tar.zst": b""},
    ],
)
def test_a_package_has_three_parts_of_its_name(parts):
    """No more, no less, and no others."""
    with pytest.raises(InvalidPackageError):
        read(built(parts))


HONEST = built()


@given(st.integers(0, len(HONEST) - 1), st.integers(0, 255))
@example(HONEST.index(b"PK\1\2") + 6, 64)
def test_a_changed_byte_changes_nothing_or_is_refused(place, value):
    """Of what is accepted, Python finds the same members with the same content."""
    data = bytearray(HONEST)
    data[place] = value
    try:
        found = read_directory(io.BytesIO(bytes(data)), len(data), STEM)
    except InvalidPackageError:
        return
    with zipfile.ZipFile(io.BytesIO(bytes(data))) as opened:
        for name, span in found.items():
            info = opened.getinfo(SHORT[name])
            assert (info.file_size, info.CRC, info.compress_type) == (span.size, span.crc, 0)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK\5\6",
        HONEST[1:],
        HONEST[:-1],
        HONEST + b"\0",
        b"\0" + HONEST,
        HONEST + HONEST,
        HONEST * 2,
    ],
)
def test_bytes_before_and_behind_are_refused(data):
    """Readers that look from the end would not see them, or see another ZIP."""
    with pytest.raises(InvalidPackageError):
        read(data)


class Sparse(io.RawIOBase):
    """A file of more than 4 GiB, of which only its ends are there."""

    def __init__(self, pieces: dict[int, bytes], size: int) -> None:
        super().__init__()
        self._pieces, self._size, self._at = pieces, size, 0

    def seek(self, offset: int, whence: int = 0, /) -> int:
        self._at = offset
        return offset

    def read(self, size: int = -1, /) -> bytes:
        for start, data in self._pieces.items():
            if start <= self._at and self._at + size <= start + len(data):
                return data[self._at - start : self._at - start + size]
        return b""


def test_a_package_of_more_than_4_gib_is_read():
    """Its directory is further off than the end record has room for."""
    size, pieces, directory, at = 5 << 30, {}, b"", 0
    for name in PARTS:
        content = size if name.startswith("pkg") else 4
        raw = name.encode()
        sizes = struct.pack("<2H2Q", 1, 16, content, content)
        head = struct.pack(
            "<4s5H3L2H", b"PK\3\4", 45, 0, 0, 0, 0, 7, 2**32 - 1, 2**32 - 1, len(raw), 20
        )
        pieces[at] = head + raw + sizes
        far = at > 2**32
        more = struct.pack("<2H3Q", 1, 24, content, content, at) if far else sizes
        directory += struct.pack(
            "<4s6H3L5H2L", b"PK\1\2", 45, 45, 0, 0, 0, 0, 7, 2**32 - 1, 2**32 - 1,
            len(raw), len(more), 0, 0, 0, 0, 2**32 - 1 if far else at,
        ) + raw + more  # fmt: skip
        at += len(pieces[at]) + content
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 3, 3, len(directory), at)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, at + len(directory), 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 3, 3, len(directory), 2**32 - 1, 0)
    pieces[at] = directory + end64 + locator + end
    whole = at + len(pieces[at])
    spans = read_directory(Sparse(pieces, whole), whole, STEM)
    assert (spans["pkg"].size, spans["info"].size) == (size, 4)
    for wrong in (b"PK\6\7", b"PK\6\6"):
        broken = {**pieces, at: pieces[at].replace(wrong, b"PK\0\0")}
        with pytest.raises(InvalidPackageError):
            read_directory(Sparse(broken, whole), whole, STEM)
