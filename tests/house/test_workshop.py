"""The tools around the source agree with each other."""

from __future__ import annotations

import re
import tomllib

import pytest
from source_tree import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
TYPES = [kind["directory"] for kind in PROJECT["tool"]["towncrier"]["type"]]
FRAGMENT = re.compile(rf"(\d+|\+[\w-]+)\.({'|'.join(TYPES)})(\.\d+)?\.md")
FRAGMENTS = sorted(p for p in (ROOT / "changelog.d").glob("*") if p.name != "README.md")


@pytest.mark.parametrize("path", FRAGMENTS, ids=lambda path: path.name)
def test_fragment_is_rendered(path):
    """A fragment has a name that towncrier reads, and holds whole sentences."""
    assert FRAGMENT.fullmatch(path.name)
    assert path.read_text(encoding="utf-8").rstrip().endswith((".", "```"))


def test_ci_does_what_the_readme_says():
    """The lines that set up a development environment are those which CI runs."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    install = "pip install -q -e '.[server,postgres,testing,dev]'"
    tests = "python -m pytest -n 4"
    assert install in readme
    assert tests in readme
    assert install in script.replace('pip" install', "pip install")
    assert tests in script


def test_extras_are_declared():
    """The extras that name each other, and those which the set-up lines use, exist."""
    extras = PROJECT["project"]["optional-dependencies"]
    named = {
        name
        for wanted in extras.values()
        for requirement in wanted
        for name in re.findall(r"repocore\[(\w+)\]", requirement)
    }
    assert named | {"server", "postgres", "testing", "dev"} <= extras.keys()
