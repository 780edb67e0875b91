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
from repocore import errors, hookspecs
from repocore.cli import hookspecs as cli_hookspecs
from repocore.config import describe_settings
from repocore.http import status_for
from repocore_web.site import site_routes

logging.getLogger("alembic").setLevel(logging.WARNING)

PAGES = ("hooks", "settings", "routes", "cli", "errors")


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
    for one in describe_settings():
        yield f"## {one.key}\n\n{one.help}\n\nType: {one.type}. Default: `{one.default}`."


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


def error_page() -> Iterator[str]:
    yield "# Errors\n\nEverything that repocore raises on purpose, and its status over HTTP."
    for name in errors.__all__:
        kind = getattr(errors, name)
        try:
            status = status_for(kind())
        except TypeError:
            status = status_for(kind("…"))
        yield f"## {name}\n\n{_fenced(_document(kind))}\n\nStatus: {status}."


def write_pages(app: Sphinx) -> None:
    """Write what has changed, so that an unchanged page is not built again."""
    makers = (hooks, settings, routes, cli, error_page)
    for name, make in zip(PAGES, makers, strict=True):
        page = Path(app.srcdir) / "reference" / f"{name}.md"
        text = "\n\n".join(make()) + "\n"
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            page.write_text(text, encoding="utf-8")
