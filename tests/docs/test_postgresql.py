"""The page on PostgreSQL: its settings are read as they stand, its numbers are those in force."""

from __future__ import annotations

import re
import tomllib
from datetime import timedelta
from pathlib import Path

import attrs

from repocore.config import PostgresSettings, Settings, parse_duration
from repocore.config.structuring import structure

PAGE = Path(__file__).parents[2].joinpath("docs/how-to/postgresql.md").read_text("utf-8")
BLOCKS = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


def test_the_settings_are_read(tmp_path: Path) -> None:
    """Every block by itself."""
    assert len(BLOCKS) == 4
    for block in BLOCKS:
        table = tomllib.loads(block)
        table.pop("catalog", None)
        structure({"data": str(tmp_path), **table}, Settings)


def test_the_defaults_are_those_in_force() -> None:
    """In the block, and in the table of bounds."""
    made = PostgresSettings()
    [pool] = [block for block in BLOCKS if "pool_size" in block]
    assert structure(tomllib.loads(pool)["postgres"], PostgresSettings) == made
    found: dict[str, str] = {}
    for names, defaults in re.findall(r"^\| (`[a-z_`, ]+`) \| ([\w, ]+) \|", PAGE, re.MULTILINE):
        found.update(zip(re.findall(r"\w+", names), defaults.split(", "), strict=True))
    assert len(found) == 8
    for name, written in found.items():
        value = getattr(made, name)
        told = parse_duration(written) if isinstance(value, timedelta) else int(written)
        assert told == value, name
    for name in ("pool_wait", "reconnect", "attempts"):
        value = getattr(made, name)
        shown = f"{value.seconds} s" if isinstance(value, timedelta) else str(value)
        assert f"`{name}` ({shown})" in PAGE


def test_the_table_of_a_fleet_adds_up() -> None:
    """Two processes each, and what is beside the pool."""
    rows = re.findall(r"^\| (\d+) \| (\d+) \| (\d+) \| (\d+) \| (\d+)", PAGE, re.MULTILINE)
    assert len(rows) == 3
    for servers, *sizes, total in (map(int, row) for row in rows):
        assert total == 2 * servers * sum(sizes)
    names = {field.name for field in attrs.fields(PostgresSettings)}
    assert {"pool_size", "pool_overflow", "read_connections"} <= names
