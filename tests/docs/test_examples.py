"""The examples run as they stand."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
from werkzeug.test import Client

import repocore
from repocore import NotAuthenticatedError, Password
from repocore.config import load_settings

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"


@pytest.mark.parametrize(
    ("name", "app", "own"),
    [("embed_in_flask", "app", "0 recipes"), ("plain_wsgi", "application", "mine\n\n")],
)
def test_a_registry_serves_beside_an_application(
    name: str, app: str, own: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The application's own page and the registry's protocol answer side by side."""
    if name == "embed_in_flask":
        pytest.importorskip("flask", reason="Flask is the application's, not ours")
    monkeypatch.setenv("REPOCORE_DATA", str(tmp_path))
    program = runpy.run_path(str(EXAMPLES / f"{name}.py"))
    with program["registry"] as registry:
        session = registry.session(registry.admin())
        if not session.repositories.list():
            session.repositories.create("conan/main")
        client = Client(program[app])
        assert client.get("/").text == own
        answer = client.get("/packages/conan/main/v1/ping")
        assert answer.status_code == 200
        assert "revisions" in answer.headers["X-Conan-Server-Capabilities"]


def test_a_file_is_a_plugin(tmp_path: Path) -> None:
    """The example's settings load the example's authenticator."""
    settings = load_settings(data=tmp_path, config=EXAMPLES / "repocore.toml", environ={})
    settings = repocore.Settings(data=tmp_path, plugins=settings.plugins)
    with repocore.open_registry(settings=settings) as registry:
        assert registry.connect(Password("guest", "please")).principal.groups == {"guests"}
        with pytest.raises(NotAuthenticatedError):
            registry.connect(Password("guest", "now"))


def test_the_lines_of_the_readme_run(tmp_path: Path) -> None:
    """What the README shows of embedding is a program."""
    block = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block is not None
    environment = {k: v for k, v in os.environ.items() if not k.startswith("REPOCORE_")}
    done = subprocess.run(
        [sys.executable, "-c", block[1]],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(" 4\n")
