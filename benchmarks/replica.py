"""How fast a replica follows its primary: files a second, of a first copy and of changes.

`python -m benchmarks.replica` serves a primary by `repocore serve`, publishes releases of a few
sizes there, and follows it in this process, on the same machine.  It prints one table; of a look
that finds nothing it says how long that takes, and how much of it is the primary's.
"""

from __future__ import annotations

import argparse
import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from urllib.request import urlopen

import attrs

import repocore
from benchmarks.report import file_system
from benchmarks.servers import free_port
from repocore import Action, Registry, Rule
from repocore.config import ReplicaSettings, Secret, Settings

SMALL, LARGE = 4 << 10, 1 << 20
LOOKS = 20


@attrs.frozen
class Line:
    """One row of the table."""

    what: str
    measured: str


@contextmanager
def serving(data: Path) -> Iterator[str]:
    """`repocore serve` on a data folder, with two processes."""
    port = free_port()
    command = [sys.executable, "-m", "repocore", "serve", "--port", str(port), "--data", str(data)]
    null = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=null, stderr=null) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def publish(registry: Registry, start: int, count: int, size: int) -> None:
    """Releases of two files each, in partitions of their own."""
    session = registry.session(registry.admin())
    for number in range(start, start + count):
        base = f"library-{number:06d}/1.0/_/_/r1/export"
        body = os.urandom(size)
        session.files.put("conan/main", f"{base}/conanfile.py", io.BytesIO(body))
        manifest = f"{number}\nconanfile.py: {'0' * 32}\n".encode()
        session.files.put("conan/main", f"{base}/conanmanifest.txt", io.BytesIO(manifest))


def furnish(registry: Registry) -> str:
    """An account that may replicate; its token."""
    session = registry.session(registry.admin())
    session.accounts.add("mirror", service=True)
    allowed = frozenset({Action.REPLICATE})
    session.accounts.add_rule(Rule(subject="user:mirror", actions=allowed, pattern="**"))
    return session.accounts.create_token("mirror", "replica")[1]


def followed(replica: Registry, what: str, size: int) -> Line:
    """One look that brings something."""
    begun = time.perf_counter()
    report = replica.session(replica.admin()).replica.sync()
    taken = time.perf_counter() - begun
    rate = report.fetched / taken
    moved = report.fetched_bytes / taken / (1 << 20)
    return Line(
        f"{what}: {report.releases:,} releases, files of {size >> 10} KiB",
        f"{rate:,.0f} files/s, {moved:,.1f} MiB/s ({taken:.1f} s)",
    )


def empty_looks(replica: Registry) -> Line:
    """Looks that bring nothing."""
    room = replica.session(replica.admin()).replica
    taken: list[float] = []
    for _ in range(LOOKS):
        begun = time.perf_counter()
        room.sync()
        taken.append(time.perf_counter() - begun)
    return Line("a look that finds nothing", f"{median(taken) * 1e3:.0f} ms")


def measure(folder: Path, counts: Sequence[int], workers: int) -> Iterator[Line]:
    """All rows."""
    few, many = counts
    settings = Settings(data=folder / "primary")
    with ExitStack() as stack:
        primary = stack.enter_context(repocore.open_registry(settings=settings))
        primary.session(primary.admin()).repositories.create("conan/main")
        token = furnish(primary)
        publish(primary, 0, many, SMALL)
        primary.tell()
        url = stack.enter_context(serving(folder / "primary"))
        told = ReplicaSettings(of=url, token=Secret(token), workers=workers)
        chosen = Settings(data=folder / "replica", replica=told)
        replica = stack.enter_context(repocore.open_registry(settings=chosen))
        await_health(url)
        yield followed(replica, "a first copy", SMALL)
        publish(primary, many, few, SMALL)
        primary.tell()
        yield followed(replica, "changes", SMALL)
        publish(primary, many + few, few, LARGE)
        primary.tell()
        yield followed(replica, "changes", LARGE)
        yield empty_looks(replica)


def await_health(url: str) -> None:
    """Return when it answers."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            with urlopen(f"{url}/healthz", timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"{url} does not answer")


def main() -> int:
    """Fill, follow, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--releases", type=int, default=2_000, help="of the first copy")
    parser.add_argument("--changes", type=int, default=200, help="of each look afterwards")
    parser.add_argument("--workers", type=int, default=4, help="contents fetched at a time")
    parser.add_argument("--folder", type=Path, help="where to work; removed afterwards if absent")
    chosen = parser.parse_args()
    with ExitStack() as stack:
        folder = chosen.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        print(f"{os.cpu_count()} cores, {file_system(folder)}\n\n| what | measured |\n|---|---:|")
        for line in measure(folder, (chosen.changes, chosen.releases), chosen.workers):
            print(f"| {line.what} | {line.measured} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
