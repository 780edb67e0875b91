"""conan_server's ``server.conf``, read as it is: an INI file, and the variables that override it.

What it says becomes a table of repocore's settings, in memory for ``repocore serve
--conan-server`` and as TOML for ``repocore config convert``.  The options are those of
conan_server 1.x and 2.x; the rules of the file's syntax are those of Python's ConfigParser.
"""

from __future__ import annotations

import configparser
import difflib
import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

import attrs

from repocore.config import Secret
from repocore.errors import ConfigurationError, InvalidPathError
from repocore.model import Action, Effect, Rule
from repocore.plugins.conan.references import ConanReference

__all__ = ["ServerConf", "pattern_fields", "read_server_conf", "rules_of"]

FILE_NAME: Final = "server.conf"
#: What a line of [write_permissions] grants.
WRITES: Final = frozenset({Action.WRITE, Action.OVERWRITE, Action.DELETE})
READS: Final = frozenset({Action.READ})

_VARIABLES: Final[Mapping[str, str]] = {
    "jwt_secret": "CONAN_JWT_SECRET",
    "jwt_expire_minutes": "CONAN_JWT_EXPIRE_MINUTES",
    "port": "CONAN_SERVER_PORT",
    "public_port": "CONAN_SERVER_PUBLIC_PORT",
    "host_name": "CONAN_HOST_NAME",
    "ssl_enabled": "CONAN_SSL_ENABLED",
    "disk_storage_path": "CONAN_STORAGE_PATH",
    "authorize_timeout": "CONAN_AUTHORIZE_TIMEOUT",
    "updown_secret": "CONAN_UPDOWN_SECRET",
    "custom_authenticator": "CONAN_CUSTOM_AUTHENTICATOR",
    "custom_authorizer": "CONAN_CUSTOM_AUTHORIZER",
}
_USERS: Final = "CONAN_SERVER_USERS"
#: Options of old files, and why nothing comes of them.
_UNUSED: Final[Mapping[str, str]] = {
    "disk_authorize_timeout": "authorize_timeout alone says how long a URL works",
    "store_adapter": "the setting `storage` says where content lies",
}
_PERMISSIONS: Final = ("read_permissions", "write_permissions")
_SECTIONS: Final = ("server", "users", *_PERMISSIONS)
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1", "[::1]"})
_SPLIT = re.compile(r"\s*[:=]\s*")

Lines = tuple[tuple[str, str], ...]


@attrs.frozen(kw_only=True)
class ServerConf:
    """What a ``server.conf`` and its variables say."""

    file: Path
    port: int = 9300
    #: Where clients reach the server; None where each request tells.
    public_url: str | None = None
    storage: Path
    jwt_secret: Secret
    jwt_expire: timedelta
    updown_secret: Secret | None = None
    authorize_timeout: timedelta = timedelta(minutes=30)
    #: Names and plain passwords.
    users: Mapping[str, Secret] = attrs.field(factory=dict[str, Secret], repr=False)
    read: Lines = ()
    write: Lines = ()
    authenticator: Path | None = None
    authorizer: Path | None = None
    #: What is not used any more, and why; a sentence each.
    notes: tuple[str, ...] = ()


def read_server_conf(home: Path, environ: Mapping[str, str]) -> ServerConf:
    """Read ``server.conf`` in the folder of a conan_server.

    Raises `ConfigurationError` with every problem, each with its line.
    """
    file = home.expanduser().absolute() / FILE_NAME
    source = _parse(file)
    problems: list[str] = []
    conf = _Reader(file, source, environ, problems).read()
    if problems:
        raise ConfigurationError(problems=tuple(dict.fromkeys(problems)))
    return conf


def rules_of(read: Lines, write: Lines, repository: str = "conan/main") -> tuple[Rule, ...]:
    """The rules that decide as the lines ``pattern: users`` of both sections do, in their order.

    The first line whose pattern matches decides: its users may, all others may not.  ``*`` as the
    first user is everyone, ``?`` anyone signed in.  A field of a pattern matches what it is, or
    everything where it is exactly ``*``; so a line with another ``*`` or ``?`` in its pattern
    matches nothing, and makes no rule.  Raises `RejectedError` for a pattern that is none.
    """
    made: list[Rule] = []
    for lines, actions in ((read, READS), (write, WRITES)):
        for pattern, users in lines:
            where = _pattern(pattern, repository)
            if where is not None:
                made.extend(_line(where, users, actions))
    return tuple(made)


def _pattern(text: str, repository: str) -> str | None:
    fields = pattern_fields(text)
    if any(field != "*" and ("*" in field or "?" in field) for field in fields):
        return None
    if set(fields) == {"*"}:
        return f"{repository}/**"  # listings need not be filtered then
    name, version, user, channel = fields
    return f"{repository}/{name}/{version}@{user}/{channel}"


