"""``[[provider]]``, ``[session]`` and the header fields of ``[web]``: who is let in by others."""

from __future__ import annotations

import enum
import ipaddress
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import attrs

from repocore.config.saying import http_url, positive, says, some
from repocore.config.values import Secret
from repocore.model import check_account_name

__all__ = ["FrontSettings", "ProviderKind", "ProviderSettings", "SessionSettings"]

_WORD = re.compile(r"[a-z0-9][a-z0-9-]{0,39}\Z")
_URL: Final = http_url("https://login.example")
#: What stands below /auth already, and how identities are called that no provider has proved.
_TAKEN: Final = frozenset({"dev", "header", "login", "logout", "session"})
_COOKIE = re.compile(r"[A-Za-z0-9_-]{1,60}\Z")
_DOMAIN = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?\Z")
_FIELD = re.compile(r"[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*\Z")


class ProviderKind(enum.Enum):
    """What a provider speaks; presets know its paths and the shape of its answers."""

    OIDC = "oidc"
    OAUTH2 = "oauth2"
    GITHUB = "github"
    GITLAB = "gitlab"
    GOOGLE = "google"
    ENTRA = "entra"
    JUPYTERHUB = "jupyterhub"

    @property
    def discovers(self) -> bool:
        """Whether it publishes its end points and keys, and signs who somebody is (OpenID)."""
        return self in {self.OIDC, self.GITLAB, self.GOOGLE, self.ENTRA}


def _provider_name(value: str) -> None:
    if not _WORD.match(value) or value in _TAKEN:
        taken = ", ".join(sorted(_TAKEN))
        raise ValueError(
            f"a provider's name has small letters, digits and -, and is none of {taken}"
        )


def _url(value: str | None) -> None:
    _URL(value)
    if value is not None and urlsplit(value).fragment:
        raise ValueError("expected a URL without a fragment")


def _place(value: str | None) -> None:
    _url(value)
    if value is not None and urlsplit(value).query:
        raise ValueError("expected a URL without a query")


def _absolute(value: Path | None) -> None:
    if value is not None and not value.is_absolute():
        raise ValueError("write the whole path, from / on")


def _domain(value: str | None) -> None:
    if value is not None and not _DOMAIN.match(value):
        raise ValueError("expected the name of a domain, such as team.example")


def _link(value: str) -> None:
    if value not in {"email", "never"}:
        raise ValueError('expected "email" or "never"')


def _client_auth(value: str | None) -> None:
    if value not in {None, "basic", "post"}:
        raise ValueError('expected "basic" or "post"')


def _groups(value: Mapping[str, str]) -> None:
    for name in value.values():
        check_account_name(name)


def _cookie(value: str) -> None:
    if not _COOKIE.match(value):
        raise ValueError("a cookie's name has letters, digits, _ and -")


def _field(value: str | None) -> None:
    if value is not None and not _FIELD.match(value):
        raise ValueError("expected the name of a header field, such as X-Remote-User")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@attrs.frozen(kw_only=True)
