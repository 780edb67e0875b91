"""What a conan_server had for telling people apart, at work in a registry.

Two things of ``[plugins.conan]``: names and passwords, and the Python files of authenticator and
authorizer plugins.  A plugin file is a module with ``get_class()``, which returns an object; it
runs as it is, whether conan is installed or not.

An authorizer plugin decides about Conan repositories alone; it is asked each time anew, because
what it looks at is its own affair.  One that fails denies.
"""

from __future__ import annotations

import hmac
import importlib.util
import logging
import sys
import types
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

from repocore.errors import ConfigurationError, NotAuthenticatedError, PluginError
from repocore.markers import hookimpl
from repocore.model import (
    Action,
    Credentials,
    Password,
    Principal,
    Repository,
    Resource,
    Survey,
)
from repocore.plugins.conan.settings import ConanSettings
from repocore.registry import Registry, verify_password

__all__ = [
    "Reference",
    "load_plugin",
    "repocore_authenticate",
    "repocore_authorize",
    "repocore_startup",
    "repocore_survey",
    "repocore_volatile",
]

LOG: Final = logging.getLogger("repocore.conan")

#: The actions that the old server knows, and the method of an authorizer that decides them.
_CHECKS: Final[Mapping[Action, str]] = {
    Action.READ: "check_read_conan",
    Action.WRITE: "check_write_conan",
    Action.OVERWRITE: "check_write_conan",
    Action.DELETE: "check_delete_conan",
}
#: Whatever a stranger's code raises; it may not end the server either.
_FAILURES: Final = (Exception, SystemExit)
#: How an authorizer says no, by the names of conan's exceptions.
_REFUSALS: Final = frozenset({"ForbiddenException", "AuthenticationException"})
_METHODS: Final = {
    "authenticator": ("valid_user",),
    "authorizer": ("check_read_conan", "check_write_conan", "check_delete_conan"),
}


class Reference(NamedTuple):
    """A reference as an authorizer plugin is given it; user and channel may be None."""

    name: str
    version: str
    user: str | None = None
    channel: str | None = None
    revision: str | None = None

    @property
    def username(self) -> str | None:
        """The user, by the name that conan 1 also has for it."""
        return self.user

    def __str__(self) -> str:
        text = f"{self.name}/{self.version}"
        if self.user is None:
            return text
        return f"{text}@{self.user}" + ("" if self.channel is None else f"/{self.channel}")


Check = Callable[[str | None, Reference], Any]

# --------------------------------------------------------------------------------- plugin files

_authenticators: WeakKeyDictionary[Registry, Any] = WeakKeyDictionary()
_authorizers: WeakKeyDictionary[Registry, Any] = WeakKeyDictionary()


def _settings(registry: Registry) -> ConanSettings:
    return registry.plugin_settings("conan")


@hookimpl
def repocore_startup(registry: Registry) -> None:
    """Load the plugin files, so that one that does not load stops the server and not a login."""
    settings = _settings(registry)
    if settings.authenticator is not None:
        _authenticators[registry] = load_plugin(settings.authenticator, "authenticator")
    if settings.authorizer is not None:
        _authorizers[registry] = load_plugin(settings.authorizer, "authorizer")


def load_plugin(path: Path, kind: str) -> Any:
    """What ``get_class()`` of an ``authenticator`` or ``authorizer`` file returns.

    Raises `ConfigurationError` where there is no such file, and `PluginError` with the line where
    it fails or is no such plugin.
    """
    specification = importlib.util.spec_from_file_location(f"conan_server_{path.stem}", path)
    if specification is None or specification.loader is None or not path.is_file():
        message = f"There is no plugin file {path.name}; check plugins.conan.{kind}."
        raise ConfigurationError(message)
    module = importlib.util.module_from_spec(specification)
    try:
        with _names_of_conan():
            specification.loader.exec_module(module)
            made = module.get_class()
    except _FAILURES as error:
        message = f"{_place(error, path)}: {type(error).__name__}: {error}"
        raise PluginError(message) from error
    # Written for servers of which some took the object and some the class.
    made = made() if isinstance(made, type) else made
    for method in _METHODS[kind]:
        if not callable(getattr(made, method, None)):
            message = f"{path.name}: what get_class() returns has no method {method}."
            raise PluginError(message)
    return made


