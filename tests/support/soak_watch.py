"""What processes of a fleet hold over time, and whether it grows.

A process is sampled by what Linux says of it in /proc: resident memory, descriptors and threads.
Whether a series grows is told by the Theil-Sen estimator: the median of the slopes between all
pairs of its samples.  A peak moves it by nothing, and neither do a quarter of bad samples.
"""

from __future__ import annotations

import csv
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Self

import attrs

__all__ = ["Growth", "Sample", "Watch", "growths", "read_samples", "slope", "write_samples"]

MIB: Final = 1 << 20
HOUR: Final = 3600.0
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
#: As many samples of a series are compared with each other; more of them are thinned.
_COMPARED: Final = 400


@attrs.frozen
class Sample:
    """What a process held at a moment, in seconds since the load began."""

    seconds: float
    process: str
    pid: int
    resident: int
    descriptors: int
    threads: int


def sample(seconds: float, process: str, pid: int) -> Sample | None:
    """Look at a process; None where it has ended."""
    place = Path("/proc", str(pid))
    try:
        resident = int((place / "statm").read_text(encoding="ascii").split()[1]) * _PAGE
        threads = len(list((place / "task").iterdir()))
        descriptors = len(list((place / "fd").iterdir()))
    except (OSError, IndexError):
        return None
    # One that has ended, and that nobody has asked for its status, has no memory.
    return Sample(seconds, process, pid, resident, descriptors, threads) if resident else None


@attrs.define
class Watch:
    """Samples processes again and again, in a thread of its own, until it is told to end."""

    pids: Callable[[], Mapping[str, int]]
    interval: float
    samples: list[Sample] = attrs.field(factory=list)
    began: float = attrs.field(factory=time.monotonic)
    _ended: threading.Event = attrs.field(factory=threading.Event)
    _thread: threading.Thread | None = None

    @property
    def seconds(self) -> float:
        """How long it watches."""
        return time.monotonic() - self.began

    def look(self) -> None:
        """Take one sample of each process."""
        now = self.seconds
        found = (sample(now, name, pid) for name, pid in self.pids().items())
        self.samples += [one for one in found if one is not None]

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, name="watch")
        self._thread.start()
        return self

    def __exit__(self, *_failure: object) -> None:
        self._ended.set()
        assert self._thread is not None
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.is_set():
            self.look()
            self._ended.wait(self.interval)


def slope(points: Sequence[tuple[float, float]]) -> float:
    """By how much the second number grows while the first grows by one: the median of all pairs.

    Returns 0.0 for fewer than two points.
    """
    step = max(1, -(-len(points) // _COMPARED))
    kept = points[::step]
    found = [
        (late[1] - early[1]) / (late[0] - early[0])
        for place, early in enumerate(kept)
        for late in kept[place + 1 :]
        if late[0] > early[0]
    ]
    return statistics.median(found) if found else 0.0


@attrs.frozen
class Growth:
    """How what one process holds has changed between its warm-up and its end."""

    process: str
    pid: int
    what: str
    #: Seconds that were judged, and the median, in bytes or in descriptors.
    seconds: float
    median: float
    an_hour: float

    @property
    def grown(self) -> float:
        """By how much it grew in the time that was judged."""
        return self.an_hour * self.seconds / HOUR

    def told(self) -> str:
        """A line for people."""
        unit, named = (MIB, "MiB") if self.what == "resident" else (1, "descriptors")
        return (
            f"{self.process} ({self.pid}): {self.median / unit:.1f} {named}, "
            f"{self.an_hour / unit:+.2f} an hour, {self.grown / unit:+.2f} in {self.seconds:.0f} s"
        )


def growths(samples: Sequence[Sample], warm_up: float, least: float = 0.0) -> Iterator[Growth]:
    """For each process, what it held after its warm-up, which is that part of its life.

    A process that was watched for less than ``least`` seconds after that is left out.
    """
    series: dict[tuple[str, int], list[Sample]] = {}
    for one in samples:
        series.setdefault((one.process, one.pid), []).append(one)
    for (process, pid), found in series.items():
        begun = found[0].seconds + warm_up * (found[-1].seconds - found[0].seconds)
        kept = [one for one in found if one.seconds >= begun]
        if len(kept) < 2 or kept[-1].seconds - kept[0].seconds < least:
            continue
        for what in ("resident", "descriptors"):
            points = [(one.seconds, float(getattr(one, what))) for one in kept]
            yield Growth(
                process=process,
                pid=pid,
                what=what,
                seconds=points[-1][0] - points[0][0],
                median=statistics.median(value for _, value in points),
                an_hour=slope(points) * HOUR,
            )


_COLUMNS: Final = tuple(field.name for field in attrs.fields(Sample))


def write_samples(samples: Sequence[Sample], path: Path) -> None:
    """As comma-separated values, a line a sample."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(_COLUMNS)
        for one in samples:
            row = attrs.astuple(one)
            writer.writerow((f"{row[0]:.1f}", *row[1:]))


def read_samples(path: Path) -> list[Sample]:
    """What `write_samples` wrote."""
    with path.open(encoding="utf-8", newline="") as stream:
        rows = csv.DictReader(stream)
        return [
            Sample(
                float(row["seconds"]),
                row["process"],
                *(int(row[name]) for name in _COLUMNS[2:]),
            )
            for row in rows
        ]
