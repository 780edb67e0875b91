"""Which storage the settings name."""

from __future__ import annotations

import pytest

import repocore
from repocore.config import Settings
from repocore.errors import NoPluginForUrlError


def test_a_storage_of_nobody_is_told(tmp_path):
    """With its scheme, and where to look."""
    settings = Settings(data=tmp_path, storage="carrier-pigeon://loft")
    with pytest.raises(NoPluginForUrlError, match=r"carrier-pigeon.*repocore plugins"):
        repocore.open_registry(settings=settings)


def test_a_folder_is_below_the_data(tmp_path):
    """Unless it is named from the root."""
    for storage in ("own", str(tmp_path / "else")):
        with repocore.open_registry(settings=Settings(data=tmp_path / "data", storage=storage)):
            pass
    assert (tmp_path / "data" / "own").is_dir()
    assert (tmp_path / "else").is_dir()
