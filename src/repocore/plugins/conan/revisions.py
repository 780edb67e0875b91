"""When a revision is whole, and what its files say of it.

A revision is published by its manifest, but only once everything is there that the manifest
speaks of.  The manifest lists what is inside the archives, and the client sends it even when an
archive before it has failed; so the archives are derived from its lines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, BinaryIO, Final

import attrs

from repocore.errors import ChecksumMismatchError, InvalidPackageError
from repocore.model import DraftRelease, File, FileFacts, FilePath, Grain
from repocore.plugins.conan.paths import (
    UPLOAD,
    ConanFile,
    SourceFile,
    UploadFile,
    archive_stem,
    parse_path,
    siblings,
)
from repocore.plugins.conan.versions import version_key
from repocore.ports import StagedContent

__all__ = ["INFO", "MANIFEST", "ConanFormat", "implied_archives"]

MANIFEST: Final = "conanmanifest.txt"
INFO: Final = "conaninfo.txt"

#: Settings, options and requirements take some kilobytes; they are kept in the catalog.
_MOST_INFO: Final = 1 << 20
#: It lists the recipes that use a source.
_MOST_SUMMARY: Final = 8 << 20
#: Longer than any path that a disk holds, with its checksum.
_MOST_LINE: Final = 64 << 10

_TIME = re.compile(r"\d{1,20}\Z")
_LINE = re.compile(r"(?P<path>.+): (?P<md5>[0-9a-f]{32})\Z")
_MEDIA: Final = {"tgz": "application/gzip", "txz": "application/x-xz", "tzst": "application/zstd"}


class ConanFormat:
    """Conan, as the core sees it."""

    name = "conan"
    read_grain = Grain.PACKAGE
    overwrites = True  # its client says --force
    needs_checksums: frozenset[str] = frozenset({"sha1"})

    def locate(self, path: FilePath) -> FileFacts:
        """The revision that a path belongs to."""
        return _located(path)

    def inspect(self, path: FilePath, content: StagedContent) -> FileFacts:
        """Read what a manifest or a conaninfo.txt says; check a backup source against its name."""
        facts = self.locate(path)
        found = parse_path(path)
        if isinstance(found, SourceFile):
            if found.sha256 not in {None, content.checksums.sha256}:
                message = "The content does not hash to the sha256 that names it."
                raise ChecksumMismatchError(message)
            if found.sha256 is None:
                _check_summary(content)
            return facts
        if isinstance(found, UploadFile):
            found = found.target
        return attrs.evolve(facts, record=_record(found, content))

    def scope(self, partition: str) -> tuple[str | None, str | None]:
        """The name and full version of a reference."""
        name, _, version = partition.partition("#")[0].partition(UPLOAD)[0].partition("/")
        return name, version

    def whole(self, draft: DraftRelease, files: Sequence[File]) -> bool:
        """Whether the manifest is there, and all that it and the protocol ask for."""
        if UPLOAD in draft.partition:
            return False  # it is published by what binds its files under a revision
        names = {file.path.parts[-1] for file in files if not file.mutable}
        if MANIFEST not in names:
            return False
        implied = json.loads(draft.record).get("archives")
        if implied is None:
            return True  # a manifest that cannot be read makes the revision whole by itself
        stems = {archive_stem(name) for name in names}
        packed = draft.parent is not None
        needed = {INFO} if packed else {"conanfile.py"}
        archives = {"conan_package"} if packed else set(implied)
        return needed <= names and archives <= stems

    def sort_key(self, version: str) -> bytes:
        """The order of the Conan 2 client."""
        return version_key(version)


# The same few files are asked for again and again, and what a path says never changes.
@lru_cache(maxsize=1024)
def _located(path: FilePath) -> FileFacts:
    found = parse_path(path)
    if isinstance(found, SourceFile):
        if found.sha256 is None:
            return FileFacts(mutable=True, media_type="application/json")
        return FileFacts()
    if isinstance(found, UploadFile):
        return FileFacts(
            partition=found.partition,
            release=found.number,
            package=found.target.recipe.name,
            version=found.target.recipe.full_version,
            media_type=_media_type(found.target),
        )
    package = found.package
    return FileFacts(
        partition=found.recipe.partition if package is None else package.partition,
        release=found.rrev if package is None else found.prev,
        package=found.recipe.name,
        version=found.recipe.full_version,
        parent=None if package is None else package.parent,
        media_type=_media_type(found),
        mutable=found.is_metadata,
        announces=found.name == (MANIFEST,),
        replaces=siblings(found),
    )


def _media_type(file: ConanFile) -> str:
    suffix = file.name[-1].rpartition(".")[2]
    if archive_stem(file.name[-1]):
        return _MEDIA[suffix]
    return "text/plain" if suffix in {"txt", "py"} else "application/octet-stream"


def _record(file: ConanFile, content: StagedContent) -> bytes:
    if file.name == (MANIFEST,):
        with content.open() as stream:
            return _json({"archives": implied_archives(stream)})
    if file.name == (INFO,):
        return _json({"conaninfo": _info(content)})
    return b"{}"


def _check_summary(content: StagedContent) -> None:
    """The client reads and writes again what lies beside a source; what is no JSON stops it."""
    if content.size > _MOST_SUMMARY:
        message = "The JSON beside a source has at most 8 MiB."
        raise InvalidPackageError(message)
    try:
        with content.open() as stream:
            json.load(stream)
    except (ValueError, RecursionError) as error:
        message = "What lies beside a source under its name and .json must be JSON."
        raise InvalidPackageError(message) from error


def _json(record: dict[str, Any]) -> bytes:
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()


def _info(content: StagedContent) -> str:
    if content.size > _MOST_INFO:
        message = f"A {INFO} of more than 1 MiB is not one."
        raise InvalidPackageError(message)
    try:
        with content.open() as stream:
            return stream.read().decode()
    except UnicodeDecodeError as error:
        message = f"The {INFO} is not UTF-8."
        raise InvalidPackageError(message) from error


def implied_archives(stream: BinaryIO) -> list[str] | None:
    """The recipe's archives that hold what a manifest lists; None where it is no manifest.

    A manifest is ``<seconds since 1970>`` and a line ``<path>: <md5>`` for each file.  It may be
    of any length, so it is read line by line.
    """
    stems: set[str] = set()
    try:
        if not _TIME.match(_line(stream) or ""):
            return None
        while (line := _line(stream)) is not None:
            match = _LINE.match(line)
            if match is None and line:
                return None
            if match is not None and match["path"] != "conanfile.py":
                stems.add(_archive_of(match["path"]))
    except ValueError:
        return None
    return sorted(stems)


def _archive_of(path: str) -> str:
    return "conan_sources" if path.startswith("export_source/") else "conan_export"


def _line(stream: BinaryIO) -> str | None:
    """The next line without its end; None behind the last; `ValueError` for what is no text."""
    line = stream.readline(_MOST_LINE)
    if not line:
        return None
    if len(line) == _MOST_LINE:
        raise ValueError(line[:40])
    return line.rstrip(b"\r\n").decode()
