"""Settings on trial: nothing of the installation is opened, whatever they say."""

from __future__ import annotations

import pytest

from repocore.cli.trial import try_settings
from repocore.config import Settings
from repocore.errors import ConfigurationError, RepocoreError


def test_what_is_there_is_not_opened(tmp_path) -> None:
    """Neither the folder, the catalog nor the storage."""
    data, blobs = tmp_path / "data", tmp_path / "blobs"
    settings = Settings(data=data, catalog=f"sqlite:///{tmp_path}/c.db", storage=str(blobs))
    assert {"conan", "conda"} <= {*try_settings(settings)}
    assert try_settings(Settings(data=data, storage=blobs.as_uri()))
    assert [*tmp_path.iterdir()] == []


def test_what_is_made_of_it_is_tried_too(tmp_path) -> None:
    """An application that cannot be made would end a server that takes the settings over."""
    seen: list[object] = []
    try_settings(Settings(data=tmp_path), seen.append)
    assert len(seen) == 1

    def fail(_registry: object) -> None:
        raise ConfigurationError("no such thing")

    with pytest.raises(ConfigurationError, match="no such thing"):
        try_settings(Settings(data=tmp_path), fail)


def test_a_storage_that_nobody_opens_is_found(tmp_path) -> None:
    """A folder is always there; others are asked."""
    with pytest.raises(RepocoreError, match="scheme nothing"):
        try_settings(Settings(data=tmp_path, storage="nothing://x"))
