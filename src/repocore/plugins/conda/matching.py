"""Which packages a dependency means (CEP 29), as far as choosing for an index needs it.

What is not understood means every package of its name: then nothing is added on its account, and
clients look into the whole index where the small one is not enough.  Regular expressions of
packages are never run.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

import attrs

from repocore.errors import InvalidPackageError
from repocore.plugins.conda.specs import bracket_form
from repocore.plugins.conda.versions import is_version, version_key

__all__ = ["Spec", "newest_first", "parse_spec", "starts_with"]

_NAME = re.compile(r"[^\[]+")
_FIELD = re.compile(r"(version|build|build_number)=(?:\"([^\"]*)\"|'([^']*)')")
_ATOM = re.compile(r"(==|!=|>=|<=|~=|>|<|=)?(.+)\Z")
_TOKEN = re.compile(r"[,|()]|[^,|()]+")
_RUN = re.compile(r"[0-9]+|[^0-9]+")
_SEPARATOR = re.compile(r"[._]")
_SERIES = re.compile(r"(.+)[._][^._]+\Z")
#: Parentheses in parentheses; deeper ones are not understood.
_DEEPEST: Final = 20

_Test = Callable[[str], bool]
_Part = tuple[int | str, ...]


class _NotUnderstoodError(ValueError):
    """Nobody can say what it means, or we do not."""


@attrs.frozen
class Spec:
    """The name that a dependency is about, and what it asks of version and build."""

    name: str
    _version: _Test | None = None
    _build: _Test | None = None
    _build_number: int | None = None

    def matches(self, version: str, build: str, build_number: int) -> bool:
        """Whether a package of the name will do."""
        return (
            (self._version is None or self._version(version))
            and (self._build is None or self._build(build))
            and (self._build_number is None or self._build_number == build_number)
        )


@lru_cache(maxsize=4096)
def parse_spec(text: str) -> Spec | None:
    """Read a dependency; None for what is not understood."""
    try:
        form = bracket_form(text.rpartition("::")[2])
        name = _NAME.match(form)
        if name is None:
            return None
        fields = {found[1]: found[2] or found[3] for found in _FIELD.finditer(form)}
        number = fields.get("build_number")
        return Spec(
            name[0],
            _version_test(fields["version"]) if "version" in fields else None,
            _build_test(fields["build"]) if "build" in fields else None,
            None if number is None else int(number),
        )
    except (InvalidPackageError, ValueError):
        return None


def newest_first(version: str, record: dict[str, Any]) -> tuple[bytes, int, int]:
    """What the best of several packages of a name has the most of."""
    number, timestamp = record.get("build_number"), record.get("timestamp")
    return (
        version_key(version),
        number if isinstance(number, int) else 0,
        timestamp if isinstance(timestamp, int) else 0,
    )


def _build_test(pattern: str) -> _Test:
    if pattern.startswith("^"):
        raise _NotUnderstoodError
    if "*" not in pattern:
        return lambda build: build == pattern
    first, *middle, last = pattern.split("*")

    def test(build: str) -> bool:
        if not (build.startswith(first) and build.endswith(last)):
            return False
        at, end = len(first), len(build) - len(last)
        for part in middle:
            at = build.find(part, at, end) + len(part) if at <= end else -1
            if at < len(part):
                return False
        return at <= end

    return test


# ------------------------------------------------------------------------------------- versions


def _version_test(text: str) -> _Test:
    tokens = _TOKEN.findall(text)
    test = _any_of(tokens, 0)
    if tokens:
        raise _NotUnderstoodError
    return test


def _any_of(tokens: list[str], depth: int) -> _Test:
    tests = [_all_of(tokens, depth)]
    while tokens and tokens[0] == "|":
        tokens.pop(0)
        tests.append(_all_of(tokens, depth))
    return lambda version: any(test(version) for test in tests)


def _all_of(tokens: list[str], depth: int) -> _Test:
    tests = [_one(tokens, depth)]
    while tokens and tokens[0] == ",":
        tokens.pop(0)
        tests.append(_one(tokens, depth))
    return lambda version: all(test(version) for test in tests)


def _one(tokens: list[str], depth: int) -> _Test:
    if not tokens or depth > _DEEPEST:
        raise _NotUnderstoodError
    token = tokens.pop(0)
    if token == "(":  # noqa: S105 - no password
        test = _any_of(tokens, depth + 1)
        if not tokens or tokens.pop(0) != ")":
            raise _NotUnderstoodError
        return test
    return _atom(token.strip())


def _atom(text: str) -> _Test:
    if text == "*":
        return lambda _: True
    match = _ATOM.match(text)
    if match is None:
        raise _NotUnderstoodError
    operator, version = match[1] or "==", match[2]
    if version.endswith("*"):
        version = version[:-1].removesuffix(".")
        operator = {"==": "=", "!=": "!=*"}.get(operator, operator)
    if not is_version(version):
        raise _NotUnderstoodError  # a regular expression, a * within, no version at all
    return _compared(operator, version)


def _compared(operator: str, version: str) -> _Test:
    key = version_key(version)
    series = _series(version) if operator == "~=" else version
    tests: dict[str, _Test] = {
        "==": lambda found: version_key(found) == key,
        "!=": lambda found: version_key(found) != key,
        ">=": lambda found: version_key(found) >= key,
        "<=": lambda found: version_key(found) <= key,
        ">": lambda found: version_key(found) > key,
        "<": lambda found: version_key(found) < key,
        "=": lambda found: starts_with(found, series),
        "!=*": lambda found: not starts_with(found, series),
        "~=": lambda found: version_key(found) >= key and starts_with(found, series),
    }
    return tests[operator]


def _series(version: str) -> str:
    """The version without its last component: ~=1.4.2 is any 1.4 from there on."""
    match = _SERIES.match(version)
    if match is None:
        raise _NotUnderstoodError
    return match[1]


def starts_with(version: str, prefix: str) -> bool:
    """Whether a version is of a series: 1.4.2 is of 1.4, and 1.45 is not."""
    if not is_version(version):
        return False
    epoch, parts, local = _parts(version)
    wanted_epoch, wanted, wanted_local = _parts(prefix)
    if epoch != wanted_epoch:
        return False
    if wanted_local:
        return _filled(parts, wanted) == _filled(wanted, parts) and _leads(local, wanted_local)
    return _leads(parts, wanted)


def _leads(parts: tuple[_Part, ...], wanted: tuple[_Part, ...]) -> bool:
    last = len(wanted) - 1
    padded = parts + ((0,),) * (len(wanted) - len(parts))
    if any(_trimmed(a) != _trimmed(b) for a, b in zip(padded[:last], wanted[:last], strict=True)):
        return False
    *before, end = wanted[last]
    found = padded[last] + (0,) * (len(wanted[last]) - len(padded[last]))
    return list(found[: len(before)]) == before and _begins(found[len(before)], end)


def _begins(run: int | str, wanted: int | str) -> bool:
    if isinstance(wanted, str):
        return isinstance(run, str) and run.startswith(wanted)
    return run == wanted


def _filled(parts: tuple[_Part, ...], other: tuple[_Part, ...]) -> list[_Part]:
    missing = max(0, len(other) - len(parts))
    return [_trimmed(part) for part in parts] + [()] * missing


def _trimmed(part: _Part) -> _Part:
    """Without zeros at its end, which count for nothing."""
    while part and part[-1] == 0:
        part = part[:-1]
    return part


@lru_cache(maxsize=4096)
def _parts(version: str) -> tuple[int, tuple[_Part, ...], tuple[_Part, ...]]:
    """Epoch, main and local components, each of numbers and words in turn."""
    epoch, mark, rest = version.lower().rpartition("!")
    main, _, local = rest.partition("+")
    return int(epoch) if mark else 0, _components(main), _components(local) if local else ()


def _components(text: str) -> tuple[_Part, ...]:
    return tuple(_component(part) for part in _SEPARATOR.split(text.rstrip("_")))


def _component(text: str) -> _Part:
    runs = [int(run) if run.isdigit() else run for run in _RUN.findall(text)]
    return tuple(runs) if runs and isinstance(runs[0], int) else (0, *runs)
