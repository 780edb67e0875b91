"""Bring lost and damaged objects back, from wherever their bytes still are.

Each source is asked in turn, and nothing is believed: bytes are hashed while they are staged, and
stored only where they are those that are missed.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import quote

import attrs

from repocore.catalog import blobs, damage
from repocore.errors import StorageError, TooLargeError, TruncatedError, UpstreamUnavailableError
from repocore.model import BlobKey, Chunks
from repocore.ports import Progress, Storage
from repocore.registry.backup_folders import BackupFolder
from repocore.registry.blobs import heal
from repocore.registry.checking import Problems, named_by, stored_blobs
from repocore.registry.services import Services
from repocore.registry.staging import Bounds, Foreign, Unreadable, stage
from repocore.registry.upstream import UpstreamClient

__all__ = ["RepairReport", "Replica", "repair"]

#: Names of one object that a replica is asked for, at most.
_NAMES: Final = 20
_API: Final = "api/v1/repositories"
_BY_DIGEST: Final = "api/v1/replication/content"
#: Who was silent so often, one object after the other, is not asked again.
_SILENCES: Final = 3
_REFUSALS: Final = frozenset({401, 403})


@attrs.frozen(kw_only=True)
class RepairReport:
    """What was lost or damaged, and what became of it."""

    #: sha256 and where it came from.
    repaired: tuple[str, ...]
    #: Documents that are made anew by whoever reads them next.
    remade: int
    #: What could not be brought back, each in a sentence.
    remaining: tuple[str, ...]
    #: What the sources had to say.
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing remains."""
        return not self.remaining


@attrs.frozen(kw_only=True)
class Replica:
    """Another repocore, or any server with the files of an export, at a URL.

    A file of ``conda/main`` is looked for at its address and path below the URL, then at the
    address of the API, then at its path alone; with ``headers``, which are for the origin of the
    URL, last by its digest.
    """

    url: str
    client: UpstreamClient
    headers: Mapping[str, str] = attrs.field(factory=dict[str, str], repr=False)


#: What is opened may be the bytes that are missed; opening it may raise `RepocoreError`.
_Offer = AbstractContextManager[Chunks]
_Names = Sequence[tuple[str, str]]


class _Source(Protocol):
    """Somebody who may have the bytes."""

    @property
    def name(self) -> str:
        """What is said of it."""
        ...

    def offers(self, row: blobs.Row, names: _Names, /) -> Iterator[_Offer]:
        """What may be the bytes of a row, which these files have."""
        ...


@attrs.frozen
class _OldObjects:
    """What is in quarantine, once more: the fault may have been on the way to it."""

    _storage: Storage
    name: str = "the storage itself"

    def offers(self, row: blobs.Row, _names: _Names, /) -> Iterator[_Offer]:
        """The object that was found damaged."""
        if row.damaged is not None:
            yield self._storage.open(BlobKey(row.digest, row.damaged))


@attrs.frozen
class _Backups:
    """A folder of backups."""

    _folder: BackupFolder
    name: str = "a backup"

    def offers(self, row: blobs.Row, _names: _Names, /) -> Iterator[_Offer]:
        """Its object of that digest."""
        found = self._folder.open_object(row.digest)
        if found is not None:
            yield found


@attrs.frozen
class _Server:
    """A replica."""

    _replica: Replica

    @property
    def name(self) -> str:
        """Its URL."""
        return self._replica.url

    def offers(self, row: blobs.Row, names: _Names, /) -> Iterator[_Offer]:
        """Whatever stands at the addresses of the files that have these bytes; and where a
        repocore sends them by their digest to whoever may replicate.
        """
        base = self._replica.url.rstrip("/")
        for address, path in names:
            for below in _places(address, path):
                yield self._replica.client.open(f"{base}/{below}", self._replica.headers)
        if self._replica.headers:
            by_digest = f"{base}/{_BY_DIGEST}/{row.digest}"
            yield self._replica.client.open(by_digest, self._replica.headers)


