"""Settings in words: the list for the reference, and TOML without secrets."""

from __future__ import annotations

import enum
import json
import re
import types
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Union, cast, get_args, get_origin

import attrs

from repocore.config.settings import Settings
from repocore.config.structuring import meaning, unwrap
from repocore.config.values import Secret, write_duration, write_size

__all__ = ["SettingDescription", "describe_settings", "dump_settings", "write_toml"]

_MASK: Final = "***"
_SECRET_NAME = re.compile(r"secret|passw|token|credential|key", re.IGNORECASE)
# Greedy on purpose: a password may hold any character, and too much hidden is no harm.
_IN_URL = re.compile(r"(://[^\s:/@]*:)\S*@")
_IN_QUERY = re.compile(r"([?&][^=&\s]*(?:secret|passw|token|key)[^=&\s]*=)[^&\s]*", re.IGNORECASE)
_BARE = re.compile(r"[A-Za-z0-9_-]+\Z")

_WORDS: Final[Mapping[Any, str]] = {
    str: "text",
    Secret: "secret",
    bool: "true or false",
    int: "whole number",
    float: "number",
    timedelta: "length of time",
    Path: "path",
    Any: "anything",
}


@attrs.frozen(kw_only=True)
class SettingDescription:
    """One setting: ``web.public_url``, ``repository[].policy.quota``."""

    key: str
    type: str
    #: As one writes it in TOML; empty where there is none, None where the setting is required.
    default: str | None
    help: str


def describe_settings(kind: type = Settings, prefix: str = "") -> list[SettingDescription]:
    """Every setting, in the order of the classes; a plugin's class under its prefix, too."""
    return list(_describe(kind, prefix))


def _describe(kind: Any, prefix: str) -> Iterator[SettingDescription]:
    attrs.resolve_types(kind)
    for field in attrs.fields(kind):
        about = meaning(kind, field.name, field.metadata)
        inner = _bare(field.type)
        if field.name == "tables":
            yield SettingDescription(
                key=f"{prefix}NAME", type="table", default="{}", help=about["help"]
            )
        elif isinstance(inner, type) and attrs.has(inner):
            listed = get_origin(field.type) is tuple
            yield from _describe(inner, f"{prefix}{field.name}{'[]' if listed else ''}.")
        else:
            yield SettingDescription(
                key=f"{prefix}{field.name}",
                type="size" if about.get("size") else _type_words(field.type),
                default=_default(field, size=bool(about.get("size"))),
                help=about.get("help", ""),
            )


def _bare(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is tuple else kind


def _type_words(kind: Any) -> str:
    if get_origin(kind) in {Union, types.UnionType}:
        return " or ".join(_type_words(k) for k in get_args(kind) if k is not type(None))
    if get_origin(kind) is tuple:
        return f"list of {_type_words(get_args(kind)[0])}"
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return " | ".join(str(member.value) for member in kind)
    return _WORDS.get(kind, "table")


def _default(field: attrs.Attribute[Any], *, size: bool) -> str | None:
    default = field.default
    if default is attrs.NOTHING:
        return None
    if isinstance(default, attrs.Factory):  # pyright: ignore[reportArgumentType]
        default = cast("Any", default).factory()
    if default is None:
        return ""
    return _write(_plain(default, size=size))


# ------------------------------------------------------------------------------------------ TOML


def dump_settings(settings: Settings) -> str:
    """All settings as TOML that `load_settings` reads; secrets are ``***``.

    Paths are absolute, so that the text means the same wherever it is saved.
    """
    tree = _tree(settings)
    if "://" not in settings.storage and "::" not in settings.storage:
        tree["storage"] = str(settings.data / settings.storage)
    prefix = "sqlite:///"
    if settings.catalog.startswith(prefix) and settings.catalog != f"{prefix}:memory:":
        tree["catalog"] = f"{prefix}{settings.data / settings.catalog.removeprefix(prefix)}"
    if isinstance(settings.storage, Secret):
        tree["storage"] = _MASK
    if isinstance(settings.catalog, Secret):
        tree["catalog"] = _MASK
    plugins = tree["plugins"]
    plugins.update(plugins.pop("tables"))
    return "\n".join(_lines(_masked(tree, ""), "")).strip() + "\n"


def write_toml(table: Mapping[str, Any]) -> str:
    """A table as TOML, secrets and all; lengths of time and paths as the settings have them."""
    return "\n".join(_lines(_plain(table), "")).strip() + "\n"


def _tree(value: Any) -> dict[str, Any]:
    made: dict[str, Any] = {}
    kind = cast("Any", type(value))
    for field in attrs.fields(kind):
        about = meaning(kind, field.name, field.metadata)
        item = getattr(value, field.name)
        if item is not None:
            made[field.name] = _plain(item, size=bool(about.get("size")))
    return made


def _plain(value: Any, *, size: bool = False) -> Any:
    kind = cast("Any", type(value))
    if attrs.has(kind):
        return _tree(value)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in cast("list[Any]", value)]
    if isinstance(value, Mapping):
        return unwrap(dict(cast("Mapping[str, Any]", value)))
    if size:
        return write_size(value)
    return _scalar(value)


def _scalar(value: Any) -> Any:
    if isinstance(value, timedelta):
        return write_duration(value)
    if isinstance(value, enum.Enum):
        return value.value
    return str(value) if isinstance(value, Path) else value


def _masked(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        table = cast("dict[str, Any]", value)
        return {key: _masked(item, key) for key, item in table.items()}
    if isinstance(value, list):
        return [_masked(item, name) for item in cast("list[Any]", value)]
    if isinstance(value, Secret) or (isinstance(value, str | int) and _hides(name, value)):
        return _MASK
    if isinstance(value, str) and value.startswith("$argon2"):
        return _MASK  # a hash can be guessed at by whoever has it
    if isinstance(value, str):
        return _IN_QUERY.sub(rf"\1{_MASK}", _IN_URL.sub(rf"\1{_MASK}@", value))
    return value


def _hides(name: str, value: str | int) -> bool:
    return bool(_SECRET_NAME.search(name)) and not isinstance(value, bool)


def _lines(table: Mapping[str, Any], prefix: str) -> Iterator[str]:
    later: list[tuple[str, Any]] = []
    for key, value in table.items():
        if isinstance(value, dict) or _is_tables(value):
            later.append((key, cast("Any", value)))
        else:
            yield f"{_key(key)} = {_write(value)}"
    for key, value in later:
        name = f"{prefix}{_key(key)}"
        listed = isinstance(value, list)
        for inner in cast("list[Any]", value) if listed else [value]:
            yield ""
            yield f"[[{name}]]" if listed else f"[{name}]"
            yield from _lines(inner, f"{name}.")


def _is_tables(value: Any) -> bool:
    if not isinstance(value, list) or not value:
        return False
    return all(isinstance(item, dict) for item in cast("list[Any]", value))


def _key(name: str) -> str:
    return name if _BARE.match(name) else _write(name)


def _write(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = value.encode(errors="replace").decode()
        return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, list):
        return f"[{', '.join(map(_write, cast('list[Any]', value)))}]"
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return f"{{ {', '.join(f'{_key(k)} = {_write(v)}' for k, v in items)} }}" if items else "{}"
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
