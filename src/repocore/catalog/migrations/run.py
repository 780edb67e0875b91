"""Run the migrations on a connection that is already open: there is no alembic.ini."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, inspect, text

__all__ = ["FOLDERS", "compatible_from", "following", "known", "upgrade"]

#: Where revisions are found.
FOLDERS = [Path(__file__).parent / "versions"]


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", _escaped(Path(__file__).parent))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", "\n".join(map(_escaped, FOLDERS)))
    return config


def _escaped(path: Path) -> str:
    return str(path).replace("%", "%%")


def following(revision: str | None) -> list[tuple[str, str]]:
    """The (revision, summary) that come after one, in order."""
    scripts = ScriptDirectory.from_config(_config())
    found = scripts.iterate_revisions("head", revision or "base")
    return [(script.revision, _summary(script)) for script in found][::-1]


def known(revision: str) -> bool:
    """Whether this version of repocore has that revision."""
    scripts = ScriptDirectory.from_config(_config())
    return any(script.revision == revision for script in scripts.walk_revisions())


def _summary(script: Script) -> str:
    return (script.module.__doc__ or "").strip().partition("\n")[0]


def compatible_from(revision: str) -> str:
    """The oldest revision whose code can use the tables of a revision; itself unless it says so."""
    module: Any = ScriptDirectory.from_config(_config()).get_revision(revision).module
    return getattr(module, "compatible_from", revision)


def upgrade(connection: Connection, revision: str) -> None:
    """Bring the tables to a revision, inside the connection's transaction, and note for whom they
    are.
    """
    config = _config()
    config.attributes["connection"] = connection
    if not connection.in_transaction():
        connection.begin()  # or Alembic would begin one, and commit what is not its own
    command.upgrade(config, revision)
    if inspect(connection).has_table("compatibility"):
        note = text("UPDATE compatibility SET compatible_from = :oldest")
        connection.execute(note, {"oldest": compatible_from(revision)})
