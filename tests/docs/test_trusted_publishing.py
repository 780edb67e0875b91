"""The page on trusted publishing: its settings are settings."""

from __future__ import annotations

import re
from pathlib import Path

import repocore
from repocore.config import load_settings

PAGE = Path(__file__).parents[2].joinpath("docs/how-to/trusted-publishing.md").read_text("utf-8")


def test_the_settings_are_settings(tmp_path: Path) -> None:
    """A registry opens with them, and has the account."""
    [text] = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    file = tmp_path / "repocore.toml"
    file.write_text(text, encoding="utf-8")
    settings = load_settings(data=tmp_path / "data", config=file, environ={})
    with repocore.open_registry(settings=settings) as registry:
        found = registry.plugin_settings("trusted_publishing").publisher
        assert [one.name for one in found] == ["pretty"]
        assert registry.session(registry.admin()).accounts.get("builds").service
