"""A replica's look at its primary: take over what has changed since the last one.

Records of changes come first: they tell which partitions to ask for.  A partition's changes are
collected, their bytes fetched and compared, and then all of it is written in one transaction with
the serial that it makes true.  Whoever dies before has left bytes that the next one finds, and
nothing that a reader sees; whoever does it twice writes the same again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any, Final, TypeVar

import attrs

from repocore.catalog import Transaction, audit, dumping, following, replication, sealed_records
from repocore.catalog.following import Following
from repocore.catalog.replication import Reached, Wanted
from repocore.catalog.rows import micros_of
from repocore.errors import ReplicaError
from repocore.ports import Progress
from repocore.registry.fetching import Fetched, Fetcher
from repocore.registry.primary import Primary, PrimaryPosition
from repocore.registry.services import Services
from repocore.registry.spooling import Spool
from repocore.registry.touching import Touched, touched_by

__all__ = ["PullReport", "lags", "pull"]

_log = logging.getLogger(__name__)

T = TypeVar("T")
Key = tuple[int, str]

#: Partitions that are brought up to date in one transaction.
_GROUP: Final = 100
#: Releases that are written at a time.
_PART: Final = 100
#: Records that are looked at for what they touched, between two notes of how far it came.
_SLICE: Final = 5000
#: How often something begins again that others changed meanwhile.
_TRIES: Final = 5
_HOUR: Final = 3_600_000_000
#: Lost bytes that are asked for again in one look.
_MISSED: Final = 100
#: A serial behind all others: whoever asks for what comes after it learns the serial only.
_BEHIND_ALL: Final = 1 << 62


@attrs.frozen(kw_only=True)
class PullReport:
    """What a look at the primary has brought."""

    partitions: int
    releases: int
    records: int
    #: Contents that were fetched, and their bytes.
    fetched: int
    fetched_bytes: int
    #: Contents that files name, and the primary has lost.
    missing: int


def pull(
    services: Services, progress: Progress, *, full: bool = False, counts: bool = False
) -> PullReport | None:
    """Become what the primary is; None where another process of the installation is at it.

    With ``full`` everything is compared, and what only the replica has goes: that is how it
    follows a primary with another history.  With ``counts`` those of downloads are taken over now,
    which is done once an hour otherwise.  Raises `ReplicaError`, `UpstreamError` and
    `StorageError`; whatever is whole by then is there, and the next one goes on.
    """
    services.require_own_writes()
    if not services.following:
        message = "This registry follows nobody: its settings name no primary, or it was promoted."
        raise ReplicaError(message)
    with services.catalog.single("replica") as alone:
        return _Pulling(services, progress, full=full, counts=counts).run() if alone else None


def lags(services: Services, primary: Primary, named: Iterable[Key]) -> list[tuple[Key, int, int]]:
    """Those of these partitions that are not as they are at the primary: ours, and theirs."""
    found: list[tuple[Key, int, int]] = []
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


class _Pulling:
    """One look."""

    def __init__(self, services: Services, progress: Progress, *, full: bool, counts: bool) -> None:
        self._services = services
        self._progress = progress
        self._full = full
        self._counts = counts
        self._primary = Primary(services.settings.replica, services.tracing)
        self._fetcher = Fetcher(services, self._primary)
        self._partitions = self._releases = self._records = 0

    def run(self) -> PullReport:
        """Do it."""
        with self._fetcher:
            state, position = self._begin()
            last = self._bring_records(position)
            touched = self._touched(state, last)
            if self._full or touched.accounts or position.access != state.access:
                self._bring_access()
            if self._full or not state.whole or touched.repositories or self._due(state):
                self._compare()
                self._bring_loose_files(None)
            else:
                self._follow(state.record, last)
            if self._counts or self._full or self._passed(state.counted_at, _HOUR):
                self._bring_counts(state)
            self._look_for_missing()
        self._note(
            record=last,
            whole=True,
            numbers=position.numbers,
            records_behind=0,
            partitions_behind=0,
            serials_behind=0,
            synced_at=self._started,
            error="",
        )
        return self._report()

    def _report(self) -> PullReport:
        with self._services.catalog.snapshot() as connection:
            missing = following.count_missing(connection)
        return PullReport(
            partitions=self._partitions,
            releases=self._releases,
            records=self._records,
            fetched=self._fetcher.count,
            fetched_bytes=self._fetcher.bytes,
            missing=missing,
        )

    def _note(self, **changes: Any) -> Following:
        return self._services.catalog.write(lambda t: following.note(t, **changes))

    # ----------------------------------------------------------------------------- where it is

    def _begin(self) -> tuple[Following, PrimaryPosition]:
        """Whom it follows and how far it is; raises `ReplicaError` where it must not go on."""
        self._progress.start(None, "Looking at the primary")
        with self._services.catalog.snapshot() as connection:
            state = following.read(connection)
            seal = audit.last_seal(connection)
            empty = dumping.is_empty(connection)
            self._started = dumping.moment(connection)
        if not state.of and not empty:
            message = (
                "There are packages or accounts here that are of no primary; a replica begins "
                "with an empty data folder and an empty database."
            )
            raise ReplicaError(message)
        record, root = (0, "") if seal is None else (seal.last, seal.root)
        position = self._primary.position(record, root, state.record)
        same = state.era in {"", position.era} and position.ours
        if not same and not self._full:
            message = (
                f"{self._primary.url} has another history than this replica: it was restored from "
                "a backup, promoted, or is another installation. To become what it is now, and "
                "lose what only this replica has, run `repocore replica sync --full`."
            )
            raise ReplicaError(message)
        return self._noted(state, position, same=same), position

    def _noted(self, state: Following, position: PrimaryPosition, *, same: bool) -> Following:
        def work(transaction: Transaction) -> Following:
            changes: dict[str, Any] = {}
            if not same:
                following.forget_records(transaction)
            if self._full or not same:
                changes = {"record": 0, "whole": False}
            return following.note(
                transaction,
                of=self._primary.url,
                era=position.era,
                records_behind=position.untaken,
                looked_at=self._started,
                **changes,
            )

        return self._services.catalog.write(work)

    def _passed(self, before: int | None, span: int) -> bool:
        return before is None or self._started - before >= span

    def _due(self, state: Following) -> bool:
        span = self._services.settings.replica.compare
        return self._passed(state.compared_at, micros_of(span))

    # --------------------------------------------------------------------------------- records

    def _bring_records(self, position: PrimaryPosition) -> int:
        """Take records over, and compare what is sealed; returns the number of the last."""
        catalog = self._services.catalog
        with catalog.snapshot() as connection:
            after = following.last_record(connection)
        if after >= position.record:
            return after
        self._progress.start(position.record - after, "Taking over records of changes")
        for records, seals in self._primary.records(after):
            self._progress.check()
            catalog.write(lambda t, r=records, s=seals: following.bring_records(t, r, s))
            self._services.step("brought records")
            for seal in seals:
                self._compare_seal(seal)
            if records:
                after = records[-1]["id"]
            self._records += len(records)
            self._progress.advance(len(records))
        return after

    def _compare_seal(self, seal: Mapping[str, Any]) -> None:
        with self._services.catalog.snapshot() as connection:
            before = audit.seal_before(connection, seal["last"])
            root, count = audit.root_of(connection, before, seal["first"], seal["last"])
        if (root, count) != (seal["root"], seal["count"]):
            message = (
                f"Records {seal['first']} to {seal['last']} are not those that the primary has "
                "sealed; `repocore audit verify` there tells whether they were changed."
            )
            raise ReplicaError(message)

    def _touched(self, state: Following, last: int) -> Touched:
        """What the records tell of that are not followed yet, but for partitions."""
        touched = Touched()
        if not state.whole:
            return touched
        for rows in self._slices(state.record, last):
            touched = touched.joined(touched_by(self._services, rows))
        return touched

    def _slices(self, after: int, last: int) -> Iterator[Sequence[Mapping[str, Any]]]:
        while after < last:
            with self._services.catalog.snapshot() as connection:
                rows = sealed_records.records_between(connection, after, last, _SLICE)
            if not rows:
                return
            yield rows
            after = rows[-1]["id"]

    # ----------------------------------------------------------------------------- who may what

    def _bring_access(self) -> None:
        self._progress.start(None, "Taking over repositories, accounts and rules")
        for _ in range(_TRIES):
            with Spool() as spool:
                versions = set(self._spool_access(spool))
                if len(versions) != 1:
                    continue  # somebody has changed them meanwhile
                [version] = versions
                self._services.step("fetched access")
                self._services.catalog.write(
                    lambda t, v=version, s=spool: following.bring_access(t, v, s.read())
                )
            self._services.step("brought access")
            self._catch_up()
            return
        message = "Accounts and rules change at the primary all the time; trying again later."
        raise ReplicaError(message)

    def _spool_access(self, spool: Spool) -> Iterator[int]:
        for version, rows in self._primary.access():
            self._progress.check()
            for row in rows:
                spool.add(row)
            yield version

    def _catch_up(self) -> None:
        services = self._services
        services.book.at(services.catalog.hot.version())

    # ------------------------------------------------------------------------------- partitions

    def _known(self) -> dict[str, int]:
        """The numbers of the repositories by address."""
        self._catch_up()
        return {a: one.id for a, one in self._services.book.known.repositories.items()}

    def _follow(self, after: int, last: int) -> None:
        """Bring what the records tell of up to date."""
        for rows in self._slices(after, last):
            touched = touched_by(self._services, rows)
            known = self._known()
            named = [(known[a], name) for a, name in touched.partitions if a in known]
            self._take_all(lags(self._services, self._primary, named))
            for address in sorted(touched.loose):
                if address in known:
                    self._bring_loose_files(known[address])
            self._note(record=rows[-1]["id"])

    def _compare(self) -> None:
        """Bring every partition up to date that is not, and forget those that are gone."""
        self._progress.start(None, "Comparing partitions")
        numbers = {*self._known().values()}
        behind: list[tuple[Key, int, int]] = []
        before: Key = (0, "")
        for page in self._primary.partitions():
            self._progress.check()
            theirs = {(number, name): serial for number, name, serial in page}
            end = max(theirs, default=before)
            own = self._own(before, end)
            behind += [
                (key, own.get(key, 0), serial)
                for key, serial in theirs.items()
                if key[0] in numbers and (self._full or own.get(key) != serial)
            ]
            self._drop(own.keys() - theirs.keys())
            before = end
        self._drop(self._own(before, None))
        self._take_all(behind)
        self._note(compared_at=self._started)

    def _own(self, after: Key, end: Key | None) -> dict[Key, int]:
        """Our partitions behind one, up to another."""
        found: dict[Key, int] = {}
        while True:
            with self._services.catalog.snapshot() as connection:
                page = replication.partitions_page(connection, after, 1000)
            for number, name, serial in page:
                if end is not None and (number, name) > end:
                    return found
                found[number, name] = serial
            if len(page) < 1000:  # noqa: PLR2004 - as above
                return found
            after = page[-1][:2]

    def _drop(self, gone: Iterable[Key]) -> None:
        for number, name in sorted(gone):
            self._services.catalog.write(
                lambda t, n=number, p=name: following.drop_partition(t, n, p)
            )

    def _take_all(self, behind: Sequence[tuple[Key, int, int]]) -> None:
        if not behind:
            return
        serials = sum(max(theirs - ours, 0) for _, ours, theirs in behind)
        self._note(partitions_behind=len(behind), serials_behind=serials)
        self._progress.start(len(behind), "Taking over partitions")
        for part in _parts(behind, _GROUP):
            self._progress.check()
            self._take(part)
            self._partitions += len(part)
            self._progress.advance(len(part))
            self._services.wake()

    def _take(self, part: Sequence[tuple[Key, int, int]]) -> None:
        """Bring some partitions up to date, in one transaction."""
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
                except following.Collected:
                    continue
                self._services.step("brought partitions")
                self._releases += ready.count
                return
        message = "A clean-up met what was fetched again and again; trying again later."
        raise ReplicaError(message)

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
            following.bring_releases(transaction, [(one.state, one.placed) for one in fetched])
            for one in fetched:
                key = (one.state.repository, one.state.partition)
                if key in seen:
                    seen[key].add(one.state.name)
        for one in reached:
            key = (one.repository, one.partition)
            if one.serial is None:
                following.drop_partition(transaction, *key)
                continue
            if key in seen:
                following.drop_others(transaction, *key, seen[key])
            following.set_serial(transaction, *key, one.serial)

    # ------------------------------------------------------------------------------ the rest

    def _bring_loose_files(self, only: int | None) -> None:
        """Files of no release: of one repository, or of all."""
        for number in sorted(self._known().values()) if only is None else [only]:
            for _ in range(_TRIES):
                with Spool() as ready:
                    for page in self._primary.loose_files(number):
                        self._progress.check()
                        ready.add(self._fetcher.place(page))
                    with suppress(following.Collected):
                        self._services.catalog.write(
                            lambda t, n=number, s=ready: following.bring_loose_files(t, n, s.read())
                        )
                        break

    def _bring_counts(self, state: Following) -> None:
        since = 0 if self._full else (state.counted_at or 0) - _HOUR
        for page in self._primary.downloads(max(since, 0)):
            self._progress.check()
            self._services.catalog.write(lambda t, p=page: following.bring_counts(t, p))
        self._note(counted_at=self._started)

    def _look_for_missing(self) -> None:
        with self._services.catalog.snapshot() as connection:
            found = following.missing(connection, _MISSED)
        for digest, size in found:
            self._progress.check()
            self._fetcher.heal(digest, size)
