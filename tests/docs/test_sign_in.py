"""The guide to signing in with others: each of its settings is one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from repocore.config import load_settings

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "sign-in.md"
BLOCKS = re.findall(r"```toml\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=range(len(BLOCKS)))
def test_the_guide_is_right(tmp_path, block):
    """The server starts with what it shows."""
    tmp_path.joinpath("repocore.toml").write_text(block, encoding="utf-8")
    tmp_path.joinpath("own.secret").write_text("hush\n", encoding="utf-8")
    environ = {"HOUSE_SECRET": "a", "HUB_SECRET": "b", "GIT_SECRET": "c"}
    found = load_settings(data=tmp_path, environ=environ)
    assert all(one.client_secret for one in found.provider)


def test_every_kind_is_told_and_where_it_was_tried():
    """With what it wants; real ones and stand-ins are told apart."""
    text = GUIDE.read_text(encoding="utf-8")
    told, tried = text.split("## What was tried")
    for kind in ("oidc", "gitlab", "google", "entra", "github", "jupyterhub", "oauth2"):
        assert f"| `{kind}` |" in told
        assert f"`{kind}`" in tried
