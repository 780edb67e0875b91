"""The page on retention: its settings, its commands and its units are right."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from repocore.cli.group import root
from repocore.config import load_settings

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "retention.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """An installation with the page's settings."""
    (tmp_path / "repocore.toml").write_text(blocks("toml")[0], encoding="utf-8")
    assert CliRunner().invoke(root, ["init", "--data", str(tmp_path)]).exit_code == 0
    return tmp_path


def test_the_settings_are_read(data: Path) -> None:
    """The exception stands before the rule."""
    settings = load_settings(data=data, environ={})
    assert [policy.keep_last for policy in settings.retention] == [20, 5]


def test_the_commands_run(data: Path) -> None:
    """Each line that calls the program, in the shell's blocks."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    ours = [shlex.split(line)[1:] for line in lines if line.startswith("repocore ")]
    assert len(ours) >= 5
    for words in ours:
        done = CliRunner().invoke(root, [*words, "--data", str(data)])
        assert done.exit_code == 0, (words, done.output)


def test_the_program_runs(data: Path) -> None:
    """What embedders are shown is Python that works."""
    code = blocks("python")[0].replace("/srv/repocore", str(data))
    exec(f"import repocore\n{code}\nassert report.releases == 0", {})


def test_the_units_are_right(tmp_path: Path) -> None:
    """systemd finds nothing wrong with them, where it is installed."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    # The program and the user are of the machine that the page speaks of.
    here = {"/opt/repocore/bin/repocore": shutil.which("true") or "", "User=repocore\n": ""}
    for name, written in zip(("service", "timer"), blocks("ini"), strict=True):
        text = re.sub("|".join(here), lambda match: here[match[0]], written)
        (tmp_path / f"repocore-retention.{name}").write_text(text, encoding="utf-8")
    units = [str(tmp_path / f"repocore-retention.{name}") for name in ("service", "timer")]
    done = subprocess.run(
        ["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
