"""Requests, read by shapes: all that is wrong with one is said at once."""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar, cast, get_args, get_origin

import attrs

from repocore.errors import InvalidRequestError, MissingError, RejectedError
from repocore.http import Request
from repocore.plugins.api.shapes import Member, members

__all__ = ["address_of", "merged", "number_of", "read_body", "read_changes", "read_query"]

T = TypeVar("T")

#: What no database takes in a text, or no line of a list has in it.
_UNFIT: Final = re.compile("[\0-\x1f\x7f\ud800-\udfff]")
_WHOLE: Final = re.compile(r"-?[0-9]{1,18}\Z")
_LARGEST: Final = 1 << 63
_TIME: Final = "a time with its zone, for example 2026-01-31T12:00:00Z"
#: A word that a class of values has for people.
_WORDS: Final[Mapping[Any, str]] = {
    str: "a text in one line",
    int: "a whole number",
    bool: "true or false",
    datetime: _TIME,
}


class _WrongError(Exception):
    """A value that is not what it has to be; it never leaves this module."""


def address_of(request: Request) -> str:
    """The repository that the path names; whoever is asked for it checks it."""
    return f"{request.fields['format']}/{request.fields['name']}"


def number_of(request: Request, missing: MissingError) -> int:
    """The number in the path; raises ``missing`` where there is another word."""
    written = request.fields["number"]
    if not written.isascii() or not written.isdecimal() or not _WHOLE.match(written):
        raise missing
    return int(written)


def read_query(request: Request, kind: type[T]) -> T:
    """The query as a shape.  Raises `InvalidRequestError` with every mistake."""
    return _structured(request.query, kind, _from_text)


def read_body(request: Request, kind: type[T]) -> T:
    """The body as a shape.

    Raises `InvalidRequestError` with every mistake, `RejectedError` for what is no object of JSON,
    and `TooLargeError`.
    """
    return _structured(request.json(), kind, _from_json)


def read_changes(request: Request, kind: type) -> dict[str, Any]:
    """The fields that were sent of a shape, as values, for a merge (RFC 7396); objects inside too.

    None asks for the default.  Raises as `read_body` does.
    """
    problems: list[str] = []
    found = _sent(request.json(), kind, "", problems)
    if problems:
        raise InvalidRequestError(problems=tuple(problems))
    return found


def merged(target: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """A target with a merge patch on it (RFC 7396 section 2); null takes away."""
    result = dict(target)
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, Mapping):
            inner = result.get(name)
            below = cast("dict[str, Any]", inner) if isinstance(inner, Mapping) else {}
            result[name] = merged(below, cast("Mapping[str, Any]", value))
        else:
            result[name] = value
    return result


def _structured(given: Mapping[str, Any], kind: type[T], read: Callable[[Any, Any], Any]) -> T:
    problems: list[str] = []
    values = _values(given, kind, "", problems, read)
    if problems:
        raise InvalidRequestError(problems=tuple(problems))
    return kind(**values)


def _values(
    given: Mapping[str, Any],
    kind: type,
    above: str,
    problems: list[str],
    read: Callable[[Any, Any], Any],
) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for member in _known(given, kind, above, problems):
        name = f"{above}{member.name}"
        if member.name not in given:
            if member.required:
                problems.append(f"`{name}` is missing: {_word(member.type)}.")
            continue
        value = given[member.name]
        if value is None and member.nullable:
            values[member.name] = None
        elif attrs.has(member.type) and isinstance(value, Mapping):
            inner = cast("Mapping[str, Any]", value)
            below = _values(inner, member.type, f"{name}.", problems, read)
            if not problems:
                values[member.name] = member.type(**below)
        else:
            _take(values, member, name, problems, lambda m=member, v=value: read(v, m.type))
    return values


def _sent(given: Mapping[str, Any], kind: type, above: str, problems: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for member in _known(given, kind, above, problems):
        if member.name not in given:
            continue
        name, value = f"{above}{member.name}", given[member.name]
        if value is None and member.nullable:
            found[member.name] = None
        elif attrs.has(member.type) and isinstance(value, Mapping):
            inner = cast("Mapping[str, Any]", value)
            found[member.name] = _sent(inner, member.type, f"{name}.", problems)
        else:
            _take(found, member, name, problems, lambda m=member, v=value: _from_json(v, m.type))
    return found


def _take(
    values: dict[str, Any],
    member: Member,
    name: str,
    problems: list[str],
    read: Callable[[], Any],
) -> None:
    try:
        values[member.name] = read()
    except _WrongError:
        problems.append(f"`{name}` has to be {_word(member.type)}.")


def _known(
    given: Mapping[str, Any], kind: type, above: str, problems: list[str]
) -> tuple[Member, ...]:
    """The fields of a kind; whatever else was sent is a mistake."""
    fields = members(kind)
    names = [member.name for member in fields]
    for other in sorted(given.keys() - set(names)):
        shown = f"{above}{other[:80]}"
        known = f"there are {', '.join(names)}" if names else "there are none here"
        problems.append(f"Nobody knows the field {shown!r}; {known}.")
    return fields


def _word(kind: Any) -> str:
    if get_origin(kind) is tuple:
        return f"a list, each of it {_word(get_args(kind)[0])}"
    if attrs.has(kind):
        return f"an object with {', '.join(one.name for one in members(kind))}"
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return f"one of {', '.join(str(one.value) for one in kind)}"
    return _WORDS.get(kind, "an object of JSON")


def _from_text(value: str, kind: Any) -> Any:
    """A value of a query."""
    if kind is int and _WHOLE.match(value):
        return int(value)
    if kind is bool and value in {"true", "false"}:
        return value == "true"
    if kind in {int, bool}:
        raise _WrongError
    return _from_json(value, kind)


def _from_json(value: Any, kind: Any) -> Any:
    if get_origin(kind) is tuple:
        return _from_list(value, get_args(kind)[0])
    if attrs.has(kind):
        return _from_object(value, kind)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return _member_of(value, kind)
    if kind is datetime:
        return _time(value)
    if kind in {str, int, bool}:
        return _scalar(value, kind)
    return _free(value)


def _scalar(value: Any, kind: Any) -> Any:
    if type(value) is not kind:  # true is no number
        raise _WrongError
    if kind is str and _UNFIT.search(value):
        raise _WrongError
    if kind is int and abs(value) >= _LARGEST:
        raise _WrongError
    return value


def _from_list(value: Any, kind: Any) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise _WrongError
    return tuple(_from_json(one, kind) for one in cast("list[Any]", value))


def _from_object(value: Any, kind: Any) -> Any:
    """An object in a list; its mistakes are those of the list."""
    problems: list[str] = []
    if not isinstance(value, Mapping):
        raise _WrongError
    values = _values(cast("Mapping[str, Any]", value), kind, "", problems, _from_json)
    if problems:
        raise _WrongError
    try:
        return kind(**values)
    except RejectedError as error:
        raise _WrongError from error


def _member_of(value: Any, kind: type[enum.Enum]) -> Any:
    try:
        return kind(value)
    except ValueError as error:
        raise _WrongError from error


def _time(value: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise _WrongError from error
    if moment.tzinfo is None:
        raise _WrongError
    return moment


def _free(value: Any) -> Any:
    """An object of any JSON that can be kept."""
    try:
        json.dumps(value, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        raise _WrongError from error
    if not isinstance(value, Mapping):
        raise _WrongError
    return cast("Any", value)
