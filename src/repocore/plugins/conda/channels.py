"""Conda, as the core sees it: a repository is a channel, a file of a package is a release.

The partition is the subdir, the release's name is the file's.  A channel also has
``<subdir>/patch_instructions.json``, a release that indexes apply to the records of the others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import attrs

from repocore.errors import ConfigurationError, InvalidPackageError, RejectedError
from repocore.model import DraftRelease, File, FileFacts, FilePath, Grain
from repocore.plugins.conda.filenames import NOARCH, PackageFile, check_subdir, parse_path
from repocore.plugins.conda.inspecting import MEDIA_TYPES, inspect_package
from repocore.plugins.conda.limits import ArchiveLimits
from repocore.plugins.conda.patches import (
    PATCH_FILE,
    PATCH_PACKAGE,
    PATCH_SECTION,
    parse_instructions,
)
from repocore.plugins.conda.records import ATTESTATIONS, Extra, canonical, pack_shard
from repocore.plugins.conda.settings import CondaSettings, channel_options
from repocore.plugins.conda.versions import version_key
from repocore.ports import StagedContent

__all__ = ["CondaFormat", "is_attestations"]

_JSON: Final = "application/json"
#: Where clients look for the attestations of a package: beside it, by their sha256.
_SIGNATURES = re.compile(r"(.+\.(?:conda|tar\.bz2))\.sigs\.[0-9a-f]{64}\Z")


class CondaFormat:
    """The format ``conda``."""

    name = "conda"
    read_grain = Grain.REPOSITORY  # an index names every package
    needs_checksums: frozenset[str] = frozenset({"md5"})
    overwrites = False  # lock files name bytes by their digest
    lasting: frozenset[str] = frozenset({PATCH_PACKAGE})  # old patches are as true as new ones

    def __init__(self, settings: CondaSettings, limits: ArchiveLimits) -> None:
        self._settings = settings
        self._limits = limits

    def locate(self, path: FilePath) -> FileFacts:
        """The package that a path names; raises `InvalidPathError`."""
        return _located(path)

    def inspect(self, path: FilePath, content: StagedContent) -> FileFacts:
        """Open a package, once; raises `InvalidPackageError` with the reason."""
        if is_attestations(path):
            message = "Attestations are sent with their package, or by the API, and never alone."
            raise InvalidPackageError(message)
        if path.parts[-1] != PATCH_FILE:
            subdir, file = parse_path(path)
            return inspect_package(file, content, self._limits, subdir=subdir)
        if content.size > self._settings.max_patches:
            message = f"Patch instructions may have up to {self._settings.max_patches} bytes."
            raise InvalidPackageError(message)
        with content.open() as stream:
            text = stream.read()
        parse_instructions(text)
        return attrs.evolve(self.locate(path), extra=text)

    def locate_named(self, name: str, /) -> FileFacts:
        """The package that a file name tells; raises `InvalidPathError`."""
        return _located(PackageFile.parse(name).path(NOARCH))

    def inspect_named(self, name: str, content: StagedContent, /) -> FileFacts:
        """As `inspect`; the subdir is the one that the package names."""
        file = PackageFile.parse(name)
        facts = inspect_package(file, content, self._limits)
        return attrs.evolve(facts, path=file.path(facts.partition or NOARCH))

    def scope(self, partition: str) -> tuple[str | None, str | None]:
        """A subdir holds all packages."""
        return None, None

    def whole(self, draft: DraftRelease, files: Sequence[File]) -> bool:
        """Whether its file is there, and the attestations that its record names."""
        path = FilePath((draft.partition, draft.name))
        return {path, self.attestations(path, draft.record)} - {None} <= {
            file.path for file in files
        }

    def attestations(self, path: FilePath, record: bytes, /) -> FilePath | None:
        """Beside the package, by the digest that the record has; None where it has none."""
        if path.name == PATCH_FILE or ATTESTATIONS.encode() not in record:
            return None
        digest = json.loads(record).get(ATTESTATIONS)
        return None if digest is None else _beside(path, digest)

    def attest(self, facts: FileFacts, digest: str, /) -> FileFacts:
        """Have the record of a package name its attestations; raises `RejectedError` for others."""
        if facts.partition is None or facts.release is None or facts.section == PATCH_SECTION:
            raise RejectedError("Only packages have attestations.")
        record = json.loads(facts.record) | {ATTESTATIONS: digest}
        extra = Extra.unpack(facts.extra)
        shard = pack_shard(record, extra.known_run_exports())
        return attrs.evolve(
            facts,
            path=_beside(FilePath((facts.partition, facts.release)), digest),
            record=canonical(record),
            extra=attrs.evolve(extra, shard=shard).pack(),
            media_type=_JSON,
            sole=False,
        )

    def sort_key(self, version: str) -> bytes:
        """The order of conda (CEP 33)."""
        return version_key(version)

    def check_options(self, options: Mapping[str, Any], /) -> None:
        """Read what a channel says of itself; raises `RejectedError` with every mistake."""
        try:
            channel_options(options)
        except ConfigurationError as error:
            raise RejectedError(str(error)) from error


def _beside(path: FilePath, digest: str) -> FilePath:
    return FilePath((*path.parts[:-1], f"{path.name}.sigs.{digest}"))


def is_attestations(path: FilePath) -> bool:
    """Whether a path is one of attestations."""
    return _SIGNATURES.match(path.name) is not None


# Clients ask for the same packages again and again.
@lru_cache(maxsize=4096)
def _located(path: FilePath) -> FileFacts:
    if len(path.parts) == 2 and path.parts[1] == PATCH_FILE:  # noqa: PLR2004 - subdir and name
        return FileFacts(
            partition=check_subdir(path.parts[0]),
            release=PATCH_FILE,
            package=PATCH_PACKAGE,
            version="0",
            media_type=_JSON,
            mutable=True,
            sole=True,
            section=PATCH_SECTION,
        )
    named = _SIGNATURES.match(path.name)
    if named is not None:
        package = _located(FilePath((*path.parts[:-1], named[1])))
        return attrs.evolve(package, media_type=_JSON, sole=False)
    subdir, file = parse_path(path)
    return FileFacts(
        partition=subdir,
        release=str(file),
        package=file.name,
        version=file.version,
        media_type=MEDIA_TYPES[file.kind],
        sole=True,
    )
