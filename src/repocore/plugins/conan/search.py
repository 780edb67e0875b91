"""Search: which references a pattern means, and what the packages of a recipe are."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from repocore.errors import InvalidPathError
from repocore.model import Release
from repocore.plugins.conan.references import NOBODY

__all__ = [
    "MOST_PATTERN",
    "check_pattern",
    "info_pairs",
    "info_sections",
    "literal_prefix",
    "packages",
    "recipes",
    "reference_matcher",
]

_SPECIAL = re.compile(r"[*?\[/@]")
#: The longest reference has 200 characters; this leaves room for wildcards and sets.
MOST_PATTERN: Final = 512


def literal_prefix(pattern: str) -> str:
    """What every matching name begins with, case aside: the range that the catalog looks at."""
    return _SPECIAL.split(pattern, maxsplit=1)[0]


def reference_matcher(pattern: str, *, ignore_case: bool) -> Callable[[str, str], bool]:
    """Whether a pattern means a reference, given as name and full version.

    The pattern (``*``, ``?``, ``[seq]``) must match the whole reference or a part of it that ends
    at or behind a separator: ``zlib``, ``zlib/1.3`` and ``zl*`` all mean ``zlib/1.3@user/channel``,
    ``zli`` does not.  An empty pattern means everything.  The time is bounded by the product of
    both lengths: the translation uses atomic groups, which never go back.
    """
    if pattern in {"", "*"}:
        return lambda _name, _version: True
    flags = re.IGNORECASE if ignore_case else 0
    matches = re.compile(fnmatch.translate(pattern), flags).match
    return lambda name, version: any(matches(text) for text in _prefixes(name, version))


def _prefixes(name: str, full_version: str) -> Iterator[str]:
    version, _, rest = full_version.partition("@")
    user, _, channel = rest.partition("/")
    yield name
    yield f"{name}/"
    text = f"{name}/{version}"
    yield text
    if user == NOBODY:
        return
    yield f"{text}@"
    text = f"{text}@{user}"
    yield text
    if channel == NOBODY:
        return
    yield f"{text}/"
    yield f"{text}/{channel}"


def check_pattern(pattern: str) -> str:
    """The pattern; raises `InvalidPathError` for one that no reference is as long as."""
    if len(pattern) > MOST_PATTERN:
        message = f"A search pattern has at most {MOST_PATTERN} characters."
        raise InvalidPathError(message)
    return pattern


def recipes(found: Iterable[tuple[str, str]], pattern: str, *, ignore_case: bool) -> list[str]:
    """The references among (name, full version) that match, printed, in their order."""
    matches = reference_matcher(pattern, ignore_case=ignore_case)
    return [_print(name, version) for name, version in found if matches(name, version)]


def _print(name: str, full_version: str) -> str:
    return f"{name}/{full_version}".removesuffix("/_").removesuffix("@_")


def packages(
    releases: Iterable[Release], *, names_only: bool, parsed: bool = False
) -> dict[str, dict[str, Any]]:
    """What search answers for the packages of a recipe revision, by package id.

    ``content`` is the raw conaninfo.txt; packages of Conan 1 (with a recipe hash), and with
    ``parsed`` all, also get the fields that its client asks for.
    """
    answer = {
        release.partition.rpartition(":")[2]: {} if names_only else _described(release, parsed)
        for release in releases
    }
    return dict(sorted(answer.items()))


def _described(release: Release, parsed: bool) -> dict[str, Any]:  # noqa: FBT001 - as it came
    content = json.loads(release.record).get("conaninfo", "")
    return {"content": content} | _conan1(content, parsed)


def _conan1(content: str, parsed: bool) -> dict[str, Any]:  # noqa: FBT001 - as it came
    sections = info_sections(content)
    if not parsed and not sections.get("recipe_hash"):
        return {}
    pairs = {name: info_pairs(sections.get(name, ())) for name in ("settings", "options")}
    return {
        **pairs,
        "full_requires": sections.get("full_requires", []),
        "recipe_hash": (sections.get("recipe_hash") or [""])[0],
    }


def info_sections(content: str) -> dict[str, list[str]]:
    """The lines of a conaninfo.txt below each of its headings."""
    sections: dict[str, list[str]] = {}
    current: list[str] = []
    for line in map(str.strip, content.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            current = sections.setdefault(line[1:-1], [])
        elif line:
            current.append(line)
    return sections


def info_pairs(lines: Iterable[str]) -> dict[str, str]:
    """Names and values of ``name=value`` lines; other lines are left out."""
    pairs = (line.partition("=") for line in lines)
    return {name: value for name, equals, value in pairs if equals}
