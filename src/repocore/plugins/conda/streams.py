"""Decompression that gives back no more at a time than it is asked for, and sees the end.

Both readers have one method, ``read(size)``: some of the content, at most ``size`` bytes, and
``b""`` at its end; by then everything was looked at, up to the last compressed byte.
"""

from __future__ import annotations

import bz2
import zlib
from collections.abc import Generator
from typing import BinaryIO, Final, Protocol, cast

import attrs
import zstandard

from repocore.errors import InvalidPackageError
from repocore.plugins.conda.limits import ArchiveLimits
from repocore.plugins.conda.zips import Span

__all__ = ["Budget", "Bzip2Reader", "Content", "StoredPart", "ZstdReader"]

_CHUNK: Final = 128 * 1024
_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_NEEDS_MORE: Final = 0b1011  # a dictionary, or the bit that is reserved
_CHECKSUM: Final = 4
_LEAST: Final = 1024  # bytes of a window
_RLE: Final = 1
_RESERVED: Final = 3
# A block is up to 128 KiB of content, so that honest ones are no smaller than this on the average;
# each is a step of ours, and an empty one has three bytes.
_SMALLEST_BLOCK: Final = 128
_FREE_BLOCKS: Final = 10_000
_LARGEST_BLOCK: Final = 128 * 1024


class Content(Protocol):
    """Bytes that are read once, in order."""

    def read(self, size: int, /) -> bytes:
        """Some of what is left, at most ``size`` bytes; ``b""`` is the end."""
        ...


@attrs.define
class Budget:
    """How much a package may still unpack to."""

    left: int
    #: Which of the limits it is.
    reason: str

    @classmethod
    def of(cls, size: int, limits: ArchiveLimits) -> Budget:
        """The budget of a package of ``size`` bytes."""
        fair = limits.allowance + limits.ratio * size
        if fair < limits.unpacked:
            return cls(fair, f"more than {limits.ratio} times its size")
        return cls(limits.unpacked, f"more than {limits.unpacked} bytes")

    def spend(self, count: int) -> None:
        """That many bytes were unpacked; raises `InvalidPackageError` past the limit."""
        self.left -= count
        if self.left < 0:
            message = f"The package unpacks to {self.reason}."
            raise InvalidPackageError(message)


class StoredPart:
    """One stored member of a ZIP; compares its checksum when it was read."""

    def __init__(self, file: BinaryIO, span: Span) -> None:
        file.seek(span.start)
        self._file = file
        self._left = span.size
        self._crc = 0
        self._expected = span.crc

    def read(self, size: int = -1, /) -> bytes:
        """Some of what is left; raises `InvalidPackageError` where it is not what was stored."""
        wanted = self._left if size < 0 else min(size, self._left)
        chunk = self._file.read(wanted)
        if len(chunk) != wanted:
            message = "The package ends early."
            raise InvalidPackageError(message)
        self._left -= wanted
        self._crc = zlib.crc32(chunk, self._crc)
        if not self._left and self._crc != self._expected:
            message = "A member of the .conda is not what its checksum says."
            raise InvalidPackageError(message)
        return chunk


