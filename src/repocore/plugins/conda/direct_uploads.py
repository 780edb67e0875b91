"""Send large packages to the storage behind a server, where it offers that.

Whatever does not work this way is left to the plain one, which says what is wrong with it: nobody
has to know that there are two.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final, Self
from urllib.parse import SplitResult, urlsplit

import attrs

from repocore.errors import RejectedError
from repocore.plugins.conda.local_packages import LocalPackage
from repocore.plugins.conda.origins import PATIENCE, Answer, Origin
from repocore.plugins.conda.remote_channel import RemoteChannel

__all__ = ["DirectUploads"]

#: No server is asked for less: the requests around it cost as much as they save.
_WORTH: Final = 8 << 20
_TRIES: Final = 4
#: Seconds before the second try of a part; each further one waits twice as long.
_PAUSE: Final = 0.5
#: Seconds between two lines on one file.
_EVERY: Final = 10.0
#: Bytes a second that a server reads back and hashes, at least.
_READ_BACK: Final = 8 << 20
_BLOCK: Final = 1 << 20
#: How much of a file may be sent again before the plain way is the better one.
_MOST_AGAIN: Final = 3
#: Statuses of a part after which it may do better; 400 is that of a body that was damaged.
_PASSING: Final = frozenset({400, 408, 425, 429, 500, 502, 503, 504})
#: What the plain way knows better: wrong bytes, and an upload that is gone.
_ANEW: Final = frozenset({400, 404})
_OK: Final = 200
_CREATED: Final = 201


@attrs.frozen
class _Part:
    """Bytes of a file, and where they are to be sent."""

    start: int
    stop: int
    url: SplitResult
    headers: Mapping[str, str]

    @classmethod
    def read(cls, value: Any, size: int, *, secure: bool) -> Self:
        """A part of an answer; raises `ValueError` for what is none, or goes over an open line."""
        url = urlsplit(str(value["url"]))
        start, stop = int(value["start"]), int(value["stop"])
        if value["method"] != "PUT" or not 0 <= start < stop <= size:
            raise ValueError("no part of the file")
        if secure and url.scheme != "https":
            raise ValueError("not over an open line")
        headers = {str(name): str(field) for name, field in dict(value["headers"]).items()}
        return cls(start, stop, url, {**headers, "Content-Length": str(stop - start)})


class _Lines:
    """Says now and then how much of a file has been sent."""

    def __init__(self, package: LocalPackage, say: Callable[[str], object]) -> None:
        self._package = package
        self._say = say
        self._lock = threading.Lock()
        self._next = time.monotonic() + _EVERY
        self.sent = 0

    def add(self, count: int) -> None:
        """So many bytes more have arrived."""
        with self._lock:
            self.sent += count
            if time.monotonic() < self._next:
                return
            self._next = time.monotonic() + _EVERY
        name, size = self._package.path.name, self._package.size
        self._say(f"{name}: {min(self.sent, size) >> 20} of {size >> 20} MiB are sent")


class DirectUploads:
    """The way to the storage, for the files of one command; parts are sent ``parallel`` at a time.

    The storage gets signed requests only, and never what the channel's server is told of us.
    """

    def __init__(
        self,
        channel: RemoteChannel,
        parallel: int,
        *,
        sleep: Callable[[float], object] = time.sleep,
        say: Callable[[str], object] = lambda _: None,
    ) -> None:
        self._channel = channel
        self._sleep = sleep
        self._say = say
        self._lock = threading.Lock()
        self._asked = False
        self._smallest: int | None = None
        self._origins: dict[tuple[str, str, int], Origin] = {}
        self._pool = ThreadPoolExecutor(parallel, thread_name_prefix="repocore-part")

    def close(self) -> None:
        """Close what is open, and begin no part any more."""
        self._pool.shutdown(cancel_futures=True)
        for origin in self._origins.values():
            origin.close()

    def put(self, package: LocalPackage, *, force: bool) -> Answer | None:
        """What the server says of the file once it was sent; None: send it the plain way.

        Raises `OSError` where the server does not answer.
        """
        if package.size < _WORTH:
            return None
        smallest = self._offered()
        if smallest is None or package.size < smallest:
            return None
        upload = self._sent(package)
        if upload is None:
            return None
        answer = self._channel.complete(
            package.where,
            upload,
            package.digest,
            patience=PATIENCE + package.size / _READ_BACK,
            force=force,
        )
        return None if answer.status in _ANEW else answer

    def _offered(self) -> int | None:
        """From which size on the server wants it; asked once."""
        with self._lock:
            if not self._asked:
                answer = self._channel.offer()
                if answer is not None and answer.status == _OK:
                    with suppress(ValueError, TypeError, KeyError):
                        self._smallest = int(json.loads(answer.content)["smallest"])
                self._asked = True
            return self._smallest

    def _sent(self, package: LocalPackage) -> str | None:
        """Send the parts that the server misses until it misses none; the id of the upload."""
        lines = _Lines(package, self._say)
        while True:
            answer = self._channel.begin(package.where, package.size, package.digest)
            if answer is None or answer.status != _CREATED:
                return None
            try:
                upload, parts = self._read(answer, package.size)
            except (ValueError, TypeError, KeyError):
                return None
            if not parts:
                return upload
            before = lines.sent
            self._send(package, parts, lines)
            if lines.sent == before or lines.sent > _MOST_AGAIN * package.size:
                # The storage is out of reach from here: so it is for the other files.
                self._smallest = None
                self._channel.forget(upload)
                return None

    def _read(self, answer: Answer, size: int) -> tuple[str, list[_Part]]:
        secure = self._channel.scheme == "https"
        value = json.loads(answer.content)
        return str(value["id"]), [_Part.read(one, size, secure=secure) for one in value["parts"]]

    def _send(self, package: LocalPackage, parts: Sequence[_Part], lines: _Lines) -> None:
        """Send parts side by side; the first that fails for good ends it."""
        over = threading.Event()

        def send(part: _Part) -> None:
            if over.is_set():
                return
            if self._send_part(package.path, part):
                lines.add(part.stop - part.start)
            else:
                over.set()

        for _ in self._pool.map(send, parts):
            pass

    def _send_part(self, path: Path, part: _Part) -> bool:
        """Send one, and try again what may do better; whether it arrived."""
        target = f"{part.url.path}?{part.url.query}"
        try:
            origin = self._origin(part.url)
            with path.open("rb") as stream:
                md5 = _md5(_Bytes.of(stream, part))
        except RejectedError:
            return False
        headers = {**part.headers, "Content-MD5": md5}
        for turn in range(_TRIES):
            if turn:
                self._sleep(_PAUSE * 2**turn)
            with suppress(OSError), path.open("rb") as stream:
                body = _Bytes.of(stream, part)
                answer = origin.exchange("PUT", target, body, headers)
                if answer.status in {_OK, _CREATED} or answer.status not in _PASSING:
                    return answer.status in {_OK, _CREATED}
        return False

    def _origin(self, url: SplitResult) -> Origin:
        made = Origin(url)
        with self._lock:
            return self._origins.setdefault(made.key, made)


@attrs.define
class _Bytes:
    """The bytes of a part, from a file."""

    _stream: BinaryIO
    _left: int

    @classmethod
    def of(cls, stream: BinaryIO, part: _Part) -> Self:
        """Those of a file that is open."""
        stream.seek(part.start)
        return cls(stream, part.stop - part.start)

    def read(self, size: int = -1, /) -> bytes:
        """Some of them."""
        chunk = self._stream.read(self._left if size < 0 else min(size, self._left))
        self._left -= len(chunk)
        return chunk


def _md5(body: _Bytes) -> str:
    """What a store compares with the bytes that it got (RFC 1864)."""
    found = hashlib.md5(usedforsecurity=False)
    while chunk := body.read(_BLOCK):
        found.update(chunk)
    return base64.b64encode(found.digest()).decode()
