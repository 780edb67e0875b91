"""A replica's look at its primary: take over what has changed since the last one.

Records of changes come first: they tell which partitions to ask for.  A partition's changes are
collected, their bytes fetched and compared, and then all of it is written in one transaction with
the serial that it makes true.  Whoever dies before has left bytes that the next one finds, and
nothing that a reader sees; whoever does it twice writes the same again.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import attrs

from repocore.catalog import (
    Transaction,
    audit,
    copied_access,
    copied_releases,
    dumping,
    following,
    replication,
    sealed_records,
)
from repocore.catalog.following import Following
from repocore.catalog.rows import micros_of
from repocore.errors import ReplicaError
from repocore.ports import Progress
from repocore.registry.fetching import Fetcher
from repocore.registry.partition_copies import Key, Lag, PartitionCopies, lags
from repocore.registry.primary import Primary, PrimaryPosition
from repocore.registry.services import Services
from repocore.registry.spooling import Spool
from repocore.registry.touching import Touched, touched_by

__all__ = ["PullReport", "pull"]

_log = logging.getLogger(__name__)

#: Records that are looked at for what they touched, between two notes of how far it came.
_SLICE: Final = 5000
#: How often something begins again that others changed meanwhile.
_TRIES: Final = 5
_HOUR: Final = 3_600_000_000
#: Lost bytes that are asked for again in one look.
_MISSED: Final = 100


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
    services: Services,
    progress: Progress,
    *,
    full: bool = False,
    counts: bool = False,
    primary: Primary | None = None,
) -> PullReport | None:
    """Become what the primary is; None where another process of the installation is at it.

    With ``full`` everything is compared, and what only the replica has goes: that is how it
    follows a primary with another history.  With ``counts`` those of downloads are taken over now,
    which is done once an hour otherwise.  A ``primary`` may be asked again and again.  Raises
    `ReplicaError`, `UpstreamError` and `StorageError`; whatever is whole by then is there, and the
    next one goes on.
    """
    services.require_own_writes()
    if not services.following:
        message = "This registry follows nobody: its settings name no primary, or it was promoted."
        raise ReplicaError(message)
    with services.catalog.single("replica") as alone:
        if not alone:
            return None
        primary = primary or Primary(services.settings.replica, services.tracing)
        return _Pulling(services, progress, primary, full=full, counts=counts).run()


def _each(behind: Spool | Sequence[Lag]) -> Iterator[Lag]:
    return iter(behind.read() if isinstance(behind, Spool) else behind)


class _Pulling:
    """One look."""

    def __init__(
        self,
        services: Services,
        progress: Progress,
        primary: Primary,
        *,
        full: bool,
        counts: bool,
    ) -> None:
        self._services = services
        self._progress = progress
        self._full = full
        self._counts = counts
        self._primary = primary
        self._fetcher = Fetcher(services, primary)
        self._copies = PartitionCopies(services, self._primary, self._fetcher, progress, full)
        self._records = 0

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
                for number in sorted(self._known().values()):
                    self._copies.take_loose_files(number)
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
            partitions=self._copies.partitions,
            releases=self._copies.releases,
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
                    lambda t, v=version, s=spool: copied_access.bring_access(t, v, s.read())
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
            self._take(lags(self._services, self._primary, named))
            for address in sorted(touched.loose):
                if address in known:
                    self._copies.take_loose_files(known[address])
            self._note(record=rows[-1]["id"])

    def _compare(self) -> None:
        """Bring every partition up to date that is not, and forget those that are gone."""
        self._progress.start(None, "Comparing partitions")
        with Spool() as behind:
            self._spool_lags(behind)
            self._take(behind)
        self._note(compared_at=self._started)

    def _spool_lags(self, behind: Spool) -> None:
        numbers = {*self._known().values()}
        before: Key = (0, "")
        for page in self._primary.partitions():
            self._progress.check()
            theirs = {(number, name): serial for number, name, serial in page}
            end = max(theirs, default=before)
            own = self._own(before, end)
            for key, serial in theirs.items():
                if key[0] in numbers and (self._full or own.get(key) != serial):
                    behind.add((key, own.get(key, 0), serial))
            self._drop(own.keys() - theirs.keys())
            before = end
        self._drop(self._own(before, None))

    def _take(self, behind: Spool | Sequence[Lag]) -> None:
        count, serials = 0, 0
        for _, ours, theirs in _each(behind):
            count, serials = count + 1, serials + max(theirs - ours, 0)
        if count:
            self._note(partitions_behind=count, serials_behind=serials)
            self._progress.start(count, "Taking over partitions")
            self._copies.take(_each(behind))

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
                lambda t, n=number, p=name: copied_releases.drop_partition(t, n, p)
            )

    # ------------------------------------------------------------------------------- the rest

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
