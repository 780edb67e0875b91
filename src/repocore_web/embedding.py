"""One application beside another: repocore under a prefix of Flask, Django or any WSGI."""

from __future__ import annotations

from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from repocore.errors import InvalidPathError
from repocore.model import FilePath
from repocore.registry import Registry
from repocore_web.app import create_app

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
    # PEP 3333: the environ holds bytes in the guise of latin-1.
    above = prefix.encode().decode("latin-1")

    def both(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path: str = environ.get("PATH_INFO", "")
        if path != above and not path.startswith(f"{above}/"):
            return app(environ, start_response)
        below = dict(environ)
        below["SCRIPT_NAME"] = environ.get("SCRIPT_NAME", "") + above
        below["PATH_INFO"] = path.removeprefix(above)
        return inner(below, start_response)

    return both
