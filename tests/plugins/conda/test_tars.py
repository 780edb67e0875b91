"""Tar archives: the members that Python's own reader finds, or a refusal."""

from __future__ import annotations

import io
import tarfile

import pytest
from hypothesis import given, strategies as st

from repocore.errors import InvalidPackageError
from repocore.plugins.conda.limits import ArchiveLimits
from repocore.plugins.conda.tars import Kind, TarMember, TarReader

LIMITS = ArchiveLimits(header=4096)
FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]
KINDS = {
    tarfile.REGTYPE: Kind.FILE,
    tarfile.AREGTYPE: Kind.FILE,
    tarfile.LNKTYPE: Kind.HARD_LINK,
    tarfile.SYMTYPE: Kind.SYMLINK,
    tarfile.DIRTYPE: Kind.FOLDER,
}
NAMES = st.text(st.characters(exclude_categories=["C"], exclude_characters="/"), min_size=1)
PATHS = st.lists(NAMES, min_size=1, max_size=6).map("/".join) | st.integers(90, 300).map(
    "n".__mul__
)


@st.composite
def entries(draw):
    """A header and its content."""
    info = tarfile.TarInfo(draw(PATHS))
    info.type = draw(st.sampled_from([tarfile.REGTYPE, *KINDS]))
    info.mtime = draw(st.integers(0, 2**33) | st.floats(0, 2**33))
    info.uid = draw(st.sampled_from([0, 1000, 2**22]))
    content = b""
    if info.type in {tarfile.REGTYPE, tarfile.AREGTYPE}:
        content = draw(st.binary(max_size=1200))
        info.size = len(content)
    elif info.type in {tarfile.LNKTYPE, tarfile.SYMTYPE}:
        info.linkname = draw(PATHS)
    return info, content


def archive(*members, format: int = tarfile.PAX_FORMAT) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=format) as opened:
        for info, content in members:
            opened.addfile(info, io.BytesIO(content))
    return made.getvalue()


class Pieces:
    """Content that comes in pieces of one size."""

    def __init__(self, data: bytes, size: int) -> None:
        self._stream = io.BytesIO(data)
        self._size = size

    def read(self, size: int, /) -> bytes:
        return self._stream.read(min(size, self._size))


def found(data: bytes, size: int = 1 << 20, limits: ArchiveLimits = LIMITS):
    reader = TarReader(Pieces(data, size), limits)
    return [(member, reader.read()) for member in reader]


def members(data: bytes) -> list[TarMember]:
    """Without reading any content."""
    return list(TarReader(Pieces(data, 700), LIMITS))


@given(st.lists(entries(), max_size=5), st.sampled_from(FORMATS), st.integers(1, 2000))
def test_members_are_those_of_python(wanted, format_, size):
    """Of three formats, in pieces of any size: paths, kinds, sizes, targets and content."""
    try:
        data = archive(*wanted, format=format_)
    except ValueError:
        return  # a name that the format has no room for
    expected = []
    with tarfile.open(fileobj=io.BytesIO(data)) as opened:
        for info in opened:
            stream = opened.extractfile(info) if info.isreg() else None
            content = stream.read() if stream else b""
            target = info.linkname if info.issym() or info.islnk() else ""
            expected.append((info.name, KINDS[info.type], target, content))
    got = found(data, size)
    assert [(m.path.removesuffix("/"), m.kind, m.target, c) for m, c in got] == [
        (path.removesuffix("/"), kind, target, content) for path, kind, target, content in expected
    ]
    assert [member for member, _ in got] == members(data)


def header(name: bytes = b"a", size: bytes = b"0", kind: bytes = b"0", **fields: bytes) -> bytes:
    """One header, with whatever is asked for in its fields, and a right checksum."""
    made = bytearray(512)
    places = {"mode": 100, "chksum": 148, "link": 157, "magic": 257, "prefix": 345, "rest": 500}
    values = {"magic": b"ustar\x0000", **fields}
    made[: len(name)] = name
    made[124 : 124 + len(size)] = size
    made[156:157] = kind
    for field, value in values.items():
        made[places[field] : places[field] + len(value)] = value
    if "chksum" not in fields:
        made[148:156] = b" " * 8
        made[148:156] = b"%06o\0 " % sum(made)
    return bytes(made)


