"""One server, as whoever uploads talks to it.

The standard library's client is enough: connections are kept open from file to file.  Redirects
are not followed, so that credentials and bodies go where they were meant to, and nowhere else.
"""

from __future__ import annotations

import http.client
import ssl
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

import attrs

from repocore.errors import RejectedError
from repocore.http import Readable

__all__ = ["PATIENCE", "Answer", "Origin"]

#: Seconds in which a server must say something.
PATIENCE: Final = 120.0
#: Bytes of an answer that are read.
_MOST: Final = 64 << 10
_BLOCK: Final = 1 << 20
_PORTS: Final = {"http": 80, "https": 443}


@attrs.frozen
class Answer:
    """What a server said: a status, a sentence, and the field that names the bytes."""

    status: int
    sentence: str
    etag: str
    #: How many seconds to wait, where it says so.
    retry_after: int | None
    #: The body, or its beginning.
    content: bytes = attrs.field(default=b"", repr=False)


class Origin:
    """The server of a URL, for any number of threads.

    Raises `RejectedError` for a URL that is not one of HTTP.
    """

    def __init__(self, parts: SplitResult) -> None:
        try:
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if parts.scheme not in _PORTS or not host:
            message = "A URL of a server is http:// or https://, a host, and a path."
            raise RejectedError(message)
        self.scheme, self._host = parts.scheme, host
        self._port = port or _PORTS[parts.scheme]
        self._proxy = _proxy(parts.scheme, host)
        self._idle: deque[http.client.HTTPConnection] = deque()

    @property
    def key(self) -> tuple[str, str, int]:
        """Scheme, host and port: what makes two URLs be of one server."""
        return self.scheme, self._host, self._port

    def close(self) -> None:
        """Close what is open; idempotent, and the next request opens anew."""
        while self._idle:
            self._idle.pop().close()

    def exchange(
        self,
        method: str,
        target: str,
        body: Readable | None,
        headers: Mapping[str, str],
        *,
        patience: float = PATIENCE,
        most: int = _MOST,
    ) -> Answer:
        """Send a request, and read ``most`` bytes of what is answered; raises `OSError` where
        nobody answers, or nothing for so many seconds.
        """
        if self._proxy is not None and self.scheme == "http":
            target = f"http://{self._host}:{self._port}{target}"
        connection = self._connection()
        try:
            connection.putrequest(method, target, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders()
            # Who refuses says so before all was sent, and may close: that is what we want to hear.
            with suppress(BrokenPipeError, ConnectionResetError):
                while body is not None and (chunk := body.read(_BLOCK)):
                    connection.send(chunk)
            _wait(connection, patience)
            answer = _answer(connection.getresponse(), most)
            _wait(connection, PATIENCE)
        except http.client.HTTPException as error:
            connection.close()
            message = "the server's answer is not HTTP, or ended early"
            raise ConnectionError(message) from error
        except BaseException:
            connection.close()
            raise
        self._idle.append(connection)
        return answer

    def _connection(self) -> http.client.HTTPConnection:
        try:
            return self._idle.pop()
        except IndexError:
            return self._connect()

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._proxy or (self._host, self._port)
        if self.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=PATIENCE)
        made = http.client.HTTPSConnection(
            host, port, timeout=PATIENCE, context=ssl.create_default_context()
        )
        if self._proxy is not None:
            made.set_tunnel(self._host, self._port)
        return made


def _wait(connection: http.client.HTTPConnection, seconds: float) -> None:
    """How long a read may take from now on; nothing where it was closed."""
    line: Any = connection.sock
    if line is not None:
        line.settimeout(seconds)


def _proxy(scheme: str, host: str) -> tuple[str, int] | None:
    """The proxy that the environment names (``https_proxy``, ``no_proxy``)."""
    url = getproxies().get(scheme)
    if not url or proxy_bypass(host):
        return None
    parts = urlsplit(url if "//" in url else f"//{url}")
    return (parts.hostname, parts.port or _PORTS["http"]) if parts.hostname else None


def _answer(response: http.client.HTTPResponse, most: int) -> Answer:
    """Read an answer to its end, so that the connection can be used again."""
    content = response.read(most)
    if response.read(1):
        response.close()
    is_text = response.getheader("Content-Type", "").startswith("text/plain")
    wait = response.getheader("Retry-After", "")
    return Answer(
        status=response.status,
        sentence=content.decode(errors="replace").strip() if is_text else "",
        etag=response.getheader("ETag", ""),
        retry_after=int(wait) if wait.isdecimal() else None,
        content=content,
    )
