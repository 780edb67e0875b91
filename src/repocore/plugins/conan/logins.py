"""Logins that a conan_server has signed, good as long as its secret is in the settings.

They are JSON Web Tokens with exactly the claims ``user`` and ``exp``, signed by HS256 (the Conan
protocol).  What we issue ourselves has other claims, and other keys.
"""

from __future__ import annotations

import json
import time
from typing import Any, Final, cast

import jwt
from jwt.algorithms import HMACAlgorithm

from repocore.errors import NotAuthenticatedError
from repocore.markers import hookimpl
from repocore.model import Action, Bearer, Credentials, Principal, Rule
from repocore.plugins.conan.settings import ConanSettings
from repocore.registry import Registry

__all__ = ["repocore_authenticate"]

_ALGORITHM: Final = "HS256"
#: Such a login is good for Conan repositories, and for nothing else.
_SCOPE: Final = (Rule(subject="*", actions=frozenset(Action), pattern="conan/**"),)


class _AnyLength(HMACAlgorithm):
    """HS256 with the secrets that are in use, which may be shorter than RFC 7518 has them."""

    def check_key_length(self, key: bytes) -> str | None:
        """Find nothing wrong."""
        return None


_tokens: Any = jwt.PyJWS(algorithms=[])
_tokens.register_algorithm(_ALGORITHM, _AnyLength(HMACAlgorithm.SHA256))


@hookimpl
def repocore_authenticate(registry: Registry, credentials: Credentials) -> Principal | None:
    """Whose login it is, for Conan repositories only; None for every other token.

    Raises `NotAuthenticatedError` for one that has expired, or whose user is gone.
    """
    settings: ConanSettings = registry.plugin_settings("conan")
    if settings.jwt_secret is None or not isinstance(credentials, Bearer):
        return None
    claims = _claims(credentials.value, settings.jwt_secret)
    if claims is None:
        return None
    if claims["exp"] <= time.time():
        message = "The login has expired; log in again."
        raise NotAuthenticatedError(message)
    name = str(claims["user"])
    # A plugin cannot be asked for a name without its password: it is believed until then.
    if not name or (settings.authenticator is None and name not in settings.users):
        message = "The user of this login is gone; log in again."
        raise NotAuthenticatedError(message)
    return Principal(name=name, scope=_SCOPE, via="conan_server", expires=float(claims["exp"]))


def _claims(token: str, secret: str) -> dict[str, Any] | None:
    try:
        claims: Any = json.loads(_tokens.decode(token, secret, algorithms=[_ALGORITHM]))
    # Whatever a hostile token makes of the parser, it proves nothing.
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        return None
    if not isinstance(claims, dict):
        return None
    found = cast("dict[str, Any]", claims)
    right = set(found) == {"user", "exp"} and type(found["exp"]) in {int, float}
    return found if right else None
