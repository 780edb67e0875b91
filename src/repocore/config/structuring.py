"""From what was written to the classes of `settings`, and every problem on the way in words."""

from __future__ import annotations

import contextlib
import difflib
import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeVar, cast, get_args, get_origin

import attrs
from cattrs import Converter
from cattrs.errors import (
    ClassValidationError,
    ForbiddenExtraKeysError,
    IterableValidationError,
    IterableValidationNote,
)
from cattrs.gen import make_dict_structure_fn, override

from repocore.config.settings import POLICY
from repocore.config.values import Secret, Spelled, Table, parse_duration, parse_size
from repocore.errors import ConfigurationError
from repocore.model import Action, Policy

__all__ = ["WrongKindError", "meaning", "structure", "structure_table", "unwrap"]

T = TypeVar("T")

_LISTS: Final[dict[Any, Any]] = {
    tuple: tuple,
    list: list,
    set: set,
    frozenset: frozenset,
    Sequence: tuple,
}


def structure(
    raw: Mapping[str, Any], kind: type[T], where: str = "", folder: str | None = None
) -> T:
    """Make an instance of an attrs class; paths in it are relative to the folder.

    Raises `ConfigurationError` with every problem, each after the key that it is about.
    """
    try:
        return _converter(folder).structure(raw, kind)
    except Exception as error:
        raise ConfigurationError(problems=tuple(_problems(error, where))) from error


def structure_table(name: str, kind: type[T], raw: Mapping[str, Any]) -> T:
    """Make what ``[plugins.NAME]`` becomes, of the class that its plugin named.

    A field of that class may carry ``check`` and ``help`` in its metadata, as those of ours do.
    Raises `ConfigurationError` with every problem.
    """
    folder = raw.folder if isinstance(raw, Table) else None
    return structure(raw, kind, f"plugins.{name}", folder)


