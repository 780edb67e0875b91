"""The order of Conan versions, as bytes.

The Conan 2 client compares the dot-separated items of a version one by one: numbers by value,
words by letters, a number before a word; then the part behind ``-`` (a pre-release, which goes
before its release), then the part behind ``+`` (a build, which goes after).
"""

from __future__ import annotations

__all__ = ["version_key"]

_END = b"\x01"
_NUMBER = b"\x02"
_WORD = b"\x03"


def version_key(version: str) -> bytes:
    """Bytes that order ``version[@user/channel]`` as the client orders versions."""
    number, _, rest = version.partition("@")
    main, _, build = number.partition("+")
    main, dash, pre = main.partition("-")
    # A pre-release sorts before the release itself: the marker of "none" is the higher one.
    before = b"\x01" + _items(pre) if dash else b"\x02"
    after = b"\x02" + _items(build) if build else b"\x01"
    return b"\x00".join((_items(main), before, after, number.encode(), rest.encode()))


def _items(text: str) -> bytes:
    # Trailing zeros do not count: 1.0 and 1.0.0 are the same version to a client.
    items = text.lower().split(".")
    while len(items) > 1 and items[-1].isdecimal() and int(items[-1]) == 0:
        items.pop()
    return b"".join(map(_item, items)) + _END


def _item(item: str) -> bytes:
    if item.isdecimal() and item.isascii():
        digits = item.lstrip("0")
        # As long as the number of digits fits a byte, shorter numbers are smaller.
        return _NUMBER + bytes((min(len(digits), 255),)) + digits.encode() + b"\x00"
    return _WORD + item.encode() + b"\x00"
