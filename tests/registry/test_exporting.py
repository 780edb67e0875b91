"""An export has the files of a repository, and every document that clients may ask for."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator

import pytest
import zstandard

import repocore
from repocore.config import Settings

CHANNEL = "conda/main"
PATCHES = b'{"packages.conda":{"a-1.0-0.conda":{"license":"MIT"}},"patch_instructions_version":1}'


@pytest.fixture
def session(settings: Settings) -> Iterator[repocore.Session]:
    with repocore.open_registry(settings=settings) as registry:
        made = registry.session(registry.admin())
        made.repositories.create(CHANNEL)
        yield made


def test_an_export_has_documents_that_nobody_asked_for_yet(session, tmp_path) -> None:
    """They are made for it, those of a subdir that never had a package among them."""
    path = "linux-64/patch_instructions.json"
    session.files.put(CHANNEL, path, io.BytesIO(PATCHES))
    folder = tmp_path / "out"
    count = session.upkeep.export(CHANNEL, folder)
    files = {one.relative_to(folder).as_posix(): one for one in folder.rglob("*") if one.is_file()}
    assert count == len(files)
    assert files[path].read_bytes() == PATCHES
    assert "channeldata.json" in files
    for subdir in ("linux-64", "noarch"):
        assert f"{subdir}/repodata_shards.msgpack.zst" in files
        text = files[f"{subdir}/repodata.json"].read_bytes()
        assert json.loads(text)["info"]["subdir"] == subdir
        packed = files[f"{subdir}/repodata.json.zst"].read_bytes()
        assert zstandard.ZstdDecompressor().decompress(packed) == text


def test_an_export_has_the_newest_generation_and_no_other(session, tmp_path) -> None:
    """What was made before a change is made again, and documents that are not made are missing."""
    path = "noarch/repodata.json"
    before = session.files.open(CHANNEL, path).read()
    session.repositories.configure(CHANNEL, options={"base_url": "https://cdn.example/main"})
    session.upkeep.export(CHANNEL, tmp_path / "out")
    exported = (tmp_path / "out" / path).read_bytes()
    assert exported != before
    assert exported == session.files.open(CHANNEL, path).read()
    assert not (tmp_path / "out" / "notices.json").exists()
