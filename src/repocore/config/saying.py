"""What the classes of settings say of their fields, and the checks that several share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

__all__ = ["http_url", "positive", "says", "some", "whole"]


def says(
    help: str,
    *,
    check: Callable[[Any], object] | None = None,
    each: Callable[[Any], object] | None = None,
    size: bool = False,
) -> dict[str, Any]:
    """Metadata of a field: its meaning in a line, and what is checked beyond its type.

    ``check`` raises `ValueError` for a bad value, ``each`` for a bad element of a list; ``size``
    says that the number counts bytes.
    """
    return {"help": help, "check": check, "each": each, "size": size}


def some(value: str) -> None:
    """Refuse a text without a word in it."""
    if not value.strip():
        raise ValueError("expected some text")


def http_url(example: str) -> Callable[[str | None], None]:
    """A check that refuses what is no URL of HTTP, or one with a user; None passes."""

    def check(value: str | None) -> None:
        if value is None:
            return
        parts = urlsplit(value)
        if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
            raise ValueError(f"expected a URL such as {example}, without a user")

    return check


def positive(value: Any) -> None:
    """Refuse nothing, and less."""
    if value is not None and value <= type(value)(0):
        raise ValueError("must be more than nothing")


def whole(value: Any) -> None:
    """Refuse less than nothing."""
    if value is not None and value < type(value)(0):
        raise ValueError("must not be less than nothing")
