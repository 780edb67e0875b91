"""Accounts, their tokens, and the keys that sign for them."""

from __future__ import annotations

import re
from datetime import datetime

import attrs

from repocore.errors import RejectedError
from repocore.model.access import Rule

__all__ = ["Account", "SigningKey", "Token", "check_account_name"]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}\Z")


def check_account_name(name: str) -> str:
    """Return the name if an account or a group can bear it; raise `RejectedError` otherwise."""
    if not _NAME.match(name) or name == "anonymous":
        message = (
            "A name has up to 100 letters, digits and . _ @ + -, starts with a letter or digit, "
            "and is not 'anonymous'."
        )
        raise RejectedError(message)
    return name


@attrs.frozen(kw_only=True)
class Account:
    """Somebody who can sign in."""

    name: str
    groups: frozenset[str] = frozenset()
    email: str = ""
    disabled: bool = False
    #: A machine's, which signs in by tokens only.
    service: bool = False
    created_at: datetime


@attrs.frozen(kw_only=True)
class Token:
    """A revocable, scoped secret of an account; only its hash is kept.

    ``rules`` are allow rules that narrow what the account may do; None means no such limit.
    """

    id: int
    account: str
    name: str
    prefix: str
    rules: tuple[Rule, ...] | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None

    @property
    def declared(self) -> bool:
        """Whether its secret was made elsewhere; then its prefix is ``=`` and the hash."""
        return self.prefix[:1] == "="


@attrs.frozen(kw_only=True)
class SigningKey:
    """A secret that signs tokens; a retired one still verifies what it signed."""

    id: int
    secret: bytes = attrs.field(repr=False)
    created_at: datetime
    retired_at: datetime | None
