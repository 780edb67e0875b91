"""The requests of a sign-in: where people are sent, and what their code is traded for."""

from __future__ import annotations

import base64
import hashlib
import threading
import time
from collections.abc import Mapping
from typing import Any, Final, cast
from urllib.parse import quote_plus, urlencode, urlsplit

import attrs

from repocore.config import ProviderKind, ProviderSettings
from repocore.errors import (
    ConfigurationError,
    NotAuthenticatedError,
    UpstreamUnavailableError,
)
from repocore.plugins.oauth.id_tokens import verify_id_token
from repocore.plugins.oauth.profiles import Profile, profile_of
from repocore.registry import SIGNATURES, KeySet, Tracing, UpstreamClient

__all__ = ["Attempt", "Provider"]

_LIFETIME: Final = 3600.0
_DISCOVERY: Final = "/.well-known/openid-configuration"
_REFUSED: Final = "The provider did not accept the sign-in; begin again."
_STRANGE: Final = "The provider's answer cannot be read; ask the administrator to look at its log."
_SCOPES: Final[Mapping[ProviderKind, str]] = {
    ProviderKind.OIDC: "openid profile email",
    ProviderKind.GITLAB: "openid profile email",
    ProviderKind.GOOGLE: "openid profile email",
    ProviderKind.ENTRA: "openid profile email",
    ProviderKind.GITHUB: "read:user user:email read:org",
}
#: Where people take back what they have allowed us, below base_url.
_REVOKE: Final[Mapping[ProviderKind, str]] = {
    ProviderKind.GITHUB: "/settings/connections/applications/{client_id}",
    ProviderKind.GITLAB: "/-/user_settings/applications",
    ProviderKind.JUPYTERHUB: "/hub/token",
}


@attrs.frozen(kw_only=True)
class Attempt:
    """One sign-in that is under way: what only we and the browser know of it."""

    state: str
    nonce: str
    #: What the code is traded with; its hash went before it (PKCE, RFC 7636).
    verifier: str
    callback: str


@attrs.frozen
class _Places:
    authorize: str
    token: str
    user: str | None
    keys: str | None = None
    #: How a client may prove itself.
    methods: tuple[str, ...] = ()


