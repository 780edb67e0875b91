"""The container of a ``.conda``: a ZIP that every reader reads alike, or none at all.

Some readers go by the directory at the end, others by the headers on the way; some look for the
last end record, others take the first.  What they could disagree on is refused, so that what was
inspected here is what a client unpacks: three stored members, one after the other, from the first
byte to the directory; headers that say what the directory says; one end record, at the end.
"""

from __future__ import annotations

import struct
from typing import BinaryIO, Final

import attrs

from repocore.errors import InvalidPackageError

__all__ = ["METADATA", "Span", "read_directory"]

#: The member that says which format the package has.
METADATA: Final = "metadata.json"

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_END64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR64 = struct.Struct("<4sLQL")
_DESCRIPTOR = struct.Struct("<4s3L")
_DESCRIPTOR64 = struct.Struct("<4sL2Q")

_FULL: Final = 0xFFFFFFFF
_ZIP64: Final = 0x0001
# Times and owners, which no reader goes by.
_HARMLESS: Final = frozenset({_ZIP64, 0x000A, 0x5455, 0x5855, 0x7855, 0x7875})
_DESCRIBED: Final = 0x0008  # what libarchive sets: the checksum follows the content
_UTF8: Final = 0x0800
_MEMBERS: Final = 3
#: The version of the format above which readers give up (APPNOTE 4.4.3: 6.3).
_NEWEST: Final = 63
_MOST_DIRECTORY: Final = 4096  # of three members with names of CEP 26


@attrs.frozen
class Span:
    """Where the content of a member lies in the file, and its CRC-32."""

    start: int
    size: int
    crc: int


@attrs.frozen
class _Entry:
    name: bytes
    flags: int
    crc: int
    size: int
    offset: int


def _refused(reason: str) -> InvalidPackageError:
    return InvalidPackageError(f"The .conda is not a ZIP that all clients read alike: {reason}.")


def read_directory(file: BinaryIO, size: int, stem: str) -> dict[str, Span]:
    """The members ``metadata.json``, ``info`` and ``pkg`` of a package with that stem.

    Raises `InvalidPackageError`.  Reads a few hundred bytes of the file, wherever they are.
    """
    start, stop = _bounds(file, size)
    entries = _entries(_read(file, start, stop - start))
    names = {
        METADATA.encode(): METADATA,
        f"info-{stem}.tar.zst".encode(): "info",
        f"pkg-{stem}.tar.zst".encode(): "pkg",
    }
    if sorted(entry.name for entry in entries) != sorted(names):
        message = (
            f"The .conda does not hold exactly {METADATA}, info-{stem}.tar.zst and "
            f"pkg-{stem}.tar.zst; a package keeps the name that it was built with."
        )
        raise InvalidPackageError(message)
    entries.sort(key=lambda entry: entry.offset)
    ends = [entry.offset for entry in entries[1:]] + [start]
    if entries[0].offset != 0:
        raise _refused("something stands before its first member")
    return {
        names[entry.name]: _locate(file, entry, end)
        for entry, end in zip(entries, ends, strict=True)
    }


def _read(file: BinaryIO, start: int, size: int) -> bytes:
    file.seek(start)
    data = file.read(size)
    if len(data) != size:
        raise _refused("it ends early")
    return data


def _bounds(file: BinaryIO, size: int) -> tuple[int, int]:
    """Where the directory starts and stops: it has three entries, and ends at the end record."""
    stop = size - _END.size
    if stop < 0:
        raise _refused("it has no end record")
    end = _END.unpack(_read(file, stop, _END.size))
    signature, disk, start_disk, here, total, length, start, comment = end
    if signature != b"PK\5\6" or comment:
        raise _refused("it does not end in an end record")
    if (disk, start_disk, here, total) != (0, 0, _MEMBERS, _MEMBERS):
        raise _refused("it has not three members")
    if start == _FULL:
        stop, start = _bounds64(file, stop, length)
    if length > _MOST_DIRECTORY or start + length != stop:
        raise _refused("its directory is not where its end record says")
    return start, stop


