"""The page on jobs: its settings, commands and programs are right."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

import repocore
from repocore.cli.group import root
from repocore.config import load_settings

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "jobs.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """An installation with the page's settings, and its plugin."""
    plugin = tmp_path / "counting.py"
    plugin.write_text(blocks("python")[1], encoding="utf-8")
    text = f'{blocks("toml")[0]}\n[plugins]\nfiles = ["counting.py"]\n'
    (tmp_path / "repocore.toml").write_text(text, encoding="utf-8")
    assert CliRunner().invoke(root, ["init", "--data", str(tmp_path)]).exit_code == 0
    return tmp_path


def run(data: Path, *words: str) -> str:
    done = CliRunner().invoke(root, [*words, "--data", str(data)])
    assert done.exit_code == 0, (words, done.output)
    return done.output


def test_the_settings_are_read(data: Path) -> None:
    """Three schedules, each with a name of its own, of kinds that there are."""
    found = load_settings(data=data, environ={}).schedule
    assert [one.known_as for one in found] == ["retention", "gc", "read everything"]


def test_the_commands_run(data: Path) -> None:
    """Each line of the shell's blocks; a worker that would go on ends when nothing is due."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    ours = [shlex.split(line)[1:] for line in lines if line.startswith("repocore ")]
    assert len(ours) >= 7
    for words in sorted(ours, key=lambda words: words[:2] != ["job", "run"]):
        run(data, *words, *(["--once"] if words[0] == "worker" else []))


def test_the_plugin_counts(data: Path) -> None:
    """Its kind is run, and says what it found."""
    run(data, "job", "run", "count")
    run(data, "worker", "--once", "--kind", "count")
    assert "0 files." in run(data, "job", "show", "1")


def test_the_program_runs(data: Path) -> None:
    """What embedders are shown."""
    code = blocks("python")[0].replace("/srv/repocore", str(data))
    exec(code, {"repocore": repocore})


def test_the_defaults_are_right() -> None:
    """Numbers of the page are those of the settings."""
    settings = load_settings(data=Path("d"), environ={})
    assert settings.runner == "threads:4"
    assert (settings.jobs.attempts, settings.jobs.backoff.seconds) == (5, 10)
    assert settings.jobs.lease.seconds == 60
