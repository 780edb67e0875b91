"""The steps of a sign-in with another: there, and back.

What only we and the browser may know travels in a cookie of that one sign-in: signed, so that
nobody else has begun it, and good for one answer, so that none is played twice.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, cast
from urllib.parse import parse_qsl, urlsplit

import attrs

from repocore.cookies import cookie_field, read_cookie
from repocore.errors import (
    MissingError,
    NotAuthenticatedError,
    RejectedError,
    UpstreamError,
    UpstreamUnavailableError,
)
from repocore.http import Request, Response
from repocore.model import External, Principal
from repocore.plugins.oauth.admission import admit
from repocore.plugins.oauth.providers import Attempt, Provider
from repocore.registry import Registry, Session

__all__ = ["Flows", "is_secure", "read_form", "safe_next", "signed_in"]

#: How long somebody may take at the provider.
_PATIENCE: Final = timedelta(minutes=10)
_PURPOSE: Final = "sign-in"
_MOST_FORM: Final = 1 << 16
_AGAIN: Final = "The sign-in has taken too long, or was not begun in this browser; begin again."


def safe_next(text: str | None, base_url: str) -> str:
    r"""Where somebody goes on: a path of this server, whatever was asked for.

    Only a path that each browser reads as one of ours is taken: ``//``, ``/\\`` and control
    characters lead elsewhere.
    """
    home = f"{urlsplit(base_url).path}/account"
    if not text or not text.startswith("/") or text[1:2] in {"/", "\\"} or "\\" in text:
        return home
    if not text.isascii() or not text.isprintable() or " " in text:
        return home
    parts = urlsplit(text)
    # Nobody wants to be back where a sign-in begins.
    if parts.scheme or parts.netloc or "/auth/" in parts.path:
        return home
    return text


def is_secure(session: Session, request: Request) -> bool:
    """Whether cookies go over https only: as the settings say, else where people use it."""
    wanted: bool | None = session.registry.settings.session.secure
    return request.base_url.startswith("https:") if wanted is None else wanted


def read_form(request: Request) -> dict[str, str]:
    """The fields of a small form.  Raises `RejectedError` for another body."""
    kind = (request.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
    raw = request.body.read(_MOST_FORM + 1) if kind == "application/x-www-form-urlencoded" else b""
    message = "A form was expected."
    if not raw or len(raw) > _MOST_FORM:
        raise RejectedError(message)
    try:
        return dict(parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=50))
    except ValueError as error:
        raise RejectedError(message) from error


def signed_in(
    session: Session, request: Request, principal: Principal, place: str, *more: tuple[str, str]
) -> Response:
    """A new session of this browser, and the way on; the one that it had before ends."""
    registry: Registry = session.registry
    settings = registry.settings.session
    room = registry.session(registry.admin()).sign_ins
    before = read_cookie(request.headers, settings.cookie)
    if before:
        room.end(before)
    field = cookie_field(
        settings.cookie,
        room.start(principal),
        seconds=int(settings.lifetime.total_seconds()),
        secure=is_secure(session, request),
        domain=settings.domain,
    )
    return Response(302, b"", (("Location", place), field, *more))


@attrs.frozen
class Flows:
    """Sign-in with each provider of the settings."""

    registry: Registry
    providers: Mapping[str, Provider]

    def provider(self, request: Request) -> Provider:
        """The provider of a path.  Raises `MissingError`."""
        found = self.providers.get(request.fields["provider"])
        if found is None:
            raise MissingError("There is no provider of that name.")
        return found

    def begin(self, session: Session, request: Request) -> Response:
        """Send a browser to the provider, with a cookie to know it by when it comes back."""
        provider = self.provider(request)
        callback = f"{request.base_url}/auth/{provider.name}/callback"
        attempt = Attempt(
            state=secrets.token_urlsafe(24),
            nonce=secrets.token_urlsafe(24),
            verifier=secrets.token_urlsafe(48),
            callback=provider.settings.callback or callback,
        )
        kept = {
            **attrs.asdict(attempt),
            "provider": provider.name,
            "next": safe_next(request.query.get("next"), request.base_url),
            "until": int(time.time() + _PATIENCE.total_seconds()),
        }
        cookie = self._cookie(session, request, attempt.state, self._sealed(kept))
        try:
            place = provider.authorize_url(attempt)
        except UpstreamError as error:
            message = f"{provider.title} is not to be asked: {error}"
            raise UpstreamUnavailableError(message) from error
        return Response(302, b"", (("Location", place), cookie))

    def finish(self, session: Session, request: Request) -> Response:
        """Take the provider's answer: a code that says who somebody is, or that they are nobody.

        Raises `NotAuthenticatedError` for an answer to no question of ours, and what `admit` and
        `Provider.profile` raise.
        """
        provider = self.provider(request)
        said = request.query if request.method != "POST" else read_form(request)
        state = said.get("state", "")
        with self.registry.attempt(External(provider.name, "", ()), source=session.source):
            principal, place = self._admitted(session, request, provider, said)
        gone = self._cookie(session, request, state, "")
        return signed_in(session, request, principal, place, gone)

    def _admitted(
        self, session: Session, request: Request, provider: Provider, said: Mapping[str, str]
    ) -> tuple[Principal, str]:
        """Who it is, and where they go on."""
        state = said.get("state", "")
        kept = self._opened(read_cookie(request.headers, self._name(state)) or "")
        if kept is None or not _same(str(kept["state"]), state):
            raise NotAuthenticatedError(_AGAIN)
        room = self.registry.session(self.registry.admin()).sign_ins
        first = room.spend(_PURPOSE, hashlib.sha256(state.encode()).hexdigest(), 2 * _PATIENCE)
        if kept["provider"] != provider.name or kept["until"] < time.time() or not first:
            raise NotAuthenticatedError(_AGAIN)
        provider.check_issuer(said.get("iss"))
        code = said.get("code")
        if not code or "error" in said:
            message = f"{provider.title} did not let you sign in; begin again, or another way."
            raise NotAuthenticatedError(message)
        names = {field.name for field in attrs.fields(Attempt)}
        attempt = Attempt(**{name: value for name, value in kept.items() if name in names})
        profile = provider.profile(code, attempt)
        principal = admit(self.registry, provider.settings, profile, session.source)
        return principal, str(kept["next"])

    def _name(self, state: str) -> str:
        # One cookie for each sign-in: people begin several, in several windows.
        tail = hashlib.sha256(state.encode(errors="replace")).hexdigest()[:12]
        return f"{self.registry.settings.session.cookie}_{tail}"

    def _cookie(
        self, session: Session, request: Request, state: str, value: str
    ) -> tuple[str, str]:
        return cookie_field(
            self._name(state),
            value,
            seconds=int(_PATIENCE.total_seconds()) if value else 0,
            secure=is_secure(session, request),
            path=f"{urlsplit(request.base_url).path}/auth/",
        )

    def _keys(self) -> list[bytes]:
        accounts = self.registry.session(self.registry.admin()).accounts
        return [key.secret for key in accounts.signing_keys(_PURPOSE)]

    def _sealed(self, kept: Mapping[str, Any]) -> str:
        body = base64.urlsafe_b64encode(json.dumps(dict(kept)).encode()).decode().rstrip("=")
        return f"{body}.{_mac(self._keys()[0], body)}"

    def _opened(self, value: str) -> dict[str, Any] | None:
        body, _, mac = value.partition(".")
        if not any(_same(_mac(key, body), mac) for key in self._keys()):
            return None
        try:
            raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
            return cast("dict[str, Any]", json.loads(raw))
        except (binascii.Error, ValueError):
            return None


def _mac(key: bytes, body: str) -> str:
    return hmac.new(key, body.encode(errors="replace"), hashlib.sha256).hexdigest()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(errors="replace"), other.encode(errors="replace"))
