"""The room of sessions of browsers, and of what may be used once: ``session.sign_ins``."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any, Final

import attrs

from repocore.catalog import identities
from repocore.catalog.rows import micros_of
from repocore.errors import AccessDeniedError, NotAuthenticatedError
from repocore.model import Principal
from repocore.registry.context import Context

__all__ = ["SignIns"]

#: For whom the token of a browser's session is: it is worth nothing in an Authorization field.
_AUDIENCE: Final = "session"
_ENDED: Final = "session ended"


class SignIns:
    """Sessions that a cookie carries; all of it is the server's to do.

    A session ends with its lifetime, with `end`, and when its account is disabled or removed; all
    of that holds with the next request, in every process.
    """

    def __init__(self, context: Context) -> None:
        self._context = context

    def _registry(self) -> Any:
        if not self._context.principal.trusted:
            message = "Only the server itself may do that."
            raise AccessDeniedError(message)
        return self._context.services.registry

    def start(self, principal: Principal) -> str:
        """A new session of somebody who has just signed in: what its cookie holds.

        Raises `NotAuthenticatedError` for the anonymous.
        """
        lifetime = self._context.services.settings.session.lifetime
        return self._registry().issue(principal, audience=_AUDIENCE, lifetime=lifetime)

    def resume(self, token: str) -> Principal:
        """Whose session it is.  Raises `NotAuthenticatedError` where it has ended."""
        registry = self._registry()
        found: Principal = registry.redeem(token, audience=_AUDIENCE)
        with self._context.services.catalog.snapshot() as connection:
            if identities.is_spent(connection, _ENDED, _hashed(token)):
                message = "The session has ended; sign in again."
                raise NotAuthenticatedError(message)
        return attrs.evolve(found, via="session")

    def end(self, token: str) -> None:
        """End a session.  Idempotent; does nothing for what is none."""
        try:
            self.resume(token)
        except NotAuthenticatedError:
            return
        # Remembered for as long as the token could have lived.
        lifetime = self._context.services.settings.session.lifetime + timedelta(days=1)
        self.spend(_ENDED, _hashed(token), lifetime)

    def spend(self, purpose: str, value: str, lifetime: timedelta) -> bool:
        """Use a value up; True for exactly one of all who do, as long as it is remembered."""
        self._registry()
        catalog = self._context.services.catalog
        span = micros_of(lifetime)
        # Bookkeeping: that a value is gone is no change of anything that counts.
        return catalog.write(lambda t: identities.spend(t, purpose, value, span))


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
