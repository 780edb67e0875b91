"""The page on the queue: its settings are read, its commands run, and say what stands there."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from click.testing import CliRunner

from repocore.cli.group import root

PAGE = Path(__file__).parents[2].joinpath("docs/how-to/job-queue.md").read_text(encoding="utf-8")

pytestmark = pytest.mark.postgres


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def data(tmp_path: Path, postgres_databases, postgres_tables) -> Iterator[Path]:
    """An installation with the page's settings; nothing is open yet."""
    with postgres_databases.fresh(postgres_tables) as url:
        [text] = blocks("toml")
        assert tomllib.loads(text) == {"runner": "procrastinate:4"}
        (tmp_path / "repocore.toml").write_text(f'catalog = "{url}"\n{text}', encoding="utf-8")
        yield tmp_path


def run(data: Path, *words: str) -> str:
    done = CliRunner().invoke(root, [*words, "--data", str(data)])
    assert done.exit_code == 0, (words, done.output)
    return done.output


def test_the_tables_are_made_as_it_shows(data: Path) -> None:
    """The plan, and what is done; afterwards there is nothing to do."""
    [shown] = blocks("text")
    for part in shown.replace("VERSION", version("procrastinate")).split("$ repocore ")[1:]:
        command, _, expected = part.partition("\n")
        said = run(data, *command.split())
        assert [line for line in expected.splitlines() if line not in said] == []
    assert "procrastinate" not in run(data, "migrate", "--plan")


def test_the_commands_run(data: Path) -> None:
    """Each line of the shell's blocks; a worker that would go on ends when nothing is due."""
    run(data, "init")
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    ours = [shlex.split(line)[1:] for line in lines if line.startswith("repocore ")]
    assert len(ours) == 8
    for words in ours:
        once = words[0] == "worker" and "--once" not in words
        run(data, *words, *(["--once"] if once else []))
    assert "state       done" in run(data, "job", "show", "1")
    assert "state       queued" in run(data, "job", "show", "2")
