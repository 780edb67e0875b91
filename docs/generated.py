"""Reference pages that are made from the code: hooks, settings, routes, command line, errors."""

from __future__ import annotations

import inspect
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from sphinx.application import Sphinx

import repocore
from repocore import hookspecs
from repocore.cli import hookspecs as cli_hookspecs
from repocore.config import SettingDescription, Settings, describe_settings
from repocore.plugin_manager import make_manager
from repocore.plugins.api.openapi import describe
from repocore.plugins.api.page import errors_by_name, words
from repocore_web.site import site_routes

logging.getLogger("alembic").setLevel(logging.WARNING)

PAGES = ("hooks", "settings", "routes", "cli", "errors", "api")


def _document(thing: Any) -> str:
    return inspect.cleandoc(inspect.getdoc(thing) or "").replace("`hookimpl`", "``hookimpl``")


def _fenced(text: str) -> str:
    return f"```text\n{text}\n```"


def hooks() -> Iterator[str]:
    yield "# Hooks\n\nWhat a plugin can implement, in the order in which it is called."
    for module in (hookspecs, cli_hookspecs):
        for name, hook in vars(module).items():
            if name.startswith("repocore_"):
                options = hook.repocore_spec
                kinds = [key for key in ("firstresult", "historic") if options[key]]
                signature = str(inspect.signature(hook)).replace("'", "")
                yield f"## {name}\n\n{_fenced(name + signature)}"
                yield f"Kind: {', '.join(kinds) or 'all'}.\n\n{_fenced(_document(hook))}"


def settings() -> Iterator[str]:
    yield (
        "# Settings\n\nEvery key of `repocore.toml`. `REPOCORE__SECTION__KEY` overrides a key from "
        'the environment; `{ env = "NAME" }` and `{ file = "NAME" }` take a text from elsewhere.'
    )
    for one in (*describe_settings(), *_plugin_settings()):
        yield f"## {one.key}\n\n{one.help}\n\nType: {one.type}. Default: `{one.default}`."


def _plugin_settings() -> Iterator[SettingDescription]:
    """The tables of the plugins that ship with us."""
    with tempfile.TemporaryDirectory() as folder:
        manager = make_manager(Settings(data=Path(folder)))
        classes = {
            name: kind for one in manager.hook.repocore_settings() for name, kind in one.items()
        }
    for name, kind in sorted(classes.items()):
        yield from describe_settings(kind, f"plugins.{name}.")


def routes() -> Iterator[str]:
    yield (
        "# Routes\n\nRoutes of a format are below each of its repositories, for example "
        "`/conan/main`, and those of `web.root` also at the root."
    )
    with tempfile.TemporaryDirectory() as folder, repocore.open_registry(data=folder) as registry:
        for route in (*site_routes(registry), *registry.routes()):
            where = f"`{route.format}` repositories" if route.format else "the site"
            needs = f"Permission: {route.permission.value}."
            yield f"## {route.method} {route.template}\n\n{route.summary} (Of {where}.) {needs}"


def cli() -> Iterator[str]:
    from repocore.cli.group import root  # noqa: PLC0415 - click only where its page is made

    yield "# Command line\n\nEvery command takes `--data`, `--config` and `--json`."
    yield from _commands(root, click.Context(root, info_name="repocore"))


def _commands(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"## {context.command_path}\n\n{_fenced(command.get_help(context))}"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None:
                yield from _commands(found, click.Context(found, info_name=name, parent=context))


def api() -> Iterator[str]:
    """From the same document as the page that a server shows of itself."""
    with tempfile.TemporaryDirectory() as folder, repocore.open_registry(data=folder) as registry:
        document = describe(registry.routes())
    yield f"# API\n\n{document['info']['description']}"
    yield "A server describes itself at `/api/v1/docs`, and for programs at `/api/v1/openapi.json`."
    for tag in document["tags"]:
        yield f"## {tag['name']}"
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                if tag["name"] in operation["tags"]:
                    yield from _operation(f"{method.upper()} {path}", operation)
    yield "## Shapes"
    for name, schema in document["components"]["schemas"].items():
        yield f"### {name}\n\n{schema['description']}"
        rows = [
            (f"`{field}`", words(one), one.get("description", ""))
            for field, one in schema["properties"].items()
        ]
        yield _table(("Field", "Type", "Meaning"), rows)


def _operation(title: str, operation: Any) -> Iterator[str]:
    yield f"### `{title}`\n\n{operation['summary']} {operation['description']}"
    rows = [
        (f"`{one['name']}`", one["in"], words(one["schema"]), one["description"])
        for one in operation.get("parameters", ())
    ]
    if rows:
        yield _table(("Parameter", "In", "Type", "Meaning"), rows)
    if "requestBody" in operation:
        [shape, *_] = operation["requestBody"]["content"].values()
        yield f"Takes: {words(shape['schema'])}."
    for status, answer in operation["responses"].items():
        if status.isdecimal():
            content = answer.get("content", {})
            told = [words(one["schema"]) if one else f"`{kind}`" for kind, one in content.items()]
            yield f"Answers {status}: {told[0] if told else 'nothing'}."


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    cells = (" | ".join(cell.replace("|", "\\|") for cell in line) for line in lines)
    return "\n".join(f"| {line} |" for line in cells)


def error_page() -> Iterator[str]:
    yield "# Errors\n\nEverything that repocore raises on purpose, and its status over HTTP."
    for name, status, meaning in errors_by_name():
        yield f"## {name}\n\n{_fenced(meaning)}\n\nStatus: {status}."


def write_pages(app: Sphinx) -> None:
    """Write what has changed, so that an unchanged page is not built again."""
    makers = (hooks, settings, routes, cli, error_page, api)
    for name, make in zip(PAGES, makers, strict=True):
        page = Path(app.srcdir) / "reference" / f"{name}.md"
        text = "\n\n".join(make()) + "\n"
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")