def pattern_fields(text: str) -> tuple[str, str, str, str]:
    """Name, version, user and channel of a pattern, ``_`` where there is none.

    Raises `InvalidPathError`.
    """
    package, _, rest = text.partition("@")
    name, slash, version = package.partition("/")
    user, _, channel = rest.partition("/")
    fields = (name, version, user or "_", channel or "_")
    words = [re.sub(r"[*?]", "x", field) for field in fields]
    if not slash:
        message = f"{text!r} is no pattern: write name/version@user/channel, * for any"
        raise InvalidPathError(message)
    try:
        ConanReference(*words)
    except InvalidPathError as error:
        message = f"{text!r} is no pattern: {error}"
        raise InvalidPathError(message) from error
    return fields


def _line(where: str, users: str, actions: frozenset[Action]) -> Iterator[Rule]:
    names = [name.strip() for name in users.split(",")]
    if names[0] in {"*", "?"}:
        subject = "*" if names[0] == "*" else "+"
        yield Rule(subject=subject, actions=actions, pattern=where)
        if subject == "*":
            return
        names = []
    for name in filter(None, names):
        yield Rule(subject=f"user:{name}", actions=actions, pattern=where)
    yield Rule(subject="*", actions=actions, pattern=where, effect=Effect.DENY)


# -------------------------------------------------------------------------------- the INI file


@attrs.frozen
class _Source:
    """The sections of the file, and the line of each option."""

    sections: Mapping[str, Mapping[str, str]]
    lines: Mapping[tuple[str, str], int]

    def place(self, section: str, option: str) -> str:
        number = self.lines.get((section, option))
        return FILE_NAME if number is None else f"{FILE_NAME}, line {number}"


def _parse(file: Path) -> _Source:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        message = f"There is no {FILE_NAME} in that folder; name the home of a conan_server."
        raise ConfigurationError(message) from error
    except (OSError, UnicodeDecodeError) as error:
        message = f"{FILE_NAME} cannot be read: {getattr(error, 'strerror', None) or 'no UTF-8'}."
        raise ConfigurationError(message) from error
    parser = configparser.ConfigParser(interpolation=None)
    # As it is for users and patterns, whose case matters.
    parser.optionxform = str  # pyright: ignore[reportAttributeAccessIssue]
    try:
        parser.read_string(text, FILE_NAME)
    except configparser.Error as error:
        raise ConfigurationError(problems=(_syntax(error),)) from error
    sections = {name: dict(parser.items(name)) for name in parser.sections()}
    return _Source(sections, dict(_numbered(text)))


def _syntax(error: configparser.Error) -> str:
    match error:
        case configparser.DuplicateOptionError():
            return f"{FILE_NAME}, line {error.lineno}: {error.option} stands there twice"
        case configparser.DuplicateSectionError():
            return f"{FILE_NAME}, line {error.lineno}: [{error.section}] stands there twice"
        case configparser.MissingSectionHeaderError():
            return f"{FILE_NAME}, line {error.lineno}: a section such as [server] comes first"
        case configparser.ParsingError():
            return f"{FILE_NAME}, line {error.errors[0][0]}: write option: value"
        case _:
            return f"{FILE_NAME} cannot be read"


def _numbered(text: str) -> Iterator[tuple[tuple[str, str], int]]:
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if line[:1] in {"#", ";"}:
            continue
        header = re.match(r"\[(.+)\]", line)
        if header:
            section = header[1]
        elif line.strip():
            yield (section, _SPLIT.split(line.strip(), maxsplit=1)[0]), number


