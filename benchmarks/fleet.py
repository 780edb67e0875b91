"""What a request costs on each catalog, with one server and with two, and where it costs it.

`python -m benchmarks.fleet` sets up SQLite and PostgreSQL, each with one server process and with
two, and asks them in interleaved rounds for the same things: requests a second, CPU seconds of the
servers and of the database for each, apart.  Uploads go into one channel, then into eight, so that
it shows whether they queue behind each other.  A last server keeps its blobs in a mock of S3 and
sends its clients there.  Clients, servers and database share the machine: what a request costs is
the figure to build on, and its rate is that of a machine which does all three.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median

import attrs

from benchmarks.conda_client import Channel, Wire
from benchmarks.conda_ours import SETTINGS
from benchmarks.conda_packages import SUBDIR, Package, packages
from benchmarks.databases import postgres
from benchmarks.load import CONNECTIONS, LoadError, get, kept_gets
from benchmarks.report import describe_machine
from benchmarks.servers import PASSWORD, USER, ServerError, free_port

CHANNELS, FILLED, NAMES = 8, 1_000, 250
_TICKS = os.sysconf("SC_CLK_TCK")


@attrs.frozen(kw_only=True)
class Cost:
    """Of one run: requests a second, and CPU milliseconds of each."""

    rate: float
    servers: float
    database: float


def cpu_seconds(pid: int) -> float:
    """What a process, all below it, and those of them that have ended have used."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        return 0.0
    own = sum(int(fields[place]) for place in (11, 12, 13, 14)) / _TICKS
    return own + sum(cpu_seconds(int(child)) for child in listed)


# ------------------------------------------------------------------------------------ the fleets


@attrs.define
class Fleet:
    """Servers over one data folder, and the database below them."""

    name: str
    folder: Path
    ports: Sequence[int]
    processes: list[subprocess.Popen[bytes]]
    database: int | None
    key: str = ""
    turn: int = 0

    def spent(self) -> tuple[float, float]:
        """CPU seconds so far: of the servers, of the database."""
        used = sum(cpu_seconds(process.pid) for process in self.processes)
        return used, 0.0 if self.database is None else cpu_seconds(self.database)

    def measure(self, work: Callable[[], tuple[int, float]]) -> Cost:
        """Run ``work``, which tells how many requests it made in how many seconds."""
        before = self.spent()
        count, seconds = work()
        servers, below = (
            (late - early) * 1000 / count for late, early in zip(self.spent(), before, strict=True)
        )
        return Cost(rate=count / seconds, servers=servers, database=below)

    def channel(self, number: int, place: int) -> Channel:
        """Channel ``number``, by way of one of the servers."""
        port, name = self.ports[place % len(self.ports)], f"c{number}"
        return Channel(port=port, name=name, key=self.key, base=f"/conda/{name}", health="/healthz")


def _repocore(data: Path, *words: str, given: str = "") -> str:
    command = [sys.executable, "-m", "repocore", *words, "--data", str(data)]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServerError(f"{' '.join(words)}: {done.stderr}")
    return done.stdout


