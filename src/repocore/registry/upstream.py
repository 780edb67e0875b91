"""Ask other servers: who signs people in, and who wants to be told.

Small answers only.  Each request resolves its name once, has every address checked, and connects
to one that was checked; nothing is taken from the environment (no proxy, no netrc), answers are
asked for without compression, and both their size and their time are bounded.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
import ssl
import threading
from collections.abc import Generator, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import SplitResult, unquote, urlencode, urljoin, urlsplit

import attrs

from repocore.errors import ConfigurationError, UpstreamRefusedError, UpstreamUnavailableError
from repocore.registry.egress import Egress, Target, parse_target

if TYPE_CHECKING:
    from urllib3.connection import HTTPConnection

__all__ = ["UpstreamClient"]

#: How many redirects of a GET are followed.
_HOPS: Final = 5
_MOVED: Final = frozenset({301, 302, 303, 307, 308})
_CHUNK: Final = 1 << 16
_SILENT: Final = "Another server that has to be asked does not answer; try again later."
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
    """A client for small requests; threads may share it.

    ``proxy`` is ``http://[user:password@]host:port``; ``ca_bundle`` a file of certificates in the
    place of the system's; ``timeout`` the seconds that one answer may take, from its start to its
    end; ``allow`` the networks and names of hosts that need not be public; ``most`` the bytes of
    an answer.

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
    ) -> None:
        _connections()
        self._proxy = None if proxy is None else _proxy_parts(proxy)
        self._egress = Egress(allow, by_proxy=proxy is not None)
        self._context = _tls(ca_bundle)
        self._timeout = timeout
        self._most = most

    def get_json(self, url: str, headers: Mapping[str, str] | None = None) -> Any:
        """What JSON stands at a URL; follows five redirects, each checked like the first.

        The headers go to the origin of the URL only, and nothing goes from https to http.  Raises
        `UpstreamRefusedError` where it must not connect, `UpstreamUnavailableError` for another
        status than 200, for what is no JSON, too long or too late.
        """
        target = parse_target(url)
        sent = dict(headers or {})
        for _ in range(_HOPS + 1):
            answer = self._send("GET", target, sent)
            if answer.status not in _MOVED:
                return _read_json(answer)
            url, before = urljoin(url, answer.location or ""), target
            target = parse_target(url)
            if before.scheme == "https" != target.scheme:
                raise UpstreamRefusedError
            if before.origin != target.origin:
                sent = {}
        raise UpstreamUnavailableError(_STRANGE)

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
    ) -> _Answer:
        fields = {**_FIELDS, **headers, "Host": target.authority}
        with self._connected(target) as (connection, path, more):
            try:
                connection.request(
                    method,
                    path,
                    body=body,
                    headers={**fields, **more},
                    preload_content=False,
                    decode_content=False,
                )
                return self._receive(connection, self._most if most is None else most)
            except _failures() as error:
                raise UpstreamUnavailableError(_SILENT) from error

    def _receive(self, connection: HTTPConnection, most: int) -> _Answer:
        response = connection.getresponse()
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
    ) -> Generator[tuple[HTTPConnection, str, Mapping[str, str]]]:
        """A connection to a checked address; it is cut off when the time is over."""
        addresses = self._egress.addresses(target)
        with _Deadline(self._timeout) as deadline:
            connection = self._connect(target, addresses, deadline)
            if self._proxy is not None and target.scheme == "http":
                absolute = f"http://{target.authority}{target.path}"
                yield connection, absolute, _proxy_fields(self._proxy)
            else:
                yield connection, target.path, {}

    def _connect(
        self, target: Target, addresses: Iterable[str], deadline: _Deadline
    ) -> HTTPConnection:
        problem: BaseException | None = None
        for address in addresses:
            connection = self._made(target, address)
            deadline.watch(connection)
            try:
                connection.connect()
                deadline.hold(connection.sock)
                return connection
            except _failures() as error:
                problem = error
        raise UpstreamUnavailableError(_SILENT) from problem

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


def _failures() -> tuple[type[Exception], ...]:
    from urllib3.exceptions import HTTPError  # noqa: PLC0415 - an optional package

    return (HTTPError, http.client.HTTPException, OSError, ValueError)


class _Deadline:
    """Ends whatever waits for a connection when the time is over; closes it in any case."""

    def __init__(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._watched: HTTPConnection | None = None
        self._held: Any = None
        self._over = False

    def watch(self, connection: HTTPConnection) -> None:
        """Look after this one, and close the one before."""
        self._close()
        if self._over:
            raise UpstreamUnavailableError(_SILENT)
        self._watched = connection

    def hold(self, sock: Any) -> None:
        """Its socket, which the connection hands on to the answer."""
        self._held = sock

    def _cut(self) -> None:
        self._over = True
        sock = self._held or (None if self._watched is None else self._watched.sock)
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _close(self) -> None:
        if self._watched is not None:
            self._watched.close()

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        self._close()


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
    if answer.status != 200:  # noqa: PLR2004 - the one that has an answer in it
        message = f"Another server that has to be asked answered {answer.status}."
        raise UpstreamUnavailableError(message, status=answer.status)
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise UpstreamUnavailableError(_STRANGE) from error
