"""How long another server that is asked may take, and what it means where it takes longer."""

from __future__ import annotations

import contextlib
import http.client
import socket
import threading
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Final, Self

from repocore.errors import UpstreamUnavailableError

if TYPE_CHECKING:
    from urllib3.connection import HTTPConnection

__all__ = ["SILENT", "Deadline", "failures"]

#: What is said of a server that breaks off, or says nothing.
SILENT: Final = "Another server that has to be asked does not answer; try again later."


def failures() -> tuple[type[Exception], ...]:
    """What a connection raises that breaks."""
    from urllib3.exceptions import HTTPError  # noqa: PLC0415 - an optional package

    return (HTTPError, http.client.HTTPException, OSError, ValueError)


class Deadline:
    """Ends whatever waits for a connection when the time is over; closes it in any case."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._timer = self._begun()
        self._watched: HTTPConnection | None = None
        self._held: Any = None
        self._over = False

    def _begun(self) -> threading.Timer:
        timer = threading.Timer(self._seconds, self._cut)
        timer.daemon = True
        return timer

    @contextlib.contextmanager
    def again(self) -> Generator[None]:
        """Give what is done in the block as much time as all had; then wait without an end."""
        self._timer.cancel()
        self._timer = self._begun()
        self._timer.start()
        try:
            yield
        finally:
            self._timer.cancel()

    def watch(self, connection: HTTPConnection) -> None:
        """Look after this one, and close the one before."""
        self._close()
        if self._over:
            raise UpstreamUnavailableError(SILENT)
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
