"""A server on loopback that answers as it was told, and remembers what it was asked."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import attrs


@attrs.frozen
class Asked:
    """One request."""

    method: str
    path: str
    fields: dict[str, str]
    body: bytes


@attrs.define
class Scripted:
    """What is answered: by method a list of (status, fields), the last of which goes on."""

    script: dict[str, list[tuple[int, dict[str, str]]]]
    asked: list[Asked] = attrs.field(factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/conda/main"

    def methods(self) -> list[str]:
        return [one.method for one in self.asked]


@contextmanager
def scripted_server(script: dict[str, list[tuple[int, dict[str, str]]]]) -> Generator[Scripted]:
    """Serve until the block ends; status 0 is a connection that breaks."""
    made = Scripted(script)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer("HEAD", b"")

        def do_PUT(self) -> None:
            self._answer("PUT", self.rfile.read(int(self.headers["Content-Length"])))

        def _answer(self, method: str, body: bytes) -> None:
            made.asked.append(Asked(method, self.path, dict(self.headers), body))
            lines = made.script[method]
            status, fields = lines.pop(0) if len(lines) > 1 else lines[0]
            if not status:
                self.close_connection = True
                return
            text = b"" if method == "HEAD" else b"Said the server.\nAnd more."
            self.send_response(status)
            for name, value in {"Content-Type": "text/plain", **fields}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
