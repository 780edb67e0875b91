"""The page on replicas: its commands run in their order, and say what it says."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner
from replica_house import pair

import repocore
from repocore.cli.group import root
from repocore.config import load_settings

PAGE = Path(__file__).parents[2].joinpath("docs/how-to/replica.md").read_text("utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
SHELL = [line.strip() for block in BLOCKS for line in block.strip().splitlines()]
ORDER = [
    "repocore replica status",
    "repocore replica sync",
    "repocore replica promote",
    "repocore replica sync --full",
]
[SETTINGS] = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
[SAID] = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)


def run(data: Path, command: str, status: int = 0) -> str:
    words = shlex.split(command)
    assert words[0] == "repocore"
    done = CliRunner().invoke(root, [*words[1:], "--data", str(data)])
    assert done.exit_code == status, (command, done.output)
    return done.output


def test_the_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the primary there, and the others at its replica, until it is promoted."""
    with pair(tmp_path, "sqlite:///catalog.db") as two:
        two.admin.accounts.remove("mirror")
        two.conda("tide")
        there = [line for line in SHELL if not line.startswith("repocore replica")]
        here = [line for line in SHELL if line.startswith("repocore replica")]
        assert (len(there), len(here)) == (3, 4)
        said = [run(two.primary.settings.data, line) for line in there]
        [secret] = re.findall(r"rpc-[\w-]+", said[2])
        two.primary.tell()
        data = tmp_path / "replica"
        data.mkdir()
        settings = SETTINGS.replace("https://packages.example", two.url)
        (data / "repocore.toml").write_text(settings, encoding="utf-8")
        monkeypatch.setenv("REPLICA_TOKEN", secret)
        run(data, "repocore init")
        assert here == ORDER
        run(data, here[0], status=1)
        run(data, here[1])
        told = run(data, here[0])
        for line in SAID.splitlines():
            assert line.replace("https://packages.example", two.url) in told
        run(data, here[3])
        run(data, here[2])
        with repocore.open_registry(data) as registry:
            assert not registry.following


def test_the_numbers_and_settings_are_those_in_force(tmp_path: Path) -> None:
    """Each has its row, and defaults are what the page says."""
    (tmp_path / "repocore.toml").write_text(SETTINGS, encoding="utf-8")
    found = load_settings(data=tmp_path, environ={"REPLICA_TOKEN": "t"}).replica
    assert tomllib.loads(SETTINGS)["replica"]["of"] == found.of
    assert f"`interval` ({found.interval.seconds} s)" in PAGE
    assert f"`workers` ({found.workers})" in PAGE
    source = Path(__file__).parents[2].joinpath("src/repocore_web/metrics.py").read_text("utf-8")
    named = re.findall(r"^\| `repocore_replica_(\w+)`", PAGE, re.MULTILINE)
    assert len(named) == 6
    assert all(f'("{name}"' in source for name in named)
