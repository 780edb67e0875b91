"""Where settings come from: a data folder, a file, the environment.

``REPOCORE__SECTION__KEY`` overrides a key; wherever a text is expected, ``{ env = "NAME" }`` and
``{ file = "NAME" }`` take it from elsewhere.  What is told first wins: an argument, the
environment, the file, a default.
"""

from __future__ import annotations

import copy
import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, cast

import attrs

from repocore.config.settings import PluginSettings, Settings
from repocore.config.structuring import structure, unwrap
from repocore.config.values import Secret, Spelled, Table
from repocore.errors import ConfigurationError

__all__ = ["load_settings", "locate_data", "locate_settings", "read_table"]

DEFAULT_DATA: Final = "repocore-data"
FILE_NAME: Final = "repocore.toml"

_PREFIX: Final = "REPOCORE__"
#: A plugin's table: what looks like a reference there is a setting, ``file = "users"``.
_PLUGIN = re.compile(r"plugins\.[^.\[]+")
_SQLITE = re.compile(r"(sqlite(?:\+\w+)?:///)(?!/)(?!file:|:memory:)([^?]+)(.*)", re.DOTALL)


def locate_data(data: Path | None, environ: Mapping[str, str]) -> Path:
    """The data folder: the argument, else REPOCORE_DATA, else ``./repocore-data``; absolute."""
    return (data or Path(environ.get("REPOCORE_DATA") or DEFAULT_DATA)).absolute()


def locate_settings(
    *, data: Path | None = None, config: Path | None = None, environ: Mapping[str, str]
) -> Path | None:
    """The argument, else REPOCORE_CONFIG, else the data folder's file if there is one; absolute."""
    if config or environ.get("REPOCORE_CONFIG"):
        return (config or Path(environ["REPOCORE_CONFIG"])).absolute()
    file = locate_data(data, environ) / FILE_NAME
    return file if file.is_file() else None


def load_settings(
    *,
    data: Path | None = None,
    config: Path | None = None,
    environ: Mapping[str, str],
    beneath: Mapping[str, Any] | None = None,
) -> Settings:
    """Read all that the argument, the environment and the file say.

    ``beneath`` is a table as a file has it, of which the file and the environment override keys.
    Relative paths of the file are relative to it, those of the environment to the current folder.
    Raises `ConfigurationError` with every problem at once.
    """
    problems: list[str] = []
    file = locate_settings(data=data, config=config, environ=environ)
    folder = file.parent if file else locate_data(data, environ)
    table = _anchored(_read(file, problems), folder)
    resolved = copy.deepcopy(dict(beneath or {}))
    _merge(resolved, _resolved(table, _Sources(folder, environ, problems), ""), "", problems)
    over = _anchored(_overrides(environ, problems), Path.cwd())
    over = _resolved(over, _Sources(Path.cwd(), environ, problems), "")
    _merge(resolved, over, "", problems)
    given = resolved.pop("data", None)
    if isinstance(given, str) and data is None and not environ.get("REPOCORE_DATA"):
        data = Path(given)
    if given is not None and not isinstance(given, str):
        problems.append("data: expected a text")
    problems.extend(_doubles(resolved.get("repository")))
    settings = _structured(resolved, locate_data(data, environ), folder, problems)
    if problems:
        raise ConfigurationError(problems=tuple(dict.fromkeys(problems)))
    return settings


def read_table(file: Path) -> dict[str, Any]:
    """A TOML file as it is; raises `ConfigurationError` with the line of what is no TOML."""
    try:
        with file.open("rb") as stream:
            return tomllib.load(stream)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(problems=(f"{file.name}: {error}",)) from error
    except OSError as error:
        problem = f"{file.name} cannot be read: {error.strerror}"
        raise ConfigurationError(problems=(problem,)) from error


def _read(file: Path | None, problems: list[str]) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        return read_table(file)
    except ConfigurationError as error:
        # The environment's problems are told together with the file's.
        problems.extend(error.problems)
        return {}


def _structured(raw: dict[str, Any], data: Path, folder: Path, problems: list[str]) -> Settings:
    plugins = raw.get("plugins")
    if isinstance(plugins, dict):
        raw["plugins"] = _split_plugins(cast("dict[str, Any]", plugins), folder)
    if "storage_options" in raw:
        raw["storage_options"] = unwrap(raw["storage_options"])
    try:
        return structure({**raw, "data": str(data)}, Settings)
    except ConfigurationError as error:
        # Of a reference that leads nowhere it is enough to say so.
        told = {problem.partition(":")[0] for problem in problems}
        problems.extend(p for p in error.problems if p.partition(":")[0] not in told)
        return Settings(data=data)