@contextlib.contextmanager
def fleet(
    name: str, folder: Path, lines: str, *, servers: int, database: int | None
) -> Generator[Fleet]:
    """Make a data folder with these settings, and serve it so often; one process a server."""
    data = folder / name.replace(" ", "-").replace(",", "")
    data.mkdir(mode=0o700)
    (data / "repocore.toml").write_text(f"{lines}\n{SETTINGS}", encoding="utf-8")
    _repocore(data, "init")
    _repocore(data, "user", "add", USER, "--password-stdin", given=f"{PASSWORD}\n")
    for number in range(CHANNELS):
        _repocore(data, "repo", "create", f"conda/c{number}")
    made = json.loads(_repocore(data, "token", "create", USER, "--json"))
    ports = [free_port() for _ in range(servers)]
    processes: list[subprocess.Popen[bytes]] = []
    try:
        with (data / "log").open("wb") as log:
            for port in ports:
                words = ["serve", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
                command = [sys.executable, "-m", "repocore", *words, "--data", str(data)]
                processes.append(subprocess.Popen(command, stdout=log, stderr=log))
        _await(ports)
        yield Fleet(name, data, ports, processes, database, key=made["secret"])
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(30)


def _await(ports: Sequence[int], target: str = "/healthz") -> None:
    until = time.monotonic() + 60
    for port in ports:
        while True:
            with contextlib.suppress(OSError):
                if get(port, target)[0] == 200:
                    break
            if time.monotonic() > until:
                message = "a server did not start"
                raise ServerError(message)
            time.sleep(0.1)


@contextlib.contextmanager
def _mock() -> Generator[str]:
    """The end point of a mock of S3 with a bucket."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=quiet, stderr=quiet)
    try:
        _await([port], "/")
        wire = Wire(port)
        wire.ask("PUT", "/benchmark", b"", {})
        wire.close()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


# ------------------------------------------------------------------------------------- the loads


def _upload(
    one: Fleet, channels: int, seconds: float, *, count: int | None = None
) -> tuple[int, float]:
    """Eight connections upload tiny packages, in turn to each server, into so many channels."""
    start = one.turn * 1_000_000
    one.turn += 1
    lock, errors, done = threading.Lock(), list[Exception](), itertools.count()
    source = packages(start, start + 1_000_000, NAMES)
    begun = time.perf_counter()
    ended = count if count is not None else sys.maxsize

    def take() -> tuple[int, Package] | None:
        with lock:
            number = next(done)
            late = count is None and time.perf_counter() > begun + seconds
            return None if late or errors or number >= ended else (number, next(source))

    def work(place: int) -> None:
        wire = Wire(one.ports[place % len(one.ports)])
        try:
            while (got := take()) is not None:
                number, package = got
                one.channel(number % channels, place).upload(wire, package, package.content)
        except (OSError, LoadError) as error:
            errors.append(error)
        finally:
            wire.close()

    threads = [threading.Thread(target=work, args=(place,)) for place in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise LoadError(str(errors[0])) from errors[0]
    return next(done) - CONNECTIONS, time.perf_counter() - begun


def _gets(one: Fleet, targets: Sequence[str], seconds: float) -> tuple[int, float]:
    """As many GETs as there is time for, at every server at once."""
    found: list[tuple[int, float]] = []

    def work(port: int) -> None:
        load = kept_gets(port, targets, seconds=seconds)
        found.append((load.requests, load.seconds))

    threads = [threading.Thread(target=work, args=(port,)) for port in one.ports]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(found) < len(threads):
        message = f"{one.name}: a server refused"
        raise LoadError(message)
    return sum(count for count, _ in found), max(taken for _, taken in found)


def _redirected(one: Fleet, target: str, seconds: float) -> tuple[int, float]:
    """Asked by one client after the other, so that no thread of the server waits for another."""
    wire, count, begun = Wire(one.ports[0]), 0, time.perf_counter()
    while time.perf_counter() < begun + seconds:
        status = wire.ask("GET", target, headers={}).status
        if status not in {302, 307}:
            raise LoadError(f"no redirect but {status}")
        count += 1
    wire.close()
    return count, time.perf_counter() - begun


def _works(seconds: float) -> Mapping[str, Callable[[Fleet], tuple[int, float]]]:
    first = Package(0, NAMES)
    base = f"/conda/c0/{SUBDIR}"
    return {
        "download of a small package": lambda one: _gets(one, [f"/conda/c0/{first.path}"], seconds),
        "index of shards": lambda one: _gets(one, [f"{base}/repodata_shards.msgpack.zst"], seconds),
        "uploads into one channel": lambda one: _upload(one, 1, seconds),
        "uploads into eight channels": lambda one: _upload(one, CHANNELS, seconds),
    }


# ------------------------------------------------------------------------------------- the tables


def _fleets(stack: contextlib.ExitStack, folder: Path) -> Iterator[Fleet]:
    # Others may not enter the folder of the run, but its owner has to reach this one.
    below = stack.enter_context(postgres(folder=folder if os.geteuid() else folder.parent))
    for servers in (1, 2):
        says = f"{servers} server{'s' * (servers > 1)}"
        yield stack.enter_context(
            fleet(f"SQLite, {says}", folder, "", servers=servers, database=None)
        )
        line = f"catalog = {json.dumps(stack.enter_context(below.databases.fresh()))}"
        yield stack.enter_context(
            fleet(f"PostgreSQL, {says}", folder, line, servers=servers, database=below.pid)
        )


def _compare(folder: Path, rounds: int, seconds: float) -> Iterator[str]:
    with contextlib.ExitStack() as stack:
        fleets = list(_fleets(stack, folder))
        for one in fleets:
            _upload(one, 1, 0, count=FILLED)
        works = _works(seconds)
        costs: dict[tuple[str, str], list[Cost]] = {}
        for _ in range(rounds):
            for what, work in works.items():
                for one in fleets:
                    found = one.measure(lambda one=one, work=work: work(one))
                    costs.setdefault((what, one.name), []).append(found)
    yield "| what | where | a second | CPU of servers | CPU of the database |"
    yield "|---|---|---:|---:|---:|"
    for (what, where), found in costs.items():
        yield _line(what, where, found)


def _line(what: str, where: str, found: Sequence[Cost]) -> str:
    rate, servers, below = (
        median(getattr(cost, name) for cost in found) for name in ("rate", "servers", "database")
    )
    under = f"{below:.2f} ms" if below else ""
    return f"| {what} | {where} | {rate:,.0f} | {servers:.2f} ms | {under} |"


def _redirects(folder: Path, rounds: int, seconds: float) -> Iterator[str]:
    """What a download costs the server that sends its client to the store."""
    with contextlib.ExitStack() as stack:
        endpoint = stack.enter_context(_mock())
        lines = 'storage = "s3://benchmark/blobs"\n[plugins.s3]\nredirect = true\nregion = "here"\n'
        lines += f'endpoint = "{endpoint}"\naccess_key = "key"\nsecret_key = "secret"\n'
        lines += 'addressing = "path"\n'
        one = stack.enter_context(fleet("S3", folder, lines, servers=1, database=None))
        _upload(one, 1, 0, count=20)
        target = f"/conda/c0/{Package(0, NAMES).path}"
        eight = [one.measure(lambda: _gets(one, [target], seconds)) for _ in range(rounds)]
        found = [one.measure(lambda: _redirected(one, target, seconds)) for _ in range(rounds)]
    yield _line("download by redirect, eight at once", "S3, 1 server", eight)
    yield _line("download by redirect", "S3, 1 server", found)


def main() -> int:
    """Set up, ask, print; 1 where a redirect costs the server a millisecond or more."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="interleaved rounds")
    parser.add_argument("--seconds", type=float, default=5.0, help="length of one run")
    parser.add_argument("--folder", type=Path, help="where all of them store; a real disk")
    parser.add_argument("--markdown", type=Path, help="write the table to this file as well")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=given.folder) as made:
        folder = Path(made)
        lines = [describe_machine(folder, settings="one process of 32 threads a server"), ""]
        lines += [*_compare(folder, given.rounds, given.seconds)]
        lines += [*_redirects(folder, given.rounds, given.seconds)]
    text = "\n".join(lines) + "\n"
    sys.stdout.write(text)
    if given.markdown is not None:
        given.markdown.write_text(text, encoding="utf-8")
    cost = float(lines[-1].split("|")[4].split()[0])
    return int(cost >= 1.0)


if __name__ == "__main__":
    sys.exit(main())