def _failure(error: BaseException) -> str:
    """Where a plugin failed, and with what kind of error: its text may hold a password."""
    trace = error.__traceback__
    place = ""
    while trace is not None:
        place = f"{Path(trace.tb_frame.f_code.co_filename).name}, line {trace.tb_lineno}: "
        trace = trace.tb_next
    return f"{place}{type(error).__name__}"


def _place(error: BaseException, path: Path) -> str:
    """The file and the last line of it that an exception came through."""
    line = getattr(error, "lineno", None) if isinstance(error, SyntaxError) else None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return path.name if line is None else f"{path.name}, line {line}"


@contextmanager
def _names_of_conan() -> Generator[None]:
    """Let plugins import conan's exceptions where conan is not installed."""
    added: list[str] = []
    for name in ("conans", "conans.errors", "conan", "conan.internal", "conan.internal.errors"):
        top = name.partition(".")[0]
        if name in sys.modules or (top not in added and importlib.util.find_spec(top)):
            continue
        module = types.ModuleType(name)
        module.__path__ = []
        for word in ("ConanException", "NotFoundException", "RequestErrorException", *_REFUSALS):
            setattr(module, word, type(word, (Exception,), {}))
        sys.modules[name] = module
        added.append(name)
    try:
        yield
    finally:
        for name in added:
            del sys.modules[name]


# --------------------------------------------------------------------------------- who is asking


@hookimpl(trylast=True)
def repocore_authenticate(registry: Registry, credentials: Credentials) -> Principal | None:
    """Somebody of the table of users, or whom the authenticator plugin lets in.

    Raises `NotAuthenticatedError` for a wrong password of the table.  A plugin says only yes or
    no: where it says no, the next is asked; where it fails, nobody gets in.
    """
    if not isinstance(credentials, Password):
        return None
    name, password = credentials.username, credentials.password
    plugin = _authenticators.get(registry)
    if plugin is not None:
        return _asked(plugin, name, password)
    stored = _settings(registry).users.get(name)
    if stored is None:
        return None
    if not _same(stored, password):
        message = "Wrong user or password."
        raise NotAuthenticatedError(message)
    return Principal(name=name, via="conan_server")


def _asked(plugin: Any, name: str, password: str) -> Principal | None:
    try:
        known = bool(plugin.valid_user(name, password))
    except _FAILURES as error:
        # Without the traceback, whose last line is the error's text.
        LOG.error("the authenticator plugin failed, and lets nobody in: %s", _failure(error))  # noqa: TRY400
        message = "Logins fail at the moment; the server's log says why."
        raise NotAuthenticatedError(message) from error
    return Principal(name=name, via="conan_server") if known and name else None


def _same(stored: str, password: str) -> bool:
    if stored.startswith("$argon2"):
        return verify_password(stored, password)
    return hmac.compare_digest(stored.encode(), password.encode())


# ------------------------------------------------------------------------------ what they may do


@hookimpl
def repocore_authorize(
    registry: Registry, principal: Principal, action: Action, resource: Resource
) -> bool | None:
    """What the authorizer plugin says of a reference; no opinion of anything else."""
    plugin = _authorizers.get(registry)
    check = _CHECKS.get(action)
    if plugin is None or check is None or resource.format != "conan" or resource.version is None:
        return None
    return _allowed(getattr(plugin, check), principal.name, _reference(resource))


def _allowed(
    check: Callable[[str | None, Reference], Any], name: str | None, what: Reference
) -> bool:
    try:
        check(name, what)
    except _FAILURES as error:
        kinds = {kind.__name__ for kind in type(error).__mro__}
        if not kinds & _REFUSALS:
            LOG.error("the authorizer plugin failed, and denies: %s", _failure(error))  # noqa: TRY400
        return False
    return True


def _reference(resource: Resource) -> Reference:
    version, _, rest = (resource.version or "").partition("@")
    user, _, channel = rest.partition("/")
    return Reference(
        resource.package or "",
        version,
        None if user in {"", "_"} else user,
        None if channel in {"", "_"} else channel,
    )


@hookimpl
def repocore_survey(registry: Registry, repository: Repository) -> Survey | None:
    """Where an authorizer plugin decides, each name is asked for."""
    if registry in _authorizers and repository.format == "conan":
        return Survey.MIXED
    return None


@hookimpl
def repocore_volatile(registry: Registry) -> bool:
    """Whether there is an authorizer plugin: its answers are not remembered."""
    return registry in _authorizers
