"""Search: which references a pattern means, and what the packages of a recipe are."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from repocore.model import Release
from repocore.plugins.conan.references import NOBODY, ConanReference

__all__ = ["literal_prefix", "packages", "recipes", "reference_matcher"]

_GLOB = re.compile(r"[*?\[]")
#: A pattern is matched in time proportional to its length times the text's; this bounds it.
MOST_PATTERN: Final = 512


def literal_prefix(pattern: str) -> str:
    """The part of a pattern's name before any wildcard: the range that the catalog looks at."""
    name = pattern.partition("/")[0].partition("@")[0]
    return _GLOB.split(name, maxsplit=1)[0]


def reference_matcher(pattern: str, *, ignore_case: bool) -> Callable[[ConanReference], bool]:
    """Whether the pattern matches a prefix of the reference that ends at a separator.

    ``zlib`` and ``zlib/1.3`` and ``zl*`` all mean ``zlib/1.3@user/channel``; ``zli`` does not.
    An empty pattern means everything.
    """
    if pattern in {"", "*"}:
        return lambda _: True
    wanted = pattern.casefold() if ignore_case else pattern
    matches = _glob(wanted)

    def test(reference: ConanReference) -> bool:
        return any(
            matches(text.casefold() if ignore_case else text) for text in _prefixes(reference)
        )

    return test


def _prefixes(reference: ConanReference) -> Iterable[str]:
    text = reference.name
    yield text
    yield text + "/"
    text = f"{text}/{reference.version}"
    yield text
    yield text + "@"
    if reference.user != NOBODY:
        text = f"{text}@{reference.user}"
        yield text
        yield text + "/"
    if reference.channel != NOBODY:
        yield f"{text}/{reference.channel}"


def _glob(pattern: str) -> Callable[[str], bool]:
    """An fnmatch pattern as a predicate that never backtracks beyond the last ``*``."""
    steps = _steps(pattern)

    def matches(text: str) -> bool:
        at = step = 0
        retry: tuple[int, int] | None = None
        while at < len(text):
            if step < len(steps) and steps[step] is None:
                retry = (step + 1, at)
                step += 1
            elif step < len(steps) and _accepts(steps[step], text[at]):
                at += 1
                step += 1
            elif retry is None:
                return False
            else:
                step, at = retry[0], retry[1] + 1
                retry = (retry[0], at)
        return all(rest is None for rest in steps[step:])

    return matches


#: One step of a pattern: None is ``*``, else what one character must be.
Step = Callable[[str], bool] | None


def _accepts(step: Step, character: str) -> bool:
    return step is not None and step(character)


def _steps(pattern: str) -> list[Step]:
    steps: list[Step] = []
    at = 0
    while at < len(pattern):
        character = pattern[at]
        at += 1
        if character == "*":
            if not steps or steps[-1] is not None:
                steps.append(None)
        elif character == "?":
            steps.append(lambda _: True)
        elif character == "[" and (end := pattern.find("]", at + 1)) != -1:
            steps.append(_set(pattern[at:end]))
            at = end + 1
        else:
            steps.append(character.__eq__)
    return steps


def _set(text: str) -> Callable[[str], bool]:
    negated = text[:1] in {"!", "^"}
    body = text[1:] if negated else text
    ranges: list[tuple[str, str]] = []
    at = 0
    while at < len(body):
        last = at + 2 if body[at + 1 : at + 2] == "-" and at + 2 < len(body) else at
        ranges.append((body[at], body[last]))
        at = last + 1
    return lambda c: any(low <= c <= high for low, high in ranges) != negated


def recipes(found: Iterable[tuple[str, str]], pattern: str, *, ignore_case: bool) -> list[str]:
    """The references among (name, full version) that match, printed, in their order."""
    everything = pattern in {"", "*"}
    test = reference_matcher(pattern, ignore_case=ignore_case)
    printed: list[str] = []
    for name, version in found:
        if everything:
            # The commonest answer is the longest: no object a line.
            printed.append(_print(name, version))
            continue
        reference = ConanReference.parse(f"{name}/{version}")
        if test(reference):
            printed.append(str(reference))
    return printed


def _print(name: str, version: str) -> str:
    text = f"{name}/{version}"
    return text.removesuffix("/_").removesuffix("@_")


def packages(releases: Iterable[Release], *, names_only: bool) -> dict[str, dict[str, Any]]:
    """What `search` answers for the packages of a recipe revision, by package id.

    ``content`` is the raw conaninfo.txt; packages of Conan 1 (with a recipe hash) also get the
    parsed fields that its client asks for.
    """
    answer: dict[str, dict[str, Any]] = {}
    for release in releases:
        package_id = release.partition.rpartition(":")[2]
        content = json.loads(release.record).get("conaninfo", "")
        answer[package_id] = {} if names_only else {"content": content} | _conan1(content)
    return dict(sorted(answer.items()))


def _conan1(content: str) -> dict[str, Any]:
    sections = _sections(content)
    if not sections.get("recipe_hash"):
        return {}
    pairs = {
        name: dict(line.split("=", 1) for line in sections.get(name, ()) if "=" in line)
        for name in ("settings", "options")
    }
    return {
        **pairs,
        "full_requires": sections.get("full_requires", []),
        "recipe_hash": sections["recipe_hash"][0],
    }


def _sections(content: str) -> dict[str, list[str]]:
    sections: dict[str, list[str]] = {}
    current: list[str] = []
    for line in map(str.strip, content.splitlines()):
        if line.startswith("[") and line.endswith("]"):
            current = sections.setdefault(line[1:-1], [])
        elif line:
            current.append(line)
    return sections
