"""A registry: opened by settings, furnished with plugins, closed for good."""

from __future__ import annotations

import gc
import io
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

import repocore
from repocore import (
    AccessDeniedError,
    Action,
    AlreadyExistsError,
    ConfigurationError,
    DuplicateFormatError,
    NoPluginForUrlError,
    NotAuthenticatedError,
    PluginError,
    Principal,
    RepositoryMissingError,
    Resource,
    Rule,
    hookimpl,
)
from repocore.config import PluginSettings, RepositorySettings, Settings
from repocore.http import Admits, Response, Route
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


def test_a_repository_is_got_by_whoever_may_read_something_in_it(house, reader) -> None:
    """To all others it is not there, or there is none such."""
    assert reader.repositories.get("conan/main").address == "conan/main"
    for hidden in ("conan/main", "conan/nowhere"):
        with pytest.raises(AccessDeniedError) as caught:
            house.as_("stranger").repositories.get(hidden)
        assert caught.value.hidden
    with pytest.raises(RepositoryMissingError):
        house.admin.repositories.get("conan/nowhere")


def test_a_session_says_what_it_may(house, reader) -> None:
    """`allowed` says it, `require` raises it, and both know of a change at once."""
    resource = Resource("conan", "main", "zlib", "1.3@_/_")
    assert reader.registry is house.registry
    reader.require(Action.READ, resource)
    with pytest.raises(AccessDeniedError, match="you may not write"):
        reader.require(Action.WRITE, resource)
    with pytest.raises(NotAuthenticatedError):
        house.as_(None).require(Action.READ, resource)
    house.allow("user:reader", "write", "conan/main/**")
    assert reader.allowed(Action.WRITE, resource)
    narrow = Rule(subject="*", actions=frozenset({Action.READ}), pattern="conan/**")
    with pytest.raises(AccessDeniedError, match="this token may not write"):
        house.as_("reader", scope=(narrow,)).require(Action.WRITE, resource)


def test_routes_of_all_plugins(tmp_path: Path) -> None:
    """Each plugin's stay together, in the order in which the plugins were given."""

    def answer(session: object, request: object) -> Response:
        raise AssertionError(session, request)

    class Brings:
        def __init__(self, *templates: str) -> None:
            self.routes = [
                Route(
                    method="GET",
                    template=template,
                    handler=answer,
                    summary="x",
                    permission=Admits.ANYONE,
                )
                for template in templates
            ]

        @hookimpl
        def repocore_routes(self) -> list[Route]:
            return self.routes

    plugins = [Brings("/one", "/two"), Brings("/three")]
    with repocore.open_registry(settings=Settings(data=tmp_path), plugins=plugins) as registry:
        templates = [route.template for route in registry.routes() if route.handler is answer]
    assert templates == ["/one", "/two", "/three"]


def test_every_step_of_an_upload_is_named(house) -> None:
    """A test of crashes can stop between any two; nobody watches unless asked to."""
    steps: list[str] = []
    unwatched = house.registry.step
    house.registry.step = steps.append
    house.put("zlib/1.3/_/_/r1/export/conanfile.py", b"recipe")
    house.registry.step = unwatched
    house.put("zlib/1.3/_/_/r2/export/conanfile.py", b"recipe")
    assert steps == ["staged", "reserved", "stored", "committed", "relayed"]


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


def test_forgotten_registries_keep_no_descriptor(tmp_path: Path) -> None:
    """A program may open and close as often as it likes; a writer's lock goes too."""

    def used(folder: Path) -> int:
        with repocore.open_registry(folder) as registry:
            session = registry.session(registry.admin())
            session.repositories.create("conan/main")
            session.files.put("conan/main", "a/1/_/_/r/export/conanfile.py", io.BytesIO(b"x"))
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir()))

    before = used(tmp_path / "first")
    assert [used(tmp_path / name) for name in ("second", "third")] == [before, before]


def test_a_plugin_file_may_have_settings(tmp_path: Path) -> None:
    """Their class stands in the file, its annotations too, and is this file's of two of a name."""
    for place, kind in {"a": "Path", "b": "str"}.items():
        (tmp_path / place).mkdir()
        (tmp_path / place / "own.py").write_text(
            "from __future__ import annotations\n"
            f"{'from pathlib import Path' if kind == 'Path' else ''}\n"
            "import attrs\nimport repocore\n\n"
            f"@attrs.frozen\nclass OwnSettings:\n    what: {kind}\n\n"
            "@repocore.hookimpl\ndef repocore_settings():\n    return {'own': OwnSettings}\n",
            encoding="utf-8",
        )
    for place, kind in {"a": Path, "b": str}.items():
        plugins = PluginSettings(
            files=(tmp_path / place / "own.py",), tables={"own": {"what": "x"}}
        )
        with repocore.open_registry(settings=Settings(data=tmp_path, plugins=plugins)) as registry:
            assert isinstance(registry.plugin_settings("own").what, kind)


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


def test_pages_of_repositories(house) -> None:
    """Those that one may read, by address, from behind one of them; a change counts at once."""
    for name in ("a", "b", "c", "d"):
        house.admin.repositories.create(f"conan/{name}")
    for name in ("a", "c", "main"):
        house.allow("user:ann", "read", f"conan/{name}")
    ann = house.as_("ann").repositories
    assert [one.address for one in ann.page(limit=2)] == ["conan/a", "conan/c"]
    assert [one.address for one in ann.page(after="conan/c")] == ["conan/main"]
    assert [one.name for one in ann.page(after="conan/aa", limit=1)] == ["c"]
    house.admin.accounts.remove_rule(house.admin.accounts.rules()[0].id)
    assert [one.address for one in ann.page()] == ["conan/c", "conan/main"]
    house.admin.repositories.delete("conan/c")
    assert ann.page() == ann.list() == [house.admin.repositories.get("conan/main")]


def test_a_change_of_accounts_leaves_the_rules_as_they_are(house) -> None:
    """They are not read again; a change of rules makes only the changed one anew."""
    house.allow("user:ann", "read", "conan/main/**")
    _ = house.as_("ann").principal  # a request, which catches up
    before = house.admin.registry.access.rules
    house.admin.accounts.add("bob")
    assert house.as_("ann").repositories.list() != []
    assert house.admin.registry.access.rules is before
    house.allow("user:bob", "read", "conan/main/**")
    _ = house.as_("bob").principal
    first, _ = house.admin.registry.access.rules
    assert first is before[0]
