"""A channel on a server, as whoever uploads to it talks to it.

The standard library's client is enough: connections are kept open from file to file.  Redirects
are not followed, so that credentials go where they were meant to, and nowhere else.
"""

from __future__ import annotations

import base64
import http.client
import ssl
from collections import deque
from contextlib import suppress
from typing import Final
from urllib.parse import SplitResult, quote, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import attrs

from repocore import __version__
from repocore.errors import RejectedError
from repocore.http import Readable

__all__ = ["Answer", "RemoteChannel"]

#: Seconds in which a server must say something.
_PATIENCE: Final = 120.0
#: Bytes of an answer that are read for the sentence in it.
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


class RemoteChannel:
    """The channel at a URL, for any number of threads.

    Credentials are a token, or what the URL has before its host; they are in no message.  Raises
    `RejectedError` for a URL that is not one of HTTP.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        parts = urlsplit(url)
        try:
            host, port = parts.hostname, parts.port
        except ValueError:
            host = port = None
        if parts.scheme not in _PORTS or not host or parts.query or parts.fragment:
            message = "A channel's URL is http:// or https://, a host, and the path of the channel."
            raise RejectedError(message)
        self._scheme, self._host = parts.scheme, host
        self._port = port or _PORTS[parts.scheme]
        self._path = parts.path.rstrip("/")
        self._headers = {"User-Agent": f"repocore/{__version__}", **_credentials(parts, token)}
        self._proxy = _proxy(parts.scheme, host)
        self._idle: deque[http.client.HTTPConnection] = deque()

    @property
    def name(self) -> str:
        """The last segment of its path: what the channel is called."""
        return unquote(self._path.rpartition("/")[2])

    def close(self) -> None:
        """Close what is open; idempotent, and the next request opens anew."""
        while self._idle:
            self._idle.pop().close()

    def ask(self, path: str) -> Answer:
        """HEAD of a file of the channel; raises `OSError` where nobody answers."""
        return self._exchange("HEAD", path, None, {})

    def put(
        self, path: str, body: Readable, size: int, sha256: str, *, force: bool = False
    ) -> Answer:
        """PUT a body of that size and digest; raises `OSError` where nobody answers."""
        headers = {
            "Content-Length": str(size),
            "Content-Type": "application/octet-stream",
            "X-Checksum-Sha256": sha256,
        }
        return self._exchange("PUT", f"{path}?force=true" if force else path, body, headers)

    def _exchange(
        self, method: str, path: str, body: Readable | None, headers: dict[str, str]
    ) -> Answer:
        target, _, query = path.partition("?")
        url = f"{self._path}/{quote(target, safe='/+!')}" + (f"?{query}" if query else "")
        if self._proxy is not None and self._scheme == "http":
            url = f"http://{self._host}:{self._port}{url}"
        connection = self._connection()
        try:
            connection.putrequest(method, url, skip_accept_encoding=True)
            for name, value in {**self._headers, **headers}.items():
                connection.putheader(name, value)
            connection.endheaders()
            # Who refuses says so before all was sent, and may close: that is what we want to hear.
            with suppress(BrokenPipeError, ConnectionResetError):
                while body is not None and (chunk := body.read(_BLOCK)):
                    connection.send(chunk)
            answer = _answer(connection.getresponse())
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
        if self._scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=_PATIENCE)
        made = http.client.HTTPSConnection(
            host, port, timeout=_PATIENCE, context=ssl.create_default_context()
        )
        if self._proxy is not None:
            made.set_tunnel(self._host, self._port)
        return made


def _credentials(parts: SplitResult, token: str | None) -> dict[str, str]:
    if token:
        return {"Authorization": f"Bearer {token}"}
    if parts.username is None:
        return {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def _proxy(scheme: str, host: str) -> tuple[str, int] | None:
    """The proxy that the environment names (``https_proxy``, ``no_proxy``)."""
    url = getproxies().get(scheme)
    if not url or proxy_bypass(host):
        return None
    parts = urlsplit(url if "//" in url else f"//{url}")
    return (parts.hostname, parts.port or _PORTS["http"]) if parts.hostname else None


def _answer(response: http.client.HTTPResponse) -> Answer:
    """Read an answer to its end, so that the connection can be used again."""
    text = response.read(_MOST)
    if response.read(1):
        response.close()
    is_text = response.getheader("Content-Type", "").startswith("text/plain")
    wait = response.getheader("Retry-After", "")
    return Answer(
        status=response.status,
        sentence=text.decode(errors="replace").strip() if is_text else "",
        etag=response.getheader("ETag", ""),
        retry_after=int(wait) if wait.isdecimal() else None,
    )
