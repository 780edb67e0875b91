"""Size and order of the rooms; an exception is written down here, with its reason."""

from __future__ import annotations

import ast

import pytest
from source_tree import ROOT, SOURCE, TESTS, Module, functions, modules

MODULE_LINES = 400
FUNCTION_LINES = 50

LONG_MODULES: dict[str, str] = {
    "repocore.testing.contracts.storage": "every check of one contract, each a few lines",
    "repocore.testing.machines.files": "one machine: its rules, its model and its deaths",
    "repocore.ports": "every port of the house, each a few lines",
    "repocore.testing.fakes": "every fake of the harness, each a few lines",
}
LONG_FUNCTIONS: dict[str, str] = {
    "repocore.catalog.migrations.versions.0001_initial:upgrade": "a list of tables, read once",
    "repocore.testing.contracts.authenticator:authenticator_contract": "a class of small tests",
    "repocore.testing.contracts.authorizer:authorizer_contract": "a class of small tests",
    "repocore.testing.contracts.indexer:indexer_contract": "a class of small tests",
    "repocore.testing.contracts.runner:runner_contract": "a class of small tests",
}
# A module without a test module of its own, and where its behaviour is tested instead.
TESTED_ELSEWHERE: dict[str, str] = {
    "repocore.catalog.accounts": "tests/registry/test_accounts.py",
    "repocore.catalog.blobs": "tests/registry/test_auditing.py",
    "repocore.catalog.catalog": "tests/catalog/test_migrations.py",
    "repocore.catalog.commit": "tests/registry/test_files.py and test_releases.py",
    "repocore.catalog.dialects": "tests/catalog/test_writers.py",
    "repocore.catalog.damage": "tests/registry/test_checking.py",
    "repocore.catalog.dumping": "tests/registry/test_backups.py",
    "repocore.catalog.leases": "tests/registry/test_backups.py",
    "repocore.catalog.rounds": "tests/registry/test_checking.py",
    "repocore.catalog.drafts": "tests/registry/test_files.py and test_releases.py",
    "repocore.catalog.downloads": "tests/registry/test_auditing.py",
    "repocore.catalog.events": "tests/registry/test_relay.py",
    "repocore.catalog.faults": "tests/catalog/test_postgresql.py",
    "repocore.catalog.files": "tests/registry/test_files.py",
    "repocore.catalog.hot": "tests/catalog/test_postgresql.py, tests/registry/test_accounts.py",
    "repocore.catalog.job_output": "tests/registry/test_working.py",
    "repocore.catalog.identities": "tests/registry/test_identities.py and test_sign_ins.py",
    "repocore.model.identities": "tests/registry/test_identities.py",
    "repocore.catalog.jobs": "tests/registry/test_jobs.py and test_working.py",
    "repocore.catalog.migrations.env": "tests/catalog/test_migrations.py",
    "repocore.catalog.migrations.run": "tests/catalog/test_migrations.py",
    "repocore.catalog.numbering": "tests/registry/test_databases.py and test_backups.py",
    "repocore.catalog.releases": "tests/registry/test_releases.py",
    "repocore.catalog.removals": "tests/registry/test_releases.py and test_audit.py",
    "repocore.catalog.repositories": "tests/registry/test_registry.py",
    "repocore.catalog.roles": "tests/registry/test_roles.py",
    "repocore.catalog.schema": "tests/catalog/test_migrations.py",
    "repocore.catalog.schedules": "tests/registry/test_timetable.py",
    "repocore.catalog.rows": "every test of tests/registry",
    "repocore.catalog.statistics": "tests/registry/test_statistics.py",
    "repocore.catalog.tasks": "tests/registry/test_handover.py",
    "repocore.catalog.tables": "tests/catalog/test_migrations.py",
    "repocore.catalog.tables.access": "tests/catalog/test_migrations.py",
    "repocore.catalog.tables.content": "tests/catalog/test_migrations.py",
    "repocore.catalog.tables.names": "tests/catalog/test_migrations.py",
    "repocore.catalog.tables.work": "tests/catalog/test_migrations.py",
    "repocore.catalog.audit": "tests/registry/test_audit.py",
    "repocore.catalog.copied_access": "tests/registry/test_pulling.py",
    "repocore.catalog.copied_releases": "tests/registry/test_pulling.py",
    "repocore.catalog.following": "tests/registry/test_replicas.py",
    "repocore.catalog.replication": "tests/registry/test_replication.py and test_pulling.py",
    "repocore.catalog.sealed_records": "tests/registry/test_pulling.py",
    "repocore.config.replica": "tests/registry/test_pulling.py, tests/cli/test_replica.py",
    "repocore.plugins.api.replica": "tests/plugins/api/test_replication.py",
    "repocore.registry.account_changes": "tests/registry/test_audit.py",
    "repocore.registry.fetching": "tests/registry/test_pulling.py",
    "repocore.registry.partition_copies": "tests/registry/test_pulling.py",
    "repocore.registry.spooling": "tests/registry/test_pulling.py",
    "repocore.registry.touching": "tests/registry/test_pulling.py",
    "repocore.plugins.trusted_publishing.settings": "test_minting.py beside it",
    "repocore.registry.deadlines": "tests/registry/test_upstream.py",
    "repocore.registry.late_files": "tests/plugins/conda/test_channel_tree.py",
    "repocore.cli.doubts": "tests/cli/test_access.py and test_accounts.py",
    "repocore.catalog.attempts": "tests/registry/test_throttling.py",
    "repocore.config.throttle": "tests/registry/test_throttling.py",
    "repocore.model.audit": "tests/registry/test_audit.py",
    "repocore.catalog.writers": "tests/catalog/test_writers_of_sqlite.py",
    "repocore.catalog.transfer": "tests/registry/test_databases.py",
    "repocore.catalog.transactions": "tests/catalog/test_writers.py",
    "repocore_web.logs": "tests/web/test_exchanges.py and tests/logs/test_redacting.py",
    "repocore.hookspecs": "tests/registry/test_registry.py",
    "repocore.http": "tests/test_errors.py, tests/web",
    "repocore.markers": "every plugin",
    "repocore.registry.bodies": "tests/registry/test_files.py",
    "repocore.registry.generations": "tests/registry/test_indexing.py",
    "repocore.plugins.api.describing": "tests/plugins/api/test_openapi.py",
    "repocore.plugins.api.page": "tests/plugins/api/test_pages.py",
    "repocore.plugins.api.schemas": "tests/plugins/api/test_openapi.py",
    "repocore.plugins.api.shapes": "tests/plugins/api/test_reading.py",
    "repocore.plugins.filesystem.calls": "tests/plugins/filesystem/test_disk.py",
    "repocore.plugins.conda.archives": "tests/plugins/conda/test_archives.py",
    "repocore.plugins.conda.descriptions": "tests/plugins/conda/test_archives.py",
    "repocore.plugins.conda.inspecting": "tests/plugins/conda/test_archives.py",
    "repocore.plugins.conda.limits": "tests/plugins/conda/test_archives.py",
    "repocore.plugins.conda.listings": "tests/plugins/conda/test_archives.py",
    "repocore.plugins.conda.members": "tests/plugins/conda/test_archives.py",
    "repocore.plugins.conda.streams": "tests/plugins/conda/test_archives.py",
    "repocore.plugins.conda.strict_json": "tests/plugins/conda/test_archives.py",
    "repocore.plugins.conda.tars": "tests/plugins/conda/test_archives.py",
    "repocore.plugins.conda.zips": "tests/plugins/conda/test_archives.py",
    "repocore.cli.watching": "tests/cli/test_moving.py",
    "repocore.plugins.conda.peeking": "tests/plugins/conda/test_uploading.py",
    "repocore.plugins.conda.local_packages": "tests/plugins/conda/test_uploading.py",
    "repocore.plugins.conda.origins": "tests/plugins/conda/test_uploading.py",
    "repocore.plugins.conda.remote_channel": "tests/plugins/conda/test_uploading.py",
    "repocore.plugins.conan.asking": "tests/plugins/conan/test_routes_v2.py",
    "repocore.plugins.conan.logins": "tests/plugins/conan/test_legacy.py",
    "repocore.plugins.conan.settings": "tests/plugins/conan/test_legacy.py",
    "repocore.plugins.conan.transfers": "tests/plugins/conan/test_routes_v1.py",
    "repocore.plugins.oauth.pages": "tests/plugins/oauth/test_routes.py",
    "repocore.model.events": "tests/registry/test_relay.py",
    "repocore.model.files": "tests/registry/test_files.py",
    "repocore.config.retention": "tests/registry/test_retention.py",
    "repocore.config.saying": "tests/config/test_settings.py",
    "repocore.model.jobs": "tests/registry/test_jobs.py",
    "repocore.model.releases": "tests/registry/test_releases.py",
    "repocore.plugin_manager": "tests/registry/test_registry.py",
    "repocore.plugins.ldap.directory": "tests/plugins/test_ldap.py",
    "repocore.plugins.ldap.settings": "tests/plugins/test_ldap.py",
    "repocore.plugins.quetz.answers": "tests/plugins/quetz/test_users.py",
    "repocore.plugins.quetz.contents": "tests/plugins/quetz/test_packages.py",
    "repocore.plugins.quetz.moving": "tests/cli/test_quetz.py",
    "repocore.plugins.quetz.moving_packages": "tests/cli/test_quetz.py",
    "repocore.plugins.quetz.server_roles": "tests/plugins/quetz/test_members.py",
    "repocore.plugins.quetz.settings": "tests/plugins/quetz/test_terms.py",
    "repocore.ports": "the contracts in tests/contracts",
    "repocore.registry.access": "tests/registry/test_accounts.py",
    "repocore.registry.backup_folders": "tests/registry/test_backups.py",
    "repocore.registry.leasing": "tests/registry/test_backups.py",
    "repocore.registry.restoring": "tests/registry/test_backups.py",
    "repocore.registry.blobs": "tests/registry/test_auditing.py",
    "repocore.registry.context": "tests/registry/test_accounts.py",
    "repocore.registry.counting": "tests/registry/test_auditing.py",
    "repocore.registry.passwords": "tests/registry/test_accounts.py",
    "repocore.registry.key_sets": "tests/plugins/oauth/test_id_tokens.py",
    "repocore.registry.queueing": "tests/registry/test_jobs.py",
    "repocore.registry.reporting": "tests/registry/test_working.py",
    "repocore.registry.repositories": "tests/registry/test_registry.py",
    "repocore.registry.services": "every test of tests/registry",
    "repocore.registry.session": "every test of tests/registry",
    "repocore.registry.staging": "tests/registry/test_files.py",
    "repocore.testing.contracts.authenticator": "tests/contracts/test_authenticator.py",
    "repocore.testing.contracts.authorizer": "tests/contracts/test_authorizer.py",
    "repocore.testing.contracts.runner": "tests/contracts/test_runner.py",
    "repocore.testing.contracts.indexer": "tests/contracts/test_indexer.py",
    "repocore.testing.contracts.storage": "tests/contracts/test_storage.py",
    "repocore.testing.documents": "tests/contracts/test_indexer.py",
    "repocore.testing.machines.files": "tests/machines/test_files.py",
    "repocore.testing.machines.jobs": "tests/machines/test_jobs.py",
    "repocore.testing.strategies": "tests/contracts/test_authorizer.py",
}

