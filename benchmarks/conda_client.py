"""Clients of channels: uploads over kept connections, a reader that follows them, a health check.

Each kind runs in a process of its own, so that none waits for another's interpreter.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import multiprocessing
import os
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median, quantiles
from typing import Any, cast

import attrs
import msgpack
import zstandard

from benchmarks.conda_packages import SUBDIR, Package
from benchmarks.load import CONNECTIONS, LoadError

__all__ = [
    "Answer",
    "Channel",
    "Flushed",
    "Followed",
    "Watched",
    "Wire",
    "beside",
    "flush",
    "follow",
    "shared_number",
    "upload_loop",
    "watch",
]

HEALTH_PAUSE = 0.010
#: Connections that ask for the health check in turn.
WATCHERS = 4
REPODATA_PAUSE = 5.0
_SPAWN = multiprocessing.get_context("spawn")


@attrs.frozen
class Answer:
    """What came back; names of fields are in lower case."""

    status: int
    fields: Mapping[str, str]
    body: bytes


class Wire:
    """A kept connection, taken up again when the server has let it go in between.

    One that is not kept is opened for each request.
    """

    def __init__(self, port: int, *, kept: bool = True) -> None:
        self._port = port
        self._kept = kept
        self._socket: socket.socket | None = None

    def ask(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request and its whole answer; raises `LoadError` for half an answer."""
        fields = {"Host": "127.0.0.1", **(headers or {})}
        if body or method != "GET":
            fields["Content-Length"] = str(len(body))
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        request = f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode() + body
        for fresh in (self._socket is None, True):
            try:
                return self._asked(request)
            except (ConnectionError, BrokenPipeError):
                self.close()
                if fresh:
                    raise
        raise LoadError("a server took no request")

    def _asked(self, request: bytes) -> Answer:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=600)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(request)
        got = bytearray()
        while (end := got.find(b"\r\n\r\n")) < 0:
            piece = self._socket.recv(65536)
            if not piece:
                if got:
                    raise LoadError("an answer was cut short")
                raise ConnectionResetError
            got += piece
        first, *lines = got[:end].decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in lines)
        fields = {name.strip().lower(): value.strip() for name, _, value in pairs}
        status = int(first.split()[1])
        body = self._body(status, fields, got[end + 4 :])
        if fields.get("connection") == "close" or not self._kept:
            self.close()
        return Answer(status, fields, body)

    def _body(self, status: int, fields: Mapping[str, str], rest: bytearray) -> bytes:
        if status in {204, 304}:
            return b""
        if "content-length" in fields:
            while len(rest) < int(fields["content-length"]):
                rest += self._more()
            return bytes(rest)
        if fields.get("transfer-encoding") == "chunked":
            while not rest.endswith(b"\r\n0\r\n\r\n") and rest != b"0\r\n\r\n":
                rest += self._more()
            return _unchunked(rest)
        raise LoadError("an answer had neither a length nor chunks")

    def _more(self) -> bytes:
        piece = b"" if self._socket is None else self._socket.recv(1 << 18)
        if not piece:
            raise LoadError("an answer was cut short")
        return piece

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _unchunked(raw: bytearray) -> bytes:
    parts: list[bytes] = []
    at = 0
    while True:
        line = raw.index(b"\r\n", at)
        size = int(raw[at:line], 16)
        if not size:
            return b"".join(parts)
        parts.append(bytes(raw[line + 2 : line + 2 + size]))
        at = line + 2 + size + 2


