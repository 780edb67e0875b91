"""A few conda packages, built here from nothing: what the model of a channel is played with."""

from __future__ import annotations

import bz2
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import zstandard

BUILT = 1_700_000_000_000
#: Clients find this text in files, and write where they are installed in its place.
PLACEHOLDER = "/tmp/placeholder"


@attrs.frozen(kw_only=True, repr=False)
class Packaged:
    """A package file, and what was put into it."""

    subdir: str
    file: str
    content: bytes = attrs.field(eq=False)
    index: Mapping[str, Any] = attrs.field(eq=False)
    run_exports: Mapping[str, Sequence[str]] = attrs.field(eq=False)
    about: Mapping[str, Any] = attrs.field(eq=False)
    #: What channeldata.json says is true of it.
    facts: frozenset[str] = attrs.field(eq=False)
    sha256: str

    @property
    def path(self) -> str:
        return f"{self.subdir}/{self.file}"

    def __repr__(self) -> str:
        return f"<{self.path} {self.sha256[:8]}>"

    def _repr_pretty_(self, printer: Any, _cycle: bool) -> None:
        """As Hypothesis tells it; else it would tell all the bytes."""
        printer.text(repr(self))


def package(
    subdir: str,
    file: str,
    *,
    depends: Sequence[str] = (),
    run_exports: Mapping[str, Sequence[str]] | None = None,
    about: Mapping[str, Any] | None = None,
    text_prefix: bool = False,
    activates: bool = False,
    index: Mapping[str, Any] | None = None,
    payload: bytes = b"",
) -> Packaged:
    """Build one; ``payload`` makes other bytes of the same name."""
    stem = file.removesuffix(".conda").removesuffix(".tar.bz2")
    name, version, build = stem.rsplit("-", 2)
    said: dict[str, Any] = {
        "arch": None if subdir == "noarch" else "x86_64",
        "build": build,
        "build_number": int(build[-1]),
        "depends": list(depends),
        "license": "MIT",
        "name": name,
        "platform": None if subdir == "noarch" else "linux",
        "subdir": subdir,
        "timestamp": BUILT + int(version.replace(".", "")) * 1000,
        "version": version,
        **({"noarch": "generic"} if subdir == "noarch" else {}),
        **(index or {}),
    }
    files = {f"share/{name}/level.txt": payload or b"high\n"}
    paths = [_entry(path, body) for path, body in files.items()]
    if text_prefix:
        body = f"#!{PLACEHOLDER}/bin/sh\n".encode()
        files[f"bin/{name}"] = body
        paths.append(
            {**_entry(f"bin/{name}", body), "file_mode": "text", "prefix_placeholder": PLACEHOLDER}
        )
    if activates:
        files[f"etc/conda/activate.d/{name}.sh"] = b"true\n"
        paths.append(_entry(f"etc/conda/activate.d/{name}.sh", b"true\n"))
    info = {
        "info/index.json": _json(said),
        "info/paths.json": _json({"paths": paths, "paths_version": 1}),
        "info/about.json": _json(about or {}),
    }
    if run_exports is not None:
        info["info/run_exports.json"] = _json(run_exports)
    pack = _conda if file.endswith(".conda") else _tar_bz2
    content = pack(stem, info, files)
    return Packaged(
        subdir=subdir,
        file=file,
        content=content,
        index=said,
        run_exports=run_exports or {},
        about=about or {},
        facts=frozenset(["text_prefix"] * text_prefix + ["activate.d"] * activates),
        sha256=hashlib.sha256(content).hexdigest(),
    )


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _entry(path: str, body: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(body).hexdigest()
    return {
        "_path": path,
        "path_type": "hardlink",
        "sha256": digest,
        "size_in_bytes": len(body),
    }


def _tar(files: Mapping[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, body in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    return made.getvalue()


def _tar_bz2(_stem: str, info: Mapping[str, bytes], files: Mapping[str, bytes]) -> bytes:
    return bz2.compress(_tar({**info, **files}))


def _conda(stem: str, info: Mapping[str, bytes], files: Mapping[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as archive:
        for name, body in (
            ("metadata.json", _json({"conda_pkg_format_version": 2})),
            (f"pkg-{stem}.tar.zst", zstandard.ZstdCompressor().compress(_tar(files))),
            (f"info-{stem}.tar.zst", zstandard.ZstdCompressor().compress(_tar(info))),
        ):
            archive.writestr(zipfile.ZipInfo(name), body)
    return made.getvalue()


def pool() -> list[Packaged]:
    """Two subdirs, twins of both kinds, other bytes of one name, and some of repodata's third
    revision.
    """
    linux, noarch = "linux-64", "noarch"
    old = {"home": "https://tide.example/", "summary": "The level of the water."}
    new = {"summary": "The level of the water, now.", "keywords": ["sea", "moon"]}
    weak = {"weak": ["liba >=1.0"]}
    strong = {"strong": ["liba >=2.0,<3"], "noarch": ["liba"]}
    flagged = {"schema_version": 3, "flags": ["blas"]}
    return [
        package(linux, "liba-1.0-0.conda", about=old, run_exports=weak),
        package(linux, "liba-1.0-1.conda", about=old, run_exports=weak, payload=b"one"),
        package(linux, "liba-1.1-0.conda", about=old, run_exports=weak),
        package(linux, "liba-1.1-0.tar.bz2", about=old, run_exports=weak),
        package(linux, "liba-2.0-0.conda", about=new, run_exports=strong, activates=True),
        package(
            linux,
            "liba-2.0-0.conda",
            about=new,
            run_exports=strong,
            activates=True,
            payload=b"other",
            depends=["libb"],
        ),
        package(linux, "libb-1.0-0.tar.bz2", depends=["liba <2.0"]),
        package(linux, "libb-1.0-0.tar.bz2", depends=["liba <2.0"], payload=b"other"),
        package(linux, "libb-3.0-0.tar.bz2", depends=["liba 1.1.*"], text_prefix=True),
        package(linux, "tool-1.0-0.conda", depends=["liba >=1.0", "libb <2.0"], text_prefix=True),
        package(linux, "next-1.0-0.conda", index=flagged),
        package(linux, "next-1.1-0.tar.bz2", index=flagged, run_exports={"weak": ["next"]}),
        package(noarch, "tool-0.9-0.tar.bz2", depends=["docs >=2.0"], about=old),
        package(noarch, "docs-1.0-0.conda", about={"license": "BSD-3-Clause"}),
        package(noarch, "docs-2.0-0.tar.bz2", depends=["tool"]),
        package(noarch, "docs-2.0-0.conda", depends=["tool"]),
    ]
