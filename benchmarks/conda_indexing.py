"""Rows about indexes: channels from nothing, one more package, a rebuild of everything."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import attrs

from benchmarks.conda_client import Channel, Wire
from benchmarks.conda_ours import Site
from benchmarks.conda_packages import Package
from benchmarks.conda_peers import CondaIndex
from benchmarks.load import LoadError
from benchmarks.rows import Aim, Row
from benchmarks.servers import HERE, Workshop

__all__ = ["PEER", "more_row", "nothing_row", "rebuild_rows", "shard_row"]

PEER, OURS, LIMIT = "conda-index", "repocore", "limit"
#: Limits in seconds mean little without what this machine takes at the same time.
LOOP = "a million additions"
NAMES_AT_REST = 30_000
#: Milliseconds for so many names, and for each name above.
SHARD_LIMIT, SHARD_EACH = 30.0, 0.001
REBUILD_OF, REBUILD_SECONDS, REBUILD_MEBIBYTES = 500_000, 3.0, 512.0


def _within(row: str, text: str, who: str = OURS) -> Aim:
    return Aim(text=f"{row}: {text}", subject=(row, LIMIT), reference=(row, who), at_least=1.0)


def _additions() -> float:
    """Seconds of a loop of the interpreter: a tenth of a second or less on an idle machine."""
    start = time.perf_counter()
    total = 0
    for number in range(1_000_000):
        total += number
    return time.perf_counter() - start


# --------------------------------------------------------------------------------- from nothing


@attrs.define
class _Import:
    """Imports of one folder, each into an installation of its own, each a process of its own."""

    folder: Path
    tree: Path
    turn: int = 0

    def run(self) -> float:
        """Seconds of the process, until ``repodata.json.zst`` is there."""
        self.turn += 1
        workshop = Workshop(self.folder / f"import-{self.turn}")
        Site.create(workshop)
        start = time.perf_counter()
        _worker("import", str(workshop.folder), str(self.tree))
        seconds = time.perf_counter() - start
        shutil.rmtree(workshop.folder)
        return seconds


def _worker(*arguments: str) -> list[str]:
    command = [sys.executable, "-m", "benchmarks.conda_worker", *arguments]
    done = subprocess.run(command, cwd=HERE.parent, capture_output=True, text=True, check=False)
    if done.returncode:
        raise LoadError(done.stderr[-500:])
    return done.stdout.split()


def nothing_row(workshop: Workshop, static: CondaIndex | None, tree: Path, count: int) -> Row:
    """Packages a second, from a folder of packages to an index of them."""
    name = f"{count:,} packages from nothing"
    imports = _Import(workshop.folder, tree)
    runs: dict[str, Callable[[], float]] = {OURS: lambda: count / imports.run()}
    if static is not None:
        runs = {PEER: lambda: count / _from_nothing(static), **runs}
    aim = Aim(
        text=f"{name}: 4 times {PEER}", subject=(name, OURS), reference=(name, PEER), at_least=4.0
    )
    return Row(name=name, unit="packages/s", runs=runs, aims=[aim])


def _from_nothing(static: CondaIndex) -> float:
    static.clear()
    return static.run()


# ----------------------------------------------------------------------------- one more package


@attrs.define
class _More:
    """Packages that come one after another."""

    names: int
    number: int

    def next(self) -> Package:
        self.number += 1
        return Package(self.number - 1, self.names)


def more_row(static: CondaIndex | None, channel: Channel, count: int, names: int) -> Row:
    """Seconds from a package that is there to an index that has it."""
    name = f"one more among {count:,}, in {channel.repodata}"
    more, theirs = _More(names, count), _More(names, count)
    wire = Wire(channel.port)
    channel.read(wire, channel.repodata)

    def ours() -> float:
        return median(_visible(channel, wire, more.next()) for _ in range(3))

    def peers() -> float:
        assert static is not None
        package = theirs.next()
        seconds = static.add(package)
        if not channel.lists(static.repodata(), package):
            raise LoadError(f"{package.filename} was added, and the peer's index is without it")
        return seconds

    runs = {OURS: ours} if static is None else {PEER: peers, OURS: ours}
    aim = Aim(
        text=f"{name}: {PEER} takes 50 times as long",
        subject=(name, PEER),
        reference=(name, OURS),
        at_least=50.0,
    )
    return Row(name=name, unit="s", runs=runs, aims=[aim])


def _visible(channel: Channel, wire: Wire, package: Package) -> float:
    content = package.content
    start = time.perf_counter()
    channel.upload(wire, package, content)
    document = channel.read(wire, channel.repodata)
    seconds = time.perf_counter() - start
    if not channel.lists(document, package):
        raise LoadError(f"{package.filename} was uploaded, and the index is without it")
    return seconds


def shard_row(channel: Channel, names: int) -> Row:
    """Milliseconds from the first byte of an upload until its shard was read."""
    name = f"one more among {names:,} names, in its shard"
    most = SHARD_LIMIT + max(0, names - NAMES_AT_REST) * SHARD_EACH
    wire = Wire(channel.port)
    more = _More(names, names)
    channel.has(wire, Package(0, names))
    later: list[float] = []

    def ours() -> float:
        times = [_sharded(channel, wire, more.next()) for _ in range(20)]
        later.append(median(seen for _, seen in times) * 1000)
        return median(sent + seen for sent, seen in times) * 1000

    runs: dict[str, Callable[[], float]] = {
        OURS: ours,
        "repocore, after the upload's answer": lambda: later[-1],
        LIMIT: lambda: most,
        LOOP: lambda: _additions() * 1000,
    }
    return Row(name=name, unit="ms", runs=runs, aims=[_within(name, f"{most:g} ms")])


def _sharded(channel: Channel, wire: Wire, package: Package) -> tuple[float, float]:
    content = package.content
    start = time.perf_counter()
    channel.upload(wire, package, content)
    sent = time.perf_counter()
    if not channel.has(wire, package):
        raise LoadError(f"{package.filename} was uploaded, and its shard is without it")
    return sent - start, time.perf_counter() - sent


# --------------------------------------------------------------------------------- rebuild of all


def rebuild_rows(site: Site, channel: str, count: int) -> Iterator[Row]:
    """A generation of repodata made of all records, in a process that has done nothing before."""
    taken: list[tuple[float, float]] = []

    def seconds() -> float:
        spent, most = _worker("rebuild", str(site.workshop.folder), channel)
        taken.append((float(spent), float(most)))
        return taken[-1][0]

    def memory() -> Iterator[float]:
        for _, most in taken:
            yield most

    most = REBUILD_SECONDS * count / REBUILD_OF
    name = f"rebuild of {count:,} records"
    runs = {OURS: seconds, LIMIT: lambda: most, LOOP: _additions}
    yield Row(name=name, unit="s", runs=runs, aims=[_within(name, f"{most:g} s")])
    name = f"{name}, peak resident"
    runs = {OURS: memory().__next__, LIMIT: lambda: REBUILD_MEBIBYTES}
    aim = _within(name, f"{REBUILD_MEBIBYTES:g} MiB")
    yield Row(name=name, unit="MiB", runs=runs, aims=[aim])
