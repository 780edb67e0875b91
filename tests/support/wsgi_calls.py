"""Call a WSGI application as a server would, raw target included, without a server."""

from __future__ import annotations

import base64
import io
from typing import Any
from urllib.parse import unquote_to_bytes

import attrs

#: Spellings of a segment that no path may have, as they stand in a URL.
BAD_SEGMENTS = [
    "..", ".", "%2e%2e", "%2E.", "%252e%252e", "..%2f", "..%5c", "%2f", "a%2Fb", "a%5Cb", "",
    "%00", "a%00b", "a%0d%0ab", "a.", "a%20", "C:", "c:x", "%5c%5chost", "%c0%ae%c0%ae", "%ff",
    "%ef%bc%8e%ef%bc%8e", "%e2%80%a5", "a%e2%80%aeb", "%", "%zz", "a%2", "x" * 256, "%e2%80%a8",
    ";x=/..", "./x", "..;/x", "a#b",
]  # fmt: skip


def basic(name: str, password: str) -> str:
    """The Authorization field of RFC 7617."""
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


class Untouchable:
    """An input that fails the test when anybody reads it."""

    def read(self, size: int = -1) -> bytes:
        raise AssertionError("the body of a refused request was touched")

    readline = readlines = __iter__ = read


class ShortInput(io.BytesIO):
    """An input of a client that went away: its socket raises after what had arrived."""

    def read(self, size: int | None = -1) -> bytes:
        data = super().read(size)
        if not data:
            raise ConnectionResetError("connection reset by peer")
        return data


@attrs.frozen
class Answer:
    """What came back; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def environ(
    target: str, method: str = "GET", *, body: Any = b"", script: str = "", **fields: str
) -> dict[str, Any]:
    """The environ of a request whose line has this target; keywords are CGI names."""
    path, _, query = target.partition("?")
    decoded = unquote_to_bytes(path).decode("latin-1")
    made: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": script,
        "PATH_INFO": decoded.removeprefix(script),
        "QUERY_STRING": query,
        "RAW_URI": target,
        "SERVER_NAME": "server.example",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "192.0.2.7",
        "HTTP_HOST": "server.example",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": body,
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
    }
    if isinstance(body, bytes):
        made["wsgi.input"] = io.BytesIO(body)
        if body or method == "PUT":
            made["CONTENT_LENGTH"] = str(len(body))
    return {**made, **fields}


def call(app: Any, target: str, method: str = "GET", **fields: Any) -> Answer:
    """Send one request and read the whole answer."""
    return send(app, environ(target, method, **fields))


def send(app: Any, made: dict[str, Any]) -> Answer:
    """Send a request that was made before; the answer's body is closed, as PEP 3333 wants."""
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        started.append((status, headers))
        return lambda _data: None

    chunks = app(made, start_response)
    try:
        body = b"".join(chunks)
    finally:
        getattr(chunks, "close", lambda: None)()
    [(status, headers)] = started
    return Answer(int(status[:3]), {name.lower(): value for name, value in headers}, body)
