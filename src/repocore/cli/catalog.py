"""``migrate`` and ``catalog``: the database behind an installation."""

from __future__ import annotations

from typing import Any

import click

from repocore.cli.output import State, command, command_group, progress, show, table
from repocore.errors import ConfigurationError
from repocore.registry import (
    CatalogCopy,
    MigrationPlan,
    Revision,
    copy_catalog,
    migrate_catalog,
    plan_migration,
)

__all__ = ["COMMANDS", "catalog", "copy", "migrate"]


@command()
@click.option("--plan", "planned", is_flag=True, help="Show what is pending, and change nothing.")
def migrate(state: State, *, planned: bool) -> None:
    """Bring the catalog's tables to this version.

    Servers of this version and of the one before may go on meanwhile. Idempotent: what was stopped
    in the middle goes on from there.
    """
    settings = state.settings()
    if planned and not state.made():
        message = f"There is no installation in {settings.data}; `repocore init` makes one."
        raise ConfigurationError(message)
    plan = plan_migration(settings)
    others = state.manager().hook.repocore_tables(settings=settings)
    pending = [*plan.pending, *(Revision(*one) for other in others for one in other.pending())]
    value: dict[str, Any] = {
        "revision": plan.revision,
        "newest": plan.newest,
        "pending": pending,
    }
    if planned:
        rows = [(one.name, one.summary) for one in pending]
        text = table(("REVISION", "WHAT IT DOES"), rows) if rows else _standing(plan)
        show(state, value, text)
        return
    with progress(state) as bar:
        if bar:
            bar.start(len(plan.pending), "Migrating")
        done = migrate_catalog(settings, bar)
        further = [name for other in others for name in other.migrate()]
    lines = [f"{one.name} {one.summary}" for one in pending if one.name in {*done, *further}]
    lines.append(_standing(plan) if not done else f"The tables are up to date ({done[-1]}).")
    show(state, value | {"done": [*done, *further]}, "\n".join(lines))


def _standing(plan: MigrationPlan) -> str:
    if plan.revision is not None and plan.revision > plan.newest:
        return (
            f"The tables are of a newer repocore ({plan.revision}), and this one ({plan.newest}) "
            "may use them."
        )
    return f"The tables are up to date ({plan.newest})."


@command_group
def catalog() -> None:
    """Copy the catalog to another database."""


@command("copy")
@click.argument("url")
@click.option("--in-use", is_flag=True, help="While servers may change it; says what is missing.")
def copy(state: State, url: str, *, in_use: bool) -> None:
    """Copy the whole catalog into the empty database of URL, and compare them.

    URL is written as the setting `catalog`: postgresql://... or sqlite:///FILE. A password can
    stand in PGPASSWORD or in ~/.pgpass instead. Exits 1 where something was changed meanwhile.
    """
    settings = state.settings()
    if not state.made():
        message = f"There is no installation in {settings.data}; there is nothing to copy."
        raise ConfigurationError(message)
    with progress(state) as bar:
        done = copy_catalog(settings, url, in_use=in_use, progress=bar)
    show(state, done, lambda: _tell(done))
    if done.changed:
        text = (
            f"Something was changed after record {done.record}, and the copy lacks it. Set "
            "`read_only = true`, send SIGHUP to every server, and copy into another database."
        )
        click.echo(f"WARNING: {text}", err=True)
        if not in_use:
            click.get_current_context().exit(1)


def _tell(done: CatalogCopy) -> None:
    rows = [(one.name, one.rows, one.digest[:16]) for one in done.tables]
    table(("TABLE", "ROWS", "SHA-256"), rows)()
    count = sum(one.rows for one in done.tables)
    moment = f"{done.at:%Y-%m-%d %H:%M:%S} UTC"
    click.echo(f"{count} rows are as they were at {moment}, up to record {done.record}.")


catalog.add_command(copy)

COMMANDS = {"migrate": migrate, "catalog": catalog}
