"""Packages as nobody should send them, and the honest ones that they come from."""

from __future__ import annotations

import bz2
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import zstandard

from repocore.model import Checksums, FileFacts
from repocore.plugins.conda.filenames import PackageFile
from repocore.plugins.conda.inspecting import inspect_package
from repocore.plugins.conda.limits import ArchiveLimits

STEM = "tide-1.0-0"
INDEX: dict[str, Any] = {
    "name": "tide",
    "version": "1.0",
    "build": "0",
    "build_number": 0,
    "depends": ["zlib >=1.3"],
    "subdir": "linux-64",
    "timestamp": 1_700_000_000_000,
}
LIMITS = ArchiveLimits(
    unpacked=8 << 20, ratio=50, allowance=1 << 20, members=200, document=1 << 16, listing=1 << 18
)


@attrs.frozen
class Content:
    """A body that has arrived."""

    data: bytes

    @property
    def size(self) -> int:
        return len(self.data)

    @property
    def checksums(self) -> Checksums:
        md5 = hashlib.md5(self.data, usedforsecurity=False).hexdigest()
        return Checksums(sha256=hashlib.sha256(self.data).hexdigest(), md5=md5)

    def open(self) -> io.BytesIO:
        return io.BytesIO(self.data)


def facts(
    data: bytes, kind: str = "conda", subdir: str | None = None, limits: ArchiveLimits = LIMITS
) -> FileFacts:
    """What the plugin finds in it; raises `InvalidPackageError`."""
    file = PackageFile.parse(f"{STEM}.{kind}")
    return inspect_package(file, Content(data), limits, subdir=subdir)


def member(name: str, content: bytes = b"", **more: Any) -> tuple[tarfile.TarInfo, bytes]:
    """One of a tar; keywords are attributes of its header."""
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for attribute, value in more.items():
        setattr(info, attribute, value)
    return info, content


def tar(*members: tuple[tarfile.TarInfo, bytes], format: int = tarfile.USTAR_FORMAT) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=format) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return made.getvalue()


def info_members(
    index: Any = None, files: Mapping[str, Any] | None = None
) -> list[tuple[tarfile.TarInfo, bytes]]:
    """The files of ``info/``; texts are written as they are, all else as JSON."""
    said = {"index.json": INDEX if index is None else index, **(files or {})}
    return [
        member(f"info/{name}", value if isinstance(value, bytes) else json.dumps(value).encode())
        for name, value in said.items()
    ]


def zstd(data: bytes, **options: Any) -> bytes:
    return zstandard.ZstdCompressor(**options).compress(data)


def conda(
    info: bytes | None = None,
    payload: bytes | None = None,
    *,
    stem: str = STEM,
    compression: int = zipfile.ZIP_STORED,
    more: Mapping[str, bytes] | None = None,
) -> bytes:
    """A ``.conda``; ``info`` and ``payload`` are compressed already."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", compression) as archive:
        archive.writestr("metadata.json", '{"conda_pkg_format_version": 2}')
        archive.writestr(f"pkg-{stem}.tar.zst", zstd(tar()) if payload is None else payload)
        archive.writestr(
            f"info-{stem}.tar.zst", zstd(tar(*info_members())) if info is None else info
        )
        for name, content in (more or {}).items():
            archive.writestr(name, content)
    return made.getvalue()


def with_info(*members: tuple[tarfile.TarInfo, bytes], **index: Any) -> bytes:
    """An honest package with other fields in its index, and further members of ``info/``."""
    return conda(zstd(tar(*info_members({**INDEX, **index}), *members)))


def with_payload(
    *members: tuple[tarfile.TarInfo, bytes], format: int = tarfile.USTAR_FORMAT
) -> bytes:
    return conda(payload=zstd(tar(*members, format=format)))


def old_kind(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    return bz2.compress(tar(*info_members(), *members))


Make = Callable[[], bytes]
