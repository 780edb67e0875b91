"""The bound on failed attempts to sign in, whichever way, in all processes together.

Three counts are kept: of an account from an address, of the account, and of the address.  A name
that nobody has is counted as any other.  Attempts that are under way count as failed, so that many
at once are no more than one after the other.  What is sent again and again counts once: it is a
program with a secret of yesterday, which guesses nothing and must not keep its neighbours out.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
import secrets
import threading
import time
from collections import Counter
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Final

from repocore.catalog import Catalog, attempts
from repocore.catalog.rows import micros_of
from repocore.config import SignInSettings
from repocore.errors import NotAuthenticatedError, TooManyAttemptsError
from repocore.model import Credentials, External, Password
from repocore.registry.passwords import fingerprint

__all__ = ["Throttle", "counted_name"]

#: A client with IPv6 has a whole network of addresses.
_NETWORK: Final = 64
_LONG: Final = 100
_MOST_SEEN: Final = 10_000


class Throttle:
    """Counts failures of signing in, and refuses further attempts for a while."""

    def __init__(self, catalog: Catalog, settings: SignInSettings) -> None:
        self._catalog = catalog
        self._settings = settings
        self._lock = threading.Lock()
        self._open: Counter[str] = Counter()
        self._salt = secrets.token_bytes(16)
        self._seen: dict[tuple[str, bytes], float] = {}

    @contextmanager
    def attempt(self, credentials: Credentials, source: str) -> Generator[None]:
        """One attempt; the block raises `NotAuthenticatedError` where it fails.

        Raises `TooManyAttemptsError` before the block is entered.
        """
        bounds = self._bounds(credentials, source)
        if not bounds:
            yield
            return
        with self._lock:
            self._open.update(bounds.keys())
        try:
            known = self._check(bounds)
            try:
                yield
            except NotAuthenticatedError:
                if self._is_new(credentials, source):
                    self._failed(bounds)
                raise
            # Whoever signs in has not guessed; what others tried from the address still counts.
            own = [key for key in known if not key.startswith("address:")]
            if own:
                self._catalog.write(lambda transaction: attempts.forget(transaction, own))
        finally:
            with self._lock:
                self._open.subtract(bounds.keys())
                self._open = +self._open

    def _check(self, bounds: Mapping[str, attempts.Bound]) -> Mapping[str, int]:
        keys = list(bounds)
        with self._catalog.snapshot() as connection:
            left, known = attempts.counted(connection, keys, micros_of(self._settings.window))
        with self._lock:
            crowded = any(
                known.get(key, 0) < bound.limit < known.get(key, 0) + self._open[key]
                for key, bound in bounds.items()
            )
        if left or crowded:
            seconds = math.ceil(left / 1_000_000) or 1
            raise TooManyAttemptsError(retry_after=seconds)
        return known

    def _is_new(self, credentials: Credentials, source: str) -> bool:
        """Whether this process has not seen the same fail lately; it keeps a keyed hash of it."""
        hashed = fingerprint(credentials, self._salt)
        if hashed is None:
            return True
        key, now = (source, hashed), time.monotonic()
        with self._lock:
            seen = self._seen.get(key)
            if seen is not None and now - seen < self._settings.window.total_seconds():
                return False
            if len(self._seen) >= _MOST_SEEN:
                self._seen.clear()
            self._seen[key] = now
        return True

    def _failed(self, bounds: Mapping[str, attempts.Bound]) -> None:
        self._catalog.write(lambda transaction: attempts.failed(transaction, bounds))

    def _bounds(self, credentials: Credentials, source: str) -> dict[str, attempts.Bound]:
        # A cookie's session is signed: one that has ended is no guess, and a browser sends it
        # again with each picture of a page.
        if isinstance(credentials, External) and credentials.provider == "session":
            return {}
        settings = self._settings
        address = _network(source)
        name = _name(credentials)
        found: dict[str, attempts.Bound] = {}
        if name is not None:
            found[f"account:{name}"] = self._bound(settings.attempts_of_account)
            found[f"pair:{name}@{address}"] = self._bound(settings.attempts)
        if address:
            # Whoever fails in a way of a plugin's own is still let in another way.
            way = f"{credentials.provider} " if isinstance(credentials, External) else ""
            found[f"address:{way}{address}"] = self._bound(settings.attempts_of_address)
        return found

    def _bound(self, limit: int) -> attempts.Bound:
        settings = self._settings
        return attempts.Bound(
            limit=limit,
            window=micros_of(settings.window),
            first=micros_of(settings.block),
            last=micros_of(settings.longest_block),
        )


def _name(credentials: Credentials) -> str | None:
    match credentials:
        case Password(username, _):
            return counted_name(username)
        case External(provider, subject, _) if subject:
            return counted_name(f"{provider}/{subject}")
        case _:
            return None


def counted_name(name: str) -> str:
    """Under which name failures of an account are counted."""
    name = name.casefold()
    # A name is as long as somebody wants it, and may be no text of a database; a row is both.
    if len(name) <= _LONG and name.isascii() and name.isprintable():
        return name
    return hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()


def _network(source: str) -> str:
    """What one client has: an address of IPv4, a network of IPv6."""
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return ""
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, _NETWORK), strict=False))
