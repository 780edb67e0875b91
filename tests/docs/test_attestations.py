"""The page on attestations: its settings are read as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from own_sigstore import sigstore

import repocore
from repocore.config import load_settings

PAGE = Path(__file__).parents[2].joinpath("docs/how-to/attestations.md").read_text("utf-8")


def test_the_settings_are_read(tmp_path: Path) -> None:
    """With the trust root beside them."""
    pytest.importorskip("sigstore", reason="pip install 'repocore[attestations]'")
    [text] = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    path = tmp_path / "repocore.toml"
    path.write_text(text, encoding="utf-8")
    sigstore().write_root(tmp_path).rename(tmp_path / "trusted_root.json")
    settings = load_settings(data=tmp_path / "data", config=path, environ={})
    with repocore.open_registry(settings=settings) as registry:
        found = registry.plugin_settings("attestations")
    assert [(one.pattern, one.require) for one in found.policy] == [("conda/main/**", True)]
    assert f"({found.max_count})" in PAGE
    assert f"({found.max_size >> 10} KiB)" in PAGE


def test_the_python_is_python() -> None:
    """It compiles, and what it imports is there."""
    [text] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    pytest.importorskip("rattler.sigstore", reason="pip install py-rattler")
    names: dict[str, object] = {}
    exec(compile(text, "page", "exec"), names)
    assert callable(names["check"])
