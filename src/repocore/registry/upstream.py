"""Ask other servers: who signs people in, who wants to be told, who has bytes that were lost.

Each request resolves its name once, has every address checked, and connects
to one that was checked; nothing is taken from the environment (no proxy, no netrc), answers are
asked for without compression, and both their size and their time are bounded: those of files,
which are read as they come, by whoever reads them and by the time between two pieces.
"""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
from collections.abc import Generator, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, unquote, urlencode, urljoin, urlsplit

import attrs

from repocore.errors import ConfigurationError, UpstreamRefusedError, UpstreamUnavailableError
from repocore.model import Chunks
from repocore.ports import SpanKind
from repocore.registry.deadlines import SILENT, Deadline, failures
from repocore.registry.egress import Egress, Target, parse_target
from repocore.registry.tracing import Tracing

if TYPE_CHECKING:
    from urllib3.connection import HTTPConnection

__all__ = ["UpstreamClient"]

#: How many redirects of a GET are followed.
_HOPS: Final = 5
_OK: Final = 200
_PART: Final = 206
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_CHUNK: Final = 1 << 16
_STRANGE: Final = "Another server that has to be asked gave an answer that cannot be read."
_FIELDS: Final = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "Connection": "close",
    "User-Agent": "repocore",
}


@attrs.frozen
class _Answer:
    status: int
    location: str | None
    body: bytes


