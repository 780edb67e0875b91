"""The indexers together: every document has one who makes it."""

from __future__ import annotations

import pytest

from repocore.model import FilePath
from repocore.plugins.conda.indexers import indexers
from repocore.plugins.conda.settings import CondaSettings

ALL = indexers(CondaSettings(bz2=True))


@pytest.mark.parametrize(
    "path",
    [
        "noarch/repodata.json",
        "noarch/repodata.json.zst",
        "noarch/repodata.json.bz2",
        "noarch/repodata_from_packages.json",
        "noarch/repodata_from_packages.json.zst",
        "noarch/current_repodata.json",
        "noarch/current_repodata.json.zst",
        "noarch/run_exports.json",
        "noarch/run_exports.json.zst",
        "noarch/repodata_shards.msgpack.zst",
        f"noarch/shards/{'0' * 64}.msgpack.zst",
        "channeldata.json",
        "channeldata.json.zst",
        "notices.json",
    ],
)
def test_a_document_is_made_by_one(path):
    """No two claim it."""
    assert len([one for one in ALL if one.partition(FilePath.parse(path)) is not None]) == 1


@pytest.mark.parametrize("path", ["noarch/a-1.0-h0_0.conda", "noarch/patch_instructions.json"])
def test_an_uploaded_file_is_no_document(path):
    """It is served as it came."""
    assert all(one.partition(FilePath.parse(path)) is None for one in ALL)


def test_kinds_are_told_apart():
    """Each has a name of its own, in the one format."""
    assert len({one.kind for one in ALL}) == len(ALL)
    assert {one.format for one in ALL} == {"conda"}
