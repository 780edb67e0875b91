"""When a revision is whole, and what its files say of it.

A revision is published by its manifest, but only once everything is there that the manifest
speaks of.  The manifest lists what is inside the archives, and the client sends it even when an
archive before it has failed; so the archives are derived from its lines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import BinaryIO, Final

import attrs

from repocore.errors import ChecksumMismatchError, InvalidPackageError
from repocore.model import DraftRelease, File, FileFacts, FilePath, Grain
from repocore.plugins.conan.paths import (
    ConanFile,
    SourceFile,
    archive_stem,
    parse_path,
    siblings,
)
from repocore.plugins.conan.versions import version_key
from repocore.ports import StagedContent

__all__ = ["MANIFEST", "ConanFormat"]

MANIFEST: Final = "conanmanifest.txt"
INFO: Final = "conaninfo.txt"

#: Manifests and infos are texts of some lines per file; a larger one is not one.
_MOST_TEXT: Final = 16 << 20
_MOST_INFO: Final = 1 << 20

_LINE = re.compile(r"(?P<path>.+): (?P<md5>[0-9a-f]{32})\Z")
_MEDIA: Final = {"tgz": "application/gzip", "txz": "application/x-xz", "tzst": "application/zstd"}


class ConanFormat:
    """Conan, as the core sees it."""

    name = "conan"
    read_grain = Grain.PACKAGE
    needs_checksums: frozenset[str] = frozenset({"sha1"})

    def locate(self, path: FilePath) -> FileFacts:
        """The revision that a path belongs to."""
        found = parse_path(path)
        if isinstance(found, SourceFile):
            return FileFacts(mutable=found.sha256 is None, media_type="application/octet-stream")
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

    def inspect(self, path: FilePath, content: StagedContent) -> FileFacts:
        """Read what a manifest or a conaninfo.txt says; check a backup source against its name."""
        facts = self.locate(path)
        found = parse_path(path)
        if isinstance(found, SourceFile):
            if found.sha256 not in {None, content.checksums.sha256}:
                message = "The content does not hash to the sha256 that names it."
                raise ChecksumMismatchError(message)
            return facts
        return attrs.evolve(facts, record=_record(found, content))

    def scope(self, partition: str) -> tuple[str | None, str | None]:
        """The name and full version of a reference."""
        name, _, version = partition.partition("#")[0].partition("/")
        return name, version

    def whole(self, draft: DraftRelease, files: Sequence[File]) -> bool:
        """Whether the manifest is there, and all that it and the protocol ask for."""
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


def _media_type(file: ConanFile) -> str:
    suffix = file.name[-1].rpartition(".")[2]
    if archive_stem(file.name[-1]):
        return _MEDIA[suffix]
    return "text/plain" if suffix in {"txt", "py"} else "application/octet-stream"


def _record(file: ConanFile, content: StagedContent) -> bytes:
    if file.name == (MANIFEST,):
        with content.open() as stream:
            archives = _implied(stream.read(_MOST_TEXT + 1))
        return json.dumps({"archives": archives}, separators=(",", ":")).encode()
    if file.name == (INFO,):
        if content.size > _MOST_INFO:
            message = f"A {INFO} of more than 1 MiB is not one."
            raise InvalidPackageError(message)
        with content.open() as stream:
            text = _text(stream)
        record = {"conaninfo": text}
        return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()
    return b"{}"


def _text(stream: BinaryIO) -> str:
    try:
        # A NUL is no text, and PostgreSQL is not the one to find out.
        return stream.read().decode().replace("\x00", "")
    except UnicodeDecodeError as error:
        message = f"The {INFO} is not UTF-8."
        raise InvalidPackageError(message) from error


def _implied(data: bytes) -> list[str] | None:
    """The recipe's archives that hold what a manifest lists; None where it is no manifest."""
    if len(data) > _MOST_TEXT:
        return None
    try:
        time, *lines = data.decode().splitlines()
        int(time)
    except ValueError:
        return None
    matches = [_LINE.match(line) for line in lines if line.strip()]
    paths = [match["path"] for match in matches if match]
    if len(paths) != len(matches):
        return None
    stems = {
        "conan_sources" if path.startswith("export_source/") else "conan_export"
        for path in paths
        if path != "conanfile.py"
    }
    return sorted(stems)
