"""Channels, beside the real conda-index and the real quetz, in interleaved rounds.

`python -m benchmarks.conda` installs both into environments of their own (below
$REPOCORE_BENCH_VENVS where that is set), fills all sides, and measures; then it prints both rates,
their ratio, and the aim.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import attrs

from benchmarks.conda_client import Channel
from benchmarks.conda_indexing import more_row, nothing_row, rebuild_rows, shard_row
from benchmarks.conda_ours import Site, behind_nginx, repocore_server
from benchmarks.conda_packages import large_package
from benchmarks.conda_peers import (
    CondaIndex,
    Quetz,
    install_conda_index,
    install_quetz,
    pool,
    quetz,
)
from benchmarks.conda_serving import large_rows, serving_rows
from benchmarks.conda_uploads import upload_rows
from benchmarks.load import LoadError
from benchmarks.report import Report, describe_machine
from benchmarks.rows import Row
from benchmarks.servers import THREADS, WORKERS, Server, ServerError, Workshop

T = TypeVar("T")

GROUPS = ("nothing", "more", "shards", "uploads", "rebuild", "serving", "large")


@attrs.frozen(kw_only=True)
class Sizes:
    """How much and how long."""

    rounds: int = 3
    seconds: float = 20.0
    nothing: int = 10_000
    more: Sequence[int] = (10_000, 100_000, 500_000)
    shards: Sequence[int] = (30_000, 100_000)
    uploads: Sequence[int] = (1_000, 10_000)
    rebuild: int = 500_000
    serving: int = 10_000
    large: Sequence[int] = (16 << 20, 64 << 20)
    names: int = 3_000

    @classmethod
    def quick(cls) -> Sizes:
        """For a look, not for the table."""
        return cls(
            rounds=2,
            seconds=5.0,
            nothing=1_000,
            more=(1_000, 10_000),
            shards=(3_000,),
            uploads=(1_000,),
            rebuild=50_000,
            serving=1_000,
            large=(16 << 20,),
        )


@attrs.define(kw_only=True)
class Comparison:
    """One run: its folders, its peers as far as they could be installed, its report."""

    workshop: Workshop
    sizes: Sizes
    report: Report
    stack: contextlib.ExitStack
    site: Site
    index: str | None = None
    quetz: Quetz | None = None
    theirs: Server | None = None
    filled: set[str] = attrs.field(factory=set)

    def attempt(self, what: str, work: Callable[[], T]) -> T | None:
        """The answer, or None and a line in the report where it cannot be had."""
        try:
            return work()
        except (LoadError, ServerError, OSError, subprocess.CalledProcessError) as error:
            self.report.skipped.append(f"{what}: {str(error).splitlines()[-1]}")
            say(f"left out: {what}: {error}")
            return None

    def measure(self, rows: Iterable[Row]) -> None:
        """Takes each row's rounds in turn; a row of which one contender fails is left out."""
        for row in rows:
            if self.attempt(row.name, lambda row=row: self._rounds(row)) is not None:
                self.report.rows.append(row)

    def _rounds(self, row: Row) -> bool:
        for _ in range(self.sizes.rounds):
            for who, run in row.runs.items():
                self.report.rounds.setdefault((row.name, who), []).append(run())
        said = (f"{who} {sorted(self.report.rounds[row.name, who])}" for who in row.runs)
        say(f"{row.name} ({row.unit}): {', '.join(said)}")
        return True

    def fill(self, name: str, count: int, names: int) -> None:
        if name in self.filled:
            return
        start = time.perf_counter()
        self.site.fill(name, count, names)
        self.filled.add(name)
        say(f"conda/{name}: {count:,} packages as rows in {time.perf_counter() - start:.0f} s")

    def names(self, count: int) -> int:
        """So many names do so many packages have."""
        return min(self.sizes.names, max(1, count // 3))


def say(text: str) -> None:
    """Progress, apart from the result."""
    print(text, file=sys.stderr, flush=True)


# ----------------------------------------------------------------------------------- the groups


def _nothing(run: Comparison) -> None:
    count = run.sizes.nothing
    folder = pool(run.workshop, count, run.names(count))
    static: CondaIndex | None = None
    if run.index is not None:
        # One of its own, since it writes beside the packages.
        static = CondaIndex(run.index, run.workshop.folder / "static")
        shutil.copytree(folder, static.root, copy_function=os.link)
        idle = static.idle()
        run.report.notes.append(f"conda-index takes {idle:.1f} s in a channel without packages.")
    run.measure([nothing_row(run.workshop, static, folder, count)])


def _static(run: Comparison, count: int, names: int) -> CondaIndex | None:
    """A channel of conda-index that has been indexed once."""
    if run.index is None:
        return None
    static = CondaIndex(run.index, run.workshop.folder / f"static-{count}")
    static.fill(count, names)
    say(f"conda-index: {count:,} packages for the first time in {static.run():.0f} s")
    return static


def _more(run: Comparison) -> None:
    for count in run.sizes.more:
        names = run.names(count)
        run.fill(f"more-{count}", count, names)
        static = run.attempt(
            f"conda-index with {count:,}", lambda c=count, n=names: _static(run, c, n)
        )
        with repocore_server(run.site) as server:
            channel = run.site.channel(server, f"more-{count}")
            run.measure([more_row(static, channel, count, names)])
        if static is not None:
            shutil.rmtree(static.root)


def _shards(run: Comparison) -> None:
    for names in run.sizes.shards:
        run.fill(f"names-{names}", names, names)
        with repocore_server(run.site) as server:
            run.measure([shard_row(run.site.channel(server, f"names-{names}"), names)])


def _rebuild(run: Comparison) -> None:
    count = run.sizes.rebuild
    name = f"more-{count}"
    run.fill(name, count, run.names(count))
    run.measure(rebuild_rows(run.site, name, count))


def _theirs(run: Comparison, name: str) -> Channel | None:
    if run.quetz is None or run.theirs is None:
        return None
    return run.quetz.channel(run.theirs, name)


def _start_quetz(run: Comparison, counts: Sequence[int]) -> None:
    """Fill its channels, then start it; once for all groups that need it."""
    if run.quetz is None or run.theirs is not None:
        return
    deployment = run.quetz
    for count in counts:
        folder = pool(run.workshop, count, run.names(count))
        start = time.perf_counter()
        if run.attempt(
            f"quetz with {count:,}", lambda c=count, f=folder: _filled(deployment, c, f)
        ):
            say(f"quetz: {count:,} packages in {time.perf_counter() - start:.0f} s")
    run.theirs = run.attempt(
        "quetz", lambda: run.stack.enter_context(quetz(run.workshop, deployment))
    )


def _filled(deployment: Quetz, count: int, folder: Path) -> bool:
    deployment.fill(f"main-{count}", folder)
    return True


def _peer_counts(sizes: Sizes) -> list[int]:
    return sorted({*sizes.uploads, sizes.serving})


def _uploads(run: Comparison) -> None:
    _start_quetz(run, _peer_counts(run.sizes))
    for count in run.sizes.uploads:
        with repocore_server(run.site) as server:
            peer = _theirs(run, f"main-{count}")
            rows = upload_rows(
                run.site,
                server,
                peer,
                count=count,
                names=run.names(count),
                seconds=run.sizes.seconds,
            )
            run.measure(rows)


def _serving(run: Comparison) -> None:
    _start_quetz(run, _peer_counts(run.sizes))
    count = run.sizes.serving
    folder = pool(run.workshop, count, run.names(count))
    contents = {
        f"{path.parent.name}/{path.name}": path.read_bytes()
        for path in sorted(folder.glob("*/*.conda"))
    }
    run.site.put("serving", contents)
    with behind_nginx(run.site) as server:
        ours = run.site.channel(server, "serving")
        peer = _theirs(run, f"main-{count}")
        seconds, plain = run.sizes.seconds / 4, run.workshop.scratch
        run.measure(serving_rows(ours, peer, plain, names=run.names(count), seconds=seconds))


def _large(run: Comparison) -> None:
    files: dict[str, Path] = {}
    for number, size in enumerate(run.sizes.large):
        package, content = large_package(number, size)
        plain = run.workshop.scratch / package.filename
        plain.write_bytes(content)
        files[package.path] = plain
        run.site.put("large", {package.path: content})
    with behind_nginx(run.site) as server:
        ours = run.site.channel(server, "large")
        run.measure(large_rows(ours, files, run.sizes.seconds / 4))


WORK: dict[str, Callable[[Comparison], None]] = {
    "nothing": _nothing,
    "more": _more,
    "shards": _shards,
    "uploads": _uploads,
    "rebuild": _rebuild,
    "serving": _serving,
    "large": _large,
}


# ---------------------------------------------------------------------------------- the program


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.conda", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="some minutes, a tenth of everything")
    parser.add_argument("--rounds", type=int, help="interleaved rounds of each row")
    parser.add_argument("--seconds", type=float, help="length of one run of uploads")
    parser.add_argument("--more", help="sizes of channels that get one more, e.g. 10000,100000")
    parser.add_argument("--uploads", help="sizes of channels that are uploaded to")
    parser.add_argument("--groups", default=",".join(GROUPS), help="of: " + ", ".join(GROUPS))
    parser.add_argument("--folder", type=Path, help="where all sides store; a real disk")
    parser.add_argument("--environments", type=Path, help="where the peers are installed, and stay")
    parser.add_argument("--json", type=Path, help="write every measurement to this file")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file as well")
    return parser.parse_args(arguments)


def _sizes(options: argparse.Namespace) -> Sizes:
    sizes = Sizes.quick() if options.quick else Sizes()
    changes: dict[str, object] = {}
    for name in ("rounds", "seconds"):
        if getattr(options, name):
            changes[name] = getattr(options, name)
    for name in ("more", "uploads"):
        if getattr(options, name):
            changes[name] = tuple(int(text) for text in getattr(options, name).split(","))
    return attrs.evolve(sizes, **changes)


@contextlib.contextmanager
def _comparison(options: argparse.Namespace) -> Generator[Comparison]:
    sizes = _sizes(options)
    with (
        tempfile.TemporaryDirectory(prefix="bench-conda-", dir=options.folder) as name,
        contextlib.ExitStack() as stack,
    ):
        workshop = Workshop(Path(name))
        settings = f"{WORKERS} workers of {THREADS} threads, {sizes.rounds} interleaved rounds."
        run = Comparison(
            workshop=workshop,
            sizes=sizes,
            report=Report(describe_machine(workshop.folder, settings=settings)),
            stack=stack,
            site=Site.create(workshop),
        )
        told = os.environ.get("REPOCORE_BENCH_VENVS")
        kept = options.environments or (Path(told) if told else workshop.of("environments"))
        run.index = run.attempt("conda-index", lambda: install_conda_index(kept))
        python = run.attempt("quetz", lambda: install_quetz(kept))
        if python is not None:
            run.quetz = run.attempt("quetz", lambda: Quetz.create(workshop, python))
        yield run


def main(arguments: Sequence[str]) -> int:
    """Returns 0; the verdicts are in the table, not in the exit status."""
    options = _parse(arguments)
    # Whoever ends this run ends its servers with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with _comparison(options) as run:
        groups = options.groups.split(",")
        for name in (name for name in GROUPS if name in groups):
            run.attempt(name, lambda name=name: WORK[name](run))
        if options.json:
            options.json.write_text(run.report.json())
        if options.markdown:
            options.markdown.write_text(run.report.markdown())
        print(run.report.markdown())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
