"""One JSON document in several encodings, written side by side in one pass.

What is written is cut into blocks.  From the second block on each encoding works in a thread of
its own, because hashing and compressing let go of the interpreter: the next block is made
meanwhile.  Memory is a few blocks, whatever the size of the document.
"""

from __future__ import annotations

import bz2
import tempfile
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import IO, Final, Protocol, cast

import zstandard

from repocore.model import FilePath
from repocore.plugins.conda.settings import CondaSettings
from repocore.ports import DocumentOutput, DocumentWriter

__all__ = ["JSON", "ZSTD", "Spool", "open_json", "zstd"]

JSON: Final = "application/json"
ZSTD: Final = "application/zstd"
_BZIP2: Final = "application/x-bzip2"

#: Bytes that are encoded at a time, and that are handed on at a time.
_BLOCK: Final = 512 << 10
#: Blocks that wait for one encoding.
_WAITING: Final = 4
#: Bytes that a spool keeps in memory.
_IN_MEMORY: Final = 4 << 20

# RFC 8878, 3.1.1: magic, then a descriptor (0: no size and no checksum), then the window's.
_HEADER: Final = b"\x28\xb5\x2f\xfd\x00"
_SIZED_HEADER: Final = b"\x28\xb5\x2f\xfd\xc0"  # 0xC0: a size of 8 bytes follows the window's


def zstd(content: bytes, level: int) -> bytes:
    """One frame that says its size."""
    return zstandard.ZstdCompressor(level=level).compress(content)


class Spool:
    """Bytes that wait for their turn: in memory, and in a temporary file if they are many."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - closed below
        self.size = 0

    def write(self, chunk: bytes) -> None:
        """Add bytes at the end."""
        self._file.write(chunk)
        self.size += len(chunk)

    def blocks(self) -> Iterator[bytes]:
        """All of them in pieces, from the start; then they are gone."""
        with self._file:
            self._file.seek(0)
            while block := cast("IO[bytes]", self._file).read(_BLOCK):
                yield block

    def close(self) -> None:
        """Forget them; idempotent."""
        self._file.close()


class _Encoder(Protocol):
    def write(self, block: bytes, /) -> None: ...

    def finish(self) -> None: ...

    def close(self) -> None: ...


class _Plain:
    def __init__(self, writer: DocumentWriter) -> None:
        self.write: Callable[[bytes], None] = writer.write

    def finish(self) -> None: ...

    def close(self) -> None: ...


class _Bzip2:
    def __init__(self, writer: DocumentWriter) -> None:
        self._writer = writer
        self._compressor = bz2.BZ2Compressor()

    def write(self, block: bytes, /) -> None:
        if made := self._compressor.compress(block):
            self._writer.write(made)

    def finish(self) -> None:
        self._writer.write(self._compressor.flush())

    def close(self) -> None: ...


class _Zstd:
    """One frame, with its size in its header, so that readers who ask for it can read it at once.

    The size is known at the end only.  So the frame is compressed without one, waits in a spool,
    and is written with another header.
    """

    def __init__(self, writer: DocumentWriter, level: int) -> None:
        self._writer = writer
        self._compressor = zstandard.ZstdCompressor(
            level=level, write_content_size=False
        ).compressobj()
        self._spool = Spool()
        self._size = 0

    def write(self, block: bytes, /) -> None:
        self._size += len(block)
        self._spool.write(self._compressor.compress(block))

    def finish(self) -> None:
        self._spool.write(self._compressor.flush())
        blocks = self._spool.blocks()
        first = next(blocks)
        window = len(_HEADER) + 1
        if not first.startswith(_HEADER):
            raise AssertionError("A Zstandard frame without a size begins otherwise.")
        self._writer.write(
            _SIZED_HEADER
            + first[len(_HEADER) : window]
            + self._size.to_bytes(8, "little")
            + first[window:]
        )
        for block in blocks:
            self._writer.write(block)

    def close(self) -> None:
        self._spool.close()


class _Lane:
    """An encoder, and the thread that it works in once there is more than a block."""

    def __init__(self, encoder: _Encoder) -> None:
        self._encoder = encoder
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: deque[Future[None]] = deque()

    def send(self, block: bytes) -> None:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(1, "repocore-conda-encoding")
        while len(self._waiting) >= _WAITING:
            self._waiting.popleft().result()
        self._waiting.append(self._pool.submit(self._encoder.write, block))

    def finish(self, last: bytes) -> None:
        while self._waiting:
            self._waiting.popleft().result()
        self._encoder.write(last)
        self._encoder.finish()

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        self._encoder.close()


class _Blocks:
    """Gathers what is written into blocks, and sends them down the lanes."""

    def __init__(self, lanes: list[_Lane]) -> None:
        self._lanes = lanes
        self._pieces: list[bytes] = []
        self._held = 0

    def write(self, piece: bytes) -> None:
        if self._held >= _BLOCK:
            block = b"".join(self._pieces)
            for lane in self._lanes:
                lane.send(block)
            self._pieces = []
            self._held = 0
        self._pieces.append(piece)
        self._held += len(piece)

    def finish(self) -> None:
        last = b"".join(self._pieces)
        for lane in self._lanes:
            lane.finish(last)


@contextmanager
def open_json(
    output: DocumentOutput, path: FilePath, settings: CondaSettings, *, bzip2: bool = False
) -> Generator[Callable[[bytes], None]]:
    """Write a JSON document and its ``.zst``, and its ``.bz2`` too; gives what takes the pieces.

    Equal documents are equal bytes, however they were cut into pieces.  Raises what the output
    raises.
    """
    with ExitStack() as stack:
        encoders: list[_Encoder] = [
            _Plain(stack.enter_context(output.open(path, JSON))),
            _Zstd(stack.enter_context(output.open(_with(path, ".zst"), ZSTD)), settings.zstd_level),
        ]
        if bzip2:
            encoders.append(_Bzip2(stack.enter_context(output.open(_with(path, ".bz2"), _BZIP2))))
        lanes = [_Lane(encoder) for encoder in encoders]
        for lane in lanes:
            stack.callback(lane.close)
        blocks = _Blocks(lanes)
        yield blocks.write
        blocks.finish()


def _with(path: FilePath, suffix: str) -> FilePath:
    return FilePath((*path.parts[:-1], path.name + suffix))
