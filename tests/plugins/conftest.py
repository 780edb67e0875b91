"""A registry with two accounts, for the plugins that say who is who and who may."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import repocore
from repocore import Registry
from repocore.config import Settings


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    with repocore.open_registry(settings=Settings(data=tmp_path)) as opened:
        session = opened.session(opened.admin())
        session.repositories.create("conan/main")
        session.accounts.add("ann", "right", groups=["team"])
        session.accounts.add("bob", "pw")
        yield opened