def _bounds64(file: BinaryIO, stop: int, length: int) -> tuple[int, int]:
    """The same of a package of more than 4 GiB, whose end record has no room for it."""
    tail = _END64.size + _LOCATOR64.size
    if stop < tail:
        raise _refused("its 64-bit end record is not whole")
    data = _read(file, stop - tail, tail)
    signature, rest, _, _, disk, start_disk, here, total, length64, start = _END64.unpack_from(data)
    if _LOCATOR64.unpack_from(data, _END64.size) != (b"PK\6\7", 0, stop - tail, 1):
        raise _refused("its 64-bit end record is not where it has to be")
    if (signature, rest, disk, start_disk) != (b"PK\6\6", _END64.size - 12, 0, 0):
        raise _refused("its 64-bit end record is not usable")
    if (here, total, length64) != (_MEMBERS, _MEMBERS, length) or start < _FULL:
        raise _refused("its two end records contradict each other")
    return stop - tail, start


def _entries(directory: bytes) -> list[_Entry]:
    entries: list[_Entry] = []
    at = 0
    for _ in range(_MEMBERS):
        if len(directory) < at + _CENTRAL.size:
            raise _refused("its directory is not whole")
        fields = _CENTRAL.unpack_from(directory, at)
        signature, _, needed, flags, method, _, _, crc, packed, size, name, extra = fields[:12]
        comment = fields[12]
        disk, _, _, offset = fields[13:]
        at += _CENTRAL.size
        data = directory[at : at + name + extra]
        at += name + extra
        if signature != b"PK\1\2" or comment or disk or len(data) != name + extra:
            raise _refused("its directory is not usable")
        if method or flags & ~(_UTF8 | _DESCRIBED) or needed & 0xFF > _NEWEST:
            raise _refused("a member is not stored as it is")
        packed, size, offset = _sizes(data[name:], packed, size, offset)
        if packed != size:
            raise _refused("a member has two sizes")
        entries.append(_Entry(data[:name], flags, crc, size, offset))
    if at != len(directory):
        raise _refused("its directory holds more than three members")
    return entries


def _sizes(extra: bytes, *fields: int) -> list[int]:
    """The fields, and in the place of those that have no room for their value the long ones."""
    long = _extras(extra).get(_ZIP64)
    full = [place for place, value in enumerate(fields) if value == _FULL]
    values = list(fields)
    if long is None:
        if full:
            raise _refused("a size is missing")
        return values
    if len(long) != 8 * len(full):
        raise _refused("a size is written twice")
    for place, (value,) in zip(full, struct.iter_unpack("<Q", long), strict=True):
        values[place] = value
    return values


def _extras(extra: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    at = 0
    while at < len(extra):
        if len(extra) < at + 4:
            raise _refused("a member's extra field is not whole")
        kind, length = struct.unpack_from("<2H", extra, at)
        data = extra[at + 4 : at + 4 + length]
        if len(data) != length or kind in found or kind not in _HARMLESS:
            raise _refused("a member has an extra field that readers may differ on")
        found[kind] = data
        at += 4 + length
    return found


def _locate(file: BinaryIO, entry: _Entry, end: int) -> Span:
    """The content of a member, from its own header to ``end``, where the next thing starts."""
    head = _read(file, entry.offset, _LOCAL.size)
    signature, _, flags, method, _, _, crc, packed, size, name, extra = _LOCAL.unpack(head)
    if signature != b"PK\3\4" or flags != entry.flags or method:
        raise _refused("a member's header is not what the directory says")
    data = _read(file, entry.offset + _LOCAL.size, name + extra)
    start = entry.offset + _LOCAL.size + name + extra
    described = bool(flags & _DESCRIBED)
    packed, size = _sizes(data[name:], packed, size)
    allowed = {(entry.name, entry.crc, entry.size, entry.size)}
    if described:  # then the header has nothing, or the sizes without the checksum
        allowed |= {(entry.name, 0, 0, 0), (entry.name, 0, entry.size, entry.size)}
    if (data[:name], crc, packed, size) not in allowed:
        raise _refused("a member's header is not what the directory says")
    stop = start + entry.size
    if (stop != end) if not described else not _is_descriptor(file, entry, stop, end):
        raise _refused("there is something between its members")
    return Span(start, entry.size, entry.crc)


def _is_descriptor(file: BinaryIO, entry: _Entry, start: int, end: int) -> bool:
    """Whether nothing but the directory's checksum and sizes stand between the two."""
    if end - start == _DESCRIPTOR.size and entry.size < _FULL:
        wanted = _DESCRIPTOR.pack(b"PK\7\10", entry.crc, entry.size, entry.size)
    elif end - start == _DESCRIPTOR64.size:
        wanted = _DESCRIPTOR64.pack(b"PK\7\10", entry.crc, entry.size, entry.size)
    else:
        return False
    return _read(file, start, len(wanted)) == wanted
