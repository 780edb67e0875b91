"""The rows of the table: what is asked of whom, and what we aim at."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import attrs

from benchmarks.load import (
    CONNECTIONS,
    JSON_HEADERS,
    Call,
    Load,
    closed_loop,
    head,
    kept_gets,
)
from benchmarks.recipes import Recipe, body_calls, recipes, small_calls
from benchmarks.servers import Server

__all__ = [
    "Aim",
    "Bodies",
    "Key",
    "Pace",
    "Row",
    "body_rows",
    "import_row",
    "request_rows",
    "search_rows",
]

PEER, OURS, EMPTY = "conan_server", "repocore", "empty app"
WRITER, HASHING, FILES, NGINX = "writer", "hashing writer", "file sender", "bare nginx"
ACCEL, PRODUCTION = "repocore, X-Accel", "repocore, nginx + uWSGI"

#: Row and contender.
Key = tuple[str, str]


@attrs.frozen(kw_only=True)
class Aim:
    """``subject`` divided by ``reference`` (or as it is), times ``factor``, is at least this."""

    text: str
    subject: Key
    at_least: float
    reference: Key | None = None
    factor: float = 1.0


@attrs.frozen(kw_only=True)
class Row:
    """One line: a measurement for each contender, all in one unit, more is better."""

    name: str
    unit: str
    runs: Mapping[str, Callable[[], float]]
    aims: Sequence[Aim] = ()


@attrs.frozen(kw_only=True)
class Pace:
    """How long and how much: the full run, or the quick one."""

    rounds: int = 5
    seconds: float = 5.0
    body: int = 200 << 20
    middle: int = 16 << 20
    connections: int = CONNECTIONS
    counts: Sequence[int] = (1_000, 50_000)

    @classmethod
    def quick(cls) -> Pace:
        """A few minutes in all: for a look, not for the table."""
        return cls(rounds=3, seconds=1.0, body=64 << 20, connections=2, counts=(1_000,))


def _rate(load: Load) -> float:
    return load.rate


def _no_slower(row: str, subject: str = OURS, than: str = PEER) -> Aim:
    text = f"{row}: no slower than {than}"
    return Aim(text=text, subject=(row, subject), reference=(row, than), at_least=1.0)


def _ceiling(row: str, subject: str, of: str, share: float) -> Aim:
    text = f"{row}: within {share} of the {of}"
    return Aim(text=text, subject=(row, subject), reference=(row, of), at_least=share)


def _times(row: str, factor: float, subject: str = OURS) -> Aim:
    text = f"{row}: {factor:g} times {PEER}"
    return Aim(text=text, subject=(row, subject), reference=(row, PEER), at_least=factor)


# ------------------------------------------------------------------------------- small requests


@attrs.frozen(kw_only=True)
class _Asking:
    """GETs of some targets, from each contender's own base and with its own token."""

    servers: Mapping[str, Server]
    tokens: Mapping[str, str]
    pace: Pace

    def gets(
        self, targets: Sequence[str], who: Sequence[str], *, signed: bool = False, json: bool = True
    ) -> dict[str, Callable[[], float]]:
        return {
            name: self._get(self.servers[name], targets, self._headers(name, signed, json))
            for name in who
            if name in self.servers
        }

    def _headers(self, name: str, signed: bool, json: bool) -> dict[str, str]:  # noqa: FBT001 -- two plain facts of the request
        headers = dict(JSON_HEADERS) if json else {}
        if signed:
            headers["Authorization"] = f"Bearer {self.tokens.get(name, 'none')}"
        return headers

    def _get(
        self, server: Server, targets: Sequence[str], headers: Mapping[str, str]
    ) -> Callable[[], float]:
        full = [server.base + target for target in targets]
        return lambda: _rate(
            kept_gets(server.port, full, seconds=self.pace.seconds, headers=headers)
        )


def request_rows(
    servers: Mapping[str, Server], tokens: Mapping[str, str], pace: Pace
) -> Iterator[Row]:
    """Yields the rows of small requests, over 200 of the recipes that are there."""
    ask = _Asking(servers=servers, tokens=tokens, pace=pace)
    some = list(recipes(0, 200))
    latest = [f"/v2/conans/{recipe.reference}/latest" for recipe in some]
    listed = [f"/v2/conans/{recipe.reference}/revisions" for recipe in some]
    files = [recipe.target("", "conanfile.py") for recipe in some]
    three = (EMPTY, PEER, OURS)
    for name, targets, signed, json in (
        ("latest", latest, False, True),
        ("latest, signed in", latest, True, True),
        ("revisions", listed, False, True),
        ("small file down", files, False, False),
        ("small file down, signed in", files, True, False),
    ):
        aims = [_no_slower(name), _ceiling(name, OURS, EMPTY, 0.7)]
        runs = ask.gets(targets, three, signed=signed, json=json)
        yield Row(name=name, unit="requests/s", runs=runs, aims=aims)
    runs = ask.gets(["/v1/ping"], three)
    yield Row(name="ping", unit="requests/s", runs=runs, aims=[_no_slower("ping")])
    name = "latest, recommended server"
    runs = ask.gets(latest, (PEER, PRODUCTION))
    yield Row(name=name, unit="requests/s", runs=runs, aims=[_times(name, 3.0, PRODUCTION)])


