"""``repocore_web.wsgi:application``, for gunicorn, mod_wsgi and every other WSGI server.

It is told by ``REPOCORE_DATA`` and ``REPOCORE_CONFIG``.  The registry is opened with the first
request of each process, so that a server may load us before it forks.  Where nobody has said how
to log, the settings do.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from repocore import open_registry
from repocore.errors import RepocoreError
from repocore.logs import configure_logging, noted
from repocore.registry import Registry
from repocore_web.app import create_app
from repocore_web.logs import LOG, redact

__all__ = ["application"]

_lock = threading.Lock()
# By process: connections do not survive a fork.  What a parent opened stays in here, because
# letting go of it in the child would close connections that the parent is using.
_opened: dict[int, tuple[WSGIApplication, Registry]] = {}


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """The application of this process; answers 503 for as long as its registry does not open."""
    opened = _opened.get(os.getpid())
    if opened is None:
        try:
            opened = _open(os.getpid())
        except RepocoreError as error:
            number = os.urandom(8).hex()
            with noted(request_id=number):
                LOG.critical("the registry does not open: %s", redact(str(error)))
            body = b"The server is not set up; its log says what is missing."
            fields = [
                ("Content-Type", "text/plain"),
                ("Content-Length", str(len(body))),
                ("X-Request-Id", number),
            ]
            start_response("503 Service Unavailable", fields)
            return (body,)
    return opened[0](environ, start_response)


def _open(process: int) -> tuple[WSGIApplication, Registry]:
    with _lock:
        if process not in _opened:
            registry = open_registry()
            if not logging.getLogger("repocore").hasHandlers():
                configure_logging(registry.settings.logs)
            try:
                _opened[process] = (create_app(registry), registry)
                registry.run_jobs()
            except RepocoreError:
                registry.close()
                raise
        return _opened[process]


@atexit.register
def _close() -> None:
    opened = _opened.pop(os.getpid(), None)
    if opened is not None:
        opened[1].close()
