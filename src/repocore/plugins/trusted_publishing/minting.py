"""The trade: a job's token of its CI for a short-lived token of ours.

A token is worth one trade.  It is checked against the keys of its issuer, which are fetched from
the issuer's own address and never from what the token says; publishers of one issuer never see the
keys of another.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Final, cast
from urllib.parse import urlsplit

import jwt

from repocore.config import scope_rule
from repocore.errors import (
    MissingError,
    NotAuthenticatedError,
    UpstreamRefusedError,
    UpstreamUnavailableError,
)
from repocore.model import External, Principal
from repocore.plugins.trusted_publishing.settings import PublisherSettings
from repocore.registry import KeySet, Registry, Tracing, UpstreamClient

__all__ = ["Mint"]

_LEEWAY: Final = 60
_LONGEST: Final = 1 << 16
_SHOWN: Final = 120
_REQUIRED: Final = ["aud", "exp", "iat", "iss"]
_WRONG: Final = (
    "The token of the job is not valid here: it is expired, used already, for another audience, or "
    "not signed by its issuer."
)
_UNKNOWN: Final = (
    "No publisher of the settings fits this job: compare its issuer, audience and claims with "
    "[[plugins.trusted_publishing.publisher]]."
)


class Mint:
    """Trades tokens, by the publishers of the settings."""

    def __init__(
        self, publishers: Iterable[PublisherSettings], tracing: Tracing | None = None
    ) -> None:
        self._publishers = tuple(publishers)
        self._keys = {
            one.name: KeySet(lambda one=one: _fetch_keys(one, tracing)) for one in self._publishers
        }

    def mint(self, registry: Registry, token: str, source: str) -> str:
        """The secret of a new token.

        Raises `NotAuthenticatedError`, `TooManyAttemptsError`, `ReadOnlyError`, and
        `UpstreamUnavailableError` where an issuer does not say its keys.
        """
        registry.require_writable()  # a token of a job is good for one trade: it is not to be lost
        with registry.attempt(External("oidc", "", ()), source=source):
            publisher, claims = self._publisher(token)
            self._use_up(registry, publisher, token, claims)
        principal = Principal(name=publisher.account, via=f"oidc {publisher.name}")
        accounts = registry.session(principal, source=source).accounts
        try:
            if accounts.get(publisher.account).disabled:
                message = f"The publisher's account {publisher.account} is disabled; enable it."
                raise NotAuthenticatedError(message)
            _, secret = accounts.create_token(
                publisher.account,
                _token_name(publisher, claims),
                rules=[scope_rule(text) for text in publisher.allow],
                lifetime=publisher.lifetime,
            )
        except MissingError as error:
            message = f"The publisher's account {publisher.account} is not there; make it first."
            raise NotAuthenticatedError(message) from error
        return secret

    def _publisher(self, token: str) -> tuple[PublisherSettings, dict[str, Any]]:
        """Whose token it is, and what it says.

        The issuer that it names chooses among ours; then only that one's keys are tried.
        """
        issuer = _issuer(token)
        mine = [one for one in self._publishers if one.issuer == issuer]
        proved = False
        for publisher in mine:
            claims = self._keys[publisher.name].claims(
                token, issuer=publisher.issuer, audience=publisher.audience, require=_REQUIRED
            )
            proved = proved or claims is not None
            if claims is not None and _fits(publisher.claims, claims):
                return publisher, claims
        raise NotAuthenticatedError(_WRONG if mine and not proved else _UNKNOWN)

    def _use_up(
        self, registry: Registry, publisher: PublisherSettings, token: str, claims: dict[str, Any]
    ) -> None:
        number = claims.get("jti")
        value = number if isinstance(number, str) and number else token.rpartition(".")[0]
        hashed = hashlib.sha256(f"{publisher.issuer} {value}".encode()).hexdigest()
        # For as long as the token could be accepted, by any clock within the leeway.
        left = timedelta(seconds=max(float(claims["exp"]) - time.time(), 0) + 4 * _LEEWAY)
        room = registry.session(registry.admin()).sign_ins
        if not room.spend("mint", hashed, left):
            raise NotAuthenticatedError(_WRONG)


def _issuer(token: str) -> Any:
    """Who it says has issued it, which is not proved."""
    if len(token) > _LONGEST:
        raise NotAuthenticatedError(_WRONG)
    try:
        return jwt.decode(token, options={"verify_signature": False}).get("iss")
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise NotAuthenticatedError(_WRONG) from error


def _fits(wanted: Mapping[str, Any], claims: Mapping[str, Any]) -> bool:
    return all(_is(value, claims.get(name)) for name, value in wanted.items())


def _is(wanted: Any, said: Any) -> bool:
    """Whether a claim is what is wanted; issuers write numbers as texts, too."""
    if isinstance(wanted, list):
        return any(_is(one, said) for one in cast("list[Any]", wanted))
    if isinstance(wanted, bool) or isinstance(said, bool):
        return str(wanted).lower() == str(said).lower() and said is not None
    return isinstance(said, (str, int)) and str(wanted) == str(said)


def _fetch_keys(publisher: PublisherSettings, tracing: Tracing | None) -> Any:
    client = UpstreamClient(
        proxy=publisher.proxy,
        ca_bundle=publisher.ca_bundle,
        allow=publisher.hosts,
        tracing=tracing,
    )
    try:
        return _keys_of(client, publisher)
    except (UpstreamRefusedError, UpstreamUnavailableError) as error:  # not the job's fault
        host = urlsplit(publisher.keys_url or publisher.issuer).hostname
        message = f"The keys of the publisher {publisher.name} are not to be had of {host}: {error}"
        raise UpstreamUnavailableError(message) from error


def _keys_of(client: UpstreamClient, publisher: PublisherSettings) -> Any:
    url = publisher.keys_url
    if url is None:
        place = publisher.issuer.rstrip("/") + "/.well-known/openid-configuration"
        found = client.get_json(place)
        document = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
        url = document.get("jwks_uri")
        if document.get("issuer") != publisher.issuer or not isinstance(url, str):
            message = "The issuer of the job's token does not say where its keys are."
            raise UpstreamUnavailableError(message)
    return client.get_json(url)


def _token_name(publisher: PublisherSettings, claims: Mapping[str, Any]) -> str:
    """What the token is called: the publisher, and the job as its issuer calls it."""
    subject = "".join(c for c in str(claims.get("sub", "")) if c.isprintable())
    return f"{publisher.name}: {subject}"[:_SHOWN]
