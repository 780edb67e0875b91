"""Settings as one value: from a TOML file and the environment, and back to text.

`settings` holds the classes, `structuring` turns what was written into them, `loading` finds the
file and the environment, `describing` lists every setting and writes them without their secrets.
"""

from __future__ import annotations

from repocore.config.access import (
    AccountSettings,
    BindingSettings,
    RoleSettings,
    TokenSettings,
    scope_rule,
)
from repocore.config.describing import (
    SettingDescription,
    describe_settings,
    dump_settings,
    write_toml,
)
from repocore.config.jobs import JobSettings, ScheduleSettings
from repocore.config.loading import load_settings, locate_data, locate_settings, read_table
from repocore.config.logs import LogSettings, TracingSettings
from repocore.config.postgres import PostgresSettings
from repocore.config.replica import ReplicaSettings
from repocore.config.retention import RetentionSettings
from repocore.config.saying import http_url, positive, says, whole
from repocore.config.settings import (
    LimitSettings,
    PluginSettings,
    RepositorySettings,
    RuleSettings,
    Settings,
)
from repocore.config.signing_in import (
    FrontSettings,
    ProviderKind,
    ProviderSettings,
    SessionSettings,
)
from repocore.config.structuring import structure_table
from repocore.config.throttle import SignInSettings
from repocore.config.values import Secret, parse_duration, parse_size
from repocore.config.web import WebSettings

__all__ = [
    "AccountSettings",
    "BindingSettings",
    "FrontSettings",
    "JobSettings",
    "LimitSettings",
    "LogSettings",
    "PluginSettings",
    "PostgresSettings",
    "ProviderKind",
    "ProviderSettings",
    "ReplicaSettings",
    "RepositorySettings",
    "RetentionSettings",
    "RoleSettings",
    "RuleSettings",
    "ScheduleSettings",
    "Secret",
    "SessionSettings",
    "SettingDescription",
    "Settings",
    "SignInSettings",
    "TokenSettings",
    "TracingSettings",
    "WebSettings",
    "describe_settings",
    "dump_settings",
    "http_url",
    "load_settings",
    "locate_data",
    "locate_settings",
    "parse_duration",
    "parse_size",
    "positive",
    "read_table",
    "says",
    "scope_rule",
    "structure_table",
    "whole",
    "write_toml",
]
