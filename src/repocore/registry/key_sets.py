"""The public keys of another server (RFC 7517): kept for a while, and fetched when they change."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, cast

from repocore.errors import ConfigurationError, UpstreamUnavailableError

__all__ = ["SIGNATURES", "KeySet"]

#: What a token of another server may be signed with: algorithms with two keys, so that nothing
#: public can sign.
SIGNATURES: Final = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
)  # fmt: skip

_MOST_KEYS: Final = 50
#: A token longer than this is no token.
_LONGEST: Final = 1 << 16
#: Seconds that the clock of another server may be off.
_LEEWAY: Final = 60


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

    def claims(
        self, token: str, *, issuer: str, audience: str | Sequence[str], require: Sequence[str]
    ) -> dict[str, Any] | None:
        """What a token says (RFC 7519) that one of these keys signed, for this audience, and that
        is valid now, give or take a minute; None for any other.

        What it says itself of keys (``jwk``, ``jku``, ``x5u``) is not looked at, and its ``kid``
        only chooses among these.
        """
        jwt = _package()
        if len(token) > _LONGEST:
            return None
        try:
            header: Mapping[str, Any] = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            return None
        kid, algorithm = header.get("kid"), header.get("alg")
        if algorithm not in SIGNATURES or "crit" in header:
            return None
        for key in self.find(kid if isinstance(kid, str) else None, str(algorithm)):
            try:
                return jwt.decode(
                    token,
                    key,
                    algorithms=[algorithm],
                    audience=audience,
                    issuer=issuer,
                    leeway=_LEEWAY,
                    options={"require": list(require)},
                )
            # Whatever a hostile token makes of the parser, it proves nothing.
            except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
                continue
        return None

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
    jwt = _package()
    for key in keys:
        if key.get("use", "sig") != "sig" or key.get("alg", algorithm) != algorithm:
            continue
        try:
            yield jwt.PyJWK(dict(key), algorithm=algorithm).key
        # A key of another family, or one that nobody can read: it has not signed this.
        except (jwt.PyJWTError, ValueError, TypeError, KeyError):
            continue


def _package() -> Any:
    try:
        import jwt  # noqa: PLC0415 - an optional package
    except ImportError as error:
        message = "Signed tokens of others need PyJWT; pip install 'repocore[oauth]'."
        raise ConfigurationError(message) from error
    return jwt
