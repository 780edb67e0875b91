"""Who a request is from that brings no credentials of its own: a browser with a session, or
somebody whom a proxy names.

A browser sends both along with whatever another site makes it send.  So they count for reading;
what changes something has to show that it was meant here.
"""

from __future__ import annotations

import io
from typing import Final
from urllib.parse import parse_qsl, urlsplit
from wsgiref.types import WSGIEnvironment

from repocore.cookies import is_csrf_word, read_cookie
from repocore.errors import AccessDeniedError, NotAuthenticatedError
from repocore.http import Headers, Readable
from repocore.model import Anonymous, Credentials, External
from repocore.registry import Registry, Session
from repocore_web.forwarding import Forwarding

__all__ = ["Visitors"]

_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_FORM: Final = "application/x-www-form-urlencoded"
_MOST_FORM: Final = 1 << 16
_FOREIGN: Final = (
    "Another site may have made your browser send this, so nothing was changed. Load the page anew "
    "and try again there. A program sends X-Requested-With along with the session's cookie, or a "
    "token instead of it."
)
_ANONYMOUS: Final = Anonymous()


class Visitors:
    """The sessions and the named people of one application."""

    def __init__(self, registry: Registry, forwarding: Forwarding) -> None:
        self._registry = registry
        self._forwarding = forwarding
        self._web = registry.settings.web
        self._cookie = registry.settings.session.cookie

    def connect(
        self, environ: WSGIEnvironment, headers: Headers, credentials: Credentials
    ) -> tuple[Session, Credentials]:
        """The session of whoever sends a request, and what proved it.

        Credentials of the request itself go before whom a proxy names, and that before a cookie.
        A cookie that is worth nothing is no cookie: whoever has it must be able to sign in.
        """
        source = self._forwarding.client(environ)
        if not isinstance(credentials, Anonymous):
            return self._registry.connect(credentials, source=source), credentials
        named = self._named(environ, headers)
        if named is not None:
            return self._registry.connect(named, source=source), named
        token = read_cookie(headers, self._cookie)
        if token:
            found = External("session", token)
            try:
                return self._registry.connect(found, source=source), found
            except NotAuthenticatedError:
                pass
        return self._registry.connect(_ANONYMOUS, source=source), _ANONYMOUS

    def _named(self, environ: WSGIEnvironment, headers: Headers) -> External | None:
        """Whom a trusted proxy names.

        A field that was sent twice arrives with a comma in it, which no name has: that is refused,
        because one of the two is not the proxy's.
        """
        web = self._web
        if web.user_header is None or not self._forwarding.trusts(environ):
            return None
        name = (headers.get(web.user_header) or "").strip()
        if not name:
            return None
        fields = (("groups", web.groups_header), ("email", web.email_header))
        profile = tuple(
            (key, _text(headers.get(field))) for key, field in fields if field is not None
        )
        return External("header", _text(name), profile)

    def guarded(
        self,
        environ: WSGIEnvironment,
        headers: Headers,
        credentials: Credentials,
        body: Readable,
        base_url: str,
    ) -> Readable:
        """The body of a request that may change what it wants to; a form is read for its word.

        Raises `AccessDeniedError` where another site may have made a browser send it.
        """
        if not isinstance(credentials, External) or environ["REQUEST_METHOD"] in _SAFE:
            return body
        if credentials.provider == "session":
            return _meant(headers, credentials.subject, body)
        # Browsers tell where such a request comes from, and no other client has to.
        origin, site = headers.get("Origin"), headers.get("Sec-Fetch-Site")
        foreign = origin is not None and urlsplit(origin).netloc != urlsplit(base_url).netloc
        if foreign or site not in {None, "same-origin", "none"}:
            raise AccessDeniedError(_FOREIGN)
        return body


def _meant(headers: Headers, token: str, body: Readable) -> Readable:
    # No form can send these, and a script of another site only where we let it: we do not.
    if headers.get("X-Requested-With"):
        return body
    if is_csrf_word(headers.get("X-CSRF-Token") or "", token):
        return body
    if (headers.get("Content-Type") or "").partition(";")[0].strip().lower() != _FORM:
        raise AccessDeniedError(_FOREIGN)
    raw = body.read(_MOST_FORM + 1)
    if len(raw) <= _MOST_FORM and is_csrf_word(_word(raw), token):
        return io.BytesIO(raw)
    raise AccessDeniedError(_FOREIGN)


def _word(raw: bytes) -> str:
    try:
        return dict(parse_qsl(raw.decode(), max_num_fields=50)).get("csrf", "")
    except ValueError:
        return ""


def _text(field: str | None) -> str:
    # PEP 3333: bytes in the guise of latin-1.
    try:
        return (field or "").encode("latin-1").decode()
    except ValueError:
        return "\0"  # nobody's name
