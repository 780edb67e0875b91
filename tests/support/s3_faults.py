"""A server in front of an object store that spoils some of the exchanges, as it is told."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, ClassVar
from urllib.parse import urlsplit

import attrs
from recorder import Exchange, PassingHandler, serving

REFUSAL = "<?xml version='1.0'?><Error><Code>{}</Code><Message>so it is</Message>{}</Error>"


@attrs.define
class Fault:
    """What is done to the next ``times`` exchanges of a method whose target has a text in it."""

    method: str
    inside: str = ""
    times: int = 1
    #: Answer this, and ask nobody.
    status: int = 0
    code: str = "SlowDown"
    more: str = ""
    fields: dict[str, str] = attrs.field(factory=dict)
    #: Send that many bytes of the answer's body, and break the connection.
    cut: int | None = None
    #: Change the first byte of what is sent, or of what is answered.
    spoil_request: bool = False
    spoil_answer: bool = False
    #: Let the request through, and break the connection instead of answering.
    lose: bool = False
    #: Say nothing until the test ends.
    stall: bool = False

    def fits(self, method: str, target: str) -> bool:
        return self.times > 0 and method == self.method and self.inside in target


@attrs.frozen
class Rapids:
    """The address in front of the store, what went through, and what is to go wrong."""

    address: str
    exchanges: list[Exchange]
    faults: list[Fault]

    def methods(self) -> list[str]:
        return [exchange.method for exchange in self.exchanges]


class FaultyHandler(PassingHandler):
    """Passes requests on, unless a fault is due."""

    faults: ClassVar[list[Fault]]
    lock: ClassVar[threading.Lock]
    over: ClassVar[threading.Event]
    fault: Fault | None

    def pass_on(self) -> None:
        with self.lock:
            due = [fault for fault in self.faults if fault.fits(self.command, self.path)]
            self.fault = due[0] if due else None
            if self.fault is not None:
                self.fault.times -= 1
        body = self.body()
        if self.fault is None:
            self.answer(body)
        else:
            self.go_wrong(self.fault, body)

    def go_wrong(self, fault: Fault, body: bytes) -> None:
        if fault.stall:
            self.over.wait(60)
            self.close_connection = True
        elif fault.status:
            self.note(len(body), fault.status)
            self.refuse(fault)
        else:
            self.answer(_spoilt(body) if fault.spoil_request else body)

    def refuse(self, fault: Fault) -> None:
        text = REFUSAL.format(fault.code, fault.more).encode()
        self.send_response_only(fault.status)
        for name, value in {"Content-Type": "application/xml", **fault.fields}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def hand_back(self, answer: http.client.HTTPResponse, content: bytes) -> None:
        fault = self.fault
        if fault is not None and fault.lose:
            self.close_connection = True
            return
        if fault is not None and fault.spoil_answer:
            content = _spoilt(content)
        if fault is not None and fault.cut is not None:
            self.close_connection = True
            # The length that is announced is the whole one.
            content = content[: fault.cut]
        super().hand_back(answer, content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = pass_on  # noqa: N815 (http.server's names)


def _spoilt(content: bytes) -> bytes:
    return bytes([content[0] ^ 1]) + content[1:]


@contextmanager
def rapids(target: str, *faults: Fault) -> Generator[Rapids]:
    """Stand in front of a store until the block ends."""
    words: dict[str, Any] = {
        "host": urlsplit(target).netloc,
        "exchanges": [],
        "faults": list(faults),
        "lock": threading.Lock(),
        "over": threading.Event(),
    }
    with serving(type("Faulty", (FaultyHandler,), words)) as address:
        try:
            yield Rapids(address, words["exchanges"], words["faults"])
        finally:
            words["over"].set()
