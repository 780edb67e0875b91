"""Who an OpenID provider says that somebody is: its signed token (OpenID Connect Core 3.1.3.7).

The keys are those of the provider's own address and no others: what a token says of keys (``jwk``,
``jku``, ``x5u``) is not looked at, and its ``kid`` only chooses among them.  The algorithms are
those with two keys, so that nothing public can sign.
"""

from __future__ import annotations

import hmac
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, cast

import jwt

from repocore.errors import NotAuthenticatedError, UpstreamUnavailableError

__all__ = ["ALGORITHMS", "KeySet", "verify_id_token"]

#: What a token may be signed with.
ALGORITHMS: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
)  # fmt: skip

_REQUIRED: Final = ["aud", "exp", "iat", "iss", "sub"]
#: Seconds that the provider's clock may be off.
_LEEWAY: Final = 60
_LONGEST: Final = 1 << 16
_MOST_KEYS: Final = 50
_WRONG: Final = "The provider's answer is not valid; sign in again."


class KeySet:
    """The keys of a provider: kept for a while, and fetched anew for a key that is not known.

    A token that names an unknown key costs a request only now and then: after ``patience``
    seconds.  Threads may share it.
    """

    def __init__(
        self, fetch: Callable[[], Any], *, lifetime: float = 3600.0, patience: float = 10.0
    ) -> None:
        self._fetch = fetch
        self._lifetime = lifetime
        self._patience = patience
        self._lock = threading.Lock()
        self._keys: tuple[Mapping[str, Any], ...] = ()
        self._fetched = float("-inf")

    def find(self, kid: str | None, algorithm: str) -> list[Any]:
        """The keys that may have signed; none where there is none of that name and algorithm."""
        found = self._known(kid, algorithm, self._lifetime)
        return found or self._known(kid, algorithm, self._patience)

    def _known(self, kid: str | None, algorithm: str, lifetime: float) -> list[Any]:
        with self._lock:
            if time.monotonic() - self._fetched >= lifetime:
                self._keys = _read_keys(self._fetch())
                self._fetched = time.monotonic()
            keys = self._keys
        fitting = [key for key in keys if kid is None or key.get("kid") == kid]
        return list(_usable(fitting, algorithm))


def _read_keys(document: Any) -> tuple[Mapping[str, Any], ...]:
    listed = cast("Any", document).get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        message = "The provider's keys cannot be read; try again later."
        raise UpstreamUnavailableError(message)
    keys = cast("list[Any]", listed)[:_MOST_KEYS]
    return tuple(cast("Mapping[str, Any]", key) for key in keys if isinstance(key, dict))


def _usable(keys: list[Mapping[str, Any]], algorithm: str) -> Iterator[Any]:
    for key in keys:
        if key.get("use", "sig") != "sig" or key.get("alg", algorithm) != algorithm:
            continue
        try:
            yield jwt.PyJWK(dict(key), algorithm=algorithm).key
        # A key of another family, or one that nobody can read: it has not signed this.
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            continue


def verify_id_token(
    token: Any, keys: KeySet, *, issuer: str, client_id: str, nonce: str
) -> dict[str, Any]:
    """The claims of a token that this provider signed, for us, for this sign-in, and lately.

    Raises `NotAuthenticatedError` for any other, and `UpstreamUnavailableError` where the keys
    cannot be had.
    """
    if not isinstance(token, str) or len(token) > _LONGEST:
        raise NotAuthenticatedError(_WRONG)
    try:
        header: Mapping[str, Any] = jwt.get_unverified_header(token)
        algorithm, kid = header.get("alg"), header.get("kid")
        if algorithm not in ALGORITHMS or "crit" in header:
            raise NotAuthenticatedError(_WRONG)
        claims = _verified(token, keys.find(kid, str(algorithm)), str(algorithm), issuer, client_id)
    # Whatever a hostile token makes of the parser, it proves nothing.
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
        raise NotAuthenticatedError(_WRONG) from error
    _check_for_us(claims, client_id, nonce)
    return claims


def _verified(
    token: str, keys: list[Any], algorithm: str, issuer: str, client_id: str
) -> dict[str, Any]:
    for key in keys:
        try:
            return jwt.decode(
                token,
                key,
                algorithms=[algorithm],
                audience=client_id,
                issuer=issuer,
                leeway=_LEEWAY,
                options={"require": _REQUIRED},
            )
        except jwt.InvalidSignatureError:
            continue
    raise NotAuthenticatedError(_WRONG)


def _check_for_us(claims: Mapping[str, Any], client_id: str, nonce: str) -> None:
    audience, party = claims["aud"], claims.get("azp")
    several = isinstance(audience, list) and len(cast("list[Any]", audience)) > 1
    # Who is meant by several is said by azp; whoever is said there has to be us.
    if (several or party is not None) and party != client_id:
        raise NotAuthenticatedError(_WRONG)
    said = claims.get("nonce")
    if not isinstance(said, str) or not hmac.compare_digest(said.encode(), nonce.encode()):
        raise NotAuthenticatedError(_WRONG)
