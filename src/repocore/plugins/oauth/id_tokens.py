"""Who an OpenID provider says that somebody is: its signed token (OpenID Connect Core 3.1.3.7).

The keys are those of the provider's own address and no others: what a token says of keys (``jwk``,
``jku``, ``x5u``) is not looked at, and its ``kid`` only chooses among them.  The algorithms are
those with two keys, so that nothing public can sign.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any, Final, cast

import jwt

from repocore.errors import NotAuthenticatedError
from repocore.registry import SIGNATURES, KeySet

__all__ = ["verify_id_token"]

_REQUIRED: Final = ["aud", "exp", "iat", "iss", "sub"]
#: Seconds that the provider's clock may be off.
_LEEWAY: Final = 60
_LONGEST: Final = 1 << 16
_WRONG: Final = "The provider's answer is not valid; sign in again."


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
        if algorithm not in SIGNATURES or "crit" in header:
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
