"""The classes that settings become.

Each field carries its meaning, and what is checked of it beyond its type, in its metadata; the
reference and the loader read both there.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import attrs

from repocore.config.access import AccountSettings, BindingSettings, RoleSettings, some_action
from repocore.config.jobs import JobSettings, ScheduleSettings
from repocore.config.logs import LogSettings, TracingSettings
from repocore.config.postgres import PostgresSettings
from repocore.config.replica import ReplicaSettings
from repocore.config.retention import RetentionSettings
from repocore.config.saying import (
    positive as _positive,
    says,
    some as _some,
    whole as _whole,
)
from repocore.config.signing_in import ProviderSettings, SessionSettings
from repocore.config.throttle import SignInSettings
from repocore.config.web import WebSettings
from repocore.model import Action, Effect, Pattern, Policy, Rule, split_address

__all__ = [
    "POLICY",
    "LimitSettings",
    "PluginSettings",
    "RepositorySettings",
    "RuleSettings",
    "Settings",
]


def _mapping() -> dict[str, Any]:
    return {}


def _name(value: str) -> None:
    split_address(f"format/{value}")


def _format(value: str) -> None:
    split_address(f"{value}/name")


def _subject(value: str) -> None:
    Rule(subject=value, actions=frozenset(Action), pattern="**")


def _one_each(value: tuple[RoleSettings | AccountSettings | ProviderSettings, ...]) -> None:
    if len({one.name for one in value}) < len(value):
        raise ValueError("two have the same name")


def _module(value: str) -> None:
    if not all(part.isidentifier() for part in value.split(".")):
        raise ValueError("expected the dotted name of a Python module")


#: The meaning of a repository's policy; its class is of a lower floor.
POLICY: Final[Mapping[str, dict[str, Any]]] = {
    "overwrite": says("Whether published files may be replaced by those who hold `overwrite`."),
    "max_size": says(
        "The largest file; without it the limit of the server holds.", check=_positive, size=True
    ),
    "quota": says(
        "The size of all its files together; without it there is no such limit.",
        check=_whole,
        size=True,
    ),
    "max_files": says(
        "How many files it may have; without it there is no such limit.", check=_whole
    ),
}


@attrs.frozen(kw_only=True)
class RepositorySettings:
    """A ``[[repository]]``: made when the registry opens, if it is not there."""

    name: str = attrs.field(
        metadata=says("Its name; addresses are written format/name.", check=_name)
    )
    format: str = attrs.field(metadata=says("What it holds, for example conan.", check=_format))
    description: str = attrs.field(default="", metadata=says("A line for people."))
    private: bool = attrs.field(
        default=False, metadata=says("Whether the rules of the site stop at its door.")
    )
    policy: Policy = attrs.field(factory=Policy, metadata=says("What it allows."))
    options: Mapping[str, Any] = attrs.field(
        factory=_mapping, metadata=says("What its format makes of it; a channel's base_url, say.")
    )


@attrs.frozen(kw_only=True)
class RuleSettings:
    """A ``[[rule]]`` of the site; those of the settings go before the catalog's."""

    subject: str = attrs.field(
        metadata=says(
            "Whom it concerns: * everyone, + anyone signed in, anonymous, user:NAME, group:NAME.",
            check=_subject,
        )
    )
    actions: tuple[Action, ...] = attrs.field(
        metadata=says("What it is about; all means every action.", check=some_action)
    )
    pattern: str = attrs.field(
        metadata=says(
            "Where: format/name/package/version, with * and ? in a field, ** at the end.",
            check=Pattern.compile,
        )
    )
    effect: Effect = attrs.field(
        default=Effect.ALLOW, metadata=says("Whether it allows or denies.")
    )


@attrs.frozen(kw_only=True)
class LimitSettings:
    """``[limits]``: every bound of the server."""

    max_body: int = attrs.field(
        default=64 << 30,
        metadata=says("The largest body of an upload.", check=_positive, size=True),
    )
    chunk: int = attrs.field(
        default=1 << 20,
        metadata=says("How much is read and written at a time.", check=_positive, size=True),
    )
    draft_lifetime: timedelta = attrs.field(
        default=timedelta(hours=24),
        metadata=says("Unfinished releases are forgotten after that time without an upload."),
    )
    blob_grace: timedelta = attrs.field(
        default=timedelta(hours=24),
        metadata=says("Content that nothing names is kept that long before it is collected."),
    )
    tombstone_lifetime: timedelta = attrs.field(
        default=timedelta(days=30),
        metadata=says("How long it is remembered that a release was deleted."),
    )
    document_wait: timedelta = attrs.field(
        default=timedelta(seconds=30),
        metadata=says(
            "How long a reader waits for a document that is being made; then it gets the one "
            "before, with a warning.",
            check=_positive,
        ),
    )
    document_ahead: bool = attrs.field(
        default=True,
        metadata=says(
            "Whether documents that somebody has asked for are made anew before the next reader "
            "comes, once changes pause."
        ),
    )
    document_lifetime: timedelta = attrs.field(
        default=timedelta(days=7),
        metadata=says("How long documents named by their content outlive who named them."),
    )
    small_document: int = attrs.field(
        default=64 << 10,
        metadata=says(
            "Documents of up to that size are kept in the catalog, others in the storage.",
            check=_whole,
            size=True,
        ),
    )
    count_interval: timedelta = attrs.field(
        default=timedelta(seconds=10),
        metadata=says("How often counted downloads are written.", check=_positive),
    )
    page: int = attrs.field(
        default=1000, metadata=says("Entries of one page of a listing.", check=_positive)
    )
    login_lifetime: timedelta = attrs.field(
        default=timedelta(hours=24),
        metadata=says("How long a login of the Conan client lasts.", check=_positive),
    )


