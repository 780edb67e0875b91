"""Conan files as paths of a repository, one bijection.

    <name>/<version>/<user>/<channel>/<rrev>/export/<file>
    <name>/<version>/<user>/<channel>/<rrev>/package/<package id>/<prev>/<file>
    <name>/<version>/<user>/<channel>/~<upload>/…      on its way to revision 0, from Conan 1
    .sources/<sha256>  and  .sources/<sha256>.json

It is the tree that conan_server keeps, so an exported repository is one of its data folders.
Backup sources lie where no reference can: no name starts with a dot.
"""

from __future__ import annotations

import re
from typing import Final

import attrs

from repocore.errors import InvalidPathError
from repocore.model import FilePath
from repocore.plugins.conan.references import (
    ConanReference,
    PackageReference,
    check_id,
    reference,
)

__all__ = [
    "REVISION",
    "SOURCES",
    "UPLOAD",
    "ConanFile",
    "SourceFile",
    "UploadFile",
    "archive_stem",
    "parse_path",
    "siblings",
]

SOURCES: Final = ".sources"
METADATA: Final = "metadata"
#: What the place of an upload begins with, where revisions have theirs: no client can name it.
UPLOAD: Final = "~"
#: The only revision that Conan 1 knows without its revisions enabled.
REVISION: Final = "0"

_SUFFIXES: Final = ("tgz", "txz", "tzst")
_ARCHIVE = re.compile(r"(conan_(?:export|sources|package))\.(tgz|txz|tzst)\Z")
_SOURCE = re.compile(r"([0-9a-f]{64})(\.json)?\Z")
_PLAIN: Final = {
    False: frozenset({"conanfile.py", "conanmanifest.txt"}),
    True: frozenset({"conaninfo.txt", "conanmanifest.txt"}),
}
_STEMS: Final = {
    False: frozenset({"conan_export", "conan_sources"}),
    True: frozenset({"conan_package"}),
}


@attrs.frozen
class ConanFile:
    """A file of a recipe revision, or (with ``package_id`` and ``prev``) of a package revision."""

    recipe: ConanReference
    rrev: str
    name: tuple[str, ...]
    package_id: str | None = None
    prev: str | None = None

    def __attrs_post_init__(self) -> None:
        check_id("recipe revision", self.rrev)
        packed = self.package_id is not None or self.prev is not None
        if packed:
            check_id("package id", self.package_id or "")
            check_id("package revision", self.prev or "")
        if self.is_metadata:
            return
        name = self.name[0] if len(self.name) == 1 else ""
        if name not in _PLAIN[packed] and archive_stem(name) not in _STEMS[packed]:
            kind = "package" if packed else "recipe"
            message = (
                f"{'/'.join(self.name)!r} is not a file of a Conan {kind}; "
                "what is of your own goes below metadata/."
            )
            raise InvalidPathError(message)

    @property
    def is_metadata(self) -> bool:
        """Whether it lies below ``metadata/``."""
        return len(self.name) > 1 and self.name[0] == METADATA

    @property
    def package(self) -> PackageReference | None:
        """The package that it belongs to, if not to the recipe."""
        if self.package_id is None:
            return None
        return PackageReference(self.recipe, self.rrev, self.package_id)

    @property
    def path(self) -> FilePath:
        """Where it lies in the repository."""
        recipe = self.recipe
        head = (recipe.name, recipe.version, recipe.user, recipe.channel, self.rrev)
        if self.package_id is None or self.prev is None:
            return FilePath((*head, "export", *self.name))
        return FilePath((*head, "package", self.package_id, self.prev, *self.name))


@attrs.frozen
class UploadFile:
    """A file that Conan 1 has sent, until all files of its upload are there."""

    number: str
    #: What it becomes then: a file of revision 0.
    target: ConanFile

    def __attrs_post_init__(self) -> None:
        check_id("upload", self.number)

    @property
    def partition(self) -> str:
        """The upload's own."""
        return f"{self.target.recipe.partition}{UPLOAD}{self.number}"

    @property
    def path(self) -> FilePath:
        """Where it lies in the repository."""
        parts = list(self.target.path.parts)
        parts[4] = f"{UPLOAD}{self.number}"
        return FilePath(tuple(parts))


@attrs.frozen
class SourceFile:
    """A backup of a recipe's source: the file named by its sha256, or the JSON beside it."""

    name: str

    def __attrs_post_init__(self) -> None:
        if not _SOURCE.match(self.name):
            message = "A backup source is named by the sha256 of its content, or that and .json."
            raise InvalidPathError(message)

    @property
    def sha256(self) -> str | None:
        """What the content must hash to; None for the JSON."""
        return None if self.name.endswith(".json") else self.name

    @property
    def path(self) -> FilePath:
        """Where it lies in the repository."""
        return FilePath((SOURCES, self.name))


def archive_stem(name: str) -> str | None:
    """``conan_export``, ``conan_sources`` or ``conan_package``, or None for another file."""
    match = _ARCHIVE.match(name)
    return match[1] if match else None


def siblings(file: ConanFile) -> tuple[FilePath, ...]:
    """The same archive in the other compressions: a revision has one of them."""
    stem = archive_stem(file.name[0]) if len(file.name) == 1 else None
    if stem is None:
        return ()
    names = (f"{stem}.{suffix}" for suffix in _SUFFIXES)
    return tuple(attrs.evolve(file, name=(n,)).path for n in names if (n,) != file.name)


def parse_path(path: FilePath) -> ConanFile | SourceFile | UploadFile:
    """Read a path; raises `InvalidPathError` for one that is not of Conan."""
    match path.parts:
        case (first, name) if first == SOURCES:
            return SourceFile(name)
        case (_, _, _, _, upload, _, *_) if upload.startswith(UPLOAD):
            target = parse_path(FilePath((*path.parts[:4], REVISION, *path.parts[5:])))
            if not isinstance(target, ConanFile):
                raise InvalidPathError
            return UploadFile(upload.removeprefix(UPLOAD), target)
        case (name, version, user, channel, rrev, "export", *rest) if rest:
            return ConanFile(reference(name, version, user, channel), rrev, tuple(rest))
        case (name, version, user, channel, rrev, "package", package_id, prev, *rest) if rest:
            recipe = reference(name, version, user, channel)
            return ConanFile(recipe, rrev, tuple(rest), package_id, prev)
        case _:
            message = f"{path} is not the path of a Conan file."
            raise InvalidPathError(message)
