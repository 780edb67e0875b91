"""A worker whose registry does not open: it lives, says that it is not ready, and tries again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["Reopening"]

_log = logging.getLogger(__name__)

#: Seconds between two tries.
_PAUSE = 2.0


class Reopening:
    """Answers 503 until ``opened`` has made the application, which answers from then on.

    ``/healthz`` is answered as ever: the process serves, and to end it would help nobody.
    """

    def __init__(self, opened: Callable[[], WSGIApplication], pause: float = _PAUSE) -> None:
        self._opened = opened
        self._pause = pause
        self._application: WSGIApplication | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._try, name="reopening", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Try no more."""
        self._ended.set()
        self._thread.join()

    def _try(self) -> None:
        while not self._ended.wait(self._pause):
            try:
                self._application = self._opened()
            except Exception as error:  # noqa: BLE001 - whatever it is, it may be over next time
                _log.error("the registry does not open yet: %s", error)
            else:
                _log.warning("the registry is open again")
                return

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """The application's answer, or that there is none yet."""
        if self._application is not None:
            return self._application(environ, start_response)
        lives = environ.get("PATH_INFO", "").endswith("/healthz")
        body = b"ok\n" if lives else b"The registry cannot be opened at the moment; try again.\n"
        fields = [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))]
        if lives:
            start_response("200 OK", fields)
        else:
            start_response("503 Service Unavailable", [*fields, ("Retry-After", "2")])
        return (body,)
