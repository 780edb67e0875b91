"""The data folder of a conan_server: what lies in it, and what is wrong with that.

    <name>/<version>/<user or _>/<channel or _>/
        revisions.txt                     the index: {"revisions": [{"revision", "time"}, …]}
        <rrev>/export/<files>
        <rrev>/package/<package id>/
            revisions.txt
            <prev>/<files>

Conan 1 wrote it, too, with times as text; without revisions both are called ``0``, and before
1.10 ``export`` and ``package/<id>/<files>`` lay directly below the channel.  Nothing here writes.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import attrs

from repocore.errors import InvalidPathError
from repocore.plugins.conan.paths import REVISION, ConanFile, archive_stem
from repocore.plugins.conan.references import ConanReference, check_id, reference
from repocore.plugins.conan.revisions import INFO, MANIFEST, implied_archives

__all__ = ["Finding", "Revision", "StoredFile", "TreeReference", "references"]

INDEX: Final = "revisions.txt"
#: A line of the index has some 80 bytes; a reference with so many revisions is none.
_MOST_INDEX: Final = 16 << 20
_IDS: Final = ("revision", "recipe revision", "package id")
_IGNORED: Final = frozenset({INDEX, f"{INDEX}.lock"})
_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@attrs.frozen
class Finding:
    """Something that is not as it should be, and what is done about it."""

    where: str
    what: str
    #: Whether it is left out, or taken in another way than it stands there.
    skipped: bool
    #: Whether it could be taken if the old folder were mended.
    unreadable: bool = False

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@attrs.frozen
class StoredFile:
    """A file of a revision, and where it lies."""

    file: ConanFile
    path: Path
    size: int

    def open(self) -> BinaryIO:
        """Read it; raises `OSError` where it is no plain file any more."""
        return os.fdopen(os.open(self.path, _FLAGS), "rb")


@attrs.frozen
class Revision:
    """A recipe revision or package revision, whole, with its files and its packages."""

    name: str
    time: datetime
    files: tuple[StoredFile, ...]
    #: Those that hang on it, by package id; each oldest first.
    packages: tuple[tuple[str, tuple[Revision, ...]], ...] = ()


@attrs.frozen
class TreeReference:
    """A reference, its revisions oldest first, and what was found on the way."""

    reference: ConanReference
    revisions: tuple[Revision, ...]
    findings: tuple[Finding, ...]


def references(root: Path, passed_over: Path | None = None) -> Iterator[TreeReference | Finding]:
    """Everything below a data folder, a reference at a time, in no order.

    ``passed_over`` is a folder in it that is somebody else's: ours.
    """
    for name in _folders(root):
        if passed_over is not None and passed_over.exists() and name.samefile(passed_over):
            continue
        try:
            for version in _folders(name):
                for user in _folders(version):
                    for channel in _folders(user):
                        yield from _reference(channel)
        except OSError as error:
            yield _unreadable(name, error, root)


def _unreadable(path: Path, error: OSError, root: Path) -> Finding:
    if isinstance(error.filename, str) and Path(error.filename).is_relative_to(root):
        path = Path(error.filename)
    where = path.relative_to(root).as_posix()
    return Finding(where, f"cannot be read, {error.strerror}", skipped=True, unreadable=True)


def _folders(above: Path) -> Iterator[Path]:
    try:
        with os.scandir(above) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    yield Path(entry.path)
    except NotADirectoryError:
        return


def _reference(folder: Path) -> Iterator[TreeReference | Finding]:
    parts = folder.parts[-4:]
    if not _is_one(folder):
        return
    try:
        found = reference(*parts)
    except InvalidPathError as error:
        yield Finding("/".join(parts), f"skipped, {error}", skipped=True)
        return
    reader = _Reader(found, folder, [])
    revisions = tuple(reader.revisions())
    yield TreeReference(found, revisions, tuple(reader.findings))


def _is_one(folder: Path) -> bool:
    """Whether it looks like the folder of a reference; others may lie there, of the server."""
    if (folder / INDEX).exists() or (folder / "export").is_dir():
        return True
    return any((below / "export").is_dir() for below in _folders(folder))


@attrs.frozen
class _Reader:
    """Reads one reference; what is odd becomes a finding."""

    reference: ConanReference
    folder: Path
    findings: list[Finding]

    def revisions(self) -> Iterator[Revision]:
        """The whole recipe revisions, oldest first."""
        if (self.folder / "export").is_dir():
            # As it was before revisions.
            yield from self._recipe(REVISION, self.folder, None)
            return
        for name, time in self._index(self.folder, "export"):
            yield from self._recipe(name, self.folder / name, time)

    def _recipe(self, rrev: str, folder: Path, time: datetime | None) -> Iterator[Revision]:
        for revision in self._revision(rrev, folder / "export", time, None):
            packages = tuple(self._packages(rrev, folder / "package"))
            yield attrs.evolve(revision, packages=packages)

    def _packages(self, rrev: str, folder: Path) -> Iterator[tuple[str, tuple[Revision, ...]]]:
        if not folder.is_dir():
            return
        for below in sorted(_folders(folder)):
            found = tuple(self._package(rrev, below))
            if found:
                yield below.name, found
            elif not list(_folders(below)) and (below / INDEX).exists():
                self._repaired(below, "left out, its revisions were deleted")

    def _package(self, rrev: str, folder: Path) -> Iterator[Revision]:
        if (folder / INFO).is_file() and not (folder / INDEX).exists():
            yield from self._revision(REVISION, folder, None, (rrev, folder.name))
            return
        for prev, time in self._index(folder, ""):
            yield from self._revision(prev, folder / prev, time, (rrev, folder.name))

    # ------------------------------------------------------------------------------- the index

    def _index(self, folder: Path, holds: str) -> Iterator[tuple[str, datetime | None]]:
        """Names and times, oldest first: of the index, then of what stands in no index."""
        there = {below.name: below for below in _folders(folder) if (below / holds).is_dir()}
        listed: dict[str, datetime | None] = {}
        for name, time in self._entries(folder / INDEX, expected=bool(there)):
            if name in listed:
                self._repaired(folder / name, "stands twice in its index; the last place counts")
                del listed[name]
            listed[name] = time
        for name in [name for name in listed if name not in there]:
            self._repaired(folder / name, "left out, it is in the index without a folder")
            del listed[name]
        alone = sorted(there.keys() - listed.keys(), key=lambda name: _changed(there[name]))
        if (folder / INDEX).exists():
            for name in alone:
                self._repaired(there[name], "taken in as the newest, though in no index")
        yield from listed.items()
        for name in alone:
            yield name, None

    def _entries(self, index: Path, *, expected: bool) -> Iterator[tuple[str, datetime | None]]:
        try:
            with os.fdopen(os.open(index, _FLAGS), "rb") as stream:
                content = stream.read(_MOST_INDEX)
            entries: Any = json.loads(content)["revisions"]
        except FileNotFoundError:
            if expected:
                self._repaired(index, "missing; revisions are ordered by their manifests' times")
            return
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            self._repaired(index, "cannot be read; revisions are ordered by their times")
            return
        for entry in cast("list[Any]", entries) if isinstance(entries, list) else []:
            name, time = _entry(entry)
            if name is None:
                self._repaired(index, "an entry of it is none, and left out")
            else:
                yield name, time

    # ------------------------------------------------------------------------------- the files

    def _revision(
        self, name: str, folder: Path, time: datetime | None, package: tuple[str, str] | None
    ) -> Iterator[Revision]:
        """The revision, if it is whole; else a finding."""
        try:
            for kind, one in zip(_IDS, (name, *(package or ())), strict=False):
                check_id(kind, one)
            files = tuple(self._files(name, folder, package))
            problem = _incomplete(files, package=package is not None)
        except InvalidPathError as error:
            self._skipped(folder, f"skipped, {error}")
            return
        except OSError as error:
            self.findings.append(_unreadable(folder, error, self.folder.parents[3]))
            return
        if problem:
            self._skipped(folder, f"skipped, {problem}")
            return
        yield Revision(name, time or _changed(folder), files)

    def _files(
        self, revision: str, folder: Path, package: tuple[str, str] | None
    ) -> Iterator[StoredFile]:
        for path in _walk(folder):
            name = path.relative_to(folder).parts
            if name[-1] in _IGNORED:
                continue
            try:
                if package is None:
                    file = ConanFile(self.reference, revision, name)
                else:
                    file = ConanFile(self.reference, package[0], name, package[1], revision)
                _ = file.path
            except InvalidPathError as error:
                self._skipped(path, f"skipped, {error}")
                continue
            if path.is_symlink() or not path.is_file():
                self._skipped(path, "skipped, it is no plain file")
                continue
            stored = StoredFile(file, path, path.stat().st_size)
            stored.open().close()  # what cannot be read is told now, and not in the middle
            yield stored

    def _where(self, path: Path) -> str:
        return path.relative_to(self.folder.parents[3]).as_posix()

    def _skipped(self, path: Path, what: str) -> None:
        self.findings.append(Finding(self._where(path), what, skipped=True))

    def _repaired(self, path: Path, what: str) -> None:
        self.findings.append(Finding(self._where(path), what, skipped=False))


def _walk(folder: Path) -> Iterator[Path]:
    """Every name below a folder that is no folder, in order; links are not followed."""
    with os.scandir(folder) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(Path(entry.path))
        else:
            yield Path(entry.path)


def _incomplete(files: tuple[StoredFile, ...], *, package: bool) -> str | None:
    """What keeps a revision from being whole, or None; the same as `ConanFormat.whole` says."""
    names = {file.file.name[0]: file for file in files if not file.file.is_metadata}
    if MANIFEST not in names:
        return f"its {MANIFEST} is missing: the upload was never finished"
    with names[MANIFEST].open() as stream:
        implied = implied_archives(stream)
    if implied is None:
        return None
    stems = {archive_stem(name) for name in names}
    wanted = {INFO} if package else {"conanfile.py"}
    archives = {"conan_package"} if package else set(implied)
    missing = sorted({*(wanted - names.keys()), *(archives - stems)})
    return f"{', '.join(missing)} is missing: the upload was never finished" if missing else None


def _entry(entry: Any) -> tuple[str | None, datetime | None]:
    if not isinstance(entry, dict) or not isinstance(entry.get("revision"), str):  # pyright: ignore[reportUnknownMemberType]
        return None, None
    found = cast("dict[str, Any]", entry)
    return found["revision"], _time(found.get("time"))


def _time(value: Any) -> datetime | None:
    """Seconds since 1970, or a text of ISO 8601; None for what is no time."""
    try:
        if isinstance(value, str):
            moment = datetime.fromisoformat(value)
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        return None
    return None


def _changed(folder: Path) -> datetime:
    """When a revision's manifest was written; without one, its folder."""
    for path in (folder / MANIFEST, folder / "export" / MANIFEST, folder):
        if path.is_file() or path == folder:
            return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    raise AssertionError
