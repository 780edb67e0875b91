"""Hashes of passwords and tokens."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

from repocore.errors import RejectedError
from repocore.model import ApiKey, Bearer, Credentials, Password

__all__ = [
    "TOKEN_PREFIX",
    "checked_password",
    "fingerprint",
    "hash_password",
    "hash_token",
    "make_token",
    "same",
    "split_token",
    "verify_password",
]

#: A bound on the work of a hash.
_LONGEST: Final = 1024

#: What every token of ours starts with, so that people and scanners recognise one.
TOKEN_PREFIX: Final = "rpc-"  # noqa: S105 - it is what all of them have in common

_LETTERS: Final = string.ascii_lowercase + string.digits
_TOKEN = re.compile(r"rpc-([a-z0-9]{12})-([a-z0-9]{40})\Z")

_hasher = PasswordHasher()
#: Checked where there is no hash, so that an unknown name costs what a known one does.  It is that
#: of a random password which nobody has; to make one at each start would take half of the start.
_NOBODY: Final = (
    "$argon2id$v=19$m=65536,t=3,p=4$X2SFf5k1fUQaVT3phdvJTw"
    "$iUof34L3BsWpOAR7gGB961M5tYDiWr0A4dhqEii93Sg"
)


def checked_password(password: str) -> str:
    """The password, if it can be one; raises `RejectedError`."""
    if not password or len(password) > _LONGEST:
        message = f"A password has at least one character and at most {_LONGEST}."
        raise RejectedError(message)
    return password


def hash_password(password: str) -> str:
    """The argon2id hash of a password, with its parameters and salt."""
    return _hasher.hash(password)


def verify_password(stored: str | None, password: str) -> bool:
    """Whether the password has the hash; the work is the same without one."""
    try:
        return _hasher.verify(stored or _NOBODY, password) and stored is not None
    except (Argon2Error, InvalidHashError):
        return False


def make_token() -> tuple[str, str]:
    """A new secret and its prefix: ``rpc-`` and letters, digits, hyphens (207 random bits)."""
    prefix = "".join(secrets.choice(_LETTERS) for _ in range(12))
    secret = "".join(secrets.choice(_LETTERS) for _ in range(40))
    return f"{TOKEN_PREFIX}{prefix}-{secret}", prefix


def split_token(token: str) -> str | None:
    """The prefix of something that looks like a token of ours, or None."""
    match = _TOKEN.match(token)
    return match[1] if match else None


def hash_token(token: str) -> str:
    """The hash under which a token is kept; it has enough entropy to need no salt."""
    return hashlib.sha256(token.encode()).hexdigest()


def fingerprint(credentials: Credentials, salt: bytes) -> bytes | None:
    """A keyed hash: a process that remembers it holds no secret for longer than a request.

    None for credentials that hold no secret of their own.
    """
    match credentials:
        case Password(username, password):
            text = f"p{len(username)}:{username}{password}"
        case ApiKey(value):
            text = f"k{value}"
        case Bearer(value):
            text = f"b{value}"
        case _:
            return None
    return hashlib.blake2b(text.encode(errors="replace"), key=salt).digest()


def same(left: str, right: str) -> bool:
    """Compare two hashes in constant time."""
    return hmac.compare_digest(left, right)
