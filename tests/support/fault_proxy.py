"""A reverse proxy that fails as a seed says: between a server and the storage that it speaks to.

    with fault_proxy("http://127.0.0.1:9000", Faults(seed=7, rate=50)) as (address, faults):
        ...

Of each request the seed decides whether it is passed on as it came, or what befalls it.  What is
passed on keeps its target, its fields and its body to the byte, so signatures of S3 stay good; the
host that the client has signed is kept as well.
"""

from __future__ import annotations

import http.client
import random
import socket
import struct
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import ClassVar
from urllib.parse import urlsplit

import attrs
from recorder import HOP_BY_HOP, QuietHandler, serving

__all__ = ["KINDS", "Faults", "Struck", "fault_proxy"]

#: What can befall a request, and how often beside the others.
KINDS: Mapping[str, int] = {
    "refuse": 2,  # the connection ends before anything is read
    "reset": 2,  # it is reset (RST) instead
    "busy": 4,  # 503, as S3 says that it is asked for too much; nothing was done
    "stall": 2,  # it takes its time
    "lost": 3,  # it is done, and the connection ends without an answer
    "late": 2,  # it is done, and 500 is the answer
    "cut": 3,  # half of the answer's body comes, of the length that was announced
}
SLOW_DOWN = (
    b'<?xml version="1.0" encoding="UTF-8"?>'
    b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)
INTERNAL = SLOW_DOWN.replace(b"SlowDown", b"InternalError").replace(
    b"Please reduce your request rate.", b"We encountered an internal error. Please try again."
)


@attrs.frozen
class Struck:
    """A request that something befell."""

    method: str
    path: str
    kind: str


def _any(_method: str, _path: str) -> bool:
    return True


@attrs.define(kw_only=True)
class Faults:
    """Which requests are struck: so many of a thousand, by the seed, among those of ``which``."""

    seed: int
    rate: int
    kinds: Mapping[str, int] = attrs.field(factory=lambda: dict(KINDS))
    which: Callable[[str, str], bool] = _any
    #: Seconds that a stall lasts, at least and at most.
    stall: tuple[float, float] = (0.05, 0.5)
    struck: list[Struck] = attrs.field(factory=list, init=False)
    asked: int = attrs.field(default=0, init=False)
    _chance: random.Random = attrs.field(init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def __attrs_post_init__(self) -> None:
        self._chance = random.Random(self.seed)

    def draw(self, method: str, path: str) -> str | None:
        """What befalls this request; None: nothing."""
        with self._lock:
            self.asked += 1
            if self._chance.randrange(1000) >= self.rate or not self.which(method, path):
                return None
            kind = self._chance.choices([*self.kinds], [*self.kinds.values()])[0]
            self.struck.append(Struck(method, path, kind))
            pause = self._chance.uniform(*self.stall)
        if kind == "stall":
            time.sleep(pause)
        return kind


class FaultHandler(QuietHandler):
    """Passes requests on, or not."""

    host: ClassVar[str]
    faults: ClassVar[Faults]

    def pass_on(self) -> None:
        kind = self.faults.draw(self.command, self.path)
        if kind in {"refuse", "reset"}:
            self._end(reset=kind == "reset")
            return
        body = self.body()
        if kind == "busy":
            self._say(503, SLOW_DOWN)
            return
        try:
            answer, content = self._asked(body)
        except (OSError, http.client.HTTPException):
            self._end(reset=False)
            return
        if kind == "lost":
            self._end(reset=False)
        elif kind == "late":
            self._say(500, INTERNAL)
        else:
            self._hand_back(answer, content, cut=kind == "cut")

    def _asked(self, body: bytes) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection(self.host, timeout=120)
        try:
            connection.putrequest(
                self.command, self.path, skip_host=True, skip_accept_encoding=True
            )
            for name, value in self.headers.items():
                if name.lower() not in HOP_BY_HOP | {"content-length", "expect"}:
                    connection.putheader(name, value)
            if body or self.command in {"PUT", "POST"}:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer, answer.read()
        finally:
            connection.close()

    def _hand_back(self, answer: http.client.HTTPResponse, content: bytes, *, cut: bool) -> None:
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in HOP_BY_HOP | {"content-length"}:
                self.send_header(name, value)
        length = answer.getheader("Content-Length", str(len(content)))
        if answer.status not in {204, 304}:
            self.send_header("Content-Length", length)
        self.end_headers()
        if cut and content:
            self.wfile.write(content[: len(content) // 2])
            self.wfile.flush()
            self._end(reset=False)
        else:
            self.wfile.write(content)

    def _say(self, status: int, text: bytes) -> None:
        self.send_response_only(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def _end(self, *, reset: bool) -> None:
        self.close_connection = True
        if reset:
            # Closed with data that nobody will send: the other side is told by RST.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        else:
            self.connection.shutdown(socket.SHUT_RDWR)

    def finish(self) -> None:
        """As ever, also of a connection that was closed."""
        try:
            super().finish()
        except (OSError, ValueError):
            self.close_connection = True

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = pass_on  # noqa: N815 (http.server's names)


@contextmanager
def fault_proxy(target: str, faults: Faults) -> Generator[tuple[str, Faults]]:
    """Stand before a server until the block ends; the address here, and what has befallen whom."""
    words = {"host": urlsplit(target).netloc, "faults": faults}
    with serving(type("FaultyProxy", (FaultHandler,), words)) as address:
        yield address + urlsplit(target).path, faults
