"""A request and its answer, as logs and traces tell of them.

Each request has an id, which every answer says and every line of the log carries that is written
meanwhile.  Lines of requests and spans are made only where the settings want them.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, BinaryIO, Final
from urllib.parse import quote
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from repocore.logs import ACCESS, Note, enter, hide, leave, redact
from repocore.ports import Span, SpanKind, Tracer
from repocore.registry import Registry, Session
from repocore_web.bodies import Body
from repocore_web.forwarding import Forwarding
from repocore_web.logs import LOG, describe, sent_secrets
from repocore_web.routing import Match, route_label

__all__ = ["EXCHANGE", "Exchange", "Exchanges"]

#: Where an environ holds its `Exchange`.
EXCHANGE: Final = "repocore.exchange"

_access: Final = logging.getLogger(ACCESS)
#: What a proxy may call a request: nothing that a shell, a query or a page would take for more.
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}\Z")
# W3C Trace Context, section 3.2; zeros mean nothing, and there is no version ff.
_PARENT: Final = re.compile(
    r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-|\Z)"
)
_METHODS: Final = frozenset({"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "OPTIONS"})
_FAILURE: Final = 500


class Exchange:
    """What is known of a request so far."""

    __slots__ = ("body", "handed", "match", "note", "over")

    def __init__(self, note: Note) -> None:
        self.note = note
        self.match: Match | None = None
        self.body: Body | None = None
        #: Whether the server sends a file by itself; its stream says when it is over.
        self.handed = False
        #: Called at the end, where somebody waits for it.
        self.over: Callable[[], None] | None = None

    @property
    def number(self) -> str:
        """The id of the request."""
        return self.note.fields["request_id"]

    def asked_by(self, session: Session) -> None:
        """Note who asks."""
        origin = session.origin
        self.note.fields["account"] = origin.who
        if origin.token_id is not None:
            self.note.fields["token_id"] = origin.token_id

    def hand_over(self, stream: BinaryIO) -> BinaryIO | _Handed:
        """The stream as the server is given it, which will close it once it is sent."""
        self.handed = True
        return stream if self.over is None else _Handed(stream, self.over)


class Exchanges:
    """Gives requests their ids, and tells of them."""

    def __init__(self, registry: Registry, forwarding: Forwarding) -> None:
        self._forwarding = forwarding
        self._tracer = registry.tracing.tracer
        self._logged = registry.settings.logs.access

    def watch(
        self, serve: WSGIApplication, environ: WSGIEnvironment, start_response: StartResponse
    ) -> Iterable[bytes]:
        """Have a request served."""
        number, parent = self._identified(environ)
        note = Note({"request_id": number}, partial(sent_secrets, environ))
        exchange = environ[EXCHANGE] = Exchange(note)
        if parent is not None:
            note.fields["trace_id"] = parent.split("-")[1]
        logged = self._logged and _access.isEnabledFor(logging.INFO)
        if logged or self._tracer is not None:
            told = _Told(exchange, environ, self._forwarding if logged else None)
            if self._tracer is not None:
                told.trace(self._tracer, parent)
            return told.serve(serve, start_response)
        token = enter(note)
        try:
            body = serve(environ, start_response)
        finally:
            leave(token)
        whole = exchange.handed or _size(body) is not None
        return body if whole else _Streamed(body, exchange)

    def _identified(self, environ: WSGIEnvironment) -> tuple[str, str | None]:
        """The id, and the span above; those of others are believed of trusted proxies only."""
        sent: str | None = environ.get("HTTP_X_REQUEST_ID")
        parent: str | None = environ.get("HTTP_TRACEPARENT")
        if (sent is None and parent is None) or not self._forwarding.trusts(environ):
            return os.urandom(8).hex(), None
        # What looks like a secret would be hidden in every line.
        known = sent is not None and _ID.match(sent) and redact(sent) == sent
        traced = parent is not None and _PARENT.match(parent)
        return sent if sent and known else os.urandom(8).hex(), parent if traced else None


class _Told:
    """A request of which something is told at its end."""

    def __init__(
        self, exchange: Exchange, environ: WSGIEnvironment, forwarding: Forwarding | None
    ) -> None:
        self._exchange = exchange
        self._environ = environ
        #: Who tells the client's address; None where no line is wanted.
        self._forwarding = forwarding
        self._tracer: Tracer | None = None
        self._span: Span | None = None
        self._status = _FAILURE
        self._announced: int | None = None
        self._sent: int | None = None
        self._ended = False
        self._begun = time.perf_counter()

    def trace(self, tracer: Tracer, parent: str | None) -> None:
        """Have a span be of it."""
        environ = self._environ
        method = environ["REQUEST_METHOD"]
        about: dict[str, str | float | bool] = {
            "http.request.method": method if method in _METHODS else "_OTHER",
            "url.scheme": environ.get("wsgi.url_scheme", "http"),
            "url.path": redact(_target(environ)[0]),
            "server.address": environ["SERVER_NAME"],
            "network.protocol.version": environ.get("SERVER_PROTOCOL", "").partition("/")[2],
            "repocore.request_id": self._exchange.number,
        }
        agent, port = environ.get("HTTP_USER_AGENT"), environ["SERVER_PORT"]
        if port.isdecimal():  # a socket file has none
            about["server.port"] = int(port)
        if agent:
            about["user_agent.original"] = agent
        self._tracer = tracer
        self._span = tracer.start(_verb(method), SpanKind.SERVER, about, parent)
        if self._span.trace_id:
            self._exchange.note.fields["trace_id"] = self._span.trace_id

    def serve(self, serve: WSGIApplication, start_response: StartResponse) -> Iterable[bytes]:
        """Have it served, and be told of its end."""

        def start(
            status: str, headers: list[tuple[str, str]], exc_info: Any = None, /
        ) -> Callable[[bytes], object]:
            self._status = int(status[:3])
            self._announced = next(
                (int(v) for k, v in headers if k.lower() == "content-length"), None
            )
            return start_response(status, headers, exc_info)

        exchange = self._exchange
        exchange.over = self.end
        try:
            with self.here():
                body = serve(self._environ, start)
        except BaseException as error:
            self.end(type(error).__name__)
            raise
        size = _size(body)
        if size is not None:
            self._sent = size
            self.end()
            return body
        return body if exchange.handed else _Streamed(body, exchange, self)

    @contextmanager
    def here(self) -> Generator[None]:
        """Have what happens in the block be of the request."""
        token = enter(self._exchange.note)
        try:
            if self._tracer is None or self._span is None:
                yield
            else:
                with self._tracer.use(self._span):
                    yield
        finally:
            leave(token)

    def sent(self, size: int) -> None:
        """Some more bytes were sent."""
        self._sent = (self._sent or 0) + size

    def end(self, failed: str | None = None) -> None:
        """It is over; idempotent."""
        if self._ended:
            return
        self._ended = True
        if self._span is not None:
            self._end_span(self._span, failed)
        if self._forwarding is not None:
            with self.here():
                self._write(self._forwarding, failed)

    def _end_span(self, span: Span, failed: str | None) -> None:
        match = self._exchange.match
        if match is not None and match.route is not None:
            label = route_label(match.route)
            span.rename(f"{_verb(self._environ['REQUEST_METHOD'])} {label}")
            span.set("http.route", label)
            if match.repository:
                span.set("repocore.repository", match.repository)
        span.set("http.response.status_code", self._status)
        if failed is not None or self._status >= _FAILURE:
            span.fail(failed or str(self._status))
        span.end()

    def _write(self, forwarding: Forwarding, failed: str | None) -> None:
        environ, exchange = self._environ, self._exchange
        method = environ["REQUEST_METHOD"]
        # Redacted here already: the handler may be another's.
        secrets = tuple(exchange.note.secrets())
        path, query = (redact(hide(text, secrets)) for text in _target(environ))
        match, body = exchange.match, exchange.body
        route = None if match is None else match.route
        fields: dict[str, Any] = {
            "method": method,
            "path": path,
            "status": self._status,
            "duration_ms": round((time.perf_counter() - self._begun) * 1000, 3),
            "bytes_in": 0 if body is None else body.count,
            "bytes_out": self._bytes_out(),
            "client": forwarding.client(environ) or "unix",
            "user_agent": environ.get("HTTP_USER_AGENT"),
            "route": None if route is None else route_label(route),
        }
        if query:
            fields["query"] = query
        if match is not None and match.repository:
            fields["format"] = match.repository.partition("/")[0]
            fields["repository"] = match.repository
        if failed is not None:
            fields["failed"] = failed
        _access.info("%s %s %s", method, path, self._status, extra={"repocore_fields": fields})

    def _bytes_out(self) -> int:
        if self._sent is not None:
            return self._sent
        if self._environ["REQUEST_METHOD"] == "HEAD":
            return 0
        return self._announced or 0


class _Streamed:
    """A body that is made while it is sent; the server closes it (PEP 3333)."""

    def __init__(
        self, body: Iterable[bytes], exchange: Exchange, told: _Told | None = None
    ) -> None:
        self._body = body
        self._exchange = exchange
        self._told = told
        self._failed: str | None = None

    def __iter__(self) -> Iterator[bytes]:
        chunks = iter(self._body)
        while True:
            chunk = self._next(chunks)
            if chunk is None:
                return
            yield chunk

    def _next(self, chunks: Iterator[bytes]) -> bytes | None:
        # Chunk by chunk: between two of them the thread may do something else.
        with self._here():
            try:
                chunk = next(chunks, None)
            except Exception as error:
                secrets = self._exchange.note.secrets()
                reason = describe(error, secrets)
                LOG.error("the answer to %s broke off\n%s", self._exchange.number, reason)
                self._failed = type(error).__name__
                raise
        if chunk is not None and self._told is not None:
            self._told.sent(len(chunk))
        return chunk

    def _here(self) -> Any:
        if self._told is not None:
            return self._told.here()
        return _here(self._exchange.note)

    def close(self) -> None:
        """Close the body."""
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                with self._here():
                    close()
        finally:
            if self._told is not None:
                self._told.sent(0)
                self._told.end(self._failed)


class _Handed:
    """A file that the server sends as it likes, its descriptor perhaps; then it closes it."""

    def __init__(self, stream: BinaryIO, over: Callable[[], None]) -> None:
        self._stream = stream
        self._over = over

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream)

    def read(self, size: int = -1, /) -> bytes:
        """Up to ``size`` bytes."""
        return self._stream.read(size)

    def close(self) -> None:
        """Close it; the request is over."""
        try:
            self._stream.close()
        finally:
            self._over()


@contextmanager
def _here(note: Note) -> Generator[None]:
    token = enter(note)
    try:
        yield
    finally:
        leave(token)


def _size(body: Iterable[bytes]) -> int | None:
    """The bytes of a body that is there already; None for one that is made while it is sent."""
    if not isinstance(body, tuple):
        return None
    return sum(map(len, body))


def _verb(method: str) -> str:
    """The method in the name of a span, of which there may be few."""
    return method if method in _METHODS else "HTTP"


def _target(environ: WSGIEnvironment) -> tuple[str, str]:
    """The path, and the query behind its mark, as they were sent as far as the server tells."""
    raw: str | None = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    if raw is None:
        path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
        query: str = environ.get("QUERY_STRING", "")
        return quote(path.encode("latin-1")), f"?{query}" if query else ""
    path, mark, query = raw.partition("?")
    return path, mark + query
