"""Members of a tar archive, read once and in order, with no more memory than a chunk.

The headers of POSIX, GNU and pax are understood as far as builders of packages write them.  What
two readers could take for different members is refused: a member with two names or two sizes,
fields that one kind of header has and another has not, sparse files, archives in a row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from struct import Struct
from typing import Final
from zlib import adler32

import attrs

from repocore.errors import InvalidPackageError
from repocore.plugins.conda.limits import ArchiveLimits
from repocore.plugins.conda.streams import Content

__all__ = ["Kind", "TarMember", "TarReader"]

_BLOCK: Final = 512
_CHUNK: Final = 256 * 1024
_ZEROS: Final = bytes(_BLOCK)
_HEADER = Struct("100s24s12s12s8sc100s8s80s155s12s")
_POSIX: Final = b"ustar\x0000"
_GNU: Final = b"ustar  \x00"
_SPACES: Final = 8 * ord(" ")  # what a checksum counts in its own place
_BASE256: Final = 0x80
_LOW: Final = 0xFFFF

# Some writers end a number in a NUL, some in a space, some fill it up with either.
_OCTAL = re.compile(rb" *([0-7]*)[ \0]*\Z")
_PAX = re.compile(rb"([1-9][0-9]{0,8}) ([^=\0]+)=")
_UNICODE: Final = b"ISO-IR 10646 2000 UTF-8"
# A size that the octal field has no room for.
_LARGE: Final = 8**11


class Kind(Enum):
    """What a member is."""

    FILE = b"0"
    HARD_LINK = b"1"
    SYMLINK = b"2"
    FOLDER = b"5"


_KINDS: Final = {kind.value: kind for kind in Kind} | {b"\0": Kind.FILE}
_EXTENSIONS: Final = {b"L": "path", b"K": "linkpath", b"x": ""}
_NAMED: Final = {
    b"3": "a device",
    b"4": "a device",
    b"6": "a pipe",
    b"g": "a header for all members",
    b"S": "a sparse file",
}


@attrs.frozen
class TarMember:
    """A member as its headers say; its path and target are not checked yet."""

    path: str
    kind: Kind
    size: int
    target: str


@attrs.define
class _Extended:
    """What headers before that of a member say of it."""

    values: dict[str, str] = attrs.field(factory=dict[str, str])
    headers: int = 0

    def count(self) -> None:
        self.headers += 1
        if self.headers > len(_EXTENSIONS):
            raise _refused("a member has too many headers")

    def clear(self) -> None:
        self.headers = 0
        self.values.clear()

    def add(self, name: str, value: str) -> None:
        if name in self.values or not value:
            raise _refused(f"a member has its {name} twice, or an empty one")
        self.values[name] = value


def _refused(reason: str) -> InvalidPackageError:
    return InvalidPackageError(f"A tar archive of the package is not usable: {reason}.")


class TarReader:
    """Goes through an archive; ``read`` and ``chunks`` are about the member that came last."""

    def __init__(self, content: Content, limits: ArchiveLimits) -> None:
        self._content = content
        self._limits = limits
        self._buffer: bytes = b""
        self._at = 0
        self._left = 0  # of the member that came last
        self._padding = 0

    def __iter__(self) -> Iterator[TarMember]:
        """Each member, to the end of the archive; raises `InvalidPackageError`."""
        extended = _Extended()
        while (header := self._header()) is not None:
            fields = _HEADER.unpack(header)
            kind = fields[5]
            if kind in _EXTENSIONS:
                self._extend(extended, kind, _number(fields[2]))
                continue
            member = _member(fields, extended.values)
            self._left, self._padding = member.size, -member.size % _BLOCK
            yield member
            self._skip(self._left + self._padding)
            extended.clear()
        if extended.headers:
            raise _refused("it ends where a member should come")
        self._drain()

    def chunks(self) -> Iterator[bytes]:
        """The content of the member that came last, in pieces."""
        while self._left:
            chunk = self._some(min(self._left, _CHUNK))
            self._left -= len(chunk)
            yield chunk

    def read(self) -> bytes:
        """The content of the member that came last, at once: its size was looked at before."""
        return b"".join(self.chunks())

    def _header(self) -> bytes | None:
        header = self._take(_BLOCK)
        if header == _ZEROS:
            return None
        checksum = _number(header[148:156])
        if _sum(header) - _sum(header[148:156]) + _SPACES != checksum:
            raise _refused("a header has a wrong checksum")
        return header

    def _extend(self, extended: _Extended, kind: bytes, size: int) -> None:
        extended.count()
        if size > self._limits.header:
            raise _refused(f"a member is described by more than {self._limits.header} bytes")
        data = self._take(size)
        self._skip(-size % _BLOCK)
        if kind == b"x":
            _read_pax(data, extended)
        else:
            extended.add(_EXTENSIONS[kind], _text(data.removesuffix(b"\0"), whole=True))

    def _some(self, size: int) -> bytes:
        """At least one byte, at most ``size``; raises where the archive ends."""
        if self._at == len(self._buffer):
            self._buffer = self._content.read(_CHUNK)
            self._at = 0
            if not self._buffer:
                raise _refused("it ends early")
        chunk = self._buffer[self._at : self._at + size]
        self._at += len(chunk)
        return chunk

    def _take(self, size: int) -> bytes:
        chunk = self._buffer[self._at : self._at + size]
        self._at += len(chunk)
        while len(chunk) < size:
            chunk += self._some(size - len(chunk))
        return chunk

    def _skip(self, size: int) -> None:
        here = min(size, len(self._buffer) - self._at)
        self._at += here
        size -= here
        while size:
            size -= len(self._some(size))

    def _drain(self) -> None:
        """What follows the first block of zeros is at least one more, and nothing else."""
        if self._take(_BLOCK) != _ZEROS:
            raise _refused("something follows its end")
        rest = self._buffer[self._at :]
        while rest:
            if rest != bytes(len(rest)):  # ten times as fast as to strip zeros
                raise _refused("something follows its end")
            rest = self._content.read(_CHUNK)


def _member(fields: tuple[bytes, ...], extended: dict[str, str]) -> TarMember:
    name, _, written, _, _, kind, link, magic, _, prefix, rest = fields
    found = _KINDS.get(kind)
    if found is None:
        raise _refused(f"it holds {_NAMED.get(kind, 'a member of a kind that readers differ on')}")
    path = extended.get("path") or _plain_path(name, magic, prefix, rest)
    size = _number(written)
    if "size" in extended:
        size = _long_size(size, extended["size"])
    if size and found is not Kind.FILE:
        raise _refused("a link or folder has content")
    linked = found is Kind.SYMLINK or found is Kind.HARD_LINK
    target = extended.get("linkpath") or _text(link) if linked else ""
    return TarMember(path, found, size, target)


def _plain_path(name: bytes, magic: bytes, prefix: bytes, rest: bytes) -> str:
    if magic == _POSIX:
        if prefix[0]:
            return f"{_text(prefix)}/{_text(name)}"
    elif (magic != _GNU and magic.strip(b"\0")) or any(prefix) or any(rest):
        # Readers take the place of the prefix for it, or for other things.
        raise _refused("a header is of a kind that readers differ on")
    return _text(name)


def _long_size(size: int, written: str) -> int:
    if len(written) > 20 or not (written.isascii() and written.isdigit()):  # noqa: PLR2004
        raise _refused("a size is no number")
    large = int(written)
    if large != size and (size or large < _LARGE):
        raise _refused("a member has two sizes")
    return large


def _sum(data: bytes) -> int:
    """The sum of the bytes: what Adler-32 counts, as long as it is less than 65,521."""
    half = _BLOCK // 2  # of which no sum is more
    return (adler32(data[:half]) & _LOW) + (adler32(data[half:]) & _LOW) - 2


def _number(field: bytes) -> int:
    match = _OCTAL.match(field)
    if match:
        return int(match[1] or b"0", 8)
    if field[0] == _BASE256:
        return int.from_bytes(field[1:])
    raise _refused("a header has no number where one belongs")


def _text(data: bytes, *, whole: bool = False) -> str:
    if not whole:
        data = data.partition(b"\0")[0]
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise _refused("a path is not UTF-8") from None
    if "\0" in text:
        raise _refused("a path has a NUL in it")
    return text


def _read_pax(data: bytes, extended: _Extended) -> None:
    at = 0
    while at < len(data):
        match = _PAX.match(data, at)
        stop = at + int(match[1]) if match else 0
        if match is None or match.end() >= stop or data[stop - 1 : stop] != b"\n":
            raise _refused("an extended header is damaged")
        _read_record(match[2], data[match.end() : stop - 1], extended)
        at = stop


def _read_record(key: bytes, value: bytes, extended: _Extended) -> None:
    if key in {b"path", b"linkpath", b"size"}:
        extended.add(key.decode(), _text(value, whole=True))
    elif key.startswith(b"GNU.sparse"):
        raise _refused("it holds a sparse file")
    elif key == b"hdrcharset" and value != _UNICODE:
        raise _refused("a path is not UTF-8")
