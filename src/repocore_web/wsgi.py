"""``repocore_web.wsgi:application``, for gunicorn, mod_wsgi and every other WSGI server.

It is told by ``REPOCORE_DATA`` and ``REPOCORE_CONFIG``.  The registry is opened with the first
request of each process, so that a server may load us before it forks.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from repocore import open_registry
from repocore_web.app import create_app

__all__ = ["application"]

_lock = threading.Lock()
_opened: dict[int, WSGIApplication] = {}


def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """The application of this process."""
    app = _opened.get(os.getpid())
    if app is None:
        app = _open()
    return app(environ, start_response)


def _open() -> WSGIApplication:
    with _lock:
        found = _opened.get(os.getpid())
        if found is None:
            registry = open_registry()
            atexit.register(registry.close)
            found = create_app(registry)
            _opened.clear()
            _opened[os.getpid()] = found
    return found
