"""``info/paths.json``: the files that a client links, read entry by entry.

It grows with the package, so it is never whole in memory; an entry is a flat object.
"""

from __future__ import annotations

import re
from array import array
from codecs import getincrementaldecoder
from collections.abc import Iterator
from typing import Any, Final, cast

import attrs

from repocore.errors import InvalidPackageError
from repocore.plugins.conda.limits import ArchiveLimits
from repocore.plugins.conda.members import Contents, check_path
from repocore.plugins.conda.strict_json import parse, parse_object

__all__ = ["SMALL", "Listing", "read_listing", "read_small_listing"]

_NAME: Final = "info/paths.json"
_LONGEST: Final = 64 * 1024  # characters of one entry
#: Bytes of a listing that `read_small_listing` is for.
SMALL: Final = _LONGEST
_NAMES: Final = 10_000  # paths that are kept, to be named when something is wrong
_STRING: Final = r'"(?:[^"\\]++|\\.)*+"'
_SPACE = re.compile(r"[ \t\r\n]*+")
_ENTRY = re.compile(rf'\{{(?:[^{{}}\[\]"]++|{_STRING})*+\}}', re.DOTALL)
_KEY = re.compile(_STRING, re.DOTALL)
_FLAT = re.compile(
    rf'{_STRING}|[^\s"{{}}\[\],]++|[\[{{](?:[^{{}}\[\]"]++|{_STRING})*+[\]}}]', re.DOTALL
)

_FIELDS: Final = ("_path", "path_type", "size_in_bytes", "file_mode", "sha256")
_TYPES: Final = frozenset({"hardlink", "softlink", "directory"})
_MODES: Final = frozenset({"binary", "text"})
_HEX = re.compile(r"[0-9a-fA-F]{64}\Z")
_SCRIPT = re.compile(r"-((?:pre|post)-(?:un)?link)\.")  # in a name that starts with a dot
_HOOKS: Final = ("activate.d", "deactivate.d")
_UNKNOWN: Final = -1


@attrs.define
class Listing:
    """What the paths of a package say of it all, and what of each has to be compared.

    ``facts`` has the fields of ``channeldata.json`` (CEP 38) that are true.
    """

    facts: set[str] = attrs.field(factory=set[str])
    _places: array[int] = attrs.field(factory=lambda: array("q"), init=False)
    _sizes: array[int] = attrs.field(factory=lambda: array("q"), init=False)
    _names: list[str] = attrs.field(factory=list[str], init=False)

    def note(self, path: str) -> None:
        """A path of the package: is it a script that a client runs?"""
        if path.startswith("etc/conda/"):
            for hook in _HOOKS:
                if path.startswith(hook, len("etc/conda/")):
                    self.facts.add(hook)
        if "link." in path and "/." in path:
            name = path.rpartition("/")[2]
            match = _SCRIPT.search(name) if name.startswith(".") else None
            if match:
                self.facts.add(match[1].replace("-", "_"))

    def add(self, entry: dict[str, Any], limits: ArchiveLimits) -> None:
        """An entry; raises `InvalidPackageError`."""
        path, kind, size, mode, digest = (
            entry.get(name)
            for name in ("_path", "path_type", "size_in_bytes", "file_mode", "sha256")
        )
        if not isinstance(path, str):
            raise _refused("an entry has no _path")
        check_path(path, limits)
        well = (
            (kind is None or kind in _TYPES)
            and (size is None or (type(size) is int and size >= 0))
            and (mode is None or mode in _MODES)
            and (digest is None or (isinstance(digest, str) and _HEX.match(digest)))
        )
        if not well:
            raise _refused(f"the entry of {path[:200]!r} is not usable")
        if kind == "directory":
            return
        self.note(path)
        if entry.get("prefix_placeholder"):
            self.facts.add("binary_prefix" if mode == "binary" else "text_prefix")
        self._places.append(hash(path))
        self._sizes.append(_UNKNOWN if size is None or kind == "softlink" else size)
        if len(self._names) < _NAMES:
            self._names.append(path)
        if len(self._places) > limits.members:
            raise _refused(f"it lists more than {limits.members} files")

    def compare(self, contents: Contents) -> None:
        """Whether each listed file is in the package, of its size; else `InvalidPackageError`."""
        for at, (place, size) in enumerate(zip(self._places, self._sizes, strict=True)):
            found = contents.size_of(place)
            if found is None:
                raise _refused(f"it lists {self._name(at)}, which is not in the package")
            if size != found and found >= 0 and size != _UNKNOWN:
                raise _refused(f"it says that {self._name(at)} has {size} bytes and not {found}")

    def _name(self, at: int) -> str:
        return f"{self._names[at][:200]!r}" if at < len(self._names) else f"its file {at + 1}"


