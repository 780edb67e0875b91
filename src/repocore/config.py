"""Settings as one value, from a TOML file and the environment.

Every problem is told at once.  ``REPOCORE__SECTION__KEY`` overrides a key of the file; wherever a
text is expected, ``{ env = "NAME" }`` and ``{ file = "NAME" }`` take it from elsewhere.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeVar, cast

import attrs
from cattrs import Converter, transform_error
from cattrs.errors import ForbiddenExtraKeysError

from repocore.errors import ConfigurationError, RejectedError
from repocore.model import Action, Effect, Pattern, Policy, split_address

__all__ = [
    "LimitSettings",
    "PluginSettings",
    "RepositorySettings",
    "RuleSettings",
    "Settings",
    "WebSettings",
    "load_settings",
    "read_table",
    "structure_table",
]

T = TypeVar("T")

DEFAULT_DATA: Final = "repocore-data"
FILE_NAME: Final = "repocore.toml"

_PREFIX: Final = "REPOCORE__"
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|d)\Z")
_SPANS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]i?B|B)\Z")
_SIZES: Final = {"B": 1} | {
    f"{letter}{i}B": (1024 if i else 1000) ** power
    for power, letter in enumerate("KMGT", start=1)
    for i in ("", "i")
}


def _mapping() -> dict[str, Any]:
    return {}


@attrs.frozen(kw_only=True)
class RepositorySettings:
    """A ``[[repository]]``: made when the registry opens, if it is not there."""

    name: str
    format: str
    description: str = ""
    private: bool = False
    policy: Policy = attrs.field(factory=Policy)


@attrs.frozen(kw_only=True)
class RuleSettings:
    """A ``[[rule]]`` of the site; those of the settings go before the catalog's."""

    subject: str
    actions: tuple[Action, ...]
    pattern: str
    effect: Effect = Effect.ALLOW


@attrs.frozen(kw_only=True)
class WebSettings:
    """``[web]``: how HTTP is spoken."""

    #: The URL that people reach the server at; else it comes from each request.
    public_url: str | None = None
    #: Addresses or networks of the proxies whose X-Forwarded-* fields are believed.
    trusted_proxies: tuple[str, ...] = ()
    #: ``x-accel`` (nginx) or ``x-sendfile`` (Apache, lighttpd): who sends file bodies.
    sendfile: str | None = None
    #: The internal location of nginx, or the storage's folder, that precedes an object's name.
    sendfile_prefix: str = "/_blobs/"
    #: Send clients to the storage's own URLs where it has them.
    redirect: bool = True
    redirect_lifetime: timedelta = timedelta(minutes=30)
    #: The Conan repository that is also reached at the root of the server.
    root: str | None = None


@attrs.frozen(kw_only=True)
class LimitSettings:
    """``[limits]``: every bound of the server."""

    #: Bytes of one uploaded body.
    max_body: int = 64 << 30
    #: Bytes read and written at a time.
    chunk: int = 1 << 20
    #: Unfinished releases are forgotten after that time without an upload.
    draft_lifetime: timedelta = timedelta(hours=24)
    #: Stored objects that nothing names are kept that long before the collector takes them.
    blob_grace: timedelta = timedelta(hours=24)
    #: Tombstones of deleted releases are kept that long.
    tombstone_lifetime: timedelta = timedelta(days=30)
    #: How often counted downloads are written.
    count_interval: timedelta = timedelta(seconds=10)
    #: Entries of one page of a listing.
    page: int = 1000
    #: How long a login of the Conan client lasts.
    login_lifetime: timedelta = timedelta(hours=24)


@attrs.frozen(kw_only=True)
class PluginSettings:
    """``[plugins]``: which plugins run; further tables below it are theirs."""

    #: Dotted names of modules to load besides installed ones.
    load: tuple[str, ...] = ()
    #: Plugin files on this machine, relative to the settings file.
    files: tuple[Path, ...] = ()
    disabled: tuple[str, ...] = ()
    #: ``[plugins.NAME]`` as it was written, by name.
    tables: Mapping[str, Mapping[str, Any]] = attrs.field(factory=_mapping)


