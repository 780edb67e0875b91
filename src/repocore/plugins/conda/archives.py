"""A package, opened once: what it says of itself is read, what else it holds is looked at.

Both kinds are read to their last byte, with no more memory than a chunk and a hash for each path.
"""

from __future__ import annotations

from typing import Any, BinaryIO, Final

import attrs

from repocore.errors import InvalidPackageError
from repocore.plugins.conda.filenames import PackageFile
from repocore.plugins.conda.limits import ArchiveLimits
from repocore.plugins.conda.listings import SMALL, Listing, read_listing, read_small_listing
from repocore.plugins.conda.members import INFO, Contents
from repocore.plugins.conda.streams import Budget, Bzip2Reader, Content, StoredPart, ZstdReader
from repocore.plugins.conda.strict_json import parse, parse_object
from repocore.plugins.conda.tars import Kind, TarMember, TarReader
from repocore.plugins.conda.zips import METADATA, read_directory

__all__ = ["Package", "read_package"]

_INDEX: Final = "info/index.json"
_ABOUT: Final = "info/about.json"
_LINK: Final = "info/link.json"
_RUN_EXPORTS: Final = "info/run_exports.json"
_LISTING: Final = "info/paths.json"
_DOCUMENTS: Final = frozenset({_INDEX, _ABOUT, _LINK, _RUN_EXPORTS})
_MOST_METADATA: Final = 4096
_FORMAT: Final = 2


@attrs.frozen
class Package:
    """What a package says of itself, as JSON; None for what it does not have.

    ``facts`` are the fields of ``channeldata.json`` (CEP 38) that its paths make true.
    """

    index: dict[str, Any]
    about: dict[str, Any] | None
    link: dict[str, Any] | None
    run_exports: Any
    facts: frozenset[str]


def read_package(stream: BinaryIO, size: int, file: PackageFile, limits: ArchiveLimits) -> Package:
    """Open the package of ``size`` bytes that the seekable stream has, from its start.

    Raises `InvalidPackageError`, which says what is wrong and where.
    """
    limits = _for_size(limits, size)
    reading = _Reading(limits)
    budget = Budget.of(size, limits)
    if file.kind == "conda":
        parts = read_directory(stream, size, file.stem)
        span = parts[METADATA]
        _check_metadata(StoredPart(stream, span).read(min(span.size, _MOST_METADATA)))
        for name in (INFO, "pkg"):
            part = StoredPart(stream, parts[name])
            reading.take(ZstdReader(part, budget, limits), part_of_info=name == INFO)
    else:
        reading.take(Bzip2Reader(stream, budget, limits))
    return reading.close()


def _for_size(limits: ArchiveLimits, size: int) -> ArchiveLimits:
    """The limits, with no more members than a package of that size may have.

    Members of a few bytes each are the most work for the least that is sent.
    """
    most = limits.free_members + size // limits.member_bytes
    return limits if limits.members <= most else attrs.evolve(limits, members=most)


def _check_metadata(text: bytes) -> None:
    if parse_object(text, METADATA).get("conda_pkg_format_version") != _FORMAT:
        message = f"{METADATA} of the .conda does not say conda_pkg_format_version {_FORMAT}."
        raise InvalidPackageError(message)


class _Reading:
    """One package on its way through."""

    def __init__(self, limits: ArchiveLimits) -> None:
        self._limits = limits
        self._contents = Contents(limits)
        self._listing: Listing | None = None
        self._unlisted = Listing()
        self._documents: dict[str, bytes] = {}

    def take(self, content: Content, *, part_of_info: bool | None = None) -> None:
        """Read an archive; ``part_of_info`` says whether all of it, or nothing, is of ``info/``."""
        reader = TarReader(content, self._limits)
        for member in reader:
            path = self._contents.add(member)
            inside = path == INFO or path.startswith("info/")
            if part_of_info is not None and inside != part_of_info and path:
                message = f"{path[:200]!r} is in the wrong part of the .conda."
                raise InvalidPackageError(message)
            if inside:
                self._describe(path, member, reader)
            elif member.kind is not Kind.FOLDER:
                self._unlisted.note(path)

    def _describe(self, path: str, member: TarMember, reader: TarReader) -> None:
        if path not in _DOCUMENTS and path != _LISTING:
            return
        most = self._limits.listing if path == _LISTING else self._limits.document
        if member.kind is not Kind.FILE or member.size > most:
            message = f"{path} of the package is not a file of up to {most} bytes."
            raise InvalidPackageError(message)
        if path == _LISTING and member.size <= SMALL:
            self._listing = read_small_listing(reader.read(), self._limits)
        elif path == _LISTING:
            self._listing = read_listing(reader.chunks(), self._limits)
        else:
            self._documents[path] = reader.read()

    def close(self) -> Package:
        """All archives were read."""
        self._contents.close()
        if self._listing is not None:
            self._listing.compare(self._contents)
        index = self._object(_INDEX)
        if index is None:
            message = f"The package has no {_INDEX}."
            raise InvalidPackageError(message)
        run_exports = self._documents.get(_RUN_EXPORTS)
        return Package(
            index=index,
            about=self._object(_ABOUT),
            link=self._object(_LINK),
            run_exports=None if run_exports is None else self._parse(run_exports, _RUN_EXPORTS),
            facts=frozenset((self._listing or self._unlisted).facts),
        )

    def _object(self, name: str) -> dict[str, Any] | None:
        text = self._documents.get(name)
        return None if text is None else parse_object(text, name, self._limits.nesting)

    def _parse(self, text: bytes, name: str) -> Any:
        return parse(text, name, self._limits.nesting)