def _split_plugins(table: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The keys of `PluginSettings` stay; each other table is a plugin's own."""
    own = {name for name in attrs.fields_dict(PluginSettings) if name != "tables"}
    kept: dict[str, Any] = {}
    tables: dict[str, Any] = {}
    for name, value in table.items():
        if name in own or not isinstance(value, dict):
            kept[name] = value
        else:
            tables[name] = Table(cast("dict[str, Any]", value))
            tables[name].folder = str(folder)
    return {**kept, "tables": tables}


def _doubles(repositories: Any) -> Iterator[str]:
    seen: set[str] = set()
    entries = cast("list[Any]", repositories) if isinstance(repositories, list) else []
    for place, entry in enumerate(entries):
        if isinstance(entry, dict):
            table = cast("dict[str, Any]", entry)
            address = f"{table.get('format')}/{table.get('name')}"
            if address in seen:
                yield f"repository[{place}]: {address} stands there twice"
            seen.add(address)


# ------------------------------------------------------------------------------- the environment


def _overrides(environ: Mapping[str, str], problems: list[str]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for name, text in sorted(environ.items()):
        if not name.startswith(_PREFIX):
            problems.extend(_meant(name))
            continue
        keys = name.removeprefix(_PREFIX).lower().split("__")
        if "" in keys:
            problems.append(f"{name}: write REPOCORE__SECTION__KEY, with two underscores between")
            continue
        value = _value(text)
        for key in reversed(keys):
            value = {key: value}
        _merge(table, cast("dict[str, Any]", value), "", problems)
    return table


def _meant(name: str) -> Iterator[str]:
    """A problem where a variable is one of ours but for its underscores.

    Others may begin as ours do: a cluster sets REPOCORE_PORT for a service of that name.
    """
    if name.startswith("REPOCORE_"):
        known = {key.replace(".", "_"): key for key in _plain_keys(Settings, "")}
        word = name.removeprefix("REPOCORE_").lower()
        for close in difflib.get_close_matches(word, known, n=1, cutoff=0.9):
            right = _PREFIX + known[close].replace(".", "__").upper()
            # DATA alone has one underscore.
            if close != "data":
                yield f"{name}: no variable of that name is read; write {right}"


def _plain_keys(kind: Any, above: str) -> Iterator[str]:
    attrs.resolve_types(kind)
    for field in attrs.fields(kind):
        if isinstance(field.type, type) and attrs.has(field.type):
            yield from _plain_keys(field.type, f"{above}{field.name}.")
        else:
            yield f"{above}{field.name}"


def _value(text: str) -> Any:
    """A value as TOML writes it; anything else is the text itself."""
    try:
        read = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    if len(read) > 1 or "value" not in read:
        return text
    value: Any = read["value"]
    plain = isinstance(value, str | list | dict)
    return cast("Any", value) if plain else Spelled(value, text)


def _merge(table: dict[str, Any], over: Mapping[str, Any], where: str, problems: list[str]) -> None:
    for key, value in over.items():
        there = table.get(key)
        if isinstance(value, dict) and isinstance(there, dict):
            inner = cast("dict[str, Any]", value)
            _merge(cast("dict[str, Any]", there), inner, f"{where}{key}.", problems)
        elif isinstance(value, dict) and there is not None:
            problems.append(f"{where}{key}: is no table, and cannot be overridden in part")
        else:
            table[key] = value


# ------------------------------------------------------------ paths, and what is kept elsewhere


def _anchored(table: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Make the paths of the core absolute; those of a plugin are its class's to name."""
    made = dict(table)
    for key in ("data", "storage"):
        value = made.get(key)
        if isinstance(value, str) and value and "://" not in value and "::" not in value:
            made[key] = str(folder / value)
    if isinstance(catalog := made.get("catalog"), str) and (found := _SQLITE.fullmatch(catalog)):
        made["catalog"] = f"{found[1]}{folder / found[2]}{found[3]}"
    plugins = made.get("plugins")
    if isinstance(plugins, dict):
        named = cast("dict[str, Any]", plugins)
        if isinstance(files := named.get("files"), list):
            paths = cast("list[Any]", files)
            placed = [str(folder / file) if isinstance(file, str) else file for file in paths]
            made["plugins"] = {**named, "files": placed}
    return made


@attrs.frozen
class _Sources:
    """Where references lead, and where their problems go."""

    folder: Path
    environ: Mapping[str, str]
    problems: list[str]

    def read(self, kind: str, name: str, where: str) -> Secret:
        """The text that is kept elsewhere; an empty one, and a problem, where there is none."""
        if kind == "env":
            if name not in self.environ:
                self.problems.append(f"{where}: the environment has no variable {name}")
            return Secret(self.environ.get(name, ""))
        try:
            text = (self.folder / name).read_text(encoding="utf-8")
        except (OSError, ValueError):
            self.problems.append(f"{where}: the file {Path(name).name} cannot be read")
            return Secret()
        return Secret(text.rstrip("\r\n"))


def _resolved(value: Any, sources: _Sources, where: str) -> Any:
    """Put texts in the place of their references."""
    if isinstance(value, list):
        items = enumerate(cast("list[Any]", value))
        return [_resolved(item, sources, f"{where}[{place}]") for place, item in items]
    if not isinstance(value, dict):
        return value
    table = cast("dict[str, Any]", value)
    if where and len(table) == 1 and not _PLUGIN.fullmatch(where):
        kind, name = next(iter(table.items()))
        if kind in {"env", "file"} and isinstance(name, str):
            return sources.read(kind, name, where)
    return {
        key: _resolved(item, sources, f"{where}.{key}".lstrip(".")) for key, item in table.items()
    }
