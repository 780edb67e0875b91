"""A static channel: a folder that conda-index, quetz or `repocore export` has left.

    channeldata.json
    <subdir>/
        repodata_from_packages.json       or repodata.json; each also as .zst and .bz2
        run_exports.json                  the same
        patch_instructions.json
        <name>-<version>-<build>.conda    or .tar.bz2

Where there are records from before patches, they are taken, because the patches come along.
Nothing here writes, follows a link, or opens a package.
"""

from __future__ import annotations

import bz2
import io
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import attrs
import zstandard

from repocore.errors import RejectedError
from repocore.plugins.conda.filenames import KINDS, is_subdir
from repocore.plugins.conda.index_stream import Chunks, read_entries
from repocore.plugins.conda.patches import PATCH_FILE
from repocore.plugins.conda.records import canonical
from repocore.registry import LateFile

__all__ = ["ChannelTree", "Described", "RunExports", "Subdir", "TreeFile"]

#: What has the records of a subdir, the best first.
_INDEXES: Final = ("repodata_from_packages.json", "repodata.json")
_RUN_EXPORTS: Final = "run_exports.json"
_CHANNELDATA: Final = "channeldata.json"
#: A frame that wants more memory than that to be read is not of an index.
_WINDOW: Final = 128 << 20
_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class TreeFile(LateFile):
    """A plain file, opened when it is read first, and closed at its end.

    Thousands may wait for their turn without a descriptor.  Raises `RejectedError` where it cannot
    be read, or is a link, a pipe or a folder.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path.name, self._open)
        #: Where it lies.
        self.path = path

    @property
    def name(self) -> str:
        """Its name in its folder."""
        return self.path.name

    def status(self) -> os.stat_result | None:
        """Size and times of the file; None where there is no plain file."""
        try:
            found = self.path.lstat()
        except OSError:
            return None
        return found if stat.S_ISREG(found.st_mode) else None

    def present(self) -> os.stat_result:
        """As `status`; raises `RejectedError` where there is no plain file."""
        status = self.status()
        if status is None:
            message = "the index names it, and it is no plain file in the folder"
            raise RejectedError(message)
        return status

    def _open(self) -> BinaryIO:
        stream = os.fdopen(os.open(self.path, _READ), "rb", buffering=0)
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            stream.close()
            message = f"{self.name} is not a plain file."
            raise RejectedError(message)
        return stream


def _zstd(stream: BinaryIO) -> BinaryIO:
    reader = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
    return cast("BinaryIO", reader.stream_reader(stream, read_across_frames=True))


_ENCODINGS: Final[Mapping[str, Callable[[BinaryIO], BinaryIO]]] = {
    "": lambda stream: stream,
    ".zst": _zstd,
    ".bz2": lambda stream: cast("BinaryIO", bz2.BZ2File(stream)),
}


class _Decoded:
    """A decompressed file; what is wrong with it is told as `RejectedError`."""

    def __init__(self, name: str, stream: BinaryIO) -> None:
        self._name = name
        self._stream = stream

    def read(self, size: int, /) -> bytes:
        try:
            return self._stream.read(size)
        except (OSError, EOFError, zstandard.ZstdError) as error:
            message = f"{self._name} cannot be decompressed; have it made anew."
            raise RejectedError(message) from error


def _entries(folder: Path, *stems: str) -> Iterator[tuple[str, str, Any]] | None:
    """The entries of the first of these documents that there is, in any encoding."""
    for stem in stems:
        for suffix, decode in _ENCODINGS.items():
            file = TreeFile(folder / f"{stem}{suffix}")
            if file.status() is not None:
                return _read(file, decode)
    return None


def _read(file: TreeFile, decode: Callable[[BinaryIO], BinaryIO]) -> Iterator[tuple[str, str, Any]]:
    with ExitStack() as stack:
        stack.callback(file.close)
        raw = io.BufferedReader(cast("io.RawIOBase", _Raw(file)))
        source: Chunks = _Decoded(file.name, stack.enter_context(decode(cast("BinaryIO", raw))))
        yield from read_entries(source)


class _Raw(io.RawIOBase):
    """A `TreeFile` as what decompressors read from."""

    def __init__(self, file: TreeFile) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        chunk = self._file.read(len(buffer))
        buffer[: len(chunk)] = chunk
        return len(chunk)


@attrs.frozen
class Described:
    """A package that an index describes; nobody has looked whether it is there."""

    section: str
    name: str
    record: dict[str, Any]


class RunExports:
    """``run_exports.json`` (CEP 12), read as far as it is asked for.

    Where both documents have one order, no more than an entry is in memory.
    """

    def __init__(self, entries: Iterator[tuple[str, str, Any]] | None) -> None:
        self._entries = iter(()) if entries is None else entries
        self._passed: dict[str, bytes] = {}

    def of(self, name: str) -> bytes | None:
        """The run exports of a file as canonical JSON; None where nobody knows."""
        if name in self._passed:
            return self._passed.pop(name)
        for _, key, value in self._entries:
            if not isinstance(value, dict):
                continue
            exports = cast("dict[str, Any]", value).get("run_exports")
            found = canonical(exports) if exports else b"{}"
            if key == name:
                return found
            self._passed[key] = found
        return None


@attrs.frozen
class Subdir:
    """One subdir of the tree."""

    name: str
    folder: Path

    def described(self) -> Iterator[Described] | None:
        """What the index has, in its order; None where there is no index.

        Raises `RejectedError`, at once or on the way, for one that is not to be read.
        """
        found = _entries(self.folder, *_INDEXES)
        return None if found is None else _described(found)

    def run_exports(self) -> RunExports:
        """The run exports of its packages."""
        return RunExports(_entries(self.folder, _RUN_EXPORTS))

    def file(self, name: str) -> TreeFile:
        """A file in it, whether it is there or not."""
        return TreeFile(self.folder / name)

    def patches(self) -> TreeFile | None:
        """Its patch instructions."""
        file = self.file(PATCH_FILE)
        return None if file.status() is None else file

    def packages(self) -> Iterator[str]:
        """The names of all files that look like packages, in no order."""
        endings = tuple(f".{kind}" for kind in KINDS)
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.name.endswith(endings):
                    yield entry.name


def _described(entries: Iterator[tuple[str, str, Any]]) -> Iterator[Described]:
    for section, name, value in entries:
        record = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
        yield Described(section, name, record)


@attrs.frozen
class ChannelTree:
    """The folder of a channel."""

    folder: Path

    @classmethod
    def at(cls, folder: Path) -> ChannelTree:
        """The channel in a folder; raises `RejectedError` where there is none."""
        if not folder.is_dir():
            message = f"There is no folder {folder}; name that of a channel."
            raise RejectedError(message)
        made = cls(folder)
        if not made.subdirs():
            raise RejectedError(_why_none(folder))
        return made

    def subdirs(self) -> list[Subdir]:
        """Its subdirs, by name; other folders are passed over."""
        return [
            Subdir(path.name, path)
            for path in sorted(self.folder.iterdir())
            if is_subdir(path.name) and path.is_dir() and not path.is_symlink()
        ]

    def channeldata(self) -> dict[str, bytes]:
        """What ``channeldata.json`` (CEP 38) says of each package, as JSON by name."""
        found = _entries(self.folder, _CHANNELDATA) or iter(())
        return {name: canonical(value) for _, name, value in found}


def _why_none(folder: Path) -> str:
    below = folder / "channels"  # where quetz keeps all of its channels
    if below.is_dir():
        names = sorted(path.name for path in below.iterdir() if path.is_dir())
        if names:
            return f"{folder} holds the channels {', '.join(names)}; name one: {below / names[0]}."
    return f"{folder} is no channel: it has no folder noarch, or one such as linux-64."
