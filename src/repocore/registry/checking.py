"""Compare rows with objects, and read what is stored, all of it or a part that goes round."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from typing import Final

import attrs

from repocore.catalog import blobs, damage, releases, rounds
from repocore.catalog.rows import time_of
from repocore.errors import BlobMissingError, RejectedError, StorageError
from repocore.model import BlobKey, Hasher
from repocore.ports import Progress
from repocore.registry.context import Context
from repocore.registry.files import Files
from repocore.registry.services import SYSTEM, Services

__all__ = ["CheckReport", "Problems", "Silence", "check", "named_by", "read_share", "stored_blobs"]

#: Problems beyond that number are counted, not listed.
_LISTED: Final = 1000
#: Names of one damaged object beyond that number are counted, not listed.
_NAMED: Final = 10

#: A share is counted in millionths of the range of all digests.
_WHOLE: Final = 1_000_000
_SHARE = re.compile(r"(\d{1,3})(?:\.(\d{1,4}))?\s*%\Z")
#: Digests are compared by their first digits; that is all that a share needs.
_DIGITS: Final = 16
#: How often a reading notes how far it has come, in objects.
_NOTED: Final = 100

_NEXT: Final = "upload its files again, or run `repocore repair`"


@attrs.frozen(kw_only=True)
class CheckReport:
    """What a check found.  ``bytes`` counts stored content once."""

    problems: tuple[str, ...]
    files: int
    blobs: int
    bytes: int
    #: Blobs that nothing names any more; the collector's, and no problem.
    unreferenced: int
    #: How many objects were read and hashed, and how many bytes they have.
    read: int = 0
    read_bytes: int = 0
    #: Objects that are damaged and therefore not served, those of earlier checks included.
    quarantined: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


class Silence:
    """A progress that nobody watches."""

    def start(self, total: int | None, message: str) -> None:
        """Say nothing."""

    def advance(self, steps: int = 1) -> None:
        """Say nothing."""

    def log(self, text: str) -> None:
        """Say nothing."""

    def check(self) -> None:
        """Go on."""


@attrs.define
class Problems:
    """Findings, with a bound on how many are listed."""

    _found: list[str] = attrs.field(factory=list[str])
    _more: int = 0

    def add(self, text: str) -> None:
        """One more."""
        if len(self._found) < _LISTED:
            self._found.append(text)
        else:
            self._more += 1

    def report(self) -> tuple[str, ...]:
        """Those that are listed, and how many are not."""
        more = [f"… and {self._more} more"] if self._more else []
        return (*self._found, *more)


def read_share(text: str) -> int:
    """How much of everything ``5%`` is, in millionths; raises `RejectedError`."""
    match = _SHARE.match(text.strip())
    share = int(match[1]) * 10_000 + int((match[2] or "").ljust(4, "0")) if match else 0
    if not 0 < share <= _WHOLE:
        message = f"{text!r} is no share of what is stored; write a number up to 100, as in 5%."
        raise RejectedError(message)
    return share


def check(services: Services, share: int | None, by: str, progress: Progress) -> CheckReport:
    """Compare everything, and read a part of it: a share in millionths, which begins where the
    one before ended; None is all of it, 0 is nothing.

    What is found damaged is put into quarantine, unless the registry is read-only.
    """
    if share:
        services.require_writable()  # to note how far it has come
    found = _Findings(services, by)
    files = _check_files(services, found.problems, progress)
    count = size = unreferenced = 0
    progress.start(None, "Checking stored content")
    for row in stored_blobs(services):
        progress.check()
        progress.advance()
        if not row.named:
            unreferenced += 1
            continue
        count += 1
        size += row.size
        found.compare(row)
    if share is None or share:
        progress.start(None, "Reading stored content")
        _read(services, share, found, progress)
    return CheckReport(
        problems=found.problems.report(),
        files=files,
        blobs=count,
        bytes=size,
        unreferenced=unreferenced,
        read=found.read,
        read_bytes=found.read_bytes,
        quarantined=found.quarantined,
    )


@attrs.define
class _Findings:
    """What is wrong with objects, and what becomes of those."""

    _services: Services
    _by: str
    problems: Problems = attrs.field(factory=Problems)
    quarantined: int = 0
    read: int = 0
    read_bytes: int = 0

    def compare(self, row: blobs.Row) -> None:
        """Look whether an object is there, with the bytes that it should have."""
        if row.damaged is not None:
            since = time_of(row.damaged_at or 0)
            self.quarantined += 1
            self._tell(row, f"is in quarantine since {since:%Y-%m-%d %H:%M}")
            return
        found = self._services.storage.size(row.key)
        if found is None:
            self._tell(row, "is missing from the storage")
        elif found != row.size:
            self._quarantine(row, f"has {found} bytes instead of {row.size}")

    def look_into(self, row: blobs.Row) -> None:
        """Read an object; twice, where that fails."""
        problem: str | None = None
        for _ in range(2):
            problem = _read_wrong(self._services, row)
            if problem is None:
                break
        self.read += 1
        self.read_bytes += row.size
        if problem is not None:
            self._quarantine(row, problem)

    def _quarantine(self, row: blobs.Row, problem: str) -> None:
        services = self._services
        names = named_by(services, row.digest)
        if services.settings.read_only:
            self._tell(row, problem, names)
            return
        quarantine = partial(damage.quarantine, key=row.key, by=self._by)
        if _still_named(services, row.key) and services.catalog.write(quarantine):
            self.quarantined += 1
            with services.catalog.snapshot() as connection:
                kept = damage.holds_file(connection, row.digest)
            made = f"sha256:{row.digest} {problem}; it is {names}, which is made anew."
            self.problems.add(_sentence(row, problem, names) if kept else made)
            services.wake()

    def _tell(self, row: blobs.Row, problem: str, names: str | None = None) -> None:
        # A finding holds only if nobody deleted the file while it was looked at.
        if _still_named(self._services, row.key):
            names = names or named_by(self._services, row.digest)
            self.problems.add(_sentence(row, problem, names))


def _sentence(row: blobs.Row, problem: str, names: str) -> str:
    return f"sha256:{row.digest} {problem}; it is {names}: {_NEXT}."


def named_by(services: Services, digest: str) -> str:
    """The addresses and paths of what has these bytes, as a text."""
    with services.catalog.snapshot() as connection:
        found = damage.names(connection, digest, _NAMED + 1)
    shown = ", ".join(f"{address} {path}" for address, path in found[:_NAMED])
    return f"{shown} and more" if len(found) > _NAMED else shown or "no file any more"


def stored_blobs(
    services: Services, after: str = "", before: str | None = None
) -> Iterator[blobs.Row]:
    """The blobs by digest, from behind one text to before another."""
    while True:
        with services.catalog.snapshot() as connection:
            rows = blobs.everything(connection, after)
        for row in rows:
            if before is not None and row.digest >= before:
                return
            yield row
        if not rows:
            return
        after = rows[-1].digest


def _read(services: Services, share: int | None, found: _Findings, progress: Progress) -> None:
    if share is None:
        for row in _readable(services, 0, _WHOLE):
            progress.check()
            found.look_into(row)
            progress.advance()
        return
    with services.catalog.snapshot() as connection:
        start = rounds.position(connection, rounds.READING)
    begin, end = start % _WHOLE, start % _WHOLE + share
    for lap, (first, last) in enumerate(((begin, min(end, _WHOLE)), (0, end - _WHOLE))):
        base = start - begin + lap * _WHOLE
        for row in _readable(services, first, last):
            progress.check()
            found.look_into(row)
            progress.advance()
            if found.read % _NOTED == 0:
                _note(services, base + _place(row.digest))
    _note(services, start + share)


def _note(services: Services, position: int) -> None:
    services.catalog.write(lambda t: rounds.advance(t, rounds.READING, position))


def _readable(services: Services, first: int, last: int) -> Iterator[blobs.Row]:
    """The objects of a part of the range of all digests; those in quarantine have none."""
    if last <= first:
        return
    before = None if last == _WHOLE else _bound(last)
    for row in stored_blobs(services, _bound(first) if first else "", before):
        if row.named and row.damaged is None:
            yield row


def _bound(place: int) -> str:
    """The beginning of the first digest of a place: shorter than it, and so before it."""
    return f"{-(-(place << 4 * _DIGITS) // _WHOLE):0{_DIGITS}x}"


def _place(digest: str) -> int:
    return (int(digest[:_DIGITS], 16) * _WHOLE) >> 4 * _DIGITS


def _read_wrong(services: Services, row: blobs.Row) -> str | None:
    """What is wrong with an object's bytes; None where they are right, or it is missing."""
    hasher = Hasher(())
    try:
        with services.storage.open(row.key) as stream:
            for _ in hasher.through(stream, services.settings.limits.chunk):
                pass
    except BlobMissingError:
        return None  # told of already, or deleted meanwhile
    except (StorageError, OSError):
        return "cannot be read"
    return None if hasher.checksums().sha256 == row.digest else "holds other bytes"


