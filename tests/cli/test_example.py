"""The settings file that we show to people is one."""

from __future__ import annotations

from source_tree import ROOT

from repocore.config import load_settings


def test_example_is_read():
    """Every key of the example is a setting, with a value that is accepted."""
    environ = {"REPOCORE_DATA": "d"}
    text = (ROOT / "examples" / "repocore.toml").read_text(encoding="utf-8")
    for line in text.splitlines():  # references of the example lead to variables of its reader
        for name in line.split('env = "')[1:]:
            environ[name.partition('"')[0]] = "x"
    assert load_settings(config=ROOT / "examples" / "repocore.toml", environ=environ)