def search_rows(servers: Mapping[str, Server], pace: Pace, count: int) -> Iterator[Row]:
    """Yields the rows of searches among ``count`` recipes."""
    for kind, queries, factor in (
        ("one name", [f"{recipe.name}/*" for recipe in recipes(0, 400)][::2], 100.0),
        ("*", ["*"], 20.0),
    ):
        name = _search_name(kind, count)
        runs = {who: _search(servers[who], queries, pace) for who in (PEER, OURS) if who in servers}
        aims = [_times(name, factor), *_scale(kind, count, pace)]
        yield Row(name=name, unit="requests/s", runs=runs, aims=aims)


def _search_name(kind: str, count: int) -> str:
    return f"search of {kind} among {count:,}"


def _scale(kind: str, count: int, pace: Pace) -> Iterator[Aim]:
    """What is asked of the way a search grows; the spread of rounds allows a fifth."""
    name, first = _search_name(kind, count), pace.counts[0]
    if kind == "one name":
        text = f"{name}: under 20 ms with {CONNECTIONS} connections"
        yield Aim(text=text, subject=(name, OURS), factor=0.02 / CONNECTIONS, at_least=1.0)
    if count == first:
        return
    flat = kind == "one name"
    yield Aim(
        text=f"{name}: {'flat' if flat else 'linear in its answer'} from {first:,} on",
        subject=(name, OURS),
        reference=(_search_name(kind, first), OURS),
        factor=1.0 if flat else count / first,
        at_least=0.8,
    )


def _search(server: Server, queries: Sequence[str], pace: Pace) -> Callable[[], float]:
    """One search may take seconds, so here a run lasts until each connection had its answer."""
    calls = [
        Call(opening=head("GET", f"{server.base}/v2/conans/search?q={query}", headers=JSON_HEADERS))
        for query in queries
    ]
    turns = _around(calls)
    return lambda: _rate(
        closed_loop(server.port, turns, seconds=pace.seconds, at_least=CONNECTIONS)
    )


def _around(calls: Sequence[Call]) -> Iterator[Call]:
    while True:
        yield from calls


# --------------------------------------------------------------------------------------- bodies


@attrs.frozen(kw_only=True)
class Bodies:
    """The files that are sent up, and what was sent before to be sent down."""

    large: Path
    middle: Path


def body_rows(
    servers: Mapping[str, Server], tokens: Mapping[str, str], pace: Pace, bodies: Bodies
) -> Iterator[Row]:
    """Yields uploads and downloads; expects `prepare_downloads` to have run."""
    name = "small file up"
    who = [each for each in (WRITER, HASHING, PEER, OURS) if each in servers]
    runs = {each: _small_up(servers[each], tokens.get(each), pace) for each in who}
    aims = [_no_slower(name), _ceiling(name, OURS, HASHING, 0.8), _times(name, 1.5)]
    yield Row(name=name, unit="requests/s", runs=runs, aims=aims)
    for path in (bodies.large, bodies.middle):
        size = (path.stat().st_size + 64) >> 20
        name = f"{size} MiB up"
        runs = {each: _large_up(servers[each], tokens.get(each), pace, path) for each in who}
        aims = [_no_slower(name), _ceiling(name, OURS, HASHING, 0.8), _times(name, 1.5)]
        yield Row(name=name, unit="MiB/s", runs=runs, aims=aims)
        name = f"{size} MiB down"
        runs = {
            each: _down(servers[each], _target(servers[each], path), pace)
            for each in (FILES, NGINX, PEER, OURS, ACCEL)
            if each in servers
        }
        aims = [_no_slower(name), _ceiling(name, ACCEL, NGINX, 0.9)]
        yield Row(name=name, unit="MiB/s", runs=runs, aims=aims)


def _target(server: Server, path: Path) -> str:
    if server.name in {FILES, NGINX}:
        return f"/{path.name}"
    return Recipe(f"{path.name}-0", "1.0").target(server.base, "conan_sources.tgz")


_RUNS: Iterator[int] = iter(range(1 << 30))


def _small_up(server: Server, token: str | None, pace: Pace) -> Callable[[], float]:
    def run() -> float:
        calls = small_calls(server.base, token, f"small-{next(_RUNS)}")
        load = closed_loop(server.port, calls, seconds=pace.seconds, at_least=CONNECTIONS)
        return load.rate

    return run


def _large_up(server: Server, token: str | None, pace: Pace, path: Path) -> Callable[[], float]:
    def run() -> float:
        count = pace.connections * max(1, round((64 << 20) / path.stat().st_size))
        calls = body_calls(server.base, token, f"large-{next(_RUNS)}", path, count)
        return closed_loop(
            server.port, calls, seconds=0, at_least=count, connections=pace.connections
        ).mebibytes

    return run


def _down(server: Server, target: str, pace: Pace) -> Callable[[], float]:
    calls = _around([Call(opening=head("GET", target))])
    return lambda: (
        closed_loop(
            server.port,
            calls,
            seconds=pace.seconds,
            at_least=pace.connections,
            connections=pace.connections,
        ).mebibytes
    )


def import_row() -> Row:
    """Starts interpreters that do nothing, and that import repocore; starts a second."""
    name = "import repocore"
    runs = {"pass": lambda: _start("pass"), "import repocore": lambda: _start("import repocore")}
    within = Aim(
        text=f"{name}: the whole process within 0.3 s",
        subject=(name, "import repocore"),
        factor=0.3,
        at_least=1.0,
    )
    return Row(name=name, unit="starts/s", runs=runs, aims=[within])


def _start(statement: str) -> float:
    times: list[float] = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", statement], check=True)
        times.append(time.perf_counter() - start)
    return 1 / sorted(times)[2]
