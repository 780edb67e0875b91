"""A registry for the length of a test."""

from __future__ import annotations

from repocore import hookimpl
from repocore.config import Settings
from repocore.testing import temporary_registry
from repocore.testing.fakes import MemoryStorage


def test_registry_is_empty_and_gone_afterwards():
    """It has the repositories that were asked for, and its folder goes with it."""
    with temporary_registry(repositories=("conan/one", "conan/two")) as registry:
        room = registry.session(registry.admin()).repositories
        assert [found.address for found in room.list()] == ["conan/one", "conan/two"]
        folder = registry.settings.data
        assert folder.is_dir()
    assert not folder.exists()


def test_catalog_may_be_of_any_kind(database_url):
    """The database is a parameter."""
    with temporary_registry(catalog=database_url) as registry:
        assert registry.settings.catalog == database_url


def test_settings_and_plugins_may_be_given(tmp_path):
    """Settings replace the folder; plugins go before ours."""
    storage = MemoryStorage()

    class Plugin:
        @hookimpl
        def repocore_storage(self, url):
            return storage

    settings = Settings(data=tmp_path / "data")
    with temporary_registry(settings=settings, plugins=[Plugin()]) as registry:
        assert registry.storage is storage
    assert settings.data.is_dir()
