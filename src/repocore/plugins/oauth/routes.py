"""``/auth`` and ``/account``: the sign-in page, its ways, and who has signed in."""

from __future__ import annotations

import functools
import ipaddress
import secrets
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Final
from urllib.parse import quote, urlsplit

import attrs

from repocore.cookies import cookie_field, csrf_word, is_csrf_word, read_cookie
from repocore.errors import (
    AccessDeniedError,
    MissingError,
    NotAuthenticatedError,
    RejectedError,
    RepocoreError,
    UpstreamRefusedError,
)
from repocore.http import Admits, Request, Response, Route
from repocore.model import Account, Password, Principal, check_account_name
from repocore.plugins.oauth.admission import admit_named
from repocore.plugins.oauth.flows import Flows, is_secure, read_form, safe_next, signed_in
from repocore.plugins.oauth.pages import (
    account_page,
    message_page,
    sign_in_page,
    sign_out_page,
)
from repocore.registry import Registry, Session

__all__ = ["SignInRoutes"]

_Handler = Callable[[Session, Request], Response]

_FORM_SECONDS: Final = 3600
_STALE: Final = "This form is from another time or place; send it again."
_DIGITS: Final = 18
#: What a proxy adds: then the peer on loopback is no developer.
_FORWARDED: Final = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip")


