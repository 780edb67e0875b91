"""``search`` and ``show``: Conan packages, for people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import click

from repocore.cli.amounts import day, minute, size
from repocore.cli.output import State, command, plain, printable, show, table
from repocore.model import release_key
from repocore.plugins.conan.browsing import (
    PackageInfo,
    PackageView,
    RecipeView,
    commands,
    default_repository,
    find,
    view,
)

__all__ = ["COMMANDS", "search", "show_"]

_WORDS: Final = 2
#: Columns that a table may have for what packages differ in; they are named by whoever uploads.
_MOST: Final = 16


@command()
@click.argument("words", nargs=-1, required=True, metavar="[ADDRESS] PATTERN")
def search(state: State, words: tuple[str, ...]) -> None:
    """List the Conan recipes that PATTERN means, in the repository ADDRESS.

    The pattern (*, ?, [seq]) is one of the whole reference or of its first parts: zlib, zl*,
    zlib/1.*, *@team*.
    """
    if len(words) > _WORDS:
        message = "Give a pattern, and before it at most the repository; quote what has a *."
        raise click.UsageError(message)
    with state.session() as session:
        address = words[0] if len(words) == _WORDS else default_repository(session)
        found = list(find(session, address, words[-1]))
    if not found and not state.as_json:
        click.echo(printable(f"Nothing in {address} is meant by {words[-1]}."), err=True)
        return
    text = "\n".join(map(printable, found))
    show(state, {"repository": address, "recipes": found}, text)


@command("show")
@click.argument("reference", metavar="REFERENCE[#REVISION]")
@click.option("--repository", help="Its address; else the only one, or conan/main.")
@click.option(
    "--remote", default="repocore", show_default=True, help="What clients call this server."
)
def show_(state: State, reference: str, repository: str | None, remote: str) -> None:
    """Show a Conan recipe: its revisions, its packages, and the client's commands for it."""
    with state.session() as session:
        recipe = view(session, repository or default_repository(session), reference)
    told = commands(recipe, remote)
    value = plain(recipe) | {"commands": list(told), "requires": recipe.reference}
    show(state, value, lambda: _draw(recipe, told))


def _draw(recipe: RecipeView, told: Iterable[str]) -> None:
    name = release_key(recipe.reference, recipe.revision)
    older = "" if recipe.newest else ", which is not the newest revision"
    head = f"{name} in {recipe.repository}{older}: {recipe.files} files, {size(recipe.bytes)}"
    click.echo(f"{printable(head)}\n")
    revisions = [(one.revision, minute(one.time), one.downloads) for one in recipe.revisions]
    table(("REVISION", "UPLOADED (UTC)", "DOWNLOADS"), revisions)()
    click.echo()
    _draw_packages(recipe.packages)
    click.echo("\nIn a conanfile.txt:\n\n    [requires]")
    click.echo(f"    {printable(recipe.reference)}\n\nWith the client:\n")
    for line in told:
        click.echo(f"    {printable(line)}")


def _draw_packages(packages: Sequence[PackageView]) -> None:
    """What all packages have is told once; a column for each thing in which they differ."""
    if not packages:
        click.echo("It has no packages.")
        return
    described = [_described(one.info) for one in packages]
    names = list(dict.fromkeys(name for one in described for name in one))
    differing = [name for name in names if len({one.get(name) for one in described}) > 1]
    same = {name: described[0][name] for name in names if name not in differing}
    if same:
        whose = "The package has" if len(packages) == 1 else f"All {len(packages)} packages have"
        click.echo(f"{whose}:\n")
        for (kind, name), value in same.items():
            click.echo(printable(f"    {kind:<8}  {name}{'=' if name else ''}{value}"))
        click.echo()
    shown = differing[:_MOST]
    headings = [printable(name or kind) for kind, name in shown]
    rows = [
        (
            one.package_id,
            *(facts.get(name, "-") for name in shown),
            size(one.bytes),
            day(one.revisions[0].time if one.revisions else None),
            one.downloads,
        )
        for one, facts in zip(packages, described, strict=True)
    ]
    table(("PACKAGE", *headings, "SIZE", "UPLOADED", "DOWNLOADS"), rows)()
    if len(differing) > _MOST:
        click.echo(f"They differ in {len(differing) - _MOST} things more; --json has all of them.")


def _described(info: PackageInfo) -> dict[tuple[str, str], str]:
    """What distinguishes a package, by kind and name."""
    pairs = {("setting", name): value for name, value in info.settings.items()}
    pairs |= {("option", name): value for name, value in info.options.items()}
    if info.requires:
        pairs["requires", ""] = " ".join(info.requires)
    return pairs


COMMANDS = {"search": search, "show": show_}
