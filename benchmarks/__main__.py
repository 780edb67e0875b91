"""Runs the comparison: every row in interleaved rounds, A B C A B C, over servers side by side."""

from __future__ import annotations

import argparse
import base64
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterable, Sequence
from pathlib import Path

import attrs

from benchmarks import fill, servers
from benchmarks.load import LoadError, closed_loop, get
from benchmarks.recipes import body_calls
from benchmarks.report import Report, describe_machine
from benchmarks.rows import Bodies, Pace, Row, body_rows, import_row, request_rows, search_rows

REQUESTS = "small requests"
TRANSFERS = "bodies"
SEARCHES = "searches"
IMPORTS = "imports"
GROUPS = (IMPORTS, REQUESTS, TRANSFERS, SEARCHES)


@attrs.define(kw_only=True)
class Run:
    """One run: its servers, what is filled in so far, and its report."""

    workshop: servers.Workshop
    pace: Pace
    report: Report
    environments: Path
    only: re.Pattern[str]
    stack: contextlib.ExitStack
    servers: dict[str, servers.Server] = attrs.field(factory=dict)
    tokens: dict[str, str] = attrs.field(factory=dict)
    filled: int = 0

    def start(self, name: str, opening: contextlib.AbstractContextManager[servers.Server]) -> None:
        """Adds a contender; one that cannot start here is left out, and the report says so."""
        try:
            server = self.stack.enter_context(opening)
        except (servers.ServerError, OSError, subprocess.CalledProcessError) as error:
            self.report.skipped.append(f"{name}: {str(error).splitlines()[0]}")
            say(f"left out: {name}: {error}")
            return
        self.servers[server.name] = server

    def sign_in(self, *names: str) -> None:
        """Fetches a token as the real client does."""
        word = base64.b64encode(f"{servers.USER}:{servers.PASSWORD}".encode()).decode()
        for name in names:
            if name in self.servers:
                server = self.servers[name]
                target = f"{server.base}/v2/users/authenticate"
                status, body = get(server.port, target, {"Authorization": f"Basic {word}"})
                if status != 200:
                    raise LoadError(f"{name} refused the password with {status}")
                self.tokens[name] = body.decode()

    def fill(self, count: int) -> None:
        """Brings both sides to ``count`` recipes, and tells how long that took."""
        if count <= self.filled:
            return
        ours = fill.copy_ours if self.filled else fill.fill_ours
        for name, work in ((PEER, fill.fill_peer), (OURS, ours)):
            start = time.perf_counter()
            work(self.workshop, self.filled, count)
            seconds = time.perf_counter() - start
            say(f"{name}: {count - self.filled} recipes in {seconds:.0f} s")
            if name == OURS and not self.filled:
                self.report.notes.append(
                    f"Filling {count - self.filled:,} recipes file by file through the library, "
                    f"each put durable, took {seconds:.0f} s."
                )
        self.filled = count

    def measure(self, rows: Iterable[Row]) -> None:
        """Takes the rounds of each row in turn, so that a noisy minute hits all contenders."""
        for row in rows:
            if not self.only.search(row.name) or not row.runs:
                continue
            self.report.rows.append(row)
            for _ in range(self.pace.rounds):
                for who, run in row.runs.items():
                    self.report.rounds.setdefault((row.name, who), []).append(run())
            said = ", ".join(
                f"{who} {sorted(self.report.rounds[row.name, who])[self.pace.rounds // 2]:.4g}"
                for who in row.runs
            )
            say(f"{row.name} ({row.unit}): {said}")

    def send_downloads(self, bodies: Bodies) -> None:
        """Publishes on both sides the files that are fetched later."""
        for name in (PEER, OURS):
            if name in self.servers:
                server, token = self.servers[name], self.tokens.get(name)
                for path in (bodies.large, bodies.middle):
                    calls = body_calls(server.base, token, path.name, path, 1, whole=True)
                    closed_loop(server.port, calls, seconds=0, at_least=3, connections=1)


PEER, OURS = "conan_server", "repocore"


def say(text: str) -> None:
    """Progress, apart from the result."""
    print(text, file=sys.stderr, flush=True)


def _random_file(path: Path, size: int) -> Path:
    with path.open("wb") as stream:
        left = size
        while left:
            stream.write(os.urandom(min(left, 1 << 20)))
            left -= min(left, 1 << 20)
    return path


