"""A registry beside a WSGI application without any framework.

Run it with: gunicorn plain_wsgi:application
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIEnvironment

import repocore
from repocore_web import mount

registry = repocore.open_registry(data=os.environ.get("REPOCORE_DATA", "repocore-data"))


def own(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """The application that was there before."""
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "6")])
    return (b"mine\n\n",)


application = mount(own, "/packages", registry)
