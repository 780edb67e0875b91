"""A closed loop of HTTP/1.1 requests over kept connections, in as few client cycles as we can.

Plain GETs go through wrk where it is installed.  Everything else, and everything where it is
not, goes through blocking sockets, one thread a connection: bodies leave by ``sendfile`` and
answers are dropped inside the kernel, so that the client hardly competes for the two cores.
"""

from __future__ import annotations

import http.client
import itertools
import os
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import attrs

__all__ = [
    "CONNECTIONS",
    "JSON_HEADERS",
    "Call",
    "Load",
    "LoadError",
    "closed_loop",
    "get",
    "head",
    "kept_gets",
]

CONNECTIONS = 8
BLOCK = 1 << 20

# What the Conan 2 client sends with each call.
CLIENT_HEADERS: Mapping[str, str] = {
    "User-Agent": "Conan/2.34.0 (Linux 6.1; Python 3.11.7; x86_64)",
    "Accept-Encoding": "gzip, deflate",
    "Accept": "*/*",
}
# And what it adds unless a file is asked for.
JSON_HEADERS: Mapping[str, str] = {
    "X-Client-Anonymous-Id": "6c3a1b9e0d5f48a7c2e6b1d09f8a7c5e4d3b2a10",
}


class LoadError(Exception):
    """A server answered what the row does not allow; the measurement is void."""


@attrs.frozen(kw_only=True)
class Call:
    """One request: its head with what is small of the body, then a file's bytes, then a tail."""

    opening: bytes
    file: Path | None = None
    size: int = 0
    tail: bytes = b""
    #: What the same connection asks next, as one client sends the files of one recipe.
    then: Call | None = None

    @property
    def body(self) -> int:
        """Bytes of the body that come from the file and the tail."""
        return self.size + len(self.tail)


@attrs.frozen(kw_only=True)
class Load:
    """What one run of one row moved."""

    requests: int
    received: int
    sent: int
    seconds: float
    connections: int

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds

    @property
    def mebibytes(self) -> float:
        """MiB of bodies a second, whichever way they went."""
        return max(self.received, self.sent) / self.seconds / (1 << 20)


def head(
    method: str,
    target: str,
    *,
    length: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """Returns a request head with the fields of the real client."""
    fields = {"Host": "127.0.0.1", **CLIENT_HEADERS, **(headers or {})}
    if length is not None:
        fields["Content-Length"] = str(length)
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode()


def _send(connection: socket.socket, call: Call) -> None:
    connection.sendall(call.opening)
    if call.file is not None:
        with call.file.open("rb") as stream:
            _send_file(connection, stream, call.size)
    if call.tail:
        connection.sendall(call.tail)


def _send_file(connection: socket.socket, stream: BinaryIO, size: int) -> None:
    offset = 0
    while offset < size:
        sent = os.sendfile(connection.fileno(), stream.fileno(), offset, min(BLOCK, size - offset))
        if not sent:
            message = "the body's file is shorter than announced"
            raise LoadError(message)
        offset += sent


def _answer(connection: socket.socket, buffer: bytearray) -> tuple[int, int]:
    """Returns status and bytes of one answer; the body's bytes never reach this process."""
    got = b""
    while (end := got.find(b"\r\n\r\n")) < 0:
        piece = connection.recv(65536)
        if not piece:
            message = "the server closed a kept connection"
            raise LoadError(message)
        got += piece
    top, rest = got[:end].lower(), got[end + 4 :]
    status = int(top[9:12])
    length = re.search(rb"\r\ncontent-length: *(\d+)", top)
    if length is None:
        return status, _chunked(connection, rest, top)
    left = int(length[1]) - len(rest)
    while left > 0:
        # TCP drops what MSG_TRUNC asks for without copying it.
        count = connection.recv_into(buffer, min(left, BLOCK), socket.MSG_TRUNC)
        if not count:
            message = "an answer was cut short"
            raise LoadError(message)
        left -= count
    return status, int(length[1])


def _chunked(connection: socket.socket, rest: bytes, top: bytes) -> int:
    if b"\r\ntransfer-encoding: chunked" not in top:
        message = "an answer had neither a length nor chunks"
        raise LoadError(message)
    size, end = len(rest), rest[-5:]
    while end != b"0\r\n\r\n":
        piece = connection.recv(65536)
        if not piece:
            message = "an answer was cut short"
            raise LoadError(message)
        size, end = size + len(piece), (end + piece)[-5:]
    return size


class _Tally:
    """The threads of one run, and what they count."""

    def __init__(self, port: int, calls: Iterator[Call], until: float, at_least: int) -> None:
        self.port = port
        self.calls = calls
        self.until = until
        self.left = at_least
        self.lock = threading.Lock()
        self.requests = 0
        self.received = 0
        self.sent = 0
        self.error: Exception | None = None

    def draw(self) -> Call | None:
        with self.lock:
            if self.error or (self.left <= 0 and time.perf_counter() >= self.until):
                return None
            self.left -= 1
            return next(self.calls, None)

    def count(self, call: Call, status: int, received: int) -> None:
        if not 200 <= status < 300:
            message = f"status {status} for {call.opening.split(b' HTTP')[0].decode()}"
            raise LoadError(message)
        with self.lock:
            self.requests += 1
            self.received += received
            self.sent += call.body

    def work(self) -> None:
        buffer = bytearray(BLOCK)
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=900) as connection:
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.settimeout(None)
                call = self.draw()
                while call is not None:
                    _send(connection, call)
                    self.count(call, *_answer(connection, buffer))
                    call = call.then or self.draw()
        except (OSError, LoadError) as error:
            self.error = error


