"""What a new token is: its bounds, and its secret, which is made here or brought along."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from repocore.catalog.accounts import foreign_prefix
from repocore.catalog.rows import micros_of, rules_text
from repocore.errors import RejectedError
from repocore.model import Effect, Rule
from repocore.registry.passwords import hash_token, make_token

__all__ = ["new_token"]

#: Far beyond it a calendar has no date for a token's end.
_LONGEST: Final = timedelta(days=36_500)
#: Of a secret from elsewhere: the characters of RFC 6750; a shorter one is guessed.
_SECRET = re.compile(r"[A-Za-z0-9._~+/=-]+\Z")
_LENGTHS: Final = range(16, 513)


def new_token(
    name: str, rules: Sequence[Rule] | None, lifetime: timedelta | None, secret: str | None
) -> tuple[dict[str, Any], str]:
    """The values of a token's row, and its secret; without one given, one is made.

    Raises `RejectedError` for a scope that denies, a lifetime that cannot be, and a secret that is
    too short or has characters that no field of a request holds.
    """
    if any(rule.effect is not Effect.ALLOW for rule in rules or ()):
        message = "A token's scope only allows; it can take nothing more away."
        raise RejectedError(message)
    if lifetime is not None and lifetime <= timedelta(0):
        message = "A token lives for more than no time."
        raise RejectedError(message)
    if lifetime is not None and lifetime > _LONGEST:
        message = f"A token lives for at most {_LONGEST.days} days, or without an end."
        raise RejectedError(message)
    if secret is None:
        secret, prefix = make_token()
    else:
        prefix = foreign_prefix(hash_token(_checked(secret)))
    values = {
        "name": name,
        "prefix": prefix,
        "secret_hash": hash_token(secret),
        "rules": rules_text(rules),
        "lifetime": None if lifetime is None else micros_of(lifetime),
    }
    return values, secret


def _checked(secret: str) -> str:
    if len(secret) not in _LENGTHS or not _SECRET.match(secret):
        message = (
            f"A secret from elsewhere has {_LENGTHS.start} to {_LENGTHS.stop - 1} letters and "
            "digits, and maybe some of - . _ ~ + / = among them."
        )
        raise RejectedError(message)
    return secret
