"""The order of Conan versions, as bytes.

The Conan 2 client reads a version as ``main[-pre][+build]``, each a list of items between dots.
Items are compared one by one, numbers by value and words by their letters, and zeros at the end
of a list do not count.  Of two equal mains, a pre-release goes before its release and a build
after it; pre-releases are compared before builds.

A number and a word are compared by the client as texts, which is no order: ``2 < 10 < 1a < 2``.
Here a number goes before a word, as it does there for every word that starts with a letter.
"""

from __future__ import annotations

from typing import Final

__all__ = ["version_key"]

# What an item starts with.  Each item ends in a byte below all of these, so that of two lists
# of which one begins like the other the shorter goes first.
_END: Final = b"\x00"
_EMPTY: Final = b"\x01"
_NEGATIVE: Final = b"\x02"
_SIGNED: Final = b"\x03"
_NUMBER: Final = b"\x04"
_WORD: Final = b"\x05"

_LOW: Final = b"\x01"
_HIGH: Final = b"\x02"


def version_key(version: str) -> bytes:
    """Bytes that order ``version[@user/channel]`` as the client orders references of one name."""
    text, _, rest = version.partition("@")
    user, _, channel = rest.partition("/")
    return b"".join((_number(text), _name(user), _END, _name(channel)))


def _name(text: str) -> bytes:
    """A user or channel; one that is not there goes first."""
    return b"" if text == "_" else text.encode()


def _number(text: str) -> bytes:
    # The build is behind the last "+", the pre-release behind the first "-".
    rest, plus, build = text.rpartition("+")
    main, dash, pre = (rest if plus else text).partition("-")
    before = _LOW + _items(pre) if dash else _HIGH
    after = _HIGH + _items(build) if plus else _LOW
    return _items(main) + before + after


def _items(text: str) -> bytes:
    items = [_value(item) for item in text.split(".")]
    while items and items[-1] == 0:
        items.pop()
    return b"".join(map(_item, items)) + _END


def _value(item: str) -> int | str:
    try:
        return int(item)  # what the language takes for a number, the client does: "007", "1_000"
    except ValueError:
        return item


def _item(item: int | str) -> bytes:
    if isinstance(item, str):
        if not item:
            return _EMPTY
        return (_SIGNED if item[0] in "+-" else _WORD) + item.encode() + _END
    digits = str(abs(item)).encode()
    if item < 0:
        return _NEGATIVE + bytes((255 - _width(digits), *(255 - digit for digit in digits)))
    return _NUMBER + bytes((_width(digits), *digits))


def _width(digits: bytes) -> int:
    # A number with more digits is larger; past any version's length it does not matter.
    return min(len(digits), 255)
