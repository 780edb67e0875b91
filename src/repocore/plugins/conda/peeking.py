"""A look into a package that stops at what was looked for; nothing else of it is checked."""

from __future__ import annotations

from typing import BinaryIO, Final

from repocore.errors import InvalidPackageError
from repocore.plugins.conda.filenames import PackageFile, check_subdir
from repocore.plugins.conda.limits import ArchiveLimits
from repocore.plugins.conda.streams import Budget, Bzip2Reader, Content, StoredPart, ZstdReader
from repocore.plugins.conda.strict_json import parse_object
from repocore.plugins.conda.tars import Kind, TarReader
from repocore.plugins.conda.zips import read_directory

__all__ = ["open_part", "subdir_of"]

_INDEX: Final = "info/index.json"


def open_part(
    stream: BinaryIO, size: int, file: PackageFile, limits: ArchiveLimits, part: str
) -> Content:
    """The tar archive of a part, ``info`` or ``pkg``, of the package that a seekable stream has.

    A ``.tar.bz2`` has but one, whatever is asked for.  Raises `InvalidPackageError`.
    """
    budget = Budget.of(size, limits)
    if file.kind != "conda":
        return Bzip2Reader(stream, budget, limits)
    span = read_directory(stream, size, file.stem)[part]
    return ZstdReader(StoredPart(stream, span), budget, limits)


def subdir_of(stream: BinaryIO, size: int, file: PackageFile, limits: ArchiveLimits) -> str:
    """The subdir that a package names; raises `InvalidPackageError` where it names none."""
    reader = TarReader(open_part(stream, size, file, limits, "info"), limits)
    for member in reader:
        if member.path.removeprefix("./") != _INDEX:
            continue
        if member.kind is not Kind.FILE or member.size > limits.document:
            break
        found = parse_object(reader.read(), _INDEX, limits.nesting).get("subdir")
        if isinstance(found, str):
            return check_subdir(found)
        break
    message = f"{file} does not name its subdir in {_INDEX}."
    raise InvalidPackageError(message)
