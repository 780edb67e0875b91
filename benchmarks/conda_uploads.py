"""Rows about uploads: eight connections at once, while others read what was uploaded."""

from __future__ import annotations

import itertools
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from statistics import median

import attrs

from benchmarks.conda_client import (
    Channel,
    Flushed,
    Followed,
    Watched,
    beside,
    flush,
    follow,
    shared_number,
    upload_loop,
    watch,
)
from benchmarks.conda_ours import Site
from benchmarks.conda_packages import Package, packages
from benchmarks.load import LoadError
from benchmarks.rows import Aim, Row
from benchmarks.servers import Server

__all__ = ["upload_rows"]

PEER, OURS, ALONE, LIMIT = "quetz", "repocore", "repocore, nobody reads", "limit"
HEALTH_MILLISECONDS = 100.0
WARM_SECONDS = 3.0
#: What the aims are for so many packages; in between, that of fewer.
TIMES = {1_000: 30.0, 10_000: 300.0}


@attrs.define
class _Uploads:
    """Runs of one size, and what those beside them saw."""

    site: Site
    server: Server
    peer: Channel | None
    count: int
    names: int
    seconds: float
    turn: int = 0
    seen: dict[str, deque[float]] = attrs.field(factory=lambda: defaultdict(deque))
    #: quetz keeps its channel, since few are added in a run.
    theirs: Iterator[Package] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.theirs = packages(self.count, 1 << 30, self.names)

    def ours(self) -> float:
        """With a reader."""
        return self._run(OURS, self._fresh(), packages(self.count, 1 << 30, self.names), read=True)

    def alone(self) -> float:
        """Without a reader, but with health checks."""
        fresh = self._fresh()
        return self._run(ALONE, fresh, packages(self.count, 1 << 30, self.names), read=False)

    def peers(self) -> float:
        """Its reader fetches the repodata that it has, as often."""
        assert self.peer is not None
        return self._run(PEER, self.peer, self.theirs, read=True)

    def warm(self) -> None:
        """Let each process of each server have met its first requests before any is timed."""
        ours = self._fresh()
        some = packages(self.count, 1 << 30, self.names)
        upload_loop(ours, some, seconds=WARM_SECONDS, latest=shared_number())
        if self.peer is not None:
            upload_loop(self.peer, self.theirs, seconds=WARM_SECONDS, latest=shared_number())

    def _fresh(self) -> Channel:
        """A channel that no run has made larger; its documents are there."""
        self.turn += 1
        name = f"uploads-{self.count}-{self.turn}"
        self.site.fill(name, self.count, self.names)
        channel = self.site.channel(self.server, name)
        wire = channel.wire()
        channel.read(wire, channel.repodata)
        channel.has(wire, Package(0, self.names))
        return channel

    def _run(self, who: str, channel: Channel, some: Iterator[Package], *, read: bool) -> float:
        latest = shared_number()
        works: list[tuple[Callable[..., None], tuple[object, ...]]]
        folder = str(self.site.workshop.folder)
        works = [(watch, (channel,)), (flush, (folder,))]
        if read:
            works.append((follow, (channel, latest, Package(0, self.names))))
        with beside(*works) as found:
            rate = upload_loop(channel, some, seconds=self.seconds, latest=latest)
        self._note(who, found)
        return rate

    def _note(self, who: str, found: list[object]) -> None:
        for each in found:
            match each:
                case Watched():
                    self.seen[f"{who}, health"].append(each.slow * 1000)
                case Flushed():
                    self.seen[f"{who}, flush"].append(each.most * 1000)
                case Followed():
                    if each.missed:
                        raise LoadError(f"{who}: {each.missed} of {each.looks} looks saw nothing")
                    self.seen[f"{who}, looks"].append(each.looks / self.seconds)
                    self.seen[f"{who}, look"].append(each.middle * 1000)
                    self.seen[f"{who}, repodata"].append(median(each.repodata or [0.0]) * 1000)
                case _:
                    raise TypeError(each)

    def later(self, what: str) -> Callable[[], float]:
        """The values that the runs before have noted, one by one; without such it is left out."""

        def value() -> float:
            if not self.seen[what]:
                raise LoadError(f"{what}: the run that notes it was left out")
            return self.seen[what].popleft()

        return value


def upload_rows(
    site: Site, server: Server, peer: Channel | None, *, count: int, names: int, seconds: float
) -> Iterator[Row]:
    """Uploads a second; then what health checks and the reader had of the same runs."""
    runs = _Uploads(site, server, peer, count, names, seconds)
    runs.warm()
    name = f"uploads into {count:,} packages"
    who: dict[str, Callable[[], float]] = {OURS: runs.ours, ALONE: runs.alone}
    if peer is not None:
        who = {PEER: runs.peers, **who}
    times = TIMES.get(count, 30.0)
    aim = Aim(
        text=f"{name}: {times:g} times {PEER}",
        subject=(name, OURS),
        reference=(name, PEER),
        at_least=times,
    )
    yield Row(name=name, unit="uploads/s", runs=who, aims=[aim])
    health = f"{name}: health check, 99.9th percentile"
    limit = {LIMIT: lambda: HEALTH_MILLISECONDS}
    yield Row(
        name=health,
        unit="ms",
        runs={**{each: runs.later(f"{each}, health") for each in who}, **limit},
        aims=[
            Aim(
                text=f"{health}: {HEALTH_MILLISECONDS:g} ms",
                subject=(health, LIMIT),
                reference=(health, OURS),
                at_least=1.0,
            )
        ],
    )
    flushes = dict.fromkeys(who, "flush")
    yield _later(f"{name}: slowest flush of a file beside it", "ms", runs, flushes)
    yield _later(f"{name}: looks at a new package's shard", "looks/s", runs, {OURS: "looks"})
    yield _later(f"{name}: one look", "ms", runs, {OURS: "look"})
    both = dict.fromkeys(itertools.islice(who, len(who) - 1), "repodata")
    yield _later(f"{name}: repodata, every 5 s", "ms", runs, both)


def _later(name: str, unit: str, runs: _Uploads, what: Mapping[str, str]) -> Row:
    values = {who: runs.later(f"{who}, {kind}") for who, kind in what.items()}
    return Row(name=name, unit=unit, runs=values)
