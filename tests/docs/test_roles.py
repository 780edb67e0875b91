"""The page on roles: what it shows is run as it stands."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

import repocore
from repocore import Action, ApiKey, Resource
from repocore.cli.group import root
from repocore.config import load_settings

PAGE = Path(__file__).parents[2].joinpath("docs/how-to/roles.md").read_text("utf-8")
SECRET = "of-the-vault-0123456789"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_commands_run(tmp_path: Path) -> None:
    """One after the other, on a new installation; the answers are what the page says."""
    assert CliRunner().invoke(root, ["init", "--data", str(tmp_path)]).exit_code == 0
    said = ""
    for line in "".join(blocks("sh")).splitlines():
        done = CliRunner().invoke(root, [*shlex.split(line)[1:], "--data", str(tmp_path)])
        assert done.exit_code == 0, (line, done.output)
        said += done.output
    assert "user:ann holds uploader on conan/main (binding 3)" in said
    assert "viewer" in said


def test_the_settings_are_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token works from the first request, for what it allows."""
    file = tmp_path / "repocore.toml"
    file.write_text(blocks("toml")[0], encoding="utf-8")
    settings = load_settings(data=tmp_path, config=file, environ={"BUILDER_TOKEN": SECRET})
    with repocore.open_registry(settings=settings) as registry:
        session = registry.connect(ApiKey(SECRET))
        assert session.principal.name == "builder"
        for action, name, may in (("write", "main", True), ("promote", "main", False),
                                  ("write", "other", False)):  # fmt: skip
            assert session.allowed(Action(action), Resource("conda", name)) is may
