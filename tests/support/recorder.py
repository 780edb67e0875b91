"""Small loopback HTTP servers: one that passes requests on and notes them, one with files."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import urlsplit

import attrs

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade"}


@attrs.frozen(kw_only=True)
class Exchange:
    """One request that went by, and the status that it got."""

    method: str
    path: str
    headers: Mapping[str, str]
    size: int
    status: int


class QuietHandler(BaseHTTPRequestHandler):
    """Keep-alive, exact lengths, nothing on the terminal."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:
        pass

    def chunked(self) -> bool:
        return self.headers.get("Transfer-Encoding", "").lower() == "chunked"

    def body(self) -> bytes:
        if not self.chunked():
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts: list[bytes] = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)


class PassingHandler(QuietHandler):
    """Sends each request to another server, framed as it came, and notes it."""

    host: ClassVar[str]
    exchanges: ClassVar[list[Exchange]]

    def pass_on(self) -> None:
        self.answer(self.body())

    def answer(self, body: bytes) -> None:
        """Ask the other server and hand its answer back."""
        kept = {name: v for name, v in self.headers.items() if name.lower() not in HOP_BY_HOP}
        connection = http.client.HTTPConnection(self.host, timeout=60)
        try:
            content = iter([body] if body else []) if self.chunked() else body
            if self.chunked():
                kept["Transfer-Encoding"] = "chunked"
            connection.request(
                self.command, self.path, content or None, kept, encode_chunked=self.chunked()
            )
            answer = connection.getresponse()
            content = answer.read()
            # Noted first: whoever has its answer looks for it at once.
            self.note(len(body), answer.status)
            self.hand_back(answer, content)
        finally:
            connection.close()

    def note(self, size: int, status: int) -> None:
        headers = dict(self.headers.items())
        self.exchanges.append(
            Exchange(method=self.command, path=self.path, headers=headers, size=size, status=status)
        )

    def hand_back(self, answer: http.client.HTTPResponse, content: bytes) -> None:
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.getheaders():
            if name.lower() not in HOP_BY_HOP | {"content-length"}:
                self.send_header(name, value)
        self.send_header("Content-Length", answer.getheader("Content-Length", str(len(content))))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = pass_on  # noqa: N815 (http.server's names)


class FilesHandler(QuietHandler):
    """Knows a few addresses, whole, as a forward proxy is asked for them."""

    files: ClassVar[Mapping[str, bytes]]
    asked: ClassVar[list[str]]

    def do_GET(self) -> None:
        self.asked.append(self.path)
        content = self.files.get(self.path)
        self.send_response_only(200 if content is not None else 404)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        self.wfile.write(content or b"")


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Generator[str]:
    """Serve in a thread until the block ends; the address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def recording(target: str) -> Generator[tuple[str, list[Exchange]]]:
    """Pass every request on to a server; its address here, and the growing list of exchanges."""
    exchanges: list[Exchange] = []
    words = {"host": urlsplit(target).netloc, "exchanges": exchanges}
    with serving(type("Recorder", (PassingHandler,), words)) as address:
        yield address + urlsplit(target).path, exchanges


@contextmanager
def sources(files: Mapping[str, bytes]) -> Generator[tuple[str, list[str]]]:
    """A forward proxy that knows a few addresses only; its own address, and what was asked."""
    asked: list[str] = []
    with serving(type("Sources", (FilesHandler,), {"files": files, "asked": asked})) as address:
        yield address, asked