@attrs.frozen
class _Reader:
    """Options as values; what is wrong with one is a problem, and the rest is read on."""

    file: Path
    source: _Source
    environ: Mapping[str, str]
    problems: list[str]

    def read(self) -> ServerConf:
        known = _VARIABLES.keys() | _UNUSED.keys()
        for option in self.source.sections.get("server", {}):
            if option not in known:
                close = difflib.get_close_matches(option, known, n=1)
                guess = f"; did you mean {close[0]}?" if close else "; remove the line"
                self._wrong("server", option, f"there is no option {option}{guess}")
        for section in self.source.sections:
            if section not in _SECTIONS:
                close = difflib.get_close_matches(section, _SECTIONS, n=1)
                guess = f"; did you mean [{close[0]}]?" if close else "; remove it"
                self.problems.append(f"{FILE_NAME}: there is no section [{section}]{guess}")
        authenticator = self._plugin("custom_authenticator", "authenticator")
        authorizer = self._plugin("custom_authorizer", "authorizer")
        return ServerConf(
            file=self.file,
            port=self._number("port", 9300),
            public_url=self._public_url(),
            storage=self._storage(),
            jwt_secret=self._jwt_secret(),
            jwt_expire=timedelta(minutes=self._float("jwt_expire_minutes", 120.0)),
            updown_secret=Secret(self._option("updown_secret")) or None,
            authorize_timeout=timedelta(seconds=self._float("authorize_timeout", 1800.0)),
            users={} if authenticator else dict(self._users()),
            read=() if authorizer else tuple(self._lines("read_permissions")),
            write=() if authorizer else tuple(self._lines("write_permissions")),
            authenticator=authenticator,
            authorizer=authorizer,
            notes=tuple(self._notes(authenticator, authorizer)),
        )

    def _wrong(self, section: str, option: str, sentence: str) -> None:
        name = _VARIABLES.get(option, "")
        if section == "server" and self.environ.get(name):
            self.problems.append(f"{name}: {sentence}")
        else:
            self.problems.append(f"{self.source.place(section, option)}: {sentence}")

    def _option(self, option: str) -> str:
        given = self.environ.get(_VARIABLES[option])
        return given or self._plain("server", option)

    def _plain(self, section: str, option: str) -> str:
        """A value without ConfigParser's doubled ``%``."""
        value = self.source.sections.get(section, {}).get(option, "")
        if re.search(r"%", value.replace("%%", "")):
            self._wrong(section, option, "a % in a value is written %%")
        return value.replace("%%", "%")

    def _number(self, option: str, default: int) -> int:
        text = self._option(option)
        if not text:
            return default
        if not text.isdecimal() or not 0 < int(text) < 1 << 16:
            self._wrong("server", option, f"{option} is no port: {text!r}")
            return default
        return int(text)

    def _float(self, option: str, default: float) -> float:
        text = self._option(option)
        try:
            value = float(text) if text else default
            timedelta(minutes=value)
        except (ValueError, OverflowError):
            value = 0.0
        if value > 0:
            return value
        self._wrong("server", option, f"{option} is no number above 0: {text!r}")
        return default

    def _jwt_secret(self) -> Secret:
        secret = self._option("jwt_secret")
        if not secret:
            self._wrong("server", "jwt_secret", "jwt_secret is missing")
        return Secret(secret)

    def _public_url(self) -> str | None:
        host, secure = self._option("host_name"), self._option("ssl_enabled")
        port = self._number("public_port", self._number("port", 9300))
        scheme = "https" if secure.lower() in {"true", "1"} else "http"
        # Clients elsewhere cannot use the name of their own machine: their request tells ours.
        if not host or (host in _LOOPBACK and scheme == "http"):
            return None
        if not re.fullmatch(r"[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]", host):
            self._wrong("server", "host_name", f"host_name is no name of a machine: {host!r}")
            return None
        usual = {"http": 80, "https": 443}[scheme]
        return f"{scheme}://{host}" + ("" if port == usual else f":{port}")

    def _storage(self) -> Path:
        text = self._option("disk_storage_path")
        if text.startswith("."):
            return self.file.parent / text
        return Path(text).expanduser() if text else self.file.parent

    def _users(self) -> Iterator[tuple[str, Secret]]:
        given = self.environ.get(_USERS)
        if not given:
            for name in self.source.sections.get("users", {}):
                yield name, Secret(self._plain("users", name))
            return
        for pair in given.split(","):
            name, colon, password = pair.partition(":")
            if not colon or not name.strip():
                self.problems.append(f"{_USERS}: write name:password,name:password")
                return
            yield name.strip(), Secret(password.strip())

    def _lines(self, section: str) -> Iterator[tuple[str, str]]:
        if section not in self.source.sections:
            self.problems.append(f"{FILE_NAME}: the section [{section}] is missing")
        for pattern in self.source.sections.get(section, {}):
            try:
                pattern_fields(pattern)
            except InvalidPathError as error:
                self._wrong(section, pattern, str(error))
            yield pattern, self._plain(section, pattern)

    def _plugin(self, option: str, kind: str) -> Path | None:
        name = self._option(option)
        if not name:
            return None
        path = self.file.parent / "plugins" / kind / f"{name}.py"
        if not re.fullmatch(r"\w+", name) or not path.is_file():
            self._wrong("server", option, f"there is no plugins/{kind}/{name}.py")
            return None
        return path

    def _notes(self, authenticator: Path | None, authorizer: Path | None) -> Iterator[str]:
        for option in filter(_UNUSED.__contains__, self.source.sections.get("server", {})):
            place = self.source.place("server", option)
            yield f"{place}: {option} is not used any more: {_UNUSED[option]}."
        if authenticator and self.source.sections.get("users"):
            yield f"{FILE_NAME}: [users] is not used, because custom_authenticator is set."
        for section in _PERMISSIONS if authorizer else ():
            if self.source.sections.get(section):
                yield f"{FILE_NAME}: [{section}] is not used: custom_authorizer is set."
        for section in () if authorizer else _PERMISSIONS:
            for pattern, users in self.source.sections.get(section, {}).items():
                yield from self._doubts(section, pattern, users)

    def _doubts(self, section: str, pattern: str, users: str) -> Iterator[str]:
        place = self.source.place(section, pattern)
        if re.search(r"[^/@][*?]|[*?][^/@]", pattern):
            yield f"{place}: {pattern} matches nothing; only a field that is * alone matches more."
        names = [name.strip() for name in users.split(",")]
        for name in names:
            if " " in name:
                yield f"{place}: {name!r} is one name; users are separated by commas."
        if {"*", "?"} & set(names[1:]):
            yield f"{place}: * and ? mean everyone and the signed-in as the first user only."
