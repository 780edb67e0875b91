"""Partitions of a primary on their way to its replica: collected, fetched, and written whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Final, TypeVar

import attrs

from repocore.catalog import Transaction, copied_releases, replication
from repocore.catalog.replication import Reached, Wanted
from repocore.errors import ReplicaError
from repocore.ports import Progress
from repocore.registry.fetching import Fetched, Fetcher
from repocore.registry.primary import Primary
from repocore.registry.services import Services
from repocore.registry.spooling import Spool

__all__ = ["Key", "Lag", "PartitionCopies", "lags"]

T = TypeVar("T")

#: The number of a repository, and the name of a partition.
Key = tuple[int, str]
#: A partition, its serial here, and there.
Lag = tuple[Key, int, int]

#: Partitions that are brought up to date in one transaction.
_GROUP: Final = 100
#: Releases that are fetched and written at a time.
_PART: Final = 100
#: How often something begins again that others changed meanwhile.
_TRIES: Final = 5
#: A serial behind all others: whoever asks for what comes after it learns the serial only.
_BEHIND_ALL: Final = 1 << 62
_MET: Final = "A clean-up met what was fetched again and again; trying again later."


def lags(services: Services, primary: Primary, named: Iterable[Key]) -> list[Lag]:
    """Those of these partitions that are not as they are at the primary: ours, and theirs."""
    found: list[Lag] = []
    for part in _parts(sorted({*named}), _GROUP):
        asked = [
            Wanted(repository=number, partition=name, since=_BEHIND_ALL) for number, name in part
        ]
        with services.catalog.snapshot() as connection:
            own = replication.compared(connection, part)
        for one in primary.changes(asked)[1]:
            key = (one.repository, one.partition)
            if own.get(key, -1) != (-1 if one.serial is None else one.serial):
                found.append((key, own.get(key, 0), one.serial or 0))
    return found


def _parts(values: Iterable[T], size: int) -> Iterator[list[T]]:
    left = iter(values)
    while part := list(islice(left, size)):
        yield part


@attrs.define
class PartitionCopies:
    """What brings partitions up to date; a part of one look at the primary."""

    _services: Services
    _primary: Primary
    _fetcher: Fetcher
    _progress: Progress
    #: Whether all is taken anew, and what is not there goes.
    _full: bool
    partitions: int = 0
    releases: int = 0

    def take(self, behind: Iterable[Lag]) -> None:
        """Have these partitions be as they are at the primary, some in one transaction.

        Raises `ReplicaError` where that cannot be, `UpstreamError` and `StorageError`.
        """
        for part in _parts(behind, _GROUP):
            self._progress.check()
            self._take(part)
            self.partitions += len(part)
            self._progress.advance(len(part))
            self._services.wake()

    def _take(self, part: Sequence[Lag]) -> None:
        # What the primary has gone back behind is taken anew from the start.
        anew = {key for key, ours, theirs in part if self._full or ours > theirs}
        wanted = [
            Wanted(repository=key[0], partition=key[1], since=0 if key in anew else ours)
            for key, ours, _ in part
        ]
        for _ in range(_TRIES):
            with Spool() as ready:
                reached = self._collect(wanted, ready)
                self._services.step("fetched")
                try:
                    self._services.catalog.write(
                        lambda t, r=reached, s=ready: self._write(t, r, s, anew)
                    )
                except copied_releases.Collected:
                    continue
                self._services.step("brought partitions")
                self.releases += ready.count
                return
        raise ReplicaError(_MET)

    def _collect(self, wanted: Sequence[Wanted], ready: Spool) -> Sequence[Reached]:
        """Have every change of the partitions, with bytes, in the order of changes."""
        absent: set[tuple[int, str, str]] = set()
        for _ in range(_TRIES):
            with Spool() as changed:
                reached = self._stage(wanted, changed)
                for part in _parts(changed.read(), _PART):
                    self._progress.check()
                    for one in self._fetcher.fetch(part):
                        key = (one.state.repository, one.state.partition, one.state.name)
                        # Deleted since: what became of it is behind in the order of changes.
                        (absent.add if one.gone else absent.discard)(key)
                        if not one.gone:
                            ready.add(one)
            if not absent:
                return reached
            wanted = [
                Wanted(repository=one.repository, partition=one.partition, since=one.since)
                for one in reached
            ]
        message = "Packages change at the primary faster than they are fetched; trying again."
        raise ReplicaError(message)

    def _stage(self, wanted: Sequence[Wanted], changed: Spool) -> Sequence[Reached]:
        left = {(one.repository, one.partition): one for one in wanted}
        ended: dict[Key, Reached] = {}
        while left:
            self._progress.check()
            releases, reached = self._primary.changes([*left.values()])
            for state in releases:
                changed.add(state)
            for one in reached:
                key = (one.repository, one.partition)
                left[key] = Wanted(
                    repository=one.repository,
                    partition=one.partition,
                    since=one.since,
                    within=one.within,
                )
                if one.whole:
                    del left[key]
                    ended[key] = one
        return [*ended.values()]

    def _write(
        self, transaction: Transaction, reached: Sequence[Reached], ready: Spool, anew: set[Key]
    ) -> None:
        transaction.dialect.unbound(transaction.connection)
        seen: dict[Key, set[str]] = {key: set() for key in anew}
        fetched: list[Fetched]
        for fetched in _parts(ready.read(), _PART):
            copied_releases.bring_releases(
                transaction, [(one.state, one.placed) for one in fetched]
            )
            for one in fetched:
                key = (one.state.repository, one.state.partition)
                if key in seen:
                    seen[key].add(one.state.name)
        for one in reached:
            key = (one.repository, one.partition)
            if one.serial is None:
                copied_releases.drop_partition(transaction, *key)
                continue
            if key in seen:
                copied_releases.drop_others(transaction, *key, seen[key])
            copied_releases.set_serial(transaction, *key, one.serial)

    def take_loose_files(self, number: int) -> None:
        """Have exactly the files of no release that a repository has there.  Raises as `take`."""
        for _ in range(_TRIES):
            with Spool() as ready:
                for page in self._primary.loose_files(number):
                    self._progress.check()
                    ready.add(self._fetcher.place(page))
                with suppress(copied_releases.Collected):
                    self._services.catalog.write(
                        lambda t, s=ready: copied_releases.bring_loose_files(t, number, s.read())
                    )
                    return
        raise ReplicaError(_MET)
