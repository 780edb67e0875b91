"""One application beside another: repocore under a prefix of Flask, Django or any WSGI."""

from __future__ import annotations

from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from repocore.registry import Registry
from repocore_web.app import create_app

__all__ = ["mount"]


def mount(app: WSGIApplication, prefix: str, registry: Registry) -> WSGIApplication:
    """An application that serves the registry below ``prefix`` and ``app`` everywhere else.

    ``prefix`` starts with a slash and does not end in one.  URLs that repocore makes include it.
    """
    if not prefix.startswith("/") or prefix.endswith("/"):
        message = f"{prefix!r} is no prefix: it starts with a slash and does not end in one."
        raise ValueError(message)
    inner = create_app(registry)

    def both(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path: str = environ.get("PATH_INFO", "")
        if path != prefix and not path.startswith(f"{prefix}/"):
            return app(environ, start_response)
        below = dict(environ)
        below["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + prefix
        below["PATH_INFO"] = path.removeprefix(prefix)
        return inner(below, start_response)

    return both
