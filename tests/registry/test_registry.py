"""A registry: opened by settings, furnished with plugins, closed for good."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

import repocore
from repocore import (
    AlreadyExistsError,
    ConfigurationError,
    DuplicateFormatError,
    NoPluginForUrlError,
    PluginError,
    Principal,
    hookimpl,
)
from repocore.config import PluginSettings, RepositorySettings, Settings
from repocore.plugins.conan.revisions import ConanFormat


def test_the_repositories_of_the_settings_are_made_once(tmp_path: Path) -> None:
    """Opening again changes nothing."""
    wanted = RepositorySettings(name="team", format="conan", description="ours")
    settings = Settings(data=tmp_path, repository=(wanted,))
    for _ in range(2):
        with repocore.open_registry(settings=settings) as registry:
            found = registry.session(registry.admin()).repositories.list()
            assert [(one.address, one.description) for one in found] == [("conan/team", "ours")]


def test_repositories_are_created_configured_and_deleted(house) -> None:
    """With an error for doubles, strangers and unknown formats."""
    rooms = house.admin.repositories
    with pytest.raises(AlreadyExistsError):
        rooms.create("conan/main")
    with pytest.raises(PluginError, match="format unknown; there is conan"):
        rooms.create("unknown/main")
    assert rooms.configure("conan/main", description="x").description == "x"
    assert rooms.configure("conan/main", private=True).description == "x"
    house.recipe("r1")
    rooms.delete("conan/main")
    assert rooms.list() == []
    rooms.create("conan/main")
    assert house.listing() == []


def test_only_what_may_be_read_is_listed(house, reader) -> None:
    """A repository that one may not read is not there."""
    assert [one.address for one in reader.repositories.list()] == ["conan/main"]
    assert house.as_("stranger").repositories.list() == []


class Double:
    @hookimpl
    def repocore_formats(self):
        return (ConanFormat(),)


class Unspecified:
    @hookimpl
    def repocore_nothing(self):
        return None


@pytest.mark.parametrize(
    ("changes", "plugins", "error"),
    [
        ({"storage": "gopher://x"}, [], NoPluginForUrlError),
        ({}, [Double()], DuplicateFormatError),
        ({}, [Unspecified()], PluginError),
        ({"plugins": PluginSettings(load=("no.such.module",))}, [], PluginError),
        ({"plugins": PluginSettings(files=(Path("nowhere.py"),))}, [], ConfigurationError),
        ({"plugins": PluginSettings(tables={"nobody": {}})}, [], ConfigurationError),
        ({"plugins": PluginSettings(tables={"bearer": {"leway": 1}})}, [], ConfigurationError),
    ],
)
def test_a_registry_that_cannot_work_does_not_open(tmp_path, changes, plugins, error) -> None:
    """The sentence says what is wrong."""
    with pytest.raises(error):
        repocore.open_registry(settings=Settings(data=tmp_path, **changes), plugins=plugins)


def test_a_plugin_with_commands_is_welcome_without_the_command_line(tmp_path: Path) -> None:
    """Servers load what adds commands, and never ask for them."""

    class Commands:
        @hookimpl
        def repocore_commands(self, group: object) -> None:
            raise AssertionError(group)

    repocore.open_registry(settings=Settings(data=tmp_path), plugins=[Commands()]).close()


def test_a_disabled_plugin_is_not_there(tmp_path: Path) -> None:
    """Without bearer nobody issues tokens, and the sentence names it."""
    disabled = PluginSettings(disabled=("repocore.plugins.bearer",))
    with (
        repocore.open_registry(settings=Settings(data=tmp_path, plugins=disabled)) as registry,
        pytest.raises(ConfigurationError, match=r"repocore\.plugins\.bearer"),
    ):
        registry.issue(Principal(name="ann"), audience="conan", lifetime=timedelta(hours=1))


def test_closing_is_idempotent_and_told_to_plugins(tmp_path: Path) -> None:
    """Start-up and shut-down are heard once each."""
    heard: list[str] = []

    class Moments:
        @hookimpl
        def repocore_startup(self) -> None:
            heard.append("startup")

        @hookimpl
        def repocore_shutdown(self) -> None:
            heard.append("shutdown")

        @hookimpl
        def repocore_addhooks(self) -> None:
            heard.append("addhooks")

    registry = repocore.open_registry(settings=Settings(data=tmp_path), plugins=[Moments()])
    registry.close()
    registry.close()
    assert heard == ["addhooks", "startup", "shutdown"]


def test_a_plugin_file_is_loaded(tmp_path: Path) -> None:
    """One that fails says its name and its error, and no path."""
    file = tmp_path / "broken.py"
    file.write_text("raise RuntimeError('oh')")
    settings = Settings(data=tmp_path, plugins=PluginSettings(files=(file,)))
    with pytest.raises(PluginError, match=r"broken\.py does not load: RuntimeError: oh") as caught:
        repocore.open_registry(settings=settings)
    assert str(tmp_path) not in str(caught.value)


def test_importing_is_cheap() -> None:
    """`import repocore` loads neither the catalog nor a web server."""
    code = (
        "import sys, repocore; "
        "print([m for m in ('sqlalchemy', 'urllib3', 'werkzeug', 'alembic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