@attrs.frozen
class SignInRoutes:
    """The routes of one registry."""

    registry: Registry
    flows: Flows

    def routes(self) -> Iterator[Route[Session]]:
        """Every route; those that quetz has are at the same paths."""
        anyone, accounts = Admits.ANYONE, Admits.ACCOUNTS
        pages = (
            ("GET", "/auth/login", self.login_page, anyone),
            ("POST", "/auth/login", self.login, anyone),
            ("GET", "/auth/logout", self.logout_page, anyone),
            ("GET", "/account", self.account, accounts),
            ("POST", "/account/tokens", self.make_token, accounts),
            ("POST", "/account/tokens/{number}/revoke", self.revoke_token, accounts),
        )
        for method, template, handler, admits in (
            *(pages if self.registry.settings.web.pages else ()),
            ("POST", "/auth/logout", self.logout, anyone),
            ("GET", "/auth/dev/login/{name}", self.dev_login, anyone),
            ("GET", "/auth/{provider}/login", self.begin, anyone),
            ("GET", "/auth/{provider}/callback", self.finish, anyone),
            ("POST", "/auth/{provider}/callback", self.finish, anyone),
            ("GET", "/auth/{provider}/authorize", self.finish, anyone),
            ("POST", "/auth/{provider}/authorize", self.finish, anyone),
            ("GET", "/auth/{provider}/enabled", self.enabled, anyone),
            ("GET", "/auth/{provider}/revoke", self.revoke, anyone),
        ):
            yield Route(
                method=method,
                template=template,
                handler=_told(handler),
                summary=(handler.__doc__ or "").strip().splitlines()[0],
                permission=admits,
                errors={UpstreamRefusedError: 502},
            )

    # -------------------------------------------------------------------- with a password

    def login_page(self, session: Session, request: Request) -> Response:
        """Show the ways to sign in."""
        return self._form(session, request, request.query.get("next"))

    def _form(
        self, session: Session, request: Request, place: str | None, problem: str = ""
    ) -> Response:
        secret, name = self._form_secret(request), self._form_cookie
        fresh = secrets.token_urlsafe(24)
        fields = {
            "csrf": csrf_word(secret or fresh),
            "next": safe_next(place, request.base_url),
        }
        ways = [(one.name, one.title) for one in self.flows.providers.values()]
        status = 401 if problem else 200
        page = sign_in_page(_above(request), ways, fields, problem, status)
        if secret is not None:
            return page
        cookie = cookie_field(
            name, fresh, seconds=_FORM_SECONDS, secure=is_secure(session, request)
        )
        return Response(page.status, page.body, (*page.headers, cookie))

    @property
    def _form_cookie(self) -> str:
        return f"{self.registry.settings.session.cookie}_form"

    def _form_secret(self, request: Request) -> str | None:
        """What a form of somebody who is about to sign in is bound to."""
        session = read_cookie(request.headers, self.registry.settings.session.cookie)
        return session or read_cookie(request.headers, self._form_cookie)

    def login(self, session: Session, request: Request) -> Response:
        """Sign in with `username` and `password`, and go on to `next`."""
        form = read_form(request)
        secret = self._form_secret(request)
        # A form from elsewhere would sign somebody in as another, who then sees what they do.
        if secret is None or not is_csrf_word(form.get("csrf", ""), secret):
            raise AccessDeniedError(_STALE)
        sent = Password(form.get("username", ""), form.get("password", ""))
        try:
            found = self.registry.connect(sent, source=session.source).principal
        except NotAuthenticatedError as error:
            return self._form(session, request, form.get("next"), str(error))
        gone = cookie_field(self._form_cookie, "", seconds=0, secure=is_secure(session, request))
        place = safe_next(form.get("next"), request.base_url)
        return signed_in(session, request, found, place, gone)

    def dev_login(self, session: Session, request: Request) -> Response:
        """Sign in as anybody, without a password: for development, on loopback only."""
        peers = (session.source, urlsplit(request.base_url).hostname or "")
        here = all(_is_loopback(peer) for peer in peers)
        forwarded = any(request.headers.get(name) for name in _FORWARDED)
        if not self.registry.settings.session.dev_login or not here or forwarded:
            raise MissingError("There is no provider of that name.")
        name = check_account_name(request.fields["name"])
        admit_named(self.registry, name, "dev")
        place = safe_next(request.query.get("next"), request.base_url)
        return signed_in(session, request, Principal(name=name, via="dev"), place)

    # ------------------------------------------------------------------------ with others

    def begin(self, session: Session, request: Request) -> Response:
        """Send somebody to the provider, to come back signed in and go on to `?next=`."""
        return self.flows.begin(session, request)

    def finish(self, session: Session, request: Request) -> Response:
        """Take a provider's answer: whoever comes back with it is signed in."""
        return self.flows.finish(session, request)

    def enabled(self, _session: Session, request: Request) -> Response:
        """Say whether people can sign in with the provider: `true`."""
        self.flows.provider(request)
        return Response.json(value=True)

    def revoke(self, _session: Session, request: Request) -> Response:
        """Send somebody to where the provider lets them take back what they have allowed."""
        place = self.flows.provider(request).revoke_url()
        if place is None:
            raise MissingError("Nobody knows where that provider lets you revoke it; look there.")
        return Response(302, b"", (("Location", place),))

    # ------------------------------------------------------------------ who has signed in

    def logout_page(self, _session: Session, request: Request) -> Response:
        """Ask whether somebody wants to sign out."""
        return sign_out_page(_above(request), self._word(request))

    def logout(self, session: Session, request: Request) -> Response:
        """End the session of this browser."""
        settings = self.registry.settings.session
        token = read_cookie(request.headers, settings.cookie)
        if token:
            self.registry.session(self.registry.admin()).sign_ins.end(token)
        gone = cookie_field(
            settings.cookie,
            "",
            seconds=0,
            secure=is_secure(session, request),
            domain=settings.domain,
        )
        return Response(302, b"", (("Location", f"{_above(request)}/auth/login"), gone))

    def account(self, session: Session, request: Request) -> Response:
        """Show who has signed in, and their tokens."""
        if session.principal.anonymous and "html" in (request.headers.get("Accept") or ""):
            there = quote(f"{_above(request)}/account", safe="")
            place = f"{_above(request)}/auth/login?next={there}"
            return Response(302, b"", (("Location", place),))
        return self._account(session, request)

    def _account(self, session: Session, request: Request, secret: str = "") -> Response:
        name = _name(session)
        known: Account | None = None
        try:
            known = session.accounts.get(name)
            tokens = [one for one in session.accounts.tokens(name) if one.revoked_at is None]
            identities = session.identities.list(name)
        except (MissingError, AccessDeniedError):  # a directory's, or a token's of narrow scope
            tokens, identities = [], []
        above, word = _above(request), self._word(request)
        return account_page(above, (name, known), tokens, identities, word, secret)

    def make_token(self, session: Session, request: Request) -> Response:
        """Make a token of whoever has signed in: `name` and `days`; shows it once."""
        name = _name(session)
        form = read_form(request)
        days, what = form.get("days", ""), form.get("name", "").strip()
        if not what or not what.isprintable() or len(what) > 100:  # noqa: PLR2004 - a line
            raise RejectedError("A token wants a name, of one line.")
        if not (days.isascii() and days.isdecimal() and len(days) <= 5):  # noqa: PLR2004 - a century
            raise RejectedError("A token lives for a number of days.")
        lifetime = timedelta(days=int(days))
        _, secret = session.accounts.create_token(name, what, lifetime=lifetime)
        return self._account(session, request, secret)

    def revoke_token(self, session: Session, request: Request) -> Response:
        """Revoke a token of whoever has signed in, by its number."""
        name, number = _name(session), request.fields["number"]
        message = "There is no token of that number."
        if not (number.isascii() and number.isdecimal() and len(number) <= _DIGITS):
            raise MissingError(message)
        if int(number) not in {token.id for token in session.accounts.tokens(name)}:
            raise MissingError(message)
        session.accounts.revoke_token(int(number))
        return Response(302, b"", (("Location", f"{_above(request)}/account"),))

    def _word(self, request: Request) -> str:
        token = read_cookie(request.headers, self.registry.settings.session.cookie)
        return csrf_word(token) if token else ""


def _name(session: Session) -> str:
    principal = session.principal
    if principal.name is None:
        raise NotAuthenticatedError
    return principal.name


def _above(request: Request) -> str:
    return urlsplit(request.base_url).path


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _told(handler: _Handler) -> _Handler:
    """The handler; who is refused is told so on a page where they read pages."""

    @functools.wraps(handler)
    def told(session: Session, request: Request) -> Response:
        try:
            return handler(session, request)
        except (NotAuthenticatedError, AccessDeniedError) as error:
            if "html" not in (request.headers.get("Accept") or "") or _hidden(error):
                raise
            status = 401 if isinstance(error, NotAuthenticatedError) else 403
            return message_page("Not signed in", str(error), _above(request), status)

    return told


def _hidden(error: RepocoreError) -> bool:
    return isinstance(error, AccessDeniedError) and error.hidden