NAMELESS = {"manager", "helper", "helpers", "util", "utils", "base", "common", "misc"}


def every_module():
    return pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)


@every_module()
def test_module_is_short(module):
    """A module is one noun or one family of verbs, and has at most 400 lines."""
    lines = len(module.path.read_text(encoding="utf-8").splitlines())
    assert lines <= MODULE_LINES or module.name in LONG_MODULES


@every_module()
def test_functions_are_short(module):
    """A function fits on a screen."""
    long = {
        f"{module.name}:{name}"
        for name, lines in functions(module.parse())
        if lines > FUNCTION_LINES
    }
    assert long <= LONG_FUNCTIONS.keys()


def test_exceptions_are_needed():
    """What has become short, or has gone, is struck from the tables."""
    sizes = {module.name: len(module.path.read_text().splitlines()) for module in modules()}
    lengths = {
        f"{module.name}:{name}": lines
        for module in modules()
        for name, lines in functions(module.parse())
    }
    assert {name for name in LONG_MODULES if sizes.get(name, 0) <= MODULE_LINES} == set()
    assert {name for name in LONG_FUNCTIONS if lengths.get(name, 0) <= FUNCTION_LINES} == set()
    assert TESTED_ELSEWHERE.keys() <= sizes.keys()


@every_module()
def test_module_says_what_it_is(module):
    """Every module and every folder opens with a docstring."""
    assert ast.get_docstring(module.parse())


