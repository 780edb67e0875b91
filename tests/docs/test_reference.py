"""The generated reference: nothing that somebody can use is without its heading."""

from __future__ import annotations

import importlib.util
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import attrs
import click
import pytest

import repocore
from repocore import Registry, errors, hookspecs
from repocore.cli import hookspecs as cli_hookspecs
from repocore.cli.group import root
from repocore.config import Settings
from repocore.plugin_manager import make_manager
from repocore_web.site import site_routes

TOP = Path(__file__).parents[2]
TESTS = "\n".join(
    path.read_text(encoding="utf-8")
    for path in (TOP / "tests").rglob("*.py")
    if path != Path(__file__)
)
#: Where the tables of plugins are kept; their keys are the plugins' own.
INNER = {"plugins.tables"}


def load() -> Any:
    spec = importlib.util.spec_from_file_location("generated", TOP / "docs" / "generated.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


pytest.importorskip("sphinx")
GENERATED = load()


@cache
def written(page: str) -> str:
    """A page as it is generated."""
    return "\n".join(getattr(GENERATED, page)())


def headings(page: str) -> set[str]:
    """The headings of a page, without marks."""
    return {
        line.lstrip("# ").replace("`", "") for line in written(page).splitlines() if line[:1] == "#"
    }


def hooks() -> dict[str, Any]:
    return {
        name: value
        for module in (hookspecs, cli_hookspecs)
        for name, value in vars(module).items()
        if name.startswith("repocore_")
    }


def keys(kind: Any, above: str = "") -> Iterator[str]:
    """Every key of the settings, from the classes themselves."""
    for field in attrs.fields(attrs.resolve_types(kind)):
        inner = field.type
        listed = re.fullmatch(r"tuple\[(?P<item>[\w.]+), \.\.\.\]", str(inner))
        if listed and attrs.has(inner.__args__[0]):
            inner = inner.__args__[0]
        if attrs.has(inner) and not listed:
            yield from keys(inner, f"{above}{field.name}.")
        elif attrs.has(inner):
            yield from keys(inner, f"{above}{field.name}[].")
        else:
            yield f"{above}{field.name}"


def commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            assert found is not None
            yield from commands(found, f"{name} {below}")


COMMANDS = dict(commands(root, "repocore"))


@pytest.mark.parametrize("name", hooks())
def test_hook_has_a_heading_a_contract_and_a_test(name: str) -> None:
    """A hook says what it gets and what it returns, and somebody implements it in a test."""
    assert name in headings("hooks")
    document = inspect.getdoc(hooks()[name]) or ""
    assert len(document.split()) > 8
    assert f"def {name}" in TESTS or _implemented(name)


def _implemented(name: str) -> bool:
    folders = ("repocore/plugins", "repocore_s3")
    sources = (path for folder in folders for path in (TOP / "src" / folder).rglob("*.py"))
    return any(f"def {name}(" in path.read_text(encoding="utf-8") for path in sources)


def test_setting_has_a_heading() -> None:
    """Each key, those of lists and of sections too."""
    found = {heading.replace("[]", "") for heading in headings("settings")}
    wanted = {key.replace("[]", "") for key in keys(Settings)} - INNER
    assert len(wanted) > 20
    assert wanted <= found


def plugin_keys() -> Iterator[str]:
    """Every key of the tables of our plugins."""
    for brought in make_manager(Settings(data=Path())).hook.repocore_settings():
        for name, kind in brought.items():
            yield from keys(kind, f"plugins.{name}.")


PLUGIN_KEYS = sorted(plugin_keys())
OF_S3 = [key for key in PLUGIN_KEYS if key.startswith("plugins.s3.")]


def test_setting_of_a_plugin_has_a_heading_and_a_meaning() -> None:
    """Those of the tables below [plugins] as well."""
    found = {heading.replace("[]", "") for heading in headings("settings")}
    assert "plugins.s3.endpoint" in PLUGIN_KEYS
    assert {key.replace("[]", "") for key in PLUGIN_KEYS} <= found
    described = {one.key: one.help for one in GENERATED._plugin_settings()}
    assert [key for key, said in described.items() if len(said.split()) < 3] == []


@pytest.mark.parametrize("name", [*sorted(set(keys(Settings)) - INNER), *OF_S3])
def test_setting_is_tested(name: str) -> None:
    """Somebody sets it, or looks at what it does: its last word stands in a test."""
    assert re.search(rf"\b{name.rpartition('.')[2]}\b", TESTS)


def test_route_has_a_heading(tmp_path: Path) -> None:
    """Each method and template that a registry with all its plugins answers."""
    with repocore.open_registry(data=tmp_path) as registry:
        wanted = {f"{route.method} {route.template}" for route in every_route(registry)}
    assert len(wanted) > 25
    assert wanted <= headings("routes")


def every_route(registry: Registry) -> Iterator[Any]:
    yield from registry.routes()
    yield from site_routes(registry)


@pytest.mark.parametrize("name", COMMANDS)
def test_command_has_a_heading_and_its_options(name: str) -> None:
    """Each command, with each option that is not hidden, and a line of help for it."""
    assert name in headings("cli")
    section = written("cli").partition(f"# {name}\n")[2].partition("\n#")[0]
    assert COMMANDS[name].help
    for parameter in COMMANDS[name].params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            assert parameter.opts[-1] in section


@pytest.mark.parametrize("name", [name for name in COMMANDS if name.count(" ") > 0])
def test_command_is_tested(name: str) -> None:
    """Somebody runs it: its words stand beside each other in a test."""
    words = name.split()[1:]
    patterns = (r'",\s*"'.join(map(re.escape, words)), r"\s".join(map(re.escape, words)))
    assert any(re.search(rf'["\s]{pattern}["\s]', TESTS) for pattern in patterns)


@pytest.mark.parametrize("name", errors.__all__)
def test_error_has_a_heading_and_a_test(name: str) -> None:
    """Each error is explained, and expected somewhere in the tests."""
    assert name in headings("error_page")
    assert name in TESTS or any(one.__name__ in TESTS for one in kinds(getattr(errors, name)))


def kinds(error: type[Exception]) -> list[type[Exception]]:
    """The errors that are one of a family."""
    return [one for one in vars(errors).values() if inspect.isclass(one) and issubclass(one, error)]
