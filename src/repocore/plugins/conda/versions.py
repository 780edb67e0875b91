"""The order of conda versions (CEP 33), as bytes.

A version is ``[epoch!]main[+local]``.  Main and local are components between ``.`` and ``_``; a
component is runs of digits and of other characters in turn, and one that begins with a letter
begins with a 0 before it.  Runs are compared one by one: a word goes before a number, ``dev``
before every other word, ``post`` after every number.  What is missing counts as 0, so 1.1 is
1.1.0, and 1.1.a goes before it.  Letters have no case.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

__all__ = ["is_version", "version_key"]

_COMPONENTS: Final = r"[0-9a-z]+(?:[._][0-9a-z]+)*+"
_VERSION = re.compile(rf"(?:([0-9]+)!)?({_COMPONENTS}_?)(?:\+({_COMPONENTS}))?\Z")
_RUN = re.compile(r"[0-9]+|[^0-9]+")
_DIGITS = re.compile(r"[0-9]+")
_SEPARATOR = re.compile(r"[._]")
# Clients count with 64 bits.
_LARGEST: Final = str(2**64 - 1)

# What follows zeros that were not written decides on which side of them a version lies.  So all
# that makes it less has a byte below the end's, and all that makes it more one above.
_WORD: Final = b"\x01"
_ZERO_WORD: Final = b"\x02"
_ZEROS_LESS: Final = 3  # and their number
_END: Final = b"\x04"
_ZEROS_MORE: Final = 5  # and 255 less their number
_ZERO_POST: Final = b"\x06"
_NUMBER: Final = 7  # and the number of its digits, and they
_POST: Final = b"\x08"


def is_version(text: str) -> bool:
    """Whether clients can read it as a version, in any case of its letters."""
    match = _VERSION.match(text.lower())
    if match is None:
        return False
    return len(text) < len(_LARGEST) or all(map(_fits, _DIGITS.findall(text)))


def _fits(digits: str) -> bool:
    plain = digits.lstrip("0")
    return (len(plain), plain) <= (len(_LARGEST), _LARGEST)


@lru_cache(maxsize=4096)
def version_key(version: str) -> bytes:
    """Bytes in the order of versions; equal for versions that are equal, as 1.1 and 1.1.0 are.

    What is no version goes before all that are, in the order of its text.
    """
    match = _VERSION.match(version.lower())
    if match is None:
        return b"\x00" + version.encode(errors="surrogatepass")
    epoch, main, local = match.groups()
    return _number(epoch or "0") + _list(main) + _list(local or "")


def _list(text: str) -> bytes:
    if text.endswith("_"):
        # A last underscore belongs to its component: 1.0.1_ goes before 1.0.1a (CEP 33).
        components = _SEPARATOR.split(text[:-1])
        components[-1] += "_"
    else:
        components = _SEPARATOR.split(text)
    written: list[bytes] = []
    zeros = 0
    for component in map(_component, components):
        if not component:
            zeros += 1
            continue
        if zeros:
            written.append(_zeros(min(zeros, 255), component))
            zeros = 0
        written.append(component)
    return b"".join(written) + _END


def _zeros(count: int, component: bytes) -> bytes:
    """That many components of nothing, before one that is something."""
    if component < _END:
        return bytes((_ZEROS_LESS, count))
    return bytes((_ZEROS_MORE, 255 - count))


def _component(text: str) -> bytes:
    """The runs of a component, without zeros at its end; empty where it is nothing but zeros."""
    runs: list[str] = _RUN.findall(text)
    if not runs or not runs[0].isdigit():
        runs.insert(0, "0")
    written = b"".join(_runs(runs))
    return written + _END if written else b""


def _runs(runs: list[str]) -> list[bytes]:
    written: list[bytes] = []
    for place, run in enumerate(runs):
        if not run.isdigit():
            # A zero has nothing of its own but what follows; it stands before a word, always.
            zero = not runs[place - 1].strip("0")
            written.append(_word(run, after_zero=zero))
        elif run.strip("0"):
            written.append(_number(run))
    return written


def _word(word: str, *, after_zero: bool) -> bytes:
    if word == "post":
        return _ZERO_POST if after_zero else _POST
    letters = "D" if word == "dev" else word  # a capital is less than _ and than small letters
    return (_ZERO_WORD if after_zero else _WORD) + letters.encode() + b"\x00"


def _number(digits: str) -> bytes:
    plain = digits.lstrip("0") or "0"
    return bytes((_NUMBER, min(len(plain), 255))) + plain.encode()