def meaning(kind: type, field: str, metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """The metadata of a field, also of those classes whose floor knows nothing of settings."""
    return POLICY[field] if kind is Policy else metadata


def unwrap(value: Any) -> Any:
    """The value without the notes on how it was spelled, at any depth."""
    if isinstance(value, Spelled):
        return value.value
    if isinstance(value, list):
        return [unwrap(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        return {key: unwrap(item) for key, item in cast("dict[str, Any]", value).items()}
    return value


class WrongKindError(TypeError):
    """A value of another kind than the setting's; the message says what is expected."""


# ------------------------------------------------------------------------------------- one value


def _text(value: Any, _kind: object) -> str:
    if isinstance(value, Spelled):
        return value.text
    if not isinstance(value, str):
        raise WrongKindError('expected a text, { env = "NAME" } or { file = "NAME" }')
    return value


def _secret(value: Any, kind: object) -> Secret:
    return Secret(_text(value, kind))


def _truth(value: Any, _kind: object) -> bool:
    value = unwrap(value)
    if not isinstance(value, bool):
        raise WrongKindError("expected true or false")
    return value


def _integer(value: Any, _kind: object) -> int:
    value = unwrap(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            return parse_size(value)
    raise WrongKindError('expected a whole number, of bytes also as "10 GiB"')


def _real(value: Any, _kind: object) -> float:
    value = unwrap(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise WrongKindError("expected a number")
    return float(value)


def _duration(value: Any, _kind: object) -> timedelta:
    value = unwrap(value)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise WrongKindError('expected a length of time such as "30s", "24h" or "7d"')
    return parse_duration(value)


def _word(value: Any, kind: type[enum.Enum]) -> enum.Enum:
    words = [str(member.value) for member in kind]
    text = _text(value, str)
    if text not in words:
        message = f"expected one of {', '.join(words)}{_guess(text, words)}"
        raise ValueError(message)
    return kind(text)


# --------------------------------------------------------------------------------- many together


def _sequence(
    converter: Converter, kind: Any, each: Callable[[Any], object] | None = None
) -> Callable[[Any, Any], Any]:
    make: Any = _LISTS[get_origin(kind)]
    item: Any = get_args(kind)[0]

    def read(value: Any, _kind: object) -> Any:
        if not isinstance(value, list | tuple):
            raise WrongKindError("expected a list")
        made: list[Any] = []
        errors: list[Exception] = []
        for place, written in enumerate(_expanded(cast("list[Any]", value), item)):
            try:
                made.append(converter.structure(written, item))
                if each:
                    each(made[-1])
            except Exception as error:  # noqa: BLE001 - whatever a plugin's class raises is told
                error.add_note(IterableValidationNote(f"element {place}", place, item))
                errors.append(error)
        if errors:
            group = cast("Any", IterableValidationError)  # annotated as if it took two arguments
            raise group("elements of a list", errors, kind)
        return make(made)

    return read


def _expanded(value: Sequence[Any], item: Any) -> Sequence[Any]:
    """Whoever may write a list of actions may write ``all``, as on the command line."""
    return [action.value for action in Action] if item is Action and "all" in value else value


def _class(converter: Converter, kind: Any) -> Callable[[Any, Any], Any]:
    attrs.resolve_types(kind)
    hooks: dict[str, Any] = {}
    for field in attrs.fields(kind):
        about = meaning(kind, field.name, field.metadata)
        if about.get("as_written"):
            hooks[field.name] = override(struct_hook=_as_written(about.get("check")))
        elif about.get("check") or about.get("each"):
            hooks[field.name] = override(struct_hook=_checked(converter, about))
    inner = make_dict_structure_fn(kind, converter, _cattrs_forbid_extra_keys=True, **hooks)

    def read(value: Any, _kind: object) -> Any:
        if not isinstance(value, Mapping):
            raise WrongKindError("expected a table")
        return inner(cast("Mapping[str, Any]", value), kind)

    return read


def _as_written(check: Callable[[Any], object] | None) -> Callable[[Any, Any], Any]:
    def read(value: Any, _kind: object) -> Any:
        if check:
            check(value)
        return value

    return read


def _checked(converter: Converter, about: Mapping[str, Any]) -> Callable[[Any, Any], Any]:
    check, each = about.get("check"), about.get("each")

    def read(value: Any, kind: Any) -> Any:
        made = (
            _sequence(converter, kind, each)(value, kind)
            if each
            else converter.structure(value, kind)
        )
        if check:
            check(made)
        return made

    return read


# To make one takes as long as to open a small catalog, and the second is like the first.
@lru_cache(maxsize=8)
def _converter(folder: str | None) -> Converter:
    def path(value: Any, kind: object) -> Path:
        return Path(folder or "", _text(value, kind))

    def anything(value: Any, _kind: object) -> Any:
        return unwrap(value)

    def sequence(kind: Any) -> Callable[[Any, Any], Any]:
        return _sequence(converter, kind)

    def table(kind: Any) -> Callable[[Any, Any], Any]:
        return _class(converter, kind)

    converter = Converter(forbid_extra_keys=True)
    values: dict[Any, Any] = {
        str: _text,
        Secret: _secret,
        bool: _truth,
        int: _integer,
        float: _real,
        timedelta: _duration,
        Path: path,
        enum.Enum: cast("Any", _word),
    }
    for kind, hook in values.items():
        converter.register_structure_hook(kind, hook)
    converter.register_structure_hook_func(_is_any, anything)
    converter.register_structure_hook_factory(_is_sequence, sequence)
    converter.register_structure_hook_factory(_is_table, table)
    return converter


def _is_any(kind: Any) -> bool:
    return kind is Any


def _is_sequence(kind: Any) -> bool:
    return get_origin(kind) in _LISTS


def _is_table(kind: Any) -> bool:
    return isinstance(kind, type) and attrs.has(kind)


# -------------------------------------------------------------------------------------- problems


def _problems(error: BaseException, where: str) -> Iterator[str]:
    if isinstance(error, ClassValidationError | IterableValidationError):
        noted, others = error.group_exceptions()
        for cause, note in noted:
            step = note.index if isinstance(note, IterableValidationNote) else note.name
            yield from _problems(cause, _join(where, step))
        for cause in others:
            yield from _problems(cause, where)
    elif isinstance(error, ForbiddenExtraKeysError):
        known = [field.name for field in attrs.fields(cast("Any", error.cl))]
        for key in sorted(error.extra_fields):
            yield f"{_join(where, key)}: there is no such setting{_guess(key, known)}"
    else:
        yield f"{where or 'the settings'}: {_sentence(error)}"


def _join(where: str, step: int | str) -> str:
    if isinstance(step, int):
        return f"{where}[{step}]"
    return f"{where}.{step}" if where else step


def _sentence(error: BaseException) -> str:
    if isinstance(error, KeyError):
        return "is missing"
    if isinstance(error, ValueError | WrongKindError) and str(error):
        return str(error)
    return "is not of the kind that is expected here"


def _guess(word: str, known: Sequence[str]) -> str:
    """The nearest of the known words, else those with it inside, else all."""
    close = difflib.get_close_matches(word, known, n=1) or [k for k in known if word in k]
    if close:
        return f"; did you mean {' or '.join(close)}?"
    return f"; there are {', '.join(known)}"
