"""The page on conan_server has each option, variable and section of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from repocore.plugins.conan import server_conf

PAGE = (Path(__file__).parents[2] / "docs/reference/from-conan-server.md").read_text("utf-8")
OPTIONS = {**server_conf._VARIABLES, **dict.fromkeys(server_conf._UNUSED, "")}


@pytest.mark.parametrize("option", OPTIONS)
def test_option_has_its_row(option):
    """With its variable, where there is one."""
    [row] = [line for line in PAGE.splitlines() if line.startswith(f"| `{option}` |")]
    if OPTIONS[option]:
        assert row.split("|")[2].strip() == f"`{OPTIONS[option]}`"


@pytest.mark.parametrize("section", server_conf._SECTIONS)
def test_section_has_its_row(section):
    """Or a heading of its own."""
    assert f"| `[{section}]` |" in PAGE or f"## Section [{section}]" in PAGE


@pytest.mark.parametrize("word", ["--server_dir", "-d DIR", "--migrate", "CONAN_SERVER_HOME"])
def test_command_line_has_its_row(word):
    """What the old program was started with."""
    assert word in PAGE
