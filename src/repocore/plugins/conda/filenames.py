"""Names of conda packages and their files (CEP 26).

The path of a package in its channel is ``<subdir>/<name>-<version>-<build>.<kind>``.  A name may
hold dashes, a version and a build may not, so a file name is read from its right end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final, Self

import attrs

from repocore.errors import InvalidPathError
from repocore.model import FilePath
from repocore.plugins.conda.versions import is_version

__all__ = [
    "KINDS",
    "NOARCH",
    "PackageFile",
    "check_subdir",
    "in_subdirs",
    "is_name",
    "is_subdir",
    "parse_path",
]

#: The endings of package files, without the dot, in the order in which clients prefer them.
KINDS: Final = ("conda", "tar.bz2")
#: The subdir of packages for every platform, which each channel has.
NOARCH: Final = "noarch"

_MOST: Final = 64
_MOST_SUBDIR: Final = 32

# A name starts with a letter, a digit or one underscore; no two separators follow each other.
_NAME = re.compile(r"_?[a-z0-9]+(?:[._-][a-z0-9]+)*+[._-]?\Z")
_VERSION = re.compile(r"[a-z0-9_.+!]+\Z")
_BUILD = re.compile(r"[A-Za-z0-9_.+]+\Z")
_SUBDIR = re.compile(r"(?:noarch|[a-z0-9]+-[a-z0-9]+)\Z")


def is_name(text: str) -> bool:
    """Whether a package may have that name; that of a virtual package (``__cuda``) is none."""
    return len(text) <= _MOST and _NAME.match(text) is not None


def is_subdir(text: str) -> bool:
    """Whether it is ``noarch``, or a platform and an architecture: ``linux-64``."""
    return len(text) <= _MOST_SUBDIR and _SUBDIR.match(text) is not None


def check_subdir(text: str) -> str:
    """Return the subdir; raises `InvalidPathError` for what is none."""
    if not is_subdir(text):
        message = f"{text[:80]!r} is not a subdir of a channel: noarch, or one such as linux-64."
        raise InvalidPathError(message)
    return text


def in_subdirs(subdirs: Iterable[str], *names: str) -> Iterator[FilePath]:
    """The paths of files that have these names in each subdir, and in the one that always is."""
    for subdir in sorted({*subdirs, NOARCH}):
        for name in names:
            yield FilePath((subdir, name))


@attrs.frozen
class PackageFile:
    """The file of a package, named ``name-version-build.kind``.

    ``PackageFile.parse(str(file)) == file``; nothing else parses to it.
    """

    name: str
    version: str
    build: str
    kind: str

    def __attrs_post_init__(self) -> None:
        if self.kind not in KINDS:
            message = "A package file ends in .conda or .tar.bz2."
            raise InvalidPathError(message)
        if not is_name(self.name):
            raise InvalidPathError(_why_no_name(self.name))
        if len(self.version) > _MOST or not _VERSION.match(self.version):
            message = (
                f"{self.version[:80]!r} is not the version of a package: up to 64 small letters, "
                "digits and . _ + !."
            )
            raise InvalidPathError(message)
        if not is_version(self.version):
            message = (
                f"{self.version!r} is no version that clients can order: letters and digits "
                "between single . or _, with at most one ! and one +."
            )
            raise InvalidPathError(message)
        if len(self.build) > _MOST or not _BUILD.match(self.build):
            message = (
                f"{self.build[:80]!r} is not the build of a package: up to 64 letters, digits "
                "and . _ +."
            )
            raise InvalidPathError(message)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a file name; raises `InvalidPathError`."""
        kind = next((kind for kind in KINDS if text.endswith(f".{kind}")), None)
        if kind is None:
            message = f"{text[:80]!r} is not a package file: it ends in .conda or .tar.bz2."
            raise InvalidPathError(message)
        match text[: -len(kind) - 1].rsplit("-", 2):
            case [name, version, build]:
                return cls(name, version, build, kind)
            case _:
                message = f"{text[:80]!r} is not a package file: it is named name-version-build."
                raise InvalidPathError(message)

    @property
    def stem(self) -> str:
        """``name-version-build``, which both parts of a ``.conda`` have in their names."""
        return f"{self.name}-{self.version}-{self.build}"

    def path(self, subdir: str) -> FilePath:
        """Where it lies in its channel; raises `InvalidPathError` for what is no subdir."""
        return FilePath((check_subdir(subdir), str(self)))

    def __str__(self) -> str:
        return f"{self.stem}.{self.kind}"


def _why_no_name(name: str) -> str:
    if name.startswith("__"):
        return (
            f"{name[:80]!r} is the name of a virtual package, which a client finds on its own "
            "machine and no channel has."
        )
    return (
        f"{name[:80]!r} is not the name of a package: up to 64 small letters and digits, with "
        "single . _ or - between them."
    )


@lru_cache(maxsize=4096)
def parse_path(path: FilePath) -> tuple[str, PackageFile]:
    """The subdir and the file of a package's path; raises `InvalidPathError` for another one."""
    match path.parts:
        case (subdir, name):
            return check_subdir(subdir), PackageFile.parse(name)
        case _:
            message = (
                f"{path} is not the path of a package: <subdir>/<name>-<version>-<build>.conda."
            )
            raise InvalidPathError(message)
