"""The room of a replica: ``session.replica`` — how far behind it is, and its promotion."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import attrs

from repocore.catalog import Transaction, audit, dumping, following
from repocore.catalog.following import Following
from repocore.catalog.rows import maybe_time
from repocore.errors import ReplicaError, RepocoreError
from repocore.model import AccountChanged
from repocore.ports import Progress
from repocore.registry.checking import Silence
from repocore.registry.context import Context
from repocore.registry.partition_copies import lags
from repocore.registry.primary import Primary, PrimaryPosition
from repocore.registry.pulling import PullReport, pull
from repocore.registry.services import Services
from repocore.registry.touching import touched_by

__all__ = ["PartitionLag", "ReplicaStatus", "Replicas"]

#: Partitions that are named one by one.
_NAMED = 100


@attrs.frozen(kw_only=True)
class PartitionLag:
    """A partition that is not as it is at the primary."""

    repository: str
    partition: str
    #: The serial here, and there.
    serial: int
    primary_serial: int


@attrs.frozen(kw_only=True)
class ReplicaStatus:
    """How far a replica is behind its primary."""

    #: Whom it follows; None where it is no replica, or was promoted.
    of: str | None
    promoted_at: datetime | None
    #: Whether everything was here once.
    whole: bool
    #: Whether the primary answered just now; else the numbers are those of the last look.
    reached: bool
    #: For how long the oldest change has waited that is not here.
    behind: timedelta
    #: Changes that are not here, of whatever kind.
    records: int
    partitions: int
    serials: int
    #: The partitions that are behind, the first hundred of them; empty where nobody was asked.
    lags: tuple[PartitionLag, ...]
    #: Contents that files name, and nobody has.
    missing: int
    synced_at: datetime | None
    error: str

    @property
    def ok(self) -> bool:
        """Whether nothing is behind, as far as it is known."""
        return self.whole and not (self.records or self.partitions or self.error)


class Replicas:
    """What an operator asks of a replica and has it do; ADMIN of the site."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def status(self, *, ask: bool = True) -> ReplicaStatus:
        """How far it is behind; asks the primary, unless it is told not to.  Raises nothing of what
        the primary does.
        """
        services = self._context.administer()
        return _status(services, ask=ask)

    def sync(self, *, full: bool = False, progress: Progress | None = None) -> PullReport:
        """Take over now what has changed, instead of waiting for the server to do so.

        With ``full`` all is compared, and what only the replica has goes.  Raises `ReplicaError`
        where it follows nobody, or another process is at it, `UpstreamError` and `StorageError`.
        """
        report = pull(self._context.administer(), progress or Silence(), full=full, counts=True)
        if report is None:
            message = "Another process of this replica is looking at the moment; try again later."
            raise ReplicaError(message)
        return report

    def promote(self, *, force: bool = False) -> ReplicaStatus:
        """Follow nobody from now on, and take changes; returns what it was behind by then.

        Serials go on where they are, and no number of the primary's is given again.  Raises
        `ReplicaError` where it is behind, or the primary does not answer, unless that is forced;
        also then where it is no replica.
        """
        services = self._context.administer()
        services.require_own_writes()
        if not services.following:
            raise ReplicaError("This registry follows nobody; there is nothing to promote.")
        with services.catalog.single("replica") as alone:
            if not alone:
                message = "The replica is taking changes over just now; try again in a moment."
                raise ReplicaError(message)
            status = _status(services, ask=True)
            _require_something(services)
            if not force:
                _require_even(status)
            change = f"promoted: follows {status.of} no more"
            event = AccountChanged(account="site", change=change, by=self._context.by)
            self._promote(services, event)
        return status

    def _promote(self, services: Services, event: AccountChanged) -> None:
        def work(transaction: Transaction) -> None:
            following.promote(transaction)
            attrs.evolve(transaction, recorded=True).emit(event)

        services.catalog.write(work, self._context.origin)
        services.book.at(services.catalog.hot.version())
        services.wake()


def _require_something(services: Services) -> None:
    with services.catalog.snapshot() as connection:
        empty = dumping.is_empty(connection)
    if empty:
        message = (
            "Nothing of the primary has ever come here, so there is nothing to promote; `repocore "
            "replica sync` tells why."
        )
        raise ReplicaError(message)


def _require_even(status: ReplicaStatus) -> None:
    if not status.reached:
        message = (
            f"Nobody knows what the replica lacks: {status.error} It was last even at "
            f"{_when(status.synced_at)}. Where the primary is gone for good, promote with --force: "
            "what it took since then is lost."
        )
        raise ReplicaError(message)
    if not status.ok:
        message = (
            f"The replica lacks {status.records} changes in {status.partitions} partitions, the "
            f"first of them {status.behind.total_seconds():.0f} s old; `repocore replica sync` "
            "takes them over. To promote without them, and lose them, use --force."
        )
        raise ReplicaError(message)


def _when(moment: datetime | None) -> str:
    return "no time" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def _status(services: Services, *, ask: bool) -> ReplicaStatus:
    with services.catalog.snapshot() as connection:
        state = following.read(connection)
        promoted = following.promoted_at(connection)
        missing = following.count_missing(connection)
        seal = audit.last_seal(connection)
        now = dumping.moment(connection)
    since = state.synced_at if state.synced_at is not None else now
    status = ReplicaStatus(
        of=services.settings.replica.of if services.following else None,
        promoted_at=maybe_time(promoted),
        whole=state.whole,
        reached=False,
        behind=timedelta(microseconds=max(now - since, 0)),
        records=state.records_behind,
        partitions=state.partitions_behind,
        serials=state.serials_behind,
        lags=(),
        missing=missing,
        synced_at=maybe_time(state.synced_at),
        error=state.error,
    )
    if not (ask and services.following):
        return status
    try:
        primary = Primary(services.settings.replica, services.tracing)
        last, root = (0, "") if seal is None else (seal.last, seal.root)
        return _asked(services, status, state, primary, primary.position(last, root, state.record))
    except RepocoreError as error:
        return attrs.evolve(status, error=str(error))


def _asked(
    services: Services,
    status: ReplicaStatus,
    state: Following,
    primary: Primary,
    position: PrimaryPosition,
) -> ReplicaStatus:
    """The same, as the primary tells it now."""
    if not position.ours or state.era not in {"", position.era}:
        return attrs.evolve(
            status, reached=True, error="The primary has another history than this replica."
        )
    found = _lags(services, state, primary)
    waited = 0 if position.untaken_at is None else max(position.moment - position.untaken_at, 0)
    return attrs.evolve(
        status,
        reached=True,
        behind=timedelta(microseconds=waited),
        records=position.untaken,
        partitions=len(found),
        serials=sum(max(one.primary_serial - one.serial, 0) for one in found),
        lags=tuple(found[:_NAMED]),
        error="",
    )


def _lags(services: Services, state: Following, primary: Primary) -> Sequence[PartitionLag]:
    known = {one.id: address for address, one in services.book.known.repositories.items()}
    numbers = {address: number for number, address in known.items()}
    named: set[tuple[int, str]] = set()
    for records, _ in primary.records(state.record):
        touched = touched_by(services, records)
        named |= {(numbers[a], name) for a, name in touched.partitions if a in numbers}
    return [
        PartitionLag(repository=known[key[0]], partition=key[1], serial=ours, primary_serial=theirs)
        for key, ours, theirs in lags(services, primary, named)
    ]