def block(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


END = bytes(1024)
PLAIN = header()


def pax(*records: bytes) -> bytes:
    """An extended header with these records."""
    data = b"".join(records)
    return header(b"x", b"%o" % len(data), b"x") + block(data)


def record(key: bytes, value: bytes) -> bytes:
    length = len(key) + len(value) + 3
    while len(b"%d" % length) + len(key) + len(value) + 3 != length:
        length = len(b"%d" % length) + len(key) + len(value) + 3
    return b"%d %b=%b\n" % (length, key, value)


def long_name(name: bytes, kind: bytes = b"L") -> bytes:
    return header(b"././@LongLink", b"%o" % len(name), kind, magic=b"ustar  \0") + block(name)


def test_the_headers_of_these_tests_are_honest():
    """So that what is refused below is refused for its own reason."""
    data = pax(record(b"mtime", b"1.5"), record(b"path", "é".encode())) + PLAIN + END
    assert [member.path for member, _ in found(data)] == ["é"]
    assert [member.path for member, _ in found(long_name(b"n" * 200 + b"\0") + PLAIN + END)] == [
        "n" * 200
    ]
    assert found(END) == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(512),
        PLAIN,
        PLAIN + bytes(512),
        PLAIN[:300],
        PLAIN + END + b"x",
        PLAIN + bytes(512) + PLAIN + END,
        PLAIN + END + PLAIN + END,
        header(size=b"1") + END[:512],
        pax(record(b"path", b"b")) + END,
        long_name(b"b") + END,
    ],
)
def test_an_archive_has_one_end(data):
    """Two blocks of zeros, then nothing; none that is missing, and none in between."""
    with pytest.raises(InvalidPackageError):
        found(data)


@pytest.mark.parametrize("kind", [b"3", b"4", b"6", b"7", b"S", b"V", b"M", b"D", b"g", b"X", b"A"])
def test_other_kinds_are_refused(kind):
    """Devices, pipes, sparse files, what some readers take for files and others do not."""
    with pytest.raises(InvalidPackageError):
        found(header(kind=kind) + END)


@pytest.mark.parametrize(
    "data",
    [
        pax(record(b"path", b"b"), record(b"path", b"c")) + PLAIN,
        long_name(b"b\0") + pax(record(b"path", b"c")) + PLAIN,
        long_name(b"b\0") + long_name(b"c\0") + PLAIN,
        pax(record(b"size", b"512")) + header() + block(b"x"),
        pax(record(b"size", b"0")) + header(size=b"1000") + block(b"x"),
        pax(record(b"size", b"-1")) + PLAIN,
        pax(record(b"size", b"1" * 30)) + PLAIN,
        pax(record(b"path", b"")) + PLAIN,
        pax(record(b"path", b"a\0b")) + PLAIN,
        long_name(b"a\0b\0") + PLAIN,
        pax(record(b"path", b"\xff")) + PLAIN,
        header(b"\xff"),
        pax(record(b"hdrcharset", b"BINARY")) + PLAIN,
        pax(record(b"GNU.sparse.major", b"1")) + PLAIN,
        pax(b"999 path=b\n") + PLAIN,
        pax(b"5 a=bc\n") + PLAIN,
        pax(b"09 path=b\n") + PLAIN,
        pax(b"path") + PLAIN,
        pax() + pax() + pax() + pax() + PLAIN,
        pax(record(b"comment", b"x" * 5000)) + PLAIN,
        header(magic=b"ustar  \0", prefix=b"p"),
        header(magic=bytes(8), prefix=b"p"),
        header(magic=b"ustar\0zz"),
        header(kind=b"2", size=b"10") + block(b"x"),
        header(kind=b"5", size=b"10") + block(b"x"),
        header(size=b"0o7"),
        header(size=b"-1"),
        header(size=b"1_0"),
        header(size=b"7\x007"),
        header(size=b"\xff" * 12),
        header(size=b"\x80" + b"\xff" * 11),
        header(chksum=b"000000\0 "),
    ],
    ids=range(32),
)
def test_what_readers_may_differ_on_is_refused(data):
    """Two names, two sizes, fields of another dialect, numbers that are none."""
    with pytest.raises(InvalidPackageError):
        found(data + END)


def test_a_large_file_has_its_size_where_there_is_room():
    """Builders in Python leave the short field at 0 from 8 GiB on; the bytes have to come."""
    with pytest.raises(InvalidPackageError, match="ends early"):
        found(pax(record(b"size", b"%d" % 8**11)) + header() + END)


@given(st.binary(max_size=2048))
def test_other_bytes_are_refused(data):
    """Of one kind of error, whatever they are."""
    if data.strip(b"\0"):
        with pytest.raises(InvalidPackageError):
            found(data)


@given(st.lists(entries(), min_size=1, max_size=2), st.data())
def test_a_damaged_archive_is_what_python_reads_or_refused(wanted, data):
    """What is accepted has no member that another reader finds under another name or size."""
    made = bytearray(archive(*wanted))
    for _ in range(data.draw(st.integers(1, 3))):
        made[data.draw(st.integers(0, len(made) - 1))] = data.draw(st.integers(0, 255))
    try:
        got = found(bytes(made))
    except InvalidPackageError:
        return
    with tarfile.open(fileobj=io.BytesIO(bytes(made))) as opened:
        expected = [(info.name, info.size) for info in opened]
    assert [(m.path.removesuffix("/"), m.size) for m, _ in got] == [
        (name.removesuffix("/"), size) for name, size in expected
    ]
