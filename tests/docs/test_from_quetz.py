"""The page on quetz has each option, command, role and plug-in of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from repocore.plugins.quetz.server_roles import OWN_ROLES

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "reference/from-quetz.md").read_text("utf-8")
OPTIONS = """
general: package_unpack_threads frontend_dir redirect_http_to_https
cors: allow_origins allow_credentials allow_methods allow_headers
sqlalchemy: database_url database_plugin_path echo_sql postgres_pool_size postgres_max_overflow
session: secret https_only
local_store: redirect_enabled redirect_endpoint redirect_secret redirect_expiration
s3: access_key secret_key url region bucket_name bucket_prefix bucket_suffix
gcs: project token bucket_prefix bucket_suffix cache_timeout region
azure_blob: account_name account_access_key conn_str container_prefix container_suffix
github: client_id client_secret
google: client_id client_secret
gitlab: url client_id client_secret
azuread: client_id client_secret tenant_id
jupyterhubauthenticator: client_id client_secret access_token_url authorize_url api_base_url
pamauthenticator: provider service encoding check_account admin_groups maintainer_groups
pamauthenticator: member_groups
users: admins maintainers members default_role create_default_channel collect_emails
worker: type redis_ip redis_port redis_db
plugins: enabled
mirroring: batch_length batch_size num_parallel_downloads
quotas: channel_quota
logging: level file
profiling: enable_sampling interval_seconds
storage: soft_delete_channel soft_delete_package
"""
NAMES = [
    f"{section}.{option}"
    for section, _, options in (line.partition(": ") for line in OPTIONS.split("\n") if line)
    for option in options.split()
]
COMMANDS = (
    "create", "start", "run", "init-db", "add-user-roles", "make-migrations", "delete",
    "plugin install", "watch-job-queue",
)  # fmt: skip
PLUGINS = (
    "conda_suggest", "content_trust", "current_repodata", "dictauthenticator", "googleiap",
    "harvester", "mamba_solve", "repodata_patching", "repodata_zchunk", "runexports",
    "sql_authenticator", "tos", "transmutation",
)  # fmt: skip


def rows(first: str) -> list[str]:
    return [line for line in PAGE.splitlines() if line.startswith(f"| `{first}` |")]


@pytest.mark.parametrize("name", NAMES)
def test_option_has_one_row(name) -> None:
    """With a sentence on what becomes of it."""
    [row] = rows(name)
    assert len(row.split("|")[2].strip()) > 8


@pytest.mark.parametrize("name", [f"quetz {name}" for name in COMMANDS])
def test_command_has_one_row(name) -> None:
    """With ours, or why there is none."""
    assert len(rows(name)) == 1


@pytest.mark.parametrize("name", [f"quetz_{name}" for name in PLUGINS])
def test_plugin_has_one_row(name) -> None:
    """With ours, or that there is none."""
    assert len(rows(name)) == 1


def test_no_row_is_of_nothing() -> None:
    """What the table of options has, quetz had."""
    table = PAGE.partition("## config.toml")[2].partition("## Commands")[0]
    assert re.findall(r"^\| `([a-z0-9_.]+)` \|", table, re.MULTILINE) == NAMES


@pytest.mark.parametrize("role", OWN_ROLES)
def test_role_has_its_row(role) -> None:
    """Those that this API alone gives."""
    assert f"`{role}`" in PAGE
