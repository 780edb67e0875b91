"""Tiny packages, made by the thousand: valid ones, with the parts that they share packed once."""

from __future__ import annotations

import hashlib
import json
import os
import struct
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import zstandard

__all__ = ["SUBDIR", "Package", "large_package", "packages", "write_packages"]

SUBDIR = "linux-64"
#: In milliseconds; a package is never newer than the server's clock.
_BUILT = 1_700_000_000_000
_HEADER = 512
_README = b"A library of the benchmark.\n"
_ABOUT = json.dumps(
    {
        "home": "https://library.example/",
        "license": "BSD-3-Clause",
        "summary": "A library of the benchmark.",
        "description": "It does nothing, and there are many of it.",
    }
).encode()


def _member(name: str, content: bytes) -> bytes:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    return member.tobuf(tarfile.USTAR_FORMAT) + content + bytes(-len(content) % _HEADER)


def _tar(*members: bytes) -> bytes:
    return b"".join([*members, bytes(2 * _HEADER)])


def _zstd(content: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=1).compress(content)


def _paths(path: str, content: bytes) -> bytes:
    entry = {
        "_path": path,
        "path_type": "hardlink",
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_in_bytes": len(content),
    }
    return json.dumps({"paths": [entry], "paths_version": 1}).encode()


_README_PATH = "share/library/README"
_PAYLOAD = _zstd(_tar(_member(_README_PATH, _README)))
_ABOUT_MEMBER = _member("info/about.json", _ABOUT)
_PATHS_MEMBER = _member("info/paths.json", _paths(_README_PATH, _README))


@attrs.frozen
class Package:
    """Package ``number`` of a channel with so many ``names``: builds and versions follow."""

    number: int
    names: int
    prefix: str = "library"

    @property
    def name(self) -> str:
        """One of as many as there are names."""
        return f"{self.prefix}-{self.number % self.names:06d}"

    @property
    def version(self) -> str:
        """Two builds have one."""
        turn = self.number // self.names // 2
        return f"{1 + turn // 20}.{turn % 20}.0"

    @property
    def build(self) -> str:
        """As long as builds with a hash are."""
        return f"h{self.number * 2654435761 % (1 << 28):07x}_{self.build_number}"

    @property
    def build_number(self) -> int:
        """The first or the second of its version."""
        return self.number // self.names % 2

    @property
    def stem(self) -> str:
        """Its file name, but for the extension."""
        return f"{self.name}-{self.version}-{self.build}"

    @property
    def filename(self) -> str:
        """Its file name."""
        return f"{self.stem}.conda"

    @property
    def path(self) -> str:
        """Its place in the channel."""
        return f"{SUBDIR}/{self.filename}"

    @property
    def index(self) -> dict[str, Any]:
        """``info/index.json``, as long as it is on the average in large public channels."""
        others = [f"{self.prefix}-{(self.number * k) % self.names:06d}" for k in (3, 5, 7, 11)]
        return {
            "arch": "x86_64",
            "build": self.build,
            "build_number": self.build_number,
            "constrains": [f"{others[0]} <3.0a0"],
            "depends": [
                "libgcc >=14",
                "libstdcxx >=14",
                "python >=3.12,<3.13.0a0",
                "python_abi 3.12.* *_cp312",
                *(f"{other} >=1.{self.number % 20}.0,<2.0a0" for other in others),
            ],
            "license": "BSD-3-Clause",
            "license_family": "BSD",
            "name": self.name,
            "platform": "linux",
            "subdir": SUBDIR,
            "timestamp": _BUILT + self.number,
            "version": self.version,
        }

    @property
    def content(self) -> bytes:
        """The file."""
        return _packed(self, _PATHS_MEMBER, _PAYLOAD)


def _packed(package: Package, paths: bytes, payload: bytes) -> bytes:
    index = _member("info/index.json", json.dumps(package.index).encode())
    return _stored_zip(
        {
            "metadata.json": b'{"conda_pkg_format_version": 2}',
            f"pkg-{package.stem}.tar.zst": payload,
            f"info-{package.stem}.tar.zst": _zstd(_tar(index, _ABOUT_MEMBER, paths)),
        }
    )


def _stored_zip(members: Mapping[str, bytes]) -> bytes:
    """What zipfile would write, ten times as fast."""
    parts: list[bytes] = []
    directory: list[bytes] = []
    offset = 0
    for name, content in members.items():
        raw = name.encode()
        # Version, flags, method, time, date; then what tells the content.
        common = struct.pack("<5H", 20, 0, 0, 0, 0x21)
        common += struct.pack("<3L2H", zlib.crc32(content), *[len(content)] * 2, len(raw), 0)
        parts += [b"PK\3\4", common, raw, content]
        rest = struct.pack("<3H2L", 0, 0, 0, 0, offset)
        directory += [b"PK\1\2", b"\x14\0", common, rest, raw]
        offset += 4 + len(common) + len(raw) + len(content)
    central = b"".join(directory)
    count = len(members)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, len(central), offset, 0)
    return b"".join([*parts, central, end])


def large_package(number: int, size: int) -> tuple[Package, bytes]:
    """A package with a payload of so many bytes that nothing can compress."""
    package = Package(number, 1 << 20, "heavy")
    content = os.urandom(size)
    path = f"share/{package.name}.bin"
    paths = _member("info/paths.json", _paths(path, content))
    return package, _packed(package, paths, _zstd(_tar(_member(path, content))))


def packages(start: int, stop: int, names: int, prefix: str = "library") -> Iterator[Package]:
    """Yields packages ``start`` to ``stop``."""
    for number in range(start, stop):
        yield Package(number, names, prefix)


def write_packages(folder: Path, start: int, stop: int, names: int) -> Path:
    """Writes them below a subdir, as a static channel has them; returns the channel."""
    (folder / SUBDIR).mkdir(parents=True, exist_ok=True)
    for package in packages(start, stop, names):
        (folder / package.path).write_bytes(package.content)
    return folder
