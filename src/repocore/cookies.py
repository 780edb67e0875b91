"""Cookies (RFC 6265) without a server, and the word that proves a form to be ours."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Final

from repocore.http import Headers

__all__ = ["cookie_field", "csrf_word", "is_csrf_word", "read_cookie"]

_MARK: Final = b"repocore csrf\0"


def read_cookie(headers: Headers, name: str) -> str | None:
    """The value of a cookie; None where there is none.

    Several of one name come from several domains or paths, and one of them may be a neighbour's:
    then there is none, unless they are alike.
    """
    found = {
        value.strip().strip('"')
        for key, equals, value in (
            pair.partition("=") for pair in (headers.get("Cookie") or "").split(";")
        )
        if equals and key.strip() == name
    }
    return found.pop() if len(found) == 1 else None


def cookie_field(
    name: str,
    value: str,
    *,
    seconds: int,
    secure: bool,
    path: str = "/",
    domain: str | None = None,
) -> tuple[str, str]:
    """The header field that sets a cookie which no script reads; 0 seconds remove it.

    ``SameSite=Lax``: it comes with a link from elsewhere, and not with a form from elsewhere.
    """
    words = [f"{name}={value}", f"Path={path}", f"Max-Age={seconds}", "HttpOnly", "SameSite=Lax"]
    if domain is not None:
        words.append(f"Domain={domain}")
    if secure:
        words.append("Secure")
    return "Set-Cookie", "; ".join(words)


def csrf_word(secret: str) -> str:
    """What a form has to carry besides a cookie with this secret; it does not tell the secret.

    Whoever makes a browser send a form from elsewhere has the cookie sent, and cannot read it.
    """
    hashed = hashlib.sha256(_MARK + secret.encode(errors="replace")).digest()
    return base64.urlsafe_b64encode(hashed).decode().rstrip("=")


def is_csrf_word(word: str, secret: str) -> bool:
    """Whether it is the word of that secret."""
    return hmac.compare_digest(word.encode(errors="replace"), csrf_word(secret).encode())
