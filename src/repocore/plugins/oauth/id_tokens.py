"""Who an OpenID provider says that somebody is: its signed token (OpenID Connect Core 3.1.3.7).

The keys are those of the provider's own address and no others.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any, Final, cast

from repocore.errors import NotAuthenticatedError
from repocore.registry import KeySet

__all__ = ["verify_id_token"]

_REQUIRED: Final = ["aud", "exp", "iat", "iss", "sub"]
_WRONG: Final = "The provider's answer is not valid; sign in again."


def verify_id_token(
    token: Any, keys: KeySet, *, issuer: str, client_id: str, nonce: str
) -> dict[str, Any]:
    """The claims of a token that this provider signed, for us, for this sign-in, and lately.

    Raises `NotAuthenticatedError` for any other, and `UpstreamUnavailableError` where the keys
    cannot be had.
    """
    claims = None
    if isinstance(token, str):
        claims = keys.claims(token, issuer=issuer, audience=client_id, require=_REQUIRED)
    if claims is None:
        raise NotAuthenticatedError(_WRONG)
    _check_for_us(claims, client_id, nonce)
    return claims


def _check_for_us(claims: Mapping[str, Any], client_id: str, nonce: str) -> None:
    audience, party = claims["aud"], claims.get("azp")
    several = isinstance(audience, list) and len(cast("list[Any]", audience)) > 1
    # Who is meant by several is said by azp; whoever is said there has to be us.
    if (several or party is not None) and party != client_id:
        raise NotAuthenticatedError(_WRONG)
    said = claims.get("nonce")
    if not isinstance(said, str) or not hmac.compare_digest(said.encode(), nonce.encode()):
        raise NotAuthenticatedError(_WRONG)
