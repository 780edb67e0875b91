"""A wire between a client and PostgreSQL that breaks where a test wants it to."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator


class Wire:
    """Forwards every connection; one that sends what ``breaks`` names is cut after it.

    What was sent has arrived at the server by then, and its answer does not come back.
    """

    def __init__(self, port: int) -> None:
        self.breaks: Callable[[bytes], bool] = lambda _data: False
        self.cut = 0
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                server = socket.create_connection(("127.0.0.1", self._to))
                self._sockets += [client, server]
                deaf = threading.Event()
                for one, other, watched in ((client, server, True), (server, client, False)):
                    threading.Thread(
                        target=self._forward, args=(one, other, deaf, watched), daemon=True
                    ).start()

    def _forward(
        self, one: socket.socket, other: socket.socket, deaf: threading.Event, watched: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                if watched and self.breaks(data):
                    self.cut += 1
                    deaf.set()
                if not watched and deaf.is_set():
                    break  # the answer to what was cut: it has been done, and nobody hears of it
                other.sendall(data)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Cut everything."""
        for one in (self._listener, *self._sockets):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@contextlib.contextmanager
def wire(port: int) -> Iterator[Wire]:
    """Yield a wire to a port of this machine."""
    made = Wire(port)
    try:
        yield made
    finally:
        made.close()