@attrs.frozen(kw_only=True)
class Settings:
    """Everything that one registry is told."""

    data: Path
    #: A path (relative to the data folder) or an fsspec URL.
    storage: str = "blobs"
    storage_options: Mapping[str, Any] = attrs.field(factory=_mapping)
    #: An SQLAlchemy URL; a relative SQLite file is in the data folder.
    catalog: str = "sqlite:///catalog.db"
    repository: tuple[RepositorySettings, ...] = ()
    rule: tuple[RuleSettings, ...] = ()
    web: WebSettings = attrs.field(factory=WebSettings)
    limits: LimitSettings = attrs.field(factory=LimitSettings)
    plugins: PluginSettings = attrs.field(factory=PluginSettings)


def load_settings(
    *, data: Path | None, config: Path | None, environ: Mapping[str, str]
) -> Settings:
    """Read the settings of a data folder.

    ``data`` is ``REPOCORE_DATA`` or ``./repocore-data`` where it is None; ``config`` is
    ``REPOCORE_CONFIG``, or ``repocore.toml`` in the data folder if there is one.  Relative paths of
    the file are relative to it.  Raises `ConfigurationError` with all problems.
    """
    folder = (data or Path(environ.get("REPOCORE_DATA") or DEFAULT_DATA)).absolute()
    named = config or (Path(environ["REPOCORE_CONFIG"]) if environ.get("REPOCORE_CONFIG") else None)
    file = named or folder / FILE_NAME
    base = file.absolute().parent
    table = read_table(file) if named or file.is_file() else {}
    _override(table, environ)
    problems: list[str] = []
    resolved = _resolve(table, base, environ, "", problems)
    if "data" in resolved and data is None and not environ.get("REPOCORE_DATA"):
        folder = base / str(resolved["data"])
    plugins = resolved.get("plugins")
    if isinstance(plugins, dict):
        resolved["plugins"] = _split_plugins(cast("dict[str, Any]", plugins))
    resolved["data"] = str(folder)
    try:
        settings = _converter.structure(resolved, Settings)
    except Exception as error:  # noqa: BLE001 - cattrs raises a group of whatever went wrong
        problems.extend(_problems(error, ""))
        raise _not_usable(problems) from error
    problems.extend(_contradictions(settings))
    if problems:
        raise _not_usable(problems)
    return _placed(settings, base)


def read_table(file: Path) -> dict[str, Any]:
    """A TOML file as it is; raises `ConfigurationError` with the line of what is no TOML."""
    try:
        with file.open("rb") as stream:
            return tomllib.load(stream)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _not_usable([f"{file.name}: {error}"]) from error
    except OSError as error:
        raise _not_usable([f"{file.name} cannot be read: {error.strerror}"]) from error


def structure_table(name: str, kind: type[T], raw: Mapping[str, Any]) -> T:
    """``[plugins.NAME]`` as its plugin's class; raises `ConfigurationError` with all problems."""
    try:
        return _converter.structure(raw, kind)
    except Exception as error:
        raise _not_usable(list(_problems(error, f"plugins.{name}"))) from error


def _not_usable(problems: list[str]) -> ConfigurationError:
    return ConfigurationError(problems=tuple(problems))


def _override(table: dict[str, Any], environ: Mapping[str, str]) -> None:
    for name, text in sorted(environ.items()):
        if not name.startswith(_PREFIX):
            continue
        *sections, key = name.removeprefix(_PREFIX).lower().split("__")
        place = table
        for section in sections:
            place = place.setdefault(section, {})
        place[key] = _value(text)


def _value(text: str) -> Any:
    """A value as TOML writes it; anything else is the text itself."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _resolve(
    value: Any, base: Path, environ: Mapping[str, str], where: str, problems: list[str]
) -> Any:
    """Put secrets in the place of their references."""
    if isinstance(value, list):
        return [
            _resolve(item, base, environ, f"{where}[{place}]", problems)
            for place, item in enumerate(cast("list[Any]", value))
        ]
    if not isinstance(value, dict):
        return value
    table = cast("dict[str, Any]", value)
    if len(table) == 1 and isinstance(name := table.get("env"), str):
        if name not in environ:
            problems.append(f"{where}: the environment has no variable {name}")
        return environ.get(name, "")
    if len(table) == 1 and isinstance(name := table.get("file"), str):
        return _secret_file(base / name, where, problems)
    return {
        key: _resolve(item, base, environ, f"{where}.{key}".lstrip("."), problems)
        for key, item in table.items()
    }


def _secret_file(path: Path, where: str, problems: list[str]) -> str:
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        problems.append(f"{where}: the file {path.name} cannot be read")
        return ""


def _split_plugins(table: dict[str, Any]) -> dict[str, Any]:
    """The keys of `PluginSettings` stay; whatever else is there is a plugin's own table."""
    own = {name for name in attrs.fields_dict(PluginSettings) if name != "tables"}
    tables = {key: value for key, value in table.items() if key not in own}
    return {key: value for key, value in table.items() if key in own} | {"tables": tables}