class _Frames:
    """Walks over Zstandard frames without decompressing: whether they are whole and may be read.

    The library itself takes a frame that is cut off for one that ends.
    """

    def __init__(self, source: StoredPart, limits: ArchiveLimits) -> None:
        self._source = source
        self._limits = limits
        self._held = b""
        self._seen = 0
        self._blocks = 0
        self._walk = self._steps()
        self._wanted = next(self._walk)
        self._between = True

    def read(self, size: int = -1, /) -> bytes:
        chunk = self._source.read(size)
        self._seen += len(chunk)
        self._feed(chunk)
        if not chunk and (self._held or not self._between):
            raise _damaged("it ends early")
        return chunk

    def _feed(self, chunk: bytes) -> None:
        """Go on: a positive wish is for so many bytes, a negative one to leave so many out."""
        at = 0
        end = len(chunk)
        while at < end:
            if self._wanted < 0:
                step = min(-self._wanted, end - at)
                self._wanted += step
                at += step
                if not self._wanted:
                    self._wanted = next(self._walk)
                continue
            step = self._wanted - len(self._held)
            self._held += chunk[at : at + step]
            at += step
            if len(self._held) == self._wanted:
                held, self._held = self._held, b""
                self._wanted = self._walk.send(held)

    def _steps(self) -> Generator[int, bytes, None]:
        for _ in range(self._limits.streams):
            head = yield len(_MAGIC) + 1
            self._between = False
            if not head.startswith(_MAGIC):
                raise _damaged("it is not Zstandard, or something follows it")
            yield from self._header(head[-1])
            while not (yield from self._block()):
                pass
            if head[-1] & _CHECKSUM:
                yield -4
            self._between = True
        yield 1
        raise _damaged("something follows it")

    def _block(self) -> Generator[int, bytes, bool]:
        """Whether it was the last one of its frame."""
        block = int.from_bytes((yield 3), "little")
        kind, size = block >> 1 & 3, block >> 3
        self._blocks += 1
        if kind == _RESERVED or size > _LARGEST_BLOCK:
            raise _damaged("a block is not usable")
        if self._blocks > _FREE_BLOCKS + self._seen // _SMALLEST_BLOCK:
            raise _damaged("it is cut into too many blocks")
        if kind == _RLE:
            yield -1
        elif size:
            yield -size
        return bool(block & 1)

    def _header(self, descriptor: int) -> Generator[int, bytes, None]:
        single = descriptor >> 5 & 1
        sizes = (single, 2, 4, 8)[descriptor >> 6]
        if descriptor & _NEEDS_MORE:
            raise _damaged("it needs a dictionary, or a newer reader")
        rest = yield 1 - single + sizes
        if single:  # the window is as large as the content
            window = int.from_bytes(rest, "little")
        else:
            window = (1 << 10 + (rest[0] >> 3)) // 8 * (8 + (rest[0] & 7))
        if window > self._limits.window:
            raise _damaged(f"it needs more than {self._limits.window} bytes of memory")


def _damaged(reason: str) -> InvalidPackageError:
    return InvalidPackageError(f"A compressed part of the package cannot be read: {reason}.")


class ZstdReader:
    """The content of a Zstandard part of a ``.conda``."""

    def __init__(self, part: StoredPart, budget: Budget, limits: ArchiveLimits) -> None:
        self._budget = budget
        decompressor = zstandard.ZstdDecompressor(max_window_size=max(limits.window, _LEAST))
        self._reader = decompressor.stream_reader(
            cast("BinaryIO", _Frames(part, limits)),
            read_size=_CHUNK,
            read_across_frames=True,
            closefd=False,
        )

    def read(self, size: int, /) -> bytes:
        """Some of what is left; raises `InvalidPackageError`."""
        try:
            chunk = self._reader.read(size)
        except zstandard.ZstdError as problem:
            raise _damaged("its compression is damaged") from problem
        self._budget.spend(len(chunk))
        return chunk


class Bzip2Reader:
    """The content of a ``.tar.bz2``, read from where the file is."""

    def __init__(self, file: BinaryIO, budget: Budget, limits: ArchiveLimits) -> None:
        self._file = file
        self._budget = budget
        self._streams = limits.streams
        self._decompressor = bz2.BZ2Decompressor()

    def read(self, size: int, /) -> bytes:
        """Some of what is left; raises `InvalidPackageError`."""
        while True:
            if self._decompressor.eof and not self._next_stream():
                return b""
            data = self._file.read(_CHUNK) if self._decompressor.needs_input else b""
            if not data and self._decompressor.needs_input:
                raise _damaged("it ends early")
            try:
                chunk = self._decompressor.decompress(data, size)
            except (OSError, ValueError) as problem:
                raise _damaged("it is not bzip2, or damaged") from problem
            if chunk:
                self._budget.spend(len(chunk))
                return chunk

    def _next_stream(self) -> bool:
        """Whether another stream follows; raises where something else does."""
        rest = self._decompressor.unused_data or self._file.read(_CHUNK)
        if not rest:
            return False
        self._streams -= 1
        if self._streams <= 0:
            raise _damaged("something follows it")
        self._decompressor = bz2.BZ2Decompressor()
        self._file.seek(-len(rest), 1)
        return True