@attrs.frozen(kw_only=True)
class Channel:
    """A channel on a server, and how one uploads to it and reads it."""

    port: int
    name: str
    key: str
    #: What stands before the path of a document.
    base: str
    health: str
    repodata: str = "repodata.json.zst"
    sharded: bool = True
    #: Whether a connection is kept from one request to the next.
    kept: bool = True

    def wire(self) -> Wire:
        """A connection to its server."""
        return Wire(self.port, kept=self.kept)

    def document(self, name: str) -> str:
        """The target of a document of the subdir."""
        return f"{self.base}/{SUBDIR}/{name}"

    def upload(self, wire: Wire, package: Package, content: bytes) -> None:
        """Send a package as clients of both servers do; raises `LoadError` if it is refused."""
        digest = hashlib.sha256(content).hexdigest()
        target = f"/api/channels/{self.name}/upload/{package.filename}?sha256={digest}"
        headers = {"X-API-Key": self.key, "Content-Type": "application/octet-stream"}
        answer = wire.ask("POST", target, content, headers)
        if answer.status != 201:
            raise LoadError(f"{package.filename}: {answer.status} {answer.body[:200]!r}")

    def read(self, wire: Wire, name: str, headers: Mapping[str, str] | None = None) -> bytes:
        """A document's bytes; raises `LoadError` for any answer but 200."""
        answer = wire.ask("GET", self.document(name), headers=headers)
        if answer.status != 200:
            raise LoadError(f"{name}: {answer.status} {answer.body[:200]!r}")
        return answer.body

    def has(self, wire: Wire, package: Package) -> bool:
        """Whether its shard, as the index of shards names it now, has the package."""
        index = _unpacked(self.read(wire, "repodata_shards.msgpack.zst"))
        digest = index["shards"].get(package.name)
        if digest is None:
            return False
        base = index["info"]["shards_base_url"].removeprefix("./")
        shard = _unpacked(self.read(wire, f"{base}{digest.hex()}.msgpack.zst"))
        return package.filename in shard["packages.conda"]

    def lists(self, content: bytes, package: Package) -> bool:
        """Whether the repodata names the package; it may be compressed."""
        plain = _plain(content) if self.repodata.endswith(".zst") else content
        return package.filename in json.loads(plain)["packages.conda"]


