"""The page on embedding: its code for channels runs as it stands."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from static_channel import StaticChannel, package

import repocore

PAGE = Path(__file__).parents[2].joinpath("docs/how-to/embed.md").read_text("utf-8")


def test_the_channel_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A package is put, a channel taken over, a patch applied, a release yanked."""
    monkeypatch.chdir(tmp_path)
    Path("pretty-1.0-0.conda").write_bytes(package("pretty-1.0-0.conda")[0])
    old = StaticChannel(tmp_path / "old-channel")
    old.add("ugly-1.0-0.conda")
    old.index()
    patch = {"packages.conda": {"ugly-1.0-0.conda": {"depends": ["pretty"]}}}
    text = {"patch_instructions_version": 1, "packages": {}, "remove": [], "revoke": [], **patch}
    Path("patch_instructions.json").write_text(json.dumps(text), encoding="utf-8")
    [code] = [one for one in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "patch" in one]
    exec(code, {})
    said = capsys.readouterr().out
    assert "noarch/pretty-1.0-0.conda" in said
    assert "1 taken over, 0 left out []" in said
    with repocore.open_registry(data=tmp_path / "packages") as registry:
        session = registry.session(registry.admin())
        index = json.loads(session.files.open("conda/main", "noarch/repodata.json").read())
        assert index["packages.conda"]["ugly-1.0-0.conda"]["depends"] == ["pretty"]
        assert "pretty-1.0-0.conda" not in index["packages.conda"]