def closed_loop(
    port: int,
    calls: Iterator[Call],
    *,
    seconds: float,
    at_least: int,
    connections: int = CONNECTIONS,
) -> Load:
    """Returns what was moved until the time is over and ``at_least`` requests are answered.

    Each connection sends its next request when its last one is answered.  Raises `LoadError`
    for any answer that is not 2xx.
    """
    start = time.perf_counter()
    tally = _Tally(port, calls, start + seconds, at_least)
    threads = [threading.Thread(target=tally.work, daemon=True) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if tally.error is not None:
        raise LoadError(str(tally.error)) from tally.error
    return Load(
        requests=tally.requests,
        received=tally.received,
        sent=tally.sent,
        seconds=time.perf_counter() - start,
        connections=connections,
    )


def kept_gets(
    port: int,
    targets: Sequence[str],
    *,
    seconds: float,
    headers: Mapping[str, str] | None = None,
) -> Load:
    """Returns what GETs of the targets, one after the other, moved; by wrk where it is there.

    Raises `LoadError` for any answer that is not 2xx.
    """
    wrk = shutil.which("wrk")
    if wrk is None:
        heads = itertools.cycle([Call(opening=head("GET", t, headers=headers)) for t in targets])
        return closed_loop(port, heads, seconds=seconds, at_least=CONNECTIONS)
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(_script(targets, {**CLIENT_HEADERS, **(headers or {})}))
        script.flush()
        command = [wrk, "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s"]
        command += ["--timeout", "30s", "-s", script.name, f"http://127.0.0.1:{port}"]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    return _wrk(done.stdout)


def _script(targets: Sequence[str], headers: Mapping[str, str]) -> str:
    """The requests are put together once, so that wrk's Lua only picks the next one."""
    fields = ", ".join(f'["{name}"] = "{value}"' for name, value in headers.items())
    paths = ", ".join(f'"{target}"' for target in targets)
    return f"""
local paths, ready, next = {{{paths}}}, {{}}, 0
init = function()
  for i, path in ipairs(paths) do ready[i] = wrk.format("GET", path, {{{fields}}}) end
end
request = function()
  next = next % #ready + 1
  return ready[next]
end
done = function(summary, latency)
  io.write(string.format("total %d %d %d %d\\n", summary.requests, summary.bytes,
    summary.duration, summary.errors.status + summary.errors.read + summary.errors.timeout))
end
"""


def _wrk(output: str) -> Load:
    found = re.search(r"^total (\d+) (\d+) (\d+) (\d+)$", output, re.MULTILINE)
    if found is None or int(found[1]) == 0:
        message = f"wrk reported nothing: {output[-200:]}"
        raise LoadError(message)
    requests, received, microseconds, errors = (int(text) for text in found.groups())
    if errors:
        message = f"{errors} of {requests} answers were errors"
        raise LoadError(message)
    return Load(
        requests=requests,
        received=received,
        sent=0,
        seconds=microseconds / 1e6,
        connections=CONNECTIONS,
    )


def get(port: int, target: str, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
    """Returns status and body of one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", target, headers=dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
