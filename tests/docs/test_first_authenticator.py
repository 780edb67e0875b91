"""The tutorial that builds an authenticator: each file and each command as it stands there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tutorials import TUTORIALS, Terminal, steps

pytest.importorskip("hatchling", reason="the tutorial builds a package, and the network is shut")
pytest.importorskip("conan", reason="the tutorial signs in with a Conan client")

TUTORIAL = TUTORIALS / "first-authenticator.md"


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    installed = tmp_path / "installed"
    with Terminal.opened(
        tmp_path,
        # Packages go where nothing else finds them, and are built with what is here.
        PIP_TARGET=str(installed),
        PIP_NO_INDEX="1",
        PIP_NO_DEPS="1",
        PIP_NO_BUILD_ISOLATION="0",
        PIP_DISABLE_PIP_VERSION_CHECK="1",
        PYTHONPATH=str(installed),
        CONAN_HOME=str(tmp_path / "conan"),
    ) as opened:
        yield opened


def test_the_tutorial_works_as_it_stands(terminal: Terminal) -> None:
    """Whoever types it sees what it says, from the empty folder to the installed package."""
    taken = steps(TUTORIAL, terminal.port)
    assert [step.kind for step in taken].count("sh") > 8
    assert {step.file for step in taken} >= {"house/badges.py", "repocore-badges/pyproject.toml"}
    for step in taken:
        terminal.take(step)
