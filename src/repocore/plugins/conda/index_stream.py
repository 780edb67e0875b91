"""An index of a channel, read an entry at a time: repodata of any size takes the memory of one.

``repodata.json``, ``run_exports.json`` and ``channeldata.json`` are objects whose few large members
are objects of small entries.  Only entries are made into values; what is between them is stepped
over, piece by piece.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import Any, Final, Protocol, cast

from repocore.errors import RejectedError
from repocore.plugins.conda.strict_json import DECODER

__all__ = ["REMOVED", "Chunks", "read_entries"]

#: The list of files that are in the index no more.
REMOVED: Final = "removed"
#: Bytes that are read at a time; a larger entry is read with twice as many, and so on.
_CHUNK: Final = 256 << 10
#: The most characters of one entry; the largest that are known have some thousands.
_LONGEST: Final = 16 << 20
_SPACE: Final = " \t\n\r"
_LISTS: Final = frozenset({"packages", "packages.conda"})
_NESTED: Final = "v3"  # CEP 48


class Chunks(Protocol):
    """A text that is read in pieces."""

    def read(self, size: int, /) -> bytes:
        """Up to ``size`` bytes; ``b""`` is the end."""
        ...


def read_entries(source: Chunks) -> Iterator[tuple[str, str, Any]]:
    """(section, key, value) of every entry of an index, in its order.

    Sections are ``packages``, ``packages.conda``, and of repodata v3 ``v3.conda`` and the like, for
    which the key gets back the ending that it lost; and `REMOVED`, whose keys are the names in that
    list.  Other members are passed over.  Raises
    `RejectedError` for what is no such JSON.
    """
    text = _Text(source)
    try:
        yield from _entries(text)
        text.end()
    except UnicodeDecodeError as problem:
        message = "The index is not UTF-8; have it made anew."
        raise RejectedError(message) from problem
    except (ValueError, RecursionError) as problem:
        message = f"The index is not JSON that every client can read: {problem}; have it made anew."
        raise RejectedError(message) from problem


def _entries(text: _Text) -> Iterator[tuple[str, str, Any]]:
    for section in text.members():
        if section in _LISTS:
            for key in text.members():
                yield section, key, text.value()
        elif section == REMOVED:
            yield from _removed(text.value())
        elif section == _NESTED:
            for kind in text.members():
                for stem in text.members():
                    yield f"{_NESTED}.{kind}", f"{stem}.{kind}", text.value()
        else:
            text.skip()


def _removed(value: Any) -> Iterator[tuple[str, str, Any]]:
    names = cast("list[Any]", value) if isinstance(value, list) else []
    return ((REMOVED, name, None) for name in names if isinstance(name, str))


class _Text:
    """A JSON text of which but a window is in memory."""

    def __init__(self, source: Chunks) -> None:
        self._source = source
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self._text = ""
        self._at = 0
        self._whole = False

    def members(self) -> Iterator[str]:
        """The keys of the object that comes next; take its value before the next key."""
        yield from self._several("{", "}")

    def skip(self) -> None:
        """Step over a value, member by member where it has some."""
        match self._next():
            case "{":
                for _ in self.members():
                    self.value()
            case "[":
                for _ in self._several("[", "]"):
                    self.value()
            case _:
                self.value()

    def value(self) -> Any:
        """The value that comes next."""
        self._next()
        more = _CHUNK
        while True:
            try:
                value, end = DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as problem:
                if self._whole or len(self._text) - self._at > _LONGEST:
                    message = f"{problem.msg.lower()}, or one entry is too long"
                    raise ValueError(message) from problem
            else:
                # A number may go on in what was not read yet.
                if end < len(self._text) or self._whole:
                    self._at = end
                    return value
            self._fill(more)
            more *= 2

    def end(self) -> None:
        """Nothing follows."""
        if self._next():
            raise ValueError("something follows its end")

    def _several(self, opening: str, closing: str) -> Iterator[str]:
        self._take(opening)
        if self._next() == closing:
            self._at += 1
            return
        while True:
            if opening == "{":
                key = self.value()
                if not isinstance(key, str):
                    raise ValueError("a key is no text")
                self._take(":")
                yield key
            else:
                yield ""
            if self._next() == closing:
                self._at += 1
                return
            self._take(",")

    def _take(self, character: str) -> None:
        if self._next() != character:
            message = f"expected {character!r}"
            raise ValueError(message)
        self._at += 1

    def _next(self) -> str:
        """The character that comes next, behind spaces; empty at the end."""
        while True:
            while self._at < len(self._text):
                character = self._text[self._at]
                if character not in _SPACE:
                    return character
                self._at += 1
            if self._whole:
                return ""
            self._fill(_CHUNK)

    def _fill(self, size: int) -> None:
        chunk = self._source.read(size)
        self._whole = not chunk
        self._text = self._text[self._at :] + self._decode(chunk, self._whole)
        self._at = 0