def _refused(reason: str) -> InvalidPackageError:
    return InvalidPackageError(f"{_NAME} of the package is not usable: {reason}.")


def read_listing(chunks: Iterator[bytes], limits: ArchiveLimits) -> Listing:
    """Read ``info/paths.json`` from its bytes; raises `InvalidPackageError`."""
    text = _Text(chunks)
    listing = Listing()
    seen: set[str] = set()
    text.expect("{")
    while not text.accept("}", first=not seen):
        key = parse(text.match(_KEY).encode(), _NAME)
        if key in seen:
            raise _refused("an object has a key twice")
        seen.add(key)
        text.expect(":")
        if key == "paths":
            _read_paths(text, listing, limits)
        elif key == "paths_version":
            if parse(text.match(_FLAT).encode(), _NAME) != 1:
                raise _refused("its paths_version is not 1")
        else:
            parse(text.match(_FLAT).encode(), _NAME)
    text.end()
    return listing


def read_small_listing(text: bytes, limits: ArchiveLimits) -> Listing:
    """The same of a text that is small enough to be parsed at once."""
    value = parse_object(text, _NAME, limits.nesting)
    entries = value.get("paths", [])
    if value.get("paths_version", 1) != 1 or not isinstance(entries, list):
        raise _refused("its paths_version is not 1, or its paths are no list")
    listing = Listing()
    for entry in cast("list[Any]", entries):
        if not isinstance(entry, dict):
            raise _refused("an entry is not an object")
        listing.add(cast("dict[str, Any]", entry), limits)
    return listing


def _read_paths(text: _Text, listing: Listing, limits: ArchiveLimits) -> None:
    text.expect("[")
    first = True
    while not text.accept("]", first=first):
        listing.add(parse_object(text.match(_ENTRY).encode(), _NAME), limits)
        first = False


class _Text:
    """A text that comes in chunks, and what stands at a place of it."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._decoder = getincrementaldecoder("utf-8")()
        self._text = ""
        self._at = 0
        self._whole = False

    def match(self, pattern: re.Pattern[str]) -> str:
        """What the pattern matches here, and go on behind it."""
        self._space()
        match = pattern.match(self._text, self._at)
        if match is None:
            raise _refused("it is not JSON, or an entry is not flat, or too long")
        self._at = match.end()
        return match[0]

    def expect(self, mark: str) -> None:
        """Go on behind a mark that has to come now."""
        self._space()
        if not self._text.startswith(mark, self._at):
            raise _refused(f"it is not JSON: {mark!r} is missing")
        self._at += 1

    def accept(self, mark: str, *, first: bool) -> bool:
        """Whether the mark comes now that ends a list; if not, go on to the next item."""
        self._space()
        if self._text.startswith(mark, self._at):
            self._at += 1
            return True
        if not first:
            self.expect(",")
        return False

    def end(self) -> None:
        """Nothing may follow."""
        self._space()
        if self._at < len(self._text):
            raise _refused("something follows it")

    def _space(self) -> None:
        """Leave space out, and have a whole entry at hand."""
        while True:
            self._fill()
            at = self._at
            match = _SPACE.match(self._text, at)
            self._at = match.end() if match else at
            if self._whole or len(self._text) - self._at >= _LONGEST:
                return

    def _fill(self) -> None:
        while not self._whole and len(self._text) - self._at < _LONGEST:
            chunk = next(self._chunks, b"")
            self._whole = not chunk
            try:
                more = self._decoder.decode(chunk, final=self._whole)
            except UnicodeDecodeError:
                raise _refused("it is not UTF-8") from None
            self._text = self._text[self._at :] + more
            self._at = 0
