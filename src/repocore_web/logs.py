"""What the adapter writes down of a request, and which secrets came with it."""

from __future__ import annotations

import base64
import binascii
import logging
import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import parse_qsl, unquote
from wsgiref.types import WSGIEnvironment

from repocore.logs import SECRET_NAMES, describe, printable, redact

__all__ = ["LOG", "describe", "printable", "redact", "sent_secrets"]

LOG: Final = logging.getLogger("repocore.web")

_TOKEN: Final = re.compile(r"/t/([^/]+)")
_PARAMETER: Final = re.compile(
    rf"(?:code|key|nonce|state|{'|'.join(SECRET_NAMES)})\Z", re.IGNORECASE
)
#: Cookies of others mean something short, a language, say.
_COOKIE: Final = 12


def sent_secrets(environ: WSGIEnvironment) -> Iterator[str]:
    """What came with a request that nobody else may see, as it was sent and as it is understood;
    also of credentials that cannot be read.
    """
    yield from _authorization(environ.get("HTTP_AUTHORIZATION", ""))
    for name in ("HTTP_X_API_KEY", "HTTP_PROXY_AUTHORIZATION", "HTTP_X_CSRF_TOKEN"):
        yield environ.get(name, "").strip()
    for cookie in environ.get("HTTP_COOKIE", "").split(";"):
        value = cookie.partition("=")[2].strip().strip('"')
        if len(value) >= _COOKIE:
            yield value
    yield from _TOKEN.findall(environ.get("PATH_INFO", ""))
    raw = environ.get("RAW_URI") or environ.get("REQUEST_URI") or ""
    yield from _TOKEN.findall(unquote(raw.partition("?")[0]))
    for pair in environ.get("QUERY_STRING", "").split("&"):
        name, _, value = pair.partition("=")
        if value and _PARAMETER.match(unquote(name)):
            yield value
            yield from (text for _, text in parse_qsl(f"x={value}"))


def _authorization(field: str) -> Iterator[str]:
    scheme, _, value = field.strip().partition(" ")
    value = value.strip() or scheme
    yield value
    if scheme.lower() != "basic":
        return
    try:
        decoded = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        return
    password = decoded.partition(b":")[2]
    yield password.decode(errors="replace")
    yield password.decode("latin-1")