class Provider:
    """Somebody else who says who people are; threads may share it.

    Raises `ConfigurationError` where the packages for it are missing.
    """

    def __init__(self, settings: ProviderSettings, tracing: Tracing | None = None) -> None:
        self.settings = settings
        _need_cryptography()
        self._client = UpstreamClient(
            proxy=settings.proxy,
            ca_bundle=settings.ca_bundle,
            allow=settings.allow,
            tracing=tracing,
        )
        self._lock = threading.Lock()
        self._found: tuple[_Places, float] | None = None
        self._keys = KeySet(self._fetch_keys)

    @property
    def name(self) -> str:
        """Its name in URLs and identities."""
        return self.settings.name

    @property
    def title(self) -> str:
        """What people are told that it is called."""
        return self.settings.title or self.settings.name

    def authorize_url(self, attempt: Attempt) -> str:
        """Where somebody who wants to sign in is sent.

        Raises `UpstreamError` where its configuration cannot be had.
        """
        hashed = hashlib.sha256(attempt.verifier.encode()).digest()
        fields = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": attempt.callback,
            "state": attempt.state,
            "code_challenge": base64.urlsafe_b64encode(hashed).decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        scope = self.settings.scope or _SCOPES.get(self.settings.kind)
        if scope:
            fields["scope"] = scope
        if self.settings.kind.discovers:
            fields["nonce"] = attempt.nonce
        url = self._places().authorize
        return f"{url}{'&' if '?' in url else '?'}{urlencode(fields)}"

    def revoke_url(self) -> str | None:
        """Where people take back what they have allowed us; None where that is not known."""
        path, base = _REVOKE.get(self.settings.kind), self.settings.base_url
        if path is None or base is None:
            return None
        return base.rstrip("/") + path.format(client_id=quote_plus(self.settings.client_id))

    def check_issuer(self, said: str | None) -> None:
        """Refuse what another provider's answer was sent here for (RFC 9207)."""
        if said is not None and self.settings.kind.discovers and said != self._issuer:
            raise NotAuthenticatedError(_REFUSED)

    def profile(self, code: str, attempt: Attempt) -> Profile:
        """Trade the code, and read who it is of.

        Raises `NotAuthenticatedError` where the provider refuses the code or says nothing that
        holds, and `UpstreamError` where it cannot be asked.
        """
        told = self._trade(code, attempt)
        access = told.get("access_token")
        if not isinstance(access, str) or not access.isprintable():
            raise UpstreamUnavailableError(_STRANGE)
        if self.settings.kind.discovers:
            said = self._claims(told, access, attempt.nonce)
        else:
            said = self._asked(access)
        return profile_of(self.settings, said)

    # ------------------------------------------------------------------------- the places

    @property
    def _issuer(self) -> str:
        return str(self.settings.issuer or self.settings.base_url)

    def _places(self) -> _Places:
        if not self.settings.kind.discovers:
            return self._written()
        with self._lock:
            found = self._found
            if found is None or time.monotonic() - found[1] > _LIFETIME:
                found = (self._discovered(), time.monotonic())
                self._found = found
            return found[0]

    def _written(self) -> _Places:
        settings = self.settings
        base = (settings.base_url or "").rstrip("/")
        if settings.kind is ProviderKind.GITHUB:
            oauth = f"{base}/login/oauth"
            api = (settings.api_url or f"{base}/api/v3").rstrip("/")
            return _Places(f"{oauth}/authorize", f"{oauth}/access_token", f"{api}/user")
        if settings.kind is ProviderKind.JUPYTERHUB:
            oauth = f"{base}/hub/api/oauth2"
            return _Places(f"{oauth}/authorize", f"{oauth}/token", f"{base}/hub/api/user")
        return _Places(str(settings.authorize_url), str(settings.token_url), str(settings.user_url))

    def _discovered(self) -> _Places:
        """What the provider publishes (OpenID Connect Discovery 4)."""
        document = self._client.get_json(self._issuer.rstrip("/") + _DISCOVERY)
        if not isinstance(document, dict):
            raise UpstreamUnavailableError(_STRANGE)
        told = cast("dict[str, Any]", document)
        if told.get("issuer") != self._issuer:
            message = "The provider calls itself something else than `issuer` in the settings."
            raise UpstreamUnavailableError(message)
        methods: Any = told.get("token_endpoint_auth_methods_supported") or ()
        return _Places(
            authorize=self._place(told, "authorization_endpoint"),
            token=self._place(told, "token_endpoint"),
            user=self._place(told, "userinfo_endpoint") if "userinfo_endpoint" in told else None,
            keys=self._place(told, "jwks_uri"),
            methods=tuple(str(one) for one in methods),
        )

    def _place(self, told: Mapping[str, Any], name: str) -> str:
        url = told.get(name)
        if not isinstance(url, str):
            raise UpstreamUnavailableError(_STRANGE)
        # What is asked for over https says nothing that leads elsewhere.
        if urlsplit(self._issuer).scheme == "https" != urlsplit(url).scheme:
            raise UpstreamUnavailableError(_STRANGE)
        return url

    def _fetch_keys(self) -> Any:
        return self._client.get_json(str(self._places().keys))

    # -------------------------------------------------------------------------- the trade

    def _trade(self, code: str, attempt: Attempt) -> dict[str, Any]:
        settings, places = self.settings, self._places()
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": attempt.callback,
            "code_verifier": attempt.verifier,
        }
        headers: dict[str, str] = {}
        if settings.client_secret and self._by_header(places):
            # RFC 6749 section 2.3.1: each is encoded before they are joined.
            pair = f"{quote_plus(settings.client_id)}:{quote_plus(settings.client_secret)}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            fields["client_id"] = settings.client_id
            if settings.client_secret:
                fields["client_secret"] = settings.client_secret
        try:
            told = self._client.post_form(places.token, fields, headers)
        except UpstreamUnavailableError as error:
            if error.status in {400, 401, 403}:
                raise NotAuthenticatedError(_REFUSED) from error
            raise
        if not isinstance(told, dict):
            raise UpstreamUnavailableError(_STRANGE)
        if "error" in told:  # with the status 200, in the manner of GitHub
            raise NotAuthenticatedError(_REFUSED)
        return cast("dict[str, Any]", told)

    def _by_header(self, places: _Places) -> bool:
        if self.settings.client_auth is not None:
            return self.settings.client_auth == "basic"
        if not self.settings.kind.discovers:
            return False
        return not places.methods or "client_secret_basic" in places.methods

    # --------------------------------------------------------------------------- who it is

    def _claims(self, told: Mapping[str, Any], access: str, nonce: str) -> dict[str, Any]:
        claims = verify_id_token(
            told.get("id_token"),
            self._keys,
            issuer=self._issuer,
            client_id=self.settings.client_id,
            nonce=nonce,
        )
        user = self._places().user
        if user is None:
            return claims
        more = self._get(user, access)
        # OpenID Connect Core 5.3.2: it may be about somebody else.
        if more.get("sub") != claims["sub"]:
            raise NotAuthenticatedError(_REFUSED)
        return {**more, **claims}

    def _asked(self, access: str) -> dict[str, Any]:
        user = str(self._places().user)
        said = self._get(user, access)
        if self.settings.kind is ProviderKind.GITHUB:
            # What it says of an address there is what people chose to show.
            said.update(email=_verified_email(self._ask(f"{user}/emails", access)))
            said.update(email_verified=bool(said["email"]))
            said.update(groups=self._ask(f"{user}/orgs?per_page=100", access))
        return said

    def _get(self, url: str, access: str) -> dict[str, Any]:
        said = self._ask(url, access)
        if not isinstance(said, dict):
            raise UpstreamUnavailableError(_STRANGE)
        return cast("dict[str, Any]", said)

    def _ask(self, url: str, access: str) -> Any:
        try:
            return self._client.get_json(url, {"Authorization": f"Bearer {access}"})
        except UpstreamUnavailableError as error:
            if error.status in {401, 403}:
                raise NotAuthenticatedError(_REFUSED) from error
            raise


def _verified_email(listed: Any) -> str:
    """The primary one of the addresses that GitHub has verified."""
    found: list[tuple[bool, str]] = []
    for one in cast("list[Any]", listed) if isinstance(listed, list) else []:
        table: dict[str, Any] = cast("dict[str, Any]", one) if isinstance(one, dict) else {}
        if table.get("verified") is True and isinstance(table.get("email"), str):
            found.append((table.get("primary") is True, table["email"]))
    return max(found, default=(False, ""))[1]


def _need_cryptography() -> None:
    from jwt.algorithms import get_default_algorithms  # noqa: PLC0415 - looked at only here

    if SIGNATURES[0] not in get_default_algorithms():
        message = "Sign-in with others needs cryptography; pip install 'repocore[oauth]'."
        raise ConfigurationError(message)
