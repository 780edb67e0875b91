"""Every hook of the core, in the order in which they are called.

A plugin is a module (or an object) with functions of these names, each marked `hookimpl`.  It
lists only the arguments that it wants.  The smallest authenticator:

    from repocore import Password, Principal, hookimpl

    @hookimpl
    def repocore_authenticate(credentials):
        match credentials:
            case Password("guest", "guest"):
                return Principal(name="guest", via="guest")

It is found by an entry point of the group ``repocore``, by ``[plugins] load`` or ``files`` in the
settings, or is handed to `repocore.open_registry`.  The last registered is asked first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

import pluggy

from repocore.config import Settings
from repocore.http import Route
from repocore.markers import hookspec
from repocore.model import (
    Action,
    Credentials,
    Event,
    FileFacts,
    FilePath,
    Principal,
    Repository,
    Resource,
    Survey,
)
from repocore.ports import (
    Format,
    Indexer,
    JobHandler,
    JobRunner,
    OwnTables,
    StagedContent,
    Storage,
    Tracer,
)
from repocore.registry import Registry, Session

__all__ = [
    "repocore_addhooks",
    "repocore_authenticate",
    "repocore_authorize",
    "repocore_event",
    "repocore_formats",
    "repocore_indexers",
    "repocore_issue",
    "repocore_job_runner",
    "repocore_jobs",
    "repocore_redeem",
    "repocore_routes",
    "repocore_settings",
    "repocore_shutdown",
    "repocore_startup",
    "repocore_storage",
    "repocore_survey",
    "repocore_tables",
    "repocore_tracer",
    "repocore_validate",
    "repocore_volatile",
]


@hookspec(historic=True)
def repocore_addhooks(manager: pluggy.PluginManager) -> None:
    """Add specifications of own hooks, so that other plugins can answer them."""


@hookspec
def repocore_settings() -> Mapping[str, type]:
    """Name the attrs class that the table ``[plugins.NAME]`` becomes, by NAME.

    Asked once, before the registry opens; a key that the class lacks is a configuration error.
    """
    raise AssertionError


@hookspec
def repocore_formats(plugin_settings: Mapping[str, Any]) -> Iterable[Format]:  # noqa: ARG001 - a specification
    """Bring formats; two of one name raise `DuplicateFormatError`.  Asked once.

    ``plugin_settings`` has what the tables ``[plugins.NAME]`` became, by NAME.
    """
    raise AssertionError


@hookspec
def repocore_indexers(plugin_settings: Mapping[str, Any]) -> Iterable[Indexer]:  # noqa: ARG001 - a specification
    """Bring indexers, which make documents from the releases of a repository.

    Two of one kind and format raise `DuplicateDocumentError`.  Asked once.
    """
    raise AssertionError


@hookspec
def repocore_jobs() -> Mapping[str, JobHandler[Session]]:
    """Bring kinds of jobs, by name; two of one name raise `PluginError`.  Asked once.

    A worker takes jobs of the kinds that it knows, so that a fleet may be updated one by one.
    """
    raise AssertionError


@hookspec(firstresult=True)
def repocore_job_runner(
    registry: Registry, url: str, kinds: Iterable[str] | None
) -> JobRunner | None:
    """Make the runner that the setting ``runner`` names, or return None where it is not yours.

    The ``url`` is ``name:N`` for one that runs N jobs at a time, 0 none; of these ``kinds``, or of
    all.  Asked when a registry opens, and by `repocore worker`; it runs nothing before its ``run``
    is called.
    """


@hookspec
def repocore_tables(settings: Settings) -> OwnTables | None:
    """Name the tables that a plugin needs beside the catalog's by these settings, or return None.

    Asked by `repocore migrate`, and where settings are tried: nothing may be connected to before a
    method of the answer is called.  A plugin makes them by itself when a registry opens, unless
    ``migrate_at_start`` is off.  Raises `ConfigurationError` where such settings cannot be.
    """


@hookspec(firstresult=True)
def repocore_tracer(settings: Settings) -> Tracer | None:
    """Take the spans of the registry, or return None where you take none.

    Asked once, before the storage opens.  Without a tracer nothing is measured.  The registry
    closes it, last of all.
    """


@hookspec(firstresult=True)
def repocore_storage(
    url: str,
    options: Mapping[str, Any],
    plugin_settings: Mapping[str, Any],
    read_only: bool,  # noqa: FBT001 - hooks are called by name
) -> Storage | None:
    """Open the storage of a URL, or return None where the scheme is not yours.  Asked once.

    ``options`` are the ``storage_options`` of the settings, ``plugin_settings`` what the tables
    ``[plugins.NAME]`` became, by NAME.  With ``read_only`` nothing will be written to it.
    """


@hookspec
def repocore_routes(registry: Registry) -> Iterable[Route[Session]]:  # noqa: ARG001 - a specification
    """Bring routes.  Their order does not matter: a literal segment goes before a field, and two
    routes that could match one path equally well are refused at start.
    """
    raise AssertionError


@hookspec(historic=True)
def repocore_startup(registry: Registry) -> None:
    """The registry is open.  A plugin that is registered later still hears it."""


@hookspec(firstresult=True)
def repocore_authenticate(registry: Registry, credentials: Credentials) -> Principal | None:
    """Say who sent these credentials.

    None means "not mine, ask the next"; `NotAuthenticatedError` means "mine, and wrong", and
    `AuthenticatorError` that nobody can say now.  An implementation that calls a network is
    ``trylast``.
    """


@hookspec(firstresult=True)
def repocore_authorize(
    registry: Registry, principal: Principal, action: Action, resource: Resource
) -> bool | None:
    """Allow (True), deny (False), or have no opinion (None); without any opinion it is denied.

    Must depend on its arguments and the stored rules alone: answers are cached until these change,
    unless a plugin says with `repocore_volatile` that they may not be.
    """


@hookspec(firstresult=True)
def repocore_survey(
    registry: Registry, principal: Principal, action: Action, repository: Repository
) -> Survey | None:
    """Answer for everything in a repository at once, so that listings need not ask name by name.

    Must agree with `repocore_authorize`: ALL or NONE only if that would give the same answer for
    every package and version.  It is asked only if each authorizer of the registry brings it.
    """


@hookspec
def repocore_volatile(registry: Registry) -> bool:  # noqa: ARG001 - a specification
    """Say whether answers of this plugin's `repocore_authorize` change by themselves.

    If one plugin says so, none is remembered.  Asked once, when the registry has started.
    """
    raise AssertionError


@hookspec(firstresult=True)
def repocore_issue(
    registry: Registry, principal: Principal, audience: str, lifetime: timedelta
) -> str | None:
    """Make a signed token that authenticates as this principal, scope included, for a while."""


@hookspec(firstresult=True)
def repocore_redeem(registry: Registry, token: str, audience: str) -> Principal | None:
    """Say whom a token of `repocore_issue` for this audience was made for.

    Raises `NotAuthenticatedError` for one that has expired, is not genuine or is for another
    audience: a URL that lets somebody upload one file must not be a login.
    """


@hookspec
def repocore_validate(
    session: Session,
    repository: Repository,
    path: FilePath,
    content: StagedContent,
    facts: FileFacts,
) -> None:
    """Veto an upload by raising `UploadRejectedError`, before anything is committed."""


@hookspec
def repocore_event(registry: Registry, event: Event, number: int, at: datetime) -> None:
    """Something has happened and is committed.

    Told at least once, in the order of the commits of one partition; an exception is logged and
    the event is told again later, with the same number and time.
    """


@hookspec
def repocore_shutdown(registry: Registry) -> None:
    """The registry closes: release what you hold.  Idempotent; must not raise."""