def test_every_folder_is_a_package():
    """No folder with modules in it is without a front page."""
    folders = {module.path.parent for module in modules()} - {SOURCE}
    bare = {folder for folder in folders if not (folder / "__init__.py").exists()}
    assert {folder.relative_to(SOURCE).as_posix() for folder in bare} <= {
        "repocore/catalog/migrations",  # Alembic reads this folder by its path
        "repocore/catalog/migrations/versions",
    }


@every_module()
def test_module_is_named_after_what_it_does(module):
    """No room is called after the people who did not know what to call it."""
    assert NAMELESS.isdisjoint(module.parts)


@every_module()
def test_module_has_its_tests(module):
    """The test module of a source module is found where its name says."""
    if module.is_package or module.is_revision or module.path.name == "__main__.py":
        return
    assert module.name in TESTED_ELSEWHERE or list(_test_modules(module)), (
        f"no tests/{'/'.join(_folder(module))}/test_{module.parts[-1]}.py"
    )


def _folder(module: Module) -> tuple[str, ...]:
    top, *middle = module.parts[:-1]
    return tuple(middle) if top == "repocore" else (top.removeprefix("repocore_"), *middle)


def _test_modules(module: Module):
    folder = TESTS.joinpath(*_folder(module))
    stem = module.parts[-1]
    for name in (f"test_{stem}", f"test_{module.parts[-2]}_{stem}"):
        yield from folder.glob(f"{name}.py")
        yield from folder.glob(f"{name}_*.py")
        yield from folder.glob(f"*/{name}.py")


def test_shipped_text_names_no_machine():
    """No path of a developer's home stands in the tree."""
    homes = tuple(f"/{folder}/" for folder in ("home", "root"))
    named = [
        path.relative_to(ROOT).as_posix()
        for folder in ("src", "tests", "docs", "benchmarks", "examples")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in {".py", ".md", ".toml"}
        and any(home in path.read_text(encoding="utf-8") for home in homes)
    ]
    assert named == []