class UpstreamClient:
    """A client for small requests and for files; threads may share it.

    ``proxy`` is ``http://[user:password@]host:port``; ``ca_bundle`` a file of certificates in the
    place of the system's; ``timeout`` the seconds that one answer may take, from its start to its
    end; ``allow`` the networks and names of hosts that need not be public; ``most`` the bytes of
    an answer.  With the ``tracing`` of a registry each request is a span, and carries what its
    settings have other servers told.

    Raises `ConfigurationError` where one of these cannot be, or urllib3 is not installed.
    """

    def __init__(
        self,
        *,
        proxy: str | None = None,
        ca_bundle: str | Path | None = None,
        timeout: float = 30.0,
        allow: Iterable[str] = (),
        most: int = 1 << 20,
        tracing: Tracing | None = None,
    ) -> None:
        _connections()
        self._proxy = None if proxy is None else _proxy_parts(proxy)
        self._egress = Egress(allow, by_proxy=proxy is not None)
        self._context = _tls(ca_bundle)
        self._timeout = timeout
        self._most = most
        self._tracing = tracing or Tracing()

    def get_json(self, url: str, headers: Mapping[str, str] | None = None) -> Any:
        """What JSON stands at a URL; follows five redirects, each checked like the first.

        The headers go to the origin of the URL only, and nothing goes from https to http.  Raises
        `UpstreamRefusedError` where it must not connect, `UpstreamUnavailableError` for another
        status than 200, for what is no JSON, too long or too late.
        """
        target = parse_target(url)
        sent, told = dict(headers or {}), True
        for _ in range(_HOPS + 1):
            answer = self._send("GET", target, sent, told=told)
            if answer.status not in _MOVED:
                return _read_json(answer)
            before = target
            url, target, sent = _moved(url, answer.location, target, sent)
            # What tells of the request is for the server that was named.
            told = told and before.origin == target.origin
        raise UpstreamUnavailableError(_STRANGE)

    def post_json(self, url: str, value: Any, headers: Mapping[str, str] | None = None) -> Any:
        """Send JSON; returns that of the answer.  No redirect is followed.

        Raises as `get_json`.
        """
        kind = {"Content-Type": "application/json"}
        body = json.dumps(value, ensure_ascii=False).encode()
        return _read_json(self._send("POST", parse_target(url), {**(headers or {}), **kind}, body))

    @contextlib.contextmanager
    def open(
        self, url: str, headers: Mapping[str, str] | None = None, start: int = 0
    ) -> Generator[Chunks]:
        """The bytes that stand at a URL, read as they come; redirects as in `get_json`.

        From ``start`` on, where the server knows ranges; else `UpstreamUnavailableError` is raised.

        ``timeout`` is the longest silence, and not the time of all of it; who reads says how much
        is too much.  Raises as `get_json`, also while it is read and where it ends early.
        """
        target = parse_target(url)
        part = {"Range": f"bytes={start}-"} if start else {}
        sent = {"Accept": "*/*", **(headers or {})}
        for _ in range(_HOPS + 1):
            with self._connected(target) as (connection, path, more, deadline):
                fields = {**more, **_fields(target, {**sent, **part})}
                # Closed as well where nobody reads it to its end: it keeps the socket.
                with contextlib.closing(self._begin(connection, "GET", path, fields)) as response:
                    if response.status not in _MOVED:
                        if response.status != (_PART if start else _OK):
                            raise _refused(response.status)
                        yield _Body(response, deadline)
                        return
                    location = response.headers.get("Location")
            url, target, sent = _moved(url, location, target, sent)
        raise UpstreamUnavailableError(_STRANGE)

    def _begin(
        self,
        connection: HTTPConnection,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
    ) -> Any:
        """Send a request; returns the answer, of which nothing but the head was read."""
        try:
            connection.request(
                method,
                path,
                body=body,
                headers=headers,
                preload_content=False,
                decode_content=False,
            )
            return connection.getresponse()
        except failures() as error:
            raise UpstreamUnavailableError(SILENT) from error

    def post_form(
        self, url: str, fields: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> Any:
        """Send a form; returns the JSON of the answer.  No redirect is followed.

        Raises as `get_json`; a status of 4xx stands in the error.
        """
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        body = urlencode(fields).encode()
        return _read_json(self._send("POST", parse_target(url), {**(headers or {}), **kind}, body))

    def post(self, url: str, body: bytes, headers: Mapping[str, str] | None = None) -> int:
        """Send a body; returns the status, whichever it is.  No redirect is followed.

        Raises `UpstreamRefusedError` and `UpstreamUnavailableError`.
        """
        return self._send("POST", parse_target(url), headers or {}, body, most=0).status

    def _send(
        self,
        method: str,
        target: Target,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        most: int | None = None,
        told: bool = True,
    ) -> _Answer:
        # No path: that of a webhook is a secret often enough.
        about = {
            "http.request.method": method,
            "server.address": target.host,
            "server.port": target.port,
        }
        with self._tracing.span(method, about, SpanKind.CLIENT, root=True) as span:
            own = self._tracing.fields() if told else {}
            fields = _fields(target, {**own, **headers})
            answer = self._exchange(method, target, fields, body, most)
            span.set("http.response.status_code", answer.status)
            return answer

    def _exchange(
        self,
        method: str,
        target: Target,
        fields: Mapping[str, str],
        body: bytes | None,
        most: int | None,
    ) -> _Answer:
        with self._connected(target) as (connection, path, more, _):
            response = self._begin(connection, method, path, {**fields, **more}, body)
            try:
                return self._receive(response, self._most if most is None else most)
            except failures() as error:
                raise UpstreamUnavailableError(SILENT) from error

    def _receive(self, response: Any, most: int) -> _Answer:
        chunks: list[bytes] = []
        left = most + 1
        while most and left > 0 and (chunk := response.read1(min(left, _CHUNK))):
            chunks.append(chunk)
            left -= len(chunk)
        if left <= 0:
            raise UpstreamUnavailableError(_STRANGE)
        return _Answer(response.status, response.headers.get("Location"), b"".join(chunks))

    @contextlib.contextmanager
    def _connected(
        self, target: Target
    ) -> Generator[tuple[HTTPConnection, str, Mapping[str, str], Deadline]]:
        """A connection to a checked address; it is cut off when the time is over."""
        addresses = self._egress.addresses(target)
        with Deadline(self._timeout) as deadline:
            connection = self._connect(target, addresses, deadline)
            if self._proxy is not None and target.scheme == "http":
                absolute = f"http://{target.authority}{target.path}"
                yield connection, absolute, _proxy_fields(self._proxy), deadline
            else:
                yield connection, target.path, {}, deadline

    def _connect(
        self, target: Target, addresses: Iterable[str], deadline: Deadline
    ) -> HTTPConnection:
        problem: BaseException | None = None
        for address in addresses:
            connection = self._made(target, address)
            deadline.watch(connection)
            try:
                connection.connect()
                deadline.hold(connection.sock)
                return connection
            except failures() as error:
                problem = error
        raise UpstreamUnavailableError(SILENT) from problem

    def _made(self, target: Target, address: str) -> HTTPConnection:
        plain, secure = _connections()
        proxy = self._proxy
        host, port = address, target.port
        if proxy is not None:
            host, port = str(proxy.hostname), proxy.port or 80
        if target.scheme == "http":
            return plain(host, port, timeout=self._timeout)
        made = secure(
            host,
            port,
            timeout=self._timeout,
            ssl_context=self._context,
            # Whose certificate it has to be, whatever the address.
            server_hostname=target.host,
        )
        if proxy is not None:
            made.set_tunnel(target.host, target.port, _proxy_fields(proxy))
        return made


def _connections() -> Any:
    """The two kinds of connections.  Raises `ConfigurationError` without the package."""
    try:
        from urllib3.connection import (  # noqa: PLC0415 - an optional package
            HTTPConnection,
            HTTPSConnection,
        )
    except ImportError as error:
        message = "Asking other servers needs urllib3; pip install 'repocore[web]'."
        raise ConfigurationError(message) from error
    return HTTPConnection, HTTPSConnection


class _Body:
    """The body of an answer; each piece of it has its own time."""

    def __init__(self, response: Any, deadline: Deadline) -> None:
        self._response = response
        self._deadline = deadline

    def read(self, size: int, /) -> bytes:
        """Some of it; raises `UpstreamUnavailableError` where it ends before its length."""
        try:
            with self._deadline.again():
                return self._response.read1(size)
        except failures() as error:
            raise UpstreamUnavailableError(SILENT) from error


def _fields(target: Target, headers: Mapping[str, str]) -> dict[str, str]:
    return {**_FIELDS, **headers, "Host": target.authority}


def _moved(
    url: str, location: str | None, before: Target, sent: Mapping[str, str]
) -> tuple[str, Target, Mapping[str, str]]:
    """Where a redirect leads, and what may be sent there; raises `UpstreamRefusedError`."""
    url = urljoin(url, location or "")
    target = parse_target(url)
    if before.scheme == "https" != target.scheme:
        raise UpstreamRefusedError
    return url, target, sent if before.origin == target.origin else {}


def _refused(status: int) -> UpstreamUnavailableError:
    message = f"Another server that has to be asked answered {status}."
    return UpstreamUnavailableError(message, status=status)


def _tls(ca_bundle: str | Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=None if ca_bundle is None else str(ca_bundle))
    except OSError as error:
        message = "The file of certificates (ca_bundle) cannot be read, or holds none."
        raise ConfigurationError(message) from error


def _proxy_parts(url: str) -> SplitResult:
    message = "A proxy is written http://host:port, with user:password@ where it wants them."
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ConfigurationError(message) from error
    if parts.scheme != "http" or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ConfigurationError(message)
    return parts


def _proxy_fields(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    pair = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}".encode()
    return {"Proxy-Authorization": f"Basic {base64.b64encode(pair).decode()}"}


def _read_json(answer: _Answer) -> Any:
    if answer.status != _OK:
        raise _refused(answer.status)
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise UpstreamUnavailableError(_STRANGE) from error
