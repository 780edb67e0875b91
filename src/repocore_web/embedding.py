"""One application beside another: repocore under a prefix of Flask, Django or any WSGI."""

from __future__ import annotations

from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from repocore.errors import InvalidPathError
from repocore.model import FilePath
from repocore.registry import Registry
from repocore_web.app import create_app
from repocore_web.targets import below

__all__ = ["mount"]


def mount(app: WSGIApplication, prefix: str, registry: Registry) -> WSGIApplication:
    """An application that serves the registry below ``prefix`` and ``app`` everywhere else.

    ``prefix`` starts with a slash and does not end in one; raises `InvalidPathError` otherwise.
    URLs that repocore makes include it.
    """
    FilePath.parse(prefix.removeprefix("/"))
    if not prefix.startswith("/"):
        message = f"{prefix!r} is no prefix: it starts with a slash and does not end in one."
        raise InvalidPathError(message)
    inner = create_app(registry)

    def both(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        inside = below(environ, prefix)
        if inside is None:
            return app(environ, start_response)
        return inner(inside, start_response)

    return both
