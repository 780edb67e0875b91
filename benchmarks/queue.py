"""What a job costs: by rows and threads, and by procrastinate, on one PostgreSQL.

`python -m benchmarks.queue` starts a PostgreSQL that keeps what it has committed (or takes the one
of ``--server``), and has both runners do the same in turn: take jobs in, run those that wait, and
run one that another process has queued.  It prints one table, with the ratio of the two.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import attrs

import repocore
from benchmarks.databases import Databases, postgres
from repocore import Registry, hookimpl
from repocore.config import Settings
from repocore.ports import JobHandler

RUNNERS = ("threads", "procrastinate")
SUBMITTERS = 4


@attrs.define
class Counter:
    """A plugin whose jobs do nothing, and count how often."""

    left: int = 0
    done: threading.Event = attrs.field(factory=threading.Event)
    _lock: threading.Lock = attrs.field(factory=threading.Lock)

    @hookimpl
    def repocore_jobs(self) -> dict[str, JobHandler[Any]]:
        return {"nothing": JobHandler(run=self._run, summary="Do nothing.")}

    def expect(self, count: int) -> None:
        self.left = count
        self.done.clear()

    def _run(self, _session: object, _payload: object, _progress: object) -> None:
        with self._lock:
            self.left -= 1
            if self.left == 0:
                self.done.set()


@attrs.frozen
class Fleet:
    """One process that queues jobs, and one that runs them so many at a time."""

    settings: Settings
    counter: Counter

    @contextmanager
    def opened(self, count: int) -> Generator[Registry]:
        name = self.settings.runner.partition(":")[0]
        chosen = attrs.evolve(self.settings, runner=f"{name}:{count}")
        with repocore.open_registry(settings=chosen, plugins=[self.counter]) as registry:
            yield registry

    def submit(self, registry: Registry, count: int) -> float:
        """Queue so many jobs from some threads; how many a second are durable."""
        room = registry.session(registry.admin()).jobs
        start = time.perf_counter()
        with ThreadPoolExecutor(SUBMITTERS) as pool:
            for _ in pool.map(lambda _: room.submit("nothing"), range(count)):
                pass
        return count / (time.perf_counter() - start)

    def run(self, at_once: int, count: int) -> float:
        """Run the jobs that wait; how many a second."""
        self.counter.expect(count)
        with self.opened(at_once) as registry:
            start = time.perf_counter()
            registry.run_jobs()
            self.counter.done.wait()
            return count / (time.perf_counter() - start)

    def answer(self, at_once: int, count: int) -> float:
        """The median milliseconds until a job is run that another process has queued."""
        taken: list[float] = []
        with self.opened(0) as server, self.opened(at_once) as worker:
            worker.run_jobs()
            room = server.session(server.admin()).jobs
            for number in range(count + 1):
                self.counter.expect(1)
                start = time.perf_counter()
                room.submit("nothing")
                self.counter.done.wait()
                if number:  # the first waits for the worker to come up
                    taken.append((time.perf_counter() - start) * 1000)
                time.sleep(0.05 + 0.13 * (number % 8))  # at any moment of its interval
        return median(taken)


@attrs.frozen
class Row:
    """What is measured, in which unit, and whether more of it is better."""

    name: str
    unit: str
    more: bool
    take: Callable[[Fleet], float]


def rows(jobs: int, waits: int) -> Iterator[Row]:
    """Jobs are taken in before they are run."""

    def taken_in(fleet: Fleet) -> float:
        with fleet.opened(0) as registry:
            return fleet.submit(registry, jobs)

    yield Row("take jobs in", "jobs/s", True, taken_in)
    for at_once in (1, 4):

        def run(fleet: Fleet, at_once: int = at_once) -> float:
            return fleet.run(at_once, jobs)

        if at_once > 1:
            yield Row("take jobs in, again", "jobs/s", True, taken_in)
        yield Row(f"run those that wait, {at_once} at a time", "jobs/s", True, run)
    name = "run one that another process has queued"
    yield Row(name, "ms", False, lambda fleet: fleet.answer(4, waits))


def measure(databases: Databases, folder: Path, options: argparse.Namespace) -> list[str]:
    """One round after the other, in each of them both runners in turn."""
    wanted = list(rows(options.jobs, options.waits))
    found: dict[tuple[str, str], list[float]] = {}
    with ExitStack() as stack:
        fleets = {
            name: Fleet(
                Settings(
                    data=folder / name,
                    catalog=stack.enter_context(databases.fresh()),
                    runner=name,
                ),
                Counter(),
            )
            for name in RUNNERS
        }
        for _ in range(options.rounds):
            for row in wanted:
                for name, fleet in fleets.items():
                    found.setdefault((row.name, name), []).append(row.take(fleet))
    lines = [f"| | unit | {' | '.join(RUNNERS)} | ratio |", "|---|---|---|---|---|"]
    for row in wanted:
        first, second = (median(found[row.name, name]) for name in RUNNERS)
        ratio = second / first if row.more else first / second
        lines.append(f"| {row.name} | {row.unit} | {first:.0f} | {second:.0f} | {ratio:.2f} |")
    return lines


def main(arguments: Sequence[str]) -> int:
    """Returns 0; more than 1 in the last column is in favour of procrastinate."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.queue", description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000, help="jobs of a round")
    parser.add_argument("--waits", type=int, default=20, help="jobs that somebody waits for")
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds of each row")
    parser.add_argument("--server", help="a PostgreSQL to make databases in")
    options = parser.parse_args(arguments)
    with postgres(options.server) as server, tempfile.TemporaryDirectory() as folder:
        print("\n".join(measure(server.databases, Path(folder), options)))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