def _still_named(services: Services, key: BlobKey) -> bool:
    with services.catalog.snapshot() as connection:
        return blobs.named(connection, key)


def _check_files(services: Services, problems: Problems, progress: Progress) -> int:
    progress.start(None, "Checking files")
    count = 0
    for file in _named_without_blob(services):
        problems.add(f"{file} names content that the catalog does not know.")
    for address, broken in _half_releases(services):
        problems.add(f"{address}: {broken} is listed but not whole.")
    for address in sorted(services.book.known.repositories):
        for _ in _everything(services).list(address):
            progress.check()
            progress.advance()
            count += 1
    return count


def _everything(services: Services) -> Files:
    """All files, as the system sees them."""
    return Files(Context(services, SYSTEM))


def _named_without_blob(services: Services) -> list[str]:
    with services.catalog.snapshot() as connection:
        return blobs.lost(connection)


def _half_releases(services: Services) -> Iterator[tuple[str, str]]:
    """(address, release) of each visible release that its format does not call whole."""
    for address, stored in sorted(services.book.known.repositories.items()):
        format_ = services.formats.get(stored.value.format)
        if format_ is None:
            continue
        after = ("", "")
        while True:
            with services.catalog.snapshot() as connection:
                page = releases.visible_page(connection, stored, after)
            for release, files in page:
                if not format_.whole(release, files):
                    yield address, f"{release.partition}#{release.name}"
            if not page:
                break
            after = (page[-1][0].partition, page[-1][0].name)
