"""Who asks: the ping before everything, the login, and whose login it is."""

from __future__ import annotations

from typing import Final

from repocore.errors import NotAuthenticatedError
from repocore.http import Request, Response
from repocore.model import ApiKey, Password
from repocore.registry import Session

__all__ = ["authenticate", "check_credentials", "ping"]

CAPABILITIES: Final = ("X-Conan-Server-Capabilities", "complex_search,revisions,checksum_deploy")
_TEXT: Final = (("Content-Type", "text/plain"),)


def ping(_session: Session, _request: Request) -> Response:
    """Say what this server can do; asks for no credentials."""
    return Response(200, b"", (CAPABILITIES, ("Content-Type", "text/html; charset=utf-8")))


def authenticate(session: Session, request: Request) -> Response:
    """Exchange a password (Basic) for a signed token: the whole body, and nothing else."""
    if not isinstance(request.credentials, Password | ApiKey) or session.principal.anonymous:
        message = "Send your user name and password as Basic credentials."
        raise NotAuthenticatedError(message)
    lifetime = session.registry.settings.limits.login_lifetime
    token = session.registry.issue(session.principal, audience="conan", lifetime=lifetime)
    return Response(200, token.encode(), _TEXT)


def check_credentials(session: Session, _request: Request) -> Response:
    """Say whose token it is."""
    name = session.principal.name
    if name is None:
        message = "Logged user needed!"
        raise NotAuthenticatedError(message)
    return Response(200, name.encode(), _TEXT)