def _plain(content: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(content)


def _unpacked(content: bytes) -> dict[str, Any]:
    return cast("Any", msgpack).unpackb(_plain(content))


# -------------------------------------------------------------------------------------- uploads


def upload_loop(
    channel: Channel, packages: Iterator[Package], *, seconds: float, latest: Any
) -> float:
    """Uploads a second from eight connections, each of which sends its next when it may.

    ``latest`` is the number of the newest that was answered: what a reader hears of.
    """
    lock = threading.Lock()
    errors: list[Exception] = []
    done = 0
    start = time.perf_counter()

    def work() -> None:
        nonlocal done
        wire = channel.wire()
        try:
            while time.perf_counter() < start + seconds and not errors:
                with lock:
                    package = next(packages)
                channel.upload(wire, package, package.content)
                with lock:
                    done += 1
                    latest.value = package.number
        except (OSError, LoadError) as error:
            errors.append(error)
        finally:
            wire.close()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise LoadError(str(errors[0])) from errors[0]
    return done / (time.perf_counter() - start)


# ------------------------------------------------------------------------------- those beside it


@attrs.frozen
class Followed:
    """What the reader saw: how often it looked, what it missed, seconds for repodata."""

    looks: int
    missed: int
    middle: float
    repodata: Sequence[float]


def follow(stop: Any, told: Connection, channel: Channel, latest: Any, template: Package) -> None:
    """Look for every upload that is heard of while looking for none, and at repodata at times.

    An upload that is heard of has been answered with 201: whoever does not see it has missed it.
    """
    taken: list[float] = []
    repodata: list[float] = []
    missed = 0
    reader = threading.Thread(target=_fetch, args=(stop, channel, repodata), daemon=True)
    reader.start()
    wire, seen = channel.wire(), -1
    while channel.sharded and not stop.is_set():
        number = latest.value
        if number == seen:
            time.sleep(0.001)
            continue
        seen = number
        start = time.perf_counter()
        missed += not channel.has(wire, attrs.evolve(template, number=number))
        taken.append(time.perf_counter() - start)
    stop.wait()
    reader.join(5.0)
    told.send(Followed(len(taken), missed, median(taken) if taken else 0.0, tuple(repodata)))


def _fetch(stop: Any, channel: Channel, taken: list[float]) -> None:
    wire = channel.wire()
    while not stop.is_set():
        start = time.perf_counter()
        # As every client of conda does; who has a compressed form sends that.
        channel.read(wire, channel.repodata, {"Accept-Encoding": "gzip"})
        taken.append(time.perf_counter() - start)
        stop.wait(max(0.0, REPODATA_PAUSE - taken[-1]))


@attrs.frozen
class Flushed:
    """Seconds of the slowest flush of a small file that has nothing to do with anybody."""

    most: float


def flush(stop: Any, told: Connection, folder: str) -> None:
    """Write and flush a small file ten times a second: what the disk alone keeps one waiting."""
    most = 0.0
    with Path(folder, "flushed").open("wb", buffering=0) as stream:
        while not stop.wait(0.1):
            stream.write(bytes(4096))
            start = time.perf_counter()
            os.fsync(stream.fileno())
            most = max(most, time.perf_counter() - start)
    told.send(Flushed(most))


@attrs.frozen
class Watched:
    """Seconds that health checks took, from the moment when each was due."""

    count: int
    middle: float
    most: float
    #: 999 of 1,000 were faster.
    slow: float


def watch(stop: Any, told: Connection, channel: Channel) -> None:
    """Ask a hundred times a second, however long an answer takes: what is late counts as late.

    Several connections take turns.  One alone cannot ask so often once an answer takes longer than
    the pause between two: then its own queue would be measured, and not the server.
    """
    start = time.perf_counter()
    turns = (start + HEALTH_PAUSE * number for number in itertools.count())
    lock = threading.Lock()
    taken: list[float] = []
    errors: list[Exception] = []

    def work() -> None:
        wire = channel.wire()
        try:
            while not stop.is_set() and not errors:
                with lock:
                    due = next(turns)
                time.sleep(max(0.0, due - time.perf_counter()))
                answer = wire.ask("GET", channel.health)
                if answer.status != 200:
                    raise LoadError(f"{channel.health}: {answer.status}")
                taken.append(time.perf_counter() - due)
        except (OSError, LoadError) as error:
            errors.append(error)
        finally:
            wire.close()

    threads = [threading.Thread(target=work, daemon=True) for _ in range(WATCHERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise LoadError(str(errors[0])) from errors[0]
    slow = quantiles(taken, n=1000)[-1] if len(taken) > 1 else taken[0]
    told.send(Watched(len(taken), median(taken), max(taken), min(slow, max(taken))))


def _work(work: Callable[..., None], stop: Any, told: Connection, *arguments: Any) -> None:
    told.send(None)
    work(stop, told, *arguments)


@contextlib.contextmanager
def beside(
    *works: tuple[Callable[..., None], tuple[Any, ...]],
) -> Generator[list[Any]]:
    """Run these in processes meanwhile; afterwards the list has what each of them tells."""
    stop = _SPAWN.Event()
    pairs = [_SPAWN.Pipe(duplex=False) for _ in works]
    processes = [
        _SPAWN.Process(target=_work, args=(work, stop, told, *arguments), daemon=True)
        for (work, arguments), (_, told) in zip(works, pairs, strict=True)
    ]
    found: list[Any] = []
    for process in processes:
        process.start()
    try:
        for heard, _ in pairs:
            heard.recv()  # it has imported what it needs
        yield found
        stop.set()
        for (heard, _), process in zip(pairs, processes, strict=True):
            while not heard.poll(0.2):
                if not process.is_alive():
                    raise LoadError("who watched an upload ended early; see above")
            found.append(heard.recv())
    finally:
        stop.set()
        for process in processes:
            process.join(5.0)
            if process.is_alive():
                process.terminate()


def shared_number() -> Any:
    """A number that several processes see."""
    return _SPAWN.Value("q", -1)
