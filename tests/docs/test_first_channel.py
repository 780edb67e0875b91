"""The tutorial of the first channel: each file and each command as it stands there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tutorials import TUTORIALS, Terminal, steps

pytest.importorskip("rattler", reason="pip install py-rattler")
pytest.importorskip("rattler_build", reason="pip install py-rattler-build")
pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine")


def test_the_tutorial_works_as_it_stands(tmp_path: Path) -> None:
    """Whoever types it sees what it says, from the empty folder to the package that is yanked."""
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path), "NO_PROXY": "127.0.0.1"}
    with Terminal.opened(tmp_path, **home) as terminal:
        taken = steps(TUTORIALS / "first-channel.md", terminal.port)
        assert [step.kind for step in taken].count("sh") > 8
        assert {step.file for step in taken} >= {"recipe.yaml", "build.py", "install.py"}
        for step in taken:
            terminal.take(step)