@attrs.frozen(kw_only=True)
class PluginSettings:
    """``[plugins]``: which plugins run; further tables below it are theirs."""

    load: tuple[str, ...] = attrs.field(
        default=(),
        metadata=says("Modules to load besides installed ones, by dotted name.", each=_module),
    )
    files: tuple[Path, ...] = attrs.field(
        default=(), metadata=says("Plugin files, relative to the settings file.")
    )
    disabled: tuple[str, ...] = attrs.field(
        default=(), metadata=says("Plugins that are not loaded, by the names `plugins` shows.")
    )
    tables: Mapping[str, Mapping[str, Any]] = attrs.field(
        factory=_mapping,
        metadata={**says("The settings of a plugin, by its name."), "as_written": True},
    )


def _distinct(schedules: tuple[ScheduleSettings, ...]) -> None:
    names = [schedule.known_as for schedule in schedules]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        message = f"two are known as {twice[0]}; give each a name of its own"
        raise ValueError(message)


@attrs.frozen(kw_only=True)
class Settings:
    """Everything that one registry is told."""

    data: Path = attrs.field(
        metadata=says("The folder for all that is kept; REPOCORE_DATA and --data go before it.")
    )
    storage: str = attrs.field(
        default="blobs",
        metadata=says(
            "Where content lies: a folder, s3://bucket/prefix with `plugins.s3`, or a URL of "
            "fsspec. The default is in the data folder.",
            check=_some,
        ),
    )
    storage_options: Mapping[str, Any] = attrs.field(
        factory=_mapping,
        metadata=says(
            "What else the storage's plugin is told; on a local disk `reserve`, the bytes that "
            "uploads leave free (else a sixteenth of it, 32 MiB at most)."
        ),
    )
    catalog: str = attrs.field(
        default="sqlite:///catalog.db",
        metadata=says(
            "The database, as an SQLAlchemy URL. The default is in the data folder.", check=_some
        ),
    )
    migrate_at_start: bool = attrs.field(
        default=True,
        metadata=says(
            "Whether a server brings the tables of an older catalog up to date when it starts; "
            "otherwise it refuses to, until `repocore migrate` has done so."
        ),
    )
    postgres: PostgresSettings = attrs.field(
        factory=PostgresSettings, metadata=says("How a catalog in PostgreSQL is reached.")
    )
    read_only: bool = attrs.field(
        default=False,
        metadata=says(
            "Whether nobody can change anything: packages, accounts and rules stay as they are, "
            "and no job runs; everything is read as ever."
        ),
    )
    replica: ReplicaSettings = attrs.field(
        factory=ReplicaSettings, metadata=says("Which other installation is followed.")
    )
    repository: tuple[RepositorySettings, ...] = attrs.field(
        default=(), metadata=says("Repositories that are made at start.")
    )
    rule: tuple[RuleSettings, ...] = attrs.field(
        default=(), metadata=says("Rules of the site, in order.")
    )
    role: tuple[RoleSettings, ...] = attrs.field(
        default=(), metadata=says("Roles beside those that are always there.", check=_one_each)
    )
    binding: tuple[BindingSettings, ...] = attrs.field(
        default=(), metadata=says("Who holds which role, and where.")
    )
    account: tuple[AccountSettings, ...] = attrs.field(
        default=(), metadata=says("Accounts that are made at start.", check=_one_each)
    )
    provider: tuple[ProviderSettings, ...] = attrs.field(
        default=(), metadata=says("Who else says who people are.", check=_one_each)
    )
    session: SessionSettings = attrs.field(
        factory=SessionSettings, metadata=says("How a browser stays signed in.")
    )
    retention: tuple[RetentionSettings, ...] = attrs.field(
        default=(), metadata=says("What `repocore retention run` keeps, in order.")
    )
    runner: str = attrs.field(
        default="threads:4",
        metadata=says(
            "Who runs jobs in a server: threads:N is N threads of each of its processes; "
            "threads:0 leaves them to `repocore worker`.  procrastinate:N and procrastinate:0 are "
            "the same by a queue in PostgreSQL, where the catalog is in PostgreSQL.",
            check=_some,
        ),
    )
    schedule: tuple[ScheduleSettings, ...] = attrs.field(
        default=(),
        metadata=says("Jobs that are queued again and again.", check=_distinct),
    )
    sign_in: SignInSettings = attrs.field(
        factory=SignInSettings,
        metadata=says("What becomes of those who fail again and again to sign in."),
    )
    jobs: JobSettings = attrs.field(
        factory=JobSettings, metadata=says("How background work is done.")
    )
    web: WebSettings = attrs.field(factory=WebSettings, metadata=says("How HTTP is spoken."))
    logs: LogSettings = attrs.field(
        factory=LogSettings, metadata=says("What a server writes down.")
    )
    tracing: TracingSettings = attrs.field(
        factory=TracingSettings, metadata=says("Spans for OpenTelemetry.")
    )
    limits: LimitSettings = attrs.field(
        factory=LimitSettings, metadata=says("Every bound of the server.")
    )
    plugins: PluginSettings = attrs.field(
        factory=PluginSettings, metadata=says("Which plugins run, and their settings.")
    )