def _places(address: str, path: str) -> list[str]:
    """Where a server may have a file."""
    named = quote(path, safe="/@+~")
    return [f"{address}/{named}", f"{_API}/{address}/content/{named}", named]


def repair(
    services: Services,
    backups: Sequence[Path],
    replicas: Sequence[Replica],
    by: str,
    progress: Progress,
) -> RepairReport:
    """Look for what is lost or damaged, and bring it back where one of the sources has it.

    May run beside everything else, also twice; what somebody uploads meanwhile is left alone.
    Raises `RejectedError` for a folder without backups, `UpstreamRefusedError` for a URL that is
    not to be connected to, and `StorageError` where it cannot be stored.
    """
    services.require_own_writes()
    sources: list[_Source] = [_OldObjects(services.storage)]
    sources += [_Backups(BackupFolder.at(root)) for root in backups]
    sources += [_Server(replica) for replica in replicas]
    work = _Repairing(services, by, sources)
    progress.start(None, "Repairing stored content")
    for row in stored_blobs(services):
        progress.check()
        progress.advance()
        if row.named and _is_lost(services, row):
            work.repair(row)
    services.wake()
    return RepairReport(
        repaired=tuple(work.repaired),
        remade=work.remade,
        remaining=work.remaining.report(),
        notes=tuple(sorted(work.notes)),
    )


@attrs.define
class _Repairing:
    """One run: what it has found, and who does not answer."""

    _services: Services
    _by: str
    _sources: list[_Source]
    repaired: list[str] = attrs.field(factory=list[str])
    remade: int = 0
    remaining: Problems = attrs.field(factory=Problems)
    notes: set[str] = attrs.field(factory=set[str])
    _silent: Counter[str] = attrs.field(factory=Counter[str])

    def repair(self, row: blobs.Row) -> None:
        """Bring the bytes of a row back, if anybody has them."""
        services = self._services
        with services.catalog.snapshot() as connection:
            names = damage.names(connection, row.digest, _NAMES)
            of_file = damage.holds_file(connection, row.digest)
        if not of_file:
            self.remade += services.catalog.write(lambda t: damage.forget_documents(t, row.digest))
            return
        for source in self._sources:
            if self._silent[source.name] < _SILENCES and self._brought(row, source, names):
                self.repaired.append(f"sha256:{row.digest} from {source.name}")
                return
        if _is_lost(services, row):
            self.remaining.add(
                f"sha256:{row.digest} is lost; it is {named_by(services, row.digest)}."
            )

    def _brought(self, row: blobs.Row, source: _Source, names: _Names) -> bool:
        for opened in self._opened(row, source, names):
            with contextlib.suppress(Unreadable), opened as stream:
                if self._stored(row, Foreign(stream)):
                    return True
        return False

    def _opened(self, row: blobs.Row, source: _Source, names: _Names) -> Iterator[_Offer]:
        """What of the offers can be opened."""
        offers = source.offers(row, names)
        while True:
            try:
                offer = next(offers, None)
                if offer is None:
                    return
                stack = ExitStack()
                stream = stack.enter_context(offer)
            except UpstreamUnavailableError as error:
                if error.status is None:
                    self._silent[source.name] += 1
                    self.notes.add(f"{source.name} does not answer.")
                    return
                if error.status in _REFUSALS:
                    self.notes.add(f"{source.name} answered {error.status}: give a token for it.")
            except StorageError:
                return
            else:
                self._silent[source.name] = 0
                with stack:
                    yield nullcontext(stream)

    def _stored(self, row: blobs.Row, stream: Foreign) -> bool:
        services = self._services
        bounds = Bounds.exactly(row.size, services.settings.limits.chunk)
        try:
            with stage(services.storage, stream, frozenset(), bounds) as staged:
                same = staged.checksums.sha256 == row.digest
                return same and heal(services, staged, self._by)
        except (TooLargeError, TruncatedError):
            return False


def _is_lost(services: Services, row: blobs.Row) -> bool:
    with services.catalog.snapshot() as connection:
        key = damage.current(connection, row.digest)
        if key is None:
            return damage.is_damaged(connection, row.digest)
    return services.storage.size(key) != row.size