class ProviderSettings:
    """A ``[[provider]]``: somebody else who says who people are."""

    name: str = attrs.field(
        metadata=says("Its name in URLs: /auth/NAME/login.", check=_provider_name)
    )
    kind: ProviderKind = attrs.field(metadata=says("What it speaks."))
    title: str = attrs.field(default="", metadata=says("What the sign-in page calls it."))
    client_id: str = attrs.field(metadata=says("As what we are registered there.", check=some))
    client_secret: Secret = attrs.field(
        default=Secret(), repr=False, metadata=says("What we prove that with; empty: nothing.")
    )
    client_auth: str | None = attrs.field(
        default=None,
        metadata=says("How the secret is sent: basic or post; else as usual.", check=_client_auth),
    )
    issuer: str | None = attrs.field(
        default=None,
        metadata=says("For OpenID: its issuer, where its configuration is found.", check=_place),
    )
    base_url: str | None = attrs.field(
        default=None,
        metadata=says("For github, gitlab and jupyterhub: where it is.", check=_place),
    )
    api_url: str | None = attrs.field(
        default=None,
        metadata=says("For github: its API, where that is not base_url/api/v3.", check=_place),
    )
    authorize_url: str | None = attrs.field(
        default=None, metadata=says("For oauth2: where people are sent.", check=_url)
    )
    token_url: str | None = attrs.field(
        default=None, metadata=says("For oauth2: where a code is traded.", check=_url)
    )
    user_url: str | None = attrs.field(
        default=None, metadata=says("For oauth2: where it tells who somebody is.", check=_url)
    )
    user_key: str | None = attrs.field(
        default=None,
        metadata=says("The key of the user's name there; a.b is the key b inside of a."),
    )
    subject_key: str | None = attrs.field(
        default=None,
        metadata=says("The key of what never changes about a user; else that of the name."),
    )
    groups_key: str | None = attrs.field(
        default=None, metadata=says("The key, or the claim, of the user's groups.")
    )
    scope: str | None = attrs.field(
        default=None, metadata=says("What is asked for, in the provider's words.")
    )
    callback: str | None = attrs.field(
        default=None,
        metadata=says("Where it sends people back to; else /auth/NAME/callback.", check=_place),
    )
    username: str | None = attrs.field(
        default=None, metadata=says("The claim that becomes the name of a new account.")
    )
    groups: Mapping[str, str] = attrs.field(
        factory=dict[str, str],
        metadata=says("Which group of ours the members of its groups are in.", check=_groups),
    )
    allowed_domains: tuple[str, ...] = attrs.field(
        default=(),
        metadata=says(
            "Only people with a verified address of these domains; without any, everybody.",
            each=_domain,
        ),
    )
    organisations: tuple[str, ...] = attrs.field(
        default=(),
        metadata=says("Only members of one of these groups of it; without any, everybody."),
    )
    create: bool = attrs.field(
        default=True, metadata=says("Whether people get an account when they first come.")
    )
    link: str = attrs.field(
        default="never",
        metadata=says(
            "email: whoever has the verified address of an account is that account.", check=_link
        ),
    )
    ca_bundle: Path | None = attrs.field(
        default=None,
        metadata=says("Certificates that sign its own; else the system's.", check=_absolute),
    )
    proxy: Secret | None = attrs.field(
        default=None, repr=False, metadata=says("http://user:password@host:port on the way to it.")
    )
    allow: tuple[str, ...] = attrs.field(
        default=(),
        metadata=says("Networks and names of hosts that may be asked though they are not public."),
    )
    insecure: bool = attrs.field(
        default=False, metadata=says("Whether secrets may go there unencrypted.")
    )

    def __attrs_post_init__(self) -> None:
        problem = next(self._problems(), None)
        if problem:
            raise ValueError(problem)

    def _problems(self) -> Iterator[str]:
        """What no field can say alone."""
        for name in self._needed():
            if not getattr(self, name):
                yield f"a provider of the kind {self.kind.value} wants `{name}`"
        for name in ("issuer", "base_url", "api_url", "authorize_url", "token_url", "user_url"):
            parts = urlsplit(getattr(self, name) or "")
            plain = parts.scheme == "http" and not _is_loopback(str(parts.hostname))
            if plain and not self.insecure:
                yield (
                    f"secrets would go to {parts.hostname} unencrypted; write https:// in "
                    f"`{name}`, or `insecure = true` if that is meant"
                )

    def _needed(self) -> tuple[str, ...]:
        match self.kind:
            case ProviderKind.OAUTH2:
                return ("authorize_url", "token_url", "user_url", "user_key")
            case ProviderKind.GITHUB | ProviderKind.GITLAB | ProviderKind.JUPYTERHUB:
                return ("base_url",)
            case _:
                return ("issuer",)


@attrs.frozen(kw_only=True)
class SessionSettings:
    """``[session]``: how a browser stays signed in."""

    cookie: str = attrs.field(
        default="repocore_session", metadata=says("The name of its cookie.", check=_cookie)
    )
    domain: str | None = attrs.field(
        default=None,
        metadata=says("The domain that gets the cookie; else the server alone.", check=_domain),
    )
    lifetime: timedelta = attrs.field(
        default=timedelta(hours=12), metadata=says("How long it lasts.", check=positive)
    )
    secure: bool | None = attrs.field(
        default=None,
        metadata=says("Whether the cookie goes over https only; else where people use https."),
    )
    dev_login: bool = attrs.field(
        default=False,
        metadata=says(
            "Whether /auth/dev/login/NAME signs anybody in as NAME, on loopback, without a "
            "password. For development only."
        ),
    )


@attrs.frozen(kw_only=True)
class FrontSettings:
    """What ``[web]`` says of a proxy that signs people in."""

    user_header: str | None = attrs.field(
        default=None,
        metadata=says(
            "The header field in which trusted proxies name who has signed in, for example "
            "X-Remote-User.",
            check=_field,
        ),
    )
    groups_header: str | None = attrs.field(
        default=None,
        metadata=says("The field in which they name the user's groups, with commas.", check=_field),
    )
    email_header: str | None = attrs.field(
        default=None,
        metadata=says("The field in which they name the user's address.", check=_field),
    )
    user_create: bool = attrs.field(
        default=False,
        metadata=says("Whether those whom they name get an account when they first come."),
    )