def _problems(error: BaseException, where: str) -> Iterator[str]:
    for line in transform_error(error, path=where or "$", format_exception=_sentence):
        sentence, _, path = line.rpartition(" @ ")
        yield f"{path.removeprefix('$.') or 'the file'}: {sentence}"


def _sentence(error: BaseException, kind: type | None) -> str:
    if isinstance(error, ForbiddenExtraKeysError):
        known = [field.name for field in attrs.fields(error.cl)]
        return "; ".join(_unknown(key, known) for key in sorted(error.extra_fields))
    if isinstance(error, KeyError):
        return f"{error.args[0]} is missing"
    if isinstance(error, RejectedError | ValueError) and str(error):
        return str(error)
    name = getattr(kind, "__name__", None) or str(kind)
    return f"is not {name}"


def _unknown(key: str, known: list[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"
    return f"there is no key {key}; {hint}"


def _contradictions(settings: Settings) -> Iterator[str]:
    """What each key allows and all of them together do not."""
    for place, repository in enumerate(settings.repository):
        yield from _try(
            f"repository[{place}]", split_address, f"{repository.format}/{repository.name}"
        )
    for place, rule in enumerate(settings.rule):
        yield from _try(f"rule[{place}].pattern", Pattern.compile, rule.pattern)
    web = settings.web
    for place, network in enumerate(web.trusted_proxies):
        if network != "unix":
            yield from _try(f"web.trusted_proxies[{place}]", ipaddress.ip_network, network)
    if web.sendfile not in {None, "x-accel", "x-sendfile"}:
        yield f"web.sendfile: {web.sendfile!r} is neither x-accel nor x-sendfile"
    if web.root is not None and not web.root.startswith("conan/"):
        yield f"web.root: {web.root!r} is no Conan repository, such as conan/main"
    for field in attrs.fields(LimitSettings):
        value = getattr(settings.limits, field.name)
        if value < type(value)(0) or (isinstance(value, int) and value == 0):
            yield f"limits.{field.name}: must be more than nothing"


def _try(where: str, read: Any, text: str) -> Iterator[str]:
    try:
        read(text)
    except ValueError as error:
        yield f"{where}: {error}"


def _placed(settings: Settings, base: Path) -> Settings:
    """Relative paths of the file, made absolute; the defaults are in the data folder."""
    changes: dict[str, Any] = {}
    if settings.storage != "blobs" and "://" not in settings.storage:
        changes["storage"] = str(base / settings.storage)
    prefix = "sqlite:///"
    database = settings.catalog.removeprefix(prefix)
    if database not in {settings.catalog, "catalog.db"} and not os.path.isabs(database):  # noqa: PTH117 - a URL's text
        changes["catalog"] = f"{prefix}{base / database}"
    files = tuple(base / file for file in settings.plugins.files)
    return attrs.evolve(settings, plugins=attrs.evolve(settings.plugins, files=files), **changes)


def _span(value: Any, _kind: type) -> timedelta:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return timedelta(seconds=value)
    match = _SPAN.match(value) if isinstance(value, str) else None
    if not match:
        message = f"{value!r} is not a span of time; write seconds, or 30s, 5m, 24h, 7d"
        raise ValueError(message)
    return timedelta(seconds=float(match[1]) * _SPANS[match[2]])


def _int(value: Any, _kind: type) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    match = _SIZE.match(value) if isinstance(value, str) else None
    if not match:
        message = f"{value!r} is not a number or a size; write 1048576 or 1 MiB"
        raise ValueError(message)
    return int(float(match[1]) * _SIZES[match[2]])


def _exactly(value: Any, kind: type[T]) -> T:
    if type(value) is not kind:
        message = f"{value!r} is not a {'text' if kind is str else kind.__name__}"
        raise ValueError(message)
    return value


def _path(value: Any, _kind: type) -> Path:
    return Path(_exactly(value, str))


def _make_converter() -> Converter:
    converter = Converter(forbid_extra_keys=True)
    converter.register_structure_hook(timedelta, _span)
    converter.register_structure_hook(int, _int)
    converter.register_structure_hook(Path, _path)
    for kind in (str, bool):
        converter.register_structure_hook(kind, _exactly)
    return converter


_converter = _make_converter()
