"""The page on records of changes: what it shows is run as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

import repocore
from repocore.cli.group import root

PAGE = Path(__file__).parents[2].joinpath("docs/how-to/audit.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_commands_run(tmp_path: Path) -> None:
    """In a shell; the last seal fits the records, until one of them is gone."""
    data = tmp_path / "data"
    assert CliRunner().invoke(root, ["init", "--data", str(data)]).exit_code == 0
    script = "".join(blocks("sh")).replace("repocore ", f"{sys.executable} -m repocore ")
    done = subprocess.run(
        ["bash", "-ec", script],
        cwd=tmp_path,
        env={**os.environ, "REPOCORE_DATA": str(data)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "seals.txt").read_text().count(":") == 1
    assert (tmp_path / "changes.jsonl").read_text().count("\n") > 0


def test_the_code_runs(tmp_path: Path, capsys) -> None:
    """It prints who created the repository."""
    with repocore.open_registry(data=tmp_path) as registry:
        session = registry.session(registry.admin(), source="192.0.2.1")
        session.repositories.create("conda/main")
        exec(blocks("python")[0], {"session": session})
    assert "system repository.changed conda/main" in capsys.readouterr().out
