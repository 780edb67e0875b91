"""A browser of sorts, and a provider that signs what a test wants."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import attrs
import pytest
from stand_in import Asked
from wsgi_calls import Answer, call

from repocore.config import ProviderKind, ProviderSettings

jwt = pytest.importorskip("jwt")
rsa = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.rsa")

HERE = ("127.0.0.0/8",)
CLIENT = "app"


@attrs.define
class Browser:
    """Keeps cookies, and sends them along."""

    app: Any
    cookies: dict[str, str] = attrs.field(factory=dict)
    #: What was set last, with its attributes.
    set_cookies: list[str] = attrs.field(factory=list)

    def ask(self, target: str, method: str = "GET", **fields: Any) -> Answer:
        sent = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        more = {"HTTP_COOKIE": sent} if sent else {}
        made: list[tuple[str, str]] = []

        def recording(environ: Any, start_response: Any) -> Any:
            def start(status: str, headers: Any, *rest: Any) -> Any:
                made.extend(headers)
                return start_response(status, headers, *rest)

            return self.app(environ, start)

        answer = call(recording, target, method, **{**more, "HTTP_ACCEPT": "text/html", **fields})
        self.set_cookies = [value for name, value in made if name == "Set-Cookie"]
        for value in self.set_cookies:
            for name, morsel in SimpleCookie(value).items():
                if morsel["max-age"] == "0":
                    self.cookies.pop(name, None)
                else:
                    self.cookies[name] = morsel.value
        return answer

    def send(self, target: str, fields: dict[str, str], **more: Any) -> Answer:
        """A form."""
        return self.ask(
            target,
            "POST",
            body=urlencode(fields).encode(),
            CONTENT_TYPE="application/x-www-form-urlencoded",
            **more,
        )


@attrs.define
class Signer:
    """An OpenID provider that says what a test wants it to say."""

    key: Any = attrs.field(factory=lambda: rsa.generate_private_key(65537, 2048))
    kid: str = "k1"
    #: Changes to the claims; None takes one away.
    claims: dict[str, Any] = attrs.field(factory=dict)
    user: dict[str, Any] | None = None
    nonce: str = ""
    url: str = ""
    make: Callable[[dict[str, Any]], str] | None = None
    published: list[dict[str, Any]] | None = None
    trade: tuple[int, Any] | None = None
    discovery: dict[str, Any] = attrs.field(factory=dict)
    #: What a code was traded with.
    traded: list[Asked] = attrs.field(factory=list)

    def jwk(self) -> dict[str, Any]:
        public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        return {**public, "kid": self.kid, "use": "sig", "alg": "RS256"}

    def right(self) -> dict[str, Any]:
        now = int(time.time())
        told = {
            "iss": self.url, "sub": "42", "aud": CLIENT, "exp": now + 300, "iat": now,
            "nonce": self.nonce, "preferred_username": "alice", "email": "alice@team.example",
            "email_verified": True, "name": "Alice",
        }  # fmt: skip
        told.update(self.claims)
        return {name: value for name, value in told.items() if value is not None}

    def token(self) -> str:
        if self.make:
            return self.make(self.right())
        body = json.dumps(self.right()).encode()
        return jwt.api_jws.encode(body, self.key, "RS256", headers={"typ": "JWT", "kid": self.kid})

    def answer(self, asked: Asked) -> Any:
        match asked.path:
            case "/.well-known/openid-configuration":
                return 200, {}, {
                    "issuer": self.url,
                    "authorization_endpoint": f"{self.url}/auth",
                    "token_endpoint": f"{self.url}/token",
                    "jwks_uri": f"{self.url}/jwks",
                    **({"userinfo_endpoint": f"{self.url}/me"} if self.user else {}),
                    **self.discovery,
                }  # fmt: skip
            case "/jwks":
                return 200, {}, {"keys": self.published or [self.jwk()]}
            case "/token":
                self.traded.append(asked)
                if self.trade:
                    return self.trade[0], {}, self.trade[1]
                return 200, {}, {"access_token": "at", "id_token": self.token()}
            case "/me":
                return 200, {}, self.user
        return 404, {}, {}


def admin_of(browser: Browser) -> Any:
    registry = browser.app._visitors._registry
    return registry.session(registry.admin())


def oidc(signer: Signer, **more: Any) -> ProviderSettings:
    """The signer, as a provider of the settings."""
    given = {
        "name": "idp",
        "kind": ProviderKind.OIDC,
        "client_id": CLIENT,
        "client_secret": "hush",
        "issuer": signer.url,
        "allow": HERE,
    }
    return ProviderSettings(**{**given, **more})


def go(browser: Browser, name: str = "idp", place: str = "") -> dict[str, str]:
    """Begin; the query that the provider is asked with."""
    query = urlencode({"next": place}) if place else ""
    answer = browser.ask(f"/auth/{name}/login?{query}")
    assert answer.status == 302, answer.text
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


def come_back(browser: Browser, asked: dict[str, str], name: str = "idp", **more: str) -> Answer:
    """Come back with a code."""
    query = urlencode({"code": "c", "state": asked["state"], **more})
    return browser.ask(f"/auth/{name}/callback?{query}")


def sign_in(browser: Browser, signer: Signer | None = None, place: str = "") -> Answer:
    """There and back."""
    asked = go(browser, place=place)
    if signer is not None:
        signer.nonce = asked.get("nonce", "")
    return come_back(browser, asked)
