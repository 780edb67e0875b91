"""A static channel as conda-index and quetz leave one, built here with packages of a few bytes."""

from __future__ import annotations

import bz2
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import zstandard

BUILT = 1_700_000_000_000


def archive(files: Mapping[str, bytes]) -> bytes:
    """A tar of these files."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return made.getvalue()


def package(
    file: str,
    subdir: str = "noarch",
    *,
    run_exports: Mapping[str, Any] | None = None,
    payload: Mapping[str, bytes] | None = None,
    **index: Any,
) -> tuple[bytes, dict[str, Any]]:
    """The bytes of a package of that file name, and its record."""
    stem = file.removesuffix(".conda").removesuffix(".tar.bz2")
    name, version, build = stem.rsplit("-", 2)
    said = {
        "build": build,
        "build_number": 0,
        "depends": [],
        "license": "MIT",
        "name": name,
        "subdir": subdir,
        "timestamp": BUILT,
        "version": version,
        **index,
    }
    files = {f"share/{name}/level": b"high\n"} if payload is None else dict(payload)
    listed = [
        {
            "_path": path,
            "path_type": "hardlink",
            "sha256": hashlib.sha256(content).hexdigest(),
            "size_in_bytes": len(content),
        }
        for path, content in files.items()
    ]
    info = {
        "info/index.json": json.dumps(said).encode(),
        "info/paths.json": json.dumps({"paths": listed, "paths_version": 1}).encode(),
        "info/about.json": json.dumps({"summary": f"About {name}"}).encode(),
    }
    if run_exports is not None:
        info["info/run_exports.json"] = json.dumps(run_exports).encode()
    content = _conda(stem, info, files) if file.endswith(".conda") else _bz2(info, files)
    sums = {name: hashlib.new(name, content).hexdigest() for name in ("md5", "sha256")}
    return content, {**said, **sums, "size": len(content)}


def _conda(stem: str, info: Mapping[str, bytes], files: Mapping[str, bytes]) -> bytes:
    pack = zstandard.ZstdCompressor().compress
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as members:
        members.writestr("metadata.json", '{"conda_pkg_format_version": 2}')
        members.writestr(f"pkg-{stem}.tar.zst", pack(archive(files)))
        members.writestr(f"info-{stem}.tar.zst", pack(archive(info)))
    return made.getvalue()


def _bz2(info: Mapping[str, bytes], files: Mapping[str, bytes]) -> bytes:
    return bz2.compress(archive({**info, **files}))


@attrs.define
class StaticChannel:
    """A folder of a channel; `index` writes what names its packages."""

    folder: Path
    records: dict[str, dict[str, dict[str, Any]]] = attrs.field(factory=dict)
    run_exports: dict[str, dict[str, Any]] = attrs.field(factory=dict)

    def add(self, file: str, subdir: str = "noarch", **more: Any) -> Path:
        """Put a package into a subdir, and remember its record."""
        content, record = package(file, subdir, **more)
        path = self.folder / subdir / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.records.setdefault(subdir, {})[file] = record
        self.run_exports.setdefault(subdir, {})[file] = more.get("run_exports") or {}
        return path

    def index(self, *, name: str = "repodata.json", pretty: bool = False) -> None:
        """Write an index of each subdir, as its name says."""
        for subdir, records in {"noarch": {}, **self.records}.items():
            document = {
                "info": {"subdir": subdir},
                **_by_kind(records),
                "removed": [],
                "repodata_version": 1,
            }
            text = json.dumps(document, sort_keys=True, indent=2 if pretty else None).encode()
            self.write(subdir, name, text)

    def run_exports_json(self) -> None:
        """Write ``run_exports.json`` of each subdir."""
        for subdir, found in self.run_exports.items():
            said = {name: {"run_exports": exports} for name, exports in found.items()}
            self.write(subdir, "run_exports.json", json.dumps(_by_kind(said)).encode())

    def write(self, subdir: str, name: str, content: bytes) -> Path:
        """Write a file of a subdir, compressed as its name says."""
        if name.endswith(".zst"):
            content = zstandard.ZstdCompressor().compress(content)
        if name.endswith(".bz2"):
            content = bz2.compress(content)
        path = self.folder / subdir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path


def _by_kind(entries: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        "packages": {k: v for k, v in entries.items() if k.endswith(".tar.bz2")},
        "packages.conda": {k: v for k, v in entries.items() if k.endswith(".conda")},
    }