def _requests(run: Run) -> None:
    run.start("the recommended server", servers.production(run.workshop, run.environments))
    run.measure(request_rows(run.servers, run.tokens, run.pace))


def _transfers(run: Run) -> None:
    scratch = run.workshop.scratch
    # 64 bytes short: the tail that makes each upload its own is added to them.
    bodies = Bodies(
        large=_random_file(scratch / "large.bin", run.pace.body - 64),
        middle=_random_file(scratch / "middle.bin", run.pace.middle - 64),
    )
    for name, application in (
        ("writer", "writer"),
        ("hashing writer", "hashing_writer"),
        ("file sender", "reader"),
    ):
        run.start(name, servers.ceiling(name, application, run.workshop))
    run.start("bare nginx", servers.bare_nginx(run.workshop))
    run.start("X-Accel", servers.accelerated(run.workshop))
    run.send_downloads(bodies)
    run.measure(body_rows(run.servers, run.tokens, run.pace, bodies))


def _searches(run: Run) -> None:
    for count in run.pace.counts:
        run.fill(count)
        run.measure(search_rows(run.servers, run.pace, count))


def _compare(run: Run, groups: Sequence[str]) -> None:
    if IMPORTS in groups:
        run.measure([import_row()])
    fill.prepare_ours(run.workshop)
    run.start("empty app", servers.ceiling("empty app", "empty", run.workshop))
    run.start(PEER, servers.peer(run.workshop, run.environments))
    run.start(OURS, servers.repocore(run.workshop))
    run.sign_in(PEER, OURS)
    run.fill(run.pace.counts[0])
    # The largest fill comes last: the rows before it are about small requests, not about it.
    for group, work in ((REQUESTS, _requests), (SEARCHES, _searches), (TRANSFERS, _transfers)):
        if group in groups:
            work(run)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few minutes, 1,000 recipes")
    parser.add_argument("--rounds", type=int, help="interleaved rounds of each row")
    parser.add_argument("--seconds", type=float, help="length of one run of small requests")
    parser.add_argument("--counts", help="how many recipes, e.g. 1000,50000")
    parser.add_argument("--groups", default=",".join(GROUPS), help="of: " + ", ".join(GROUPS))
    parser.add_argument("--only", default="", help="rows whose name matches this expression")
    parser.add_argument("--folder", type=Path, help="where the servers store; a real disk")
    parser.add_argument("--keep", action="store_true", help="leave the folder as it is afterwards")
    parser.add_argument("--environments", type=Path, help="where the peer is installed, and stays")
    parser.add_argument("--json", type=Path, help="write every measurement to this file")
    parser.add_argument("--markdown", type=Path, help="write the table to this file as well")
    return parser.parse_args(arguments)


def _pace(options: argparse.Namespace) -> Pace:
    pace = Pace.quick() if options.quick else Pace()
    changes: dict[str, object] = {}
    if options.rounds:
        changes["rounds"] = options.rounds
    if options.seconds:
        changes["seconds"] = options.seconds
    if options.counts:
        changes["counts"] = tuple(int(text) for text in options.counts.split(","))
    return attrs.evolve(pace, **changes)


@contextlib.contextmanager
def _folder(options: argparse.Namespace) -> Generator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=options.folder))
    try:
        yield folder
    finally:
        if options.keep:
            say(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)


def main(arguments: Sequence[str]) -> int:
    """Returns 0; the verdicts are in the table, not in the exit status."""
    options = _parse(arguments)
    pace = _pace(options)
    # Whoever ends this run ends its servers with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with _folder(options) as folder, contextlib.ExitStack() as stack:
        settings = (
            f"{servers.WORKERS} workers of {servers.THREADS} threads, 8 kept connections, "
            f"{pace.rounds} interleaved rounds."
        )
        run = Run(
            workshop=servers.Workshop(folder),
            pace=pace,
            report=Report(describe_machine(folder, settings=settings)),
            environments=options.environments or folder / "environments",
            only=re.compile(options.only),
            stack=stack,
        )
        _compare(run, options.groups.split(","))
        if options.json:
            options.json.write_text(run.report.json())
        if options.markdown:
            options.markdown.write_text(run.report.markdown())
        print(run.report.markdown())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
