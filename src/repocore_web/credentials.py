"""Which credentials a request carries."""

from __future__ import annotations

import base64
import binascii
from typing import Final
from wsgiref.types import WSGIEnvironment

from repocore.errors import NotAuthenticatedError
from repocore.model import Anonymous, ApiKey, Bearer, Credentials, Password

__all__ = ["TOKEN_PREFIX", "TOKEN_USER", "read_credentials"]

#: How the secrets of API tokens begin.
TOKEN_PREFIX: Final = "rpc-"  # noqa: S105 - it is what all of them have in common
#: The user name of those whose password is a token.
TOKEN_USER: Final = "__token__"  # noqa: S105 - it is nobody's secret

_ANONYMOUS: Final = Anonymous()
_UNREADABLE: Final = "The Authorization field cannot be read; send it again, or leave it out."


def read_credentials(environ: WSGIEnvironment, token: str | None = None) -> Credentials:
    """Say what was sent: the token of the path, the Authorization field, or the X-API-Key field.

    A client that sends an API token as a password (RFC 7617) or as a bearer token (RFC 6750) means
    the token.  Raises `NotAuthenticatedError` for another scheme and for what cannot be decoded: a
    request with broken credentials is not an anonymous one.
    """
    if token is not None:
        return ApiKey(token)
    field: str = environ.get("HTTP_AUTHORIZATION", "")
    if not field or field.isspace():
        key: str = environ.get("HTTP_X_API_KEY", "").strip()
        return ApiKey(key) if key else _ANONYMOUS
    scheme, _, value = field.strip().partition(" ")
    value = value.strip()
    match scheme.lower():
        case "bearer":
            return _bearer(value)
        case "basic":
            return _basic(value)
        case _:
            message = "Sign in with the scheme Basic or Bearer; there is no other here."
            raise NotAuthenticatedError(message)


def _bearer(value: str) -> Credentials:
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        raise NotAuthenticatedError(_UNREADABLE)
    return ApiKey(value) if value.startswith(TOKEN_PREFIX) else Bearer(value)


def _basic(value: str) -> Credentials:
    try:
        decoded = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NotAuthenticatedError(_UNREADABLE) from error
    username, colon, password = _text(decoded).partition(":")
    if not colon or not username.isprintable() or "\0" in password:
        raise NotAuthenticatedError(_UNREADABLE)
    if username == TOKEN_USER or password.startswith(TOKEN_PREFIX):
        return ApiKey(password)
    return Password(username, password)


def _text(decoded: bytes) -> str:
    # RFC 7617 section 2.1: we announce UTF-8; clients that cannot do it send ISO 8859-1.
    try:
        return decoded.decode()
    except UnicodeDecodeError:
        return decoded.decode("latin-1")
