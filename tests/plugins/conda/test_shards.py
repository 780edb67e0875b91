"""Sharded repodata: a file for each name, found by an index that changes with little work."""

from __future__ import annotations

import hashlib

import pytest
import zstandard
from hypothesis import given
from release_query import (
    FIRST,
    channel,
    decoded,
    patch,
    readable,
    released,
    releases,
    shards,
    stamped,
)

from repocore.model import FilePath
from repocore.plugins.conda.settings import CondaSettings
from repocore.plugins.conda.shards import ShardsIndexer
from repocore.testing.contracts.indexer import indexer_contract
from repocore.testing.documents import MemoryOutput, make_documents

INDEX = "noarch/repodata_shards.msgpack.zst"


def indexer(**settings) -> ShardsIndexer:
    return ShardsIndexer(settings=CondaSettings(**settings))


TestShardsIndexer = indexer_contract(indexer, releases=releases())


def made(found):
    return make_documents(indexer(), found, "noarch")


def step(found, before):
    """Make from the generation before; what was written and dropped, and the generation."""
    query = found.query(
        "noarch", previous=before.serial, documents={**before.mutable, **before.immutable}
    )
    output = MemoryOutput()
    indexer().make(query, output)
    return output, make_documents(indexer(), found, "noarch", before)


def test_an_empty_channel_has_an_index():
    """Clients parse it only if its texts are there, even empty, and both maps."""
    documents = made(channel())
    assert decoded(documents, INDEX) == {
        "version": 1,
        "info": {
            "subdir": "noarch",
            "base_url": "",
            "shards_base_url": "./shards/",
            "created_at": "1970-01-01T00:00:00Z",
        },
        "shards": {},
    }
    assert documents.immutable == {}


@given(releases(patches=False))
def test_shards_have_every_record_and_nothing_else(found):
    """All of them together say what was released, with stamps and run exports."""
    there = channel()
    there.put("noarch", *found)
    seen = {}
    for name, shard in shards(made(there)).items():
        assert {"packages", "packages.conda"} <= shard.keys()
        maps = {key: shard[key] for key in ("packages", "packages.conda")}
        maps |= {f"v3.{key}": records for key, records in shard.get("v3", {}).items()}
        for section, records in maps.items():
            for file, record in records.items():
                assert record["name"] == name
                assert isinstance(record["run_exports"], dict)
                full = f"{file}.{section.partition('.')[2]}" if section[:2] == "v3" else file
                seen[full] = section, readable(record)
    assert seen == {release.name: (release.section, stamped(release)) for release in found}


def test_a_shard_is_called_by_the_digest_of_its_bytes():
    """The digest in the index, the path and the compressed bytes are one."""
    there = channel()
    there.put("noarch", released("a"))
    documents = made(there)
    [(path, content)] = documents.immutable.items()
    digest = decoded(documents, INDEX)["shards"]["a"]
    assert digest == hashlib.sha256(content).digest()
    assert path == f"noarch/shards/{digest.hex()}.msgpack.zst"


def test_every_file_says_its_size():
    """Clients who read a file at once ask its header for the size."""
    there = channel()
    there.put("noarch", released("a"))
    documents = made(there)
    for content in (*documents.mutable.values(), *documents.immutable.values()):
        assert zstandard.get_frame_parameters(content).content_size > 0


def test_one_change_makes_one_shard():
    """The others stay as they are, and the one in whose place it comes is dropped."""
    there = channel()
    there.put("noarch", released("a"), released("b"), released("c"))
    before = made(there)
    old = decoded(before, INDEX)["shards"]["b"]
    there.put("noarch", released("b", "2.0", at=FIRST + 5_000_000))
    output, after = step(there, before)
    assert len(output.added) == 1
    assert output.dropped == {f"noarch/shards/{old.hex()}.msgpack.zst"}
    assert set(shards(after)["b"]["packages.conda"]) == {"b-1.0-h0_0.conda", "b-2.0-h0_0.conda"}


def test_a_name_without_packages_is_in_no_index():
    """Who asks for names finds only what can be installed; a new one is found in its place."""
    there = channel()
    there.put("noarch", released("a"), released("c"))
    before = made(there)
    there.withdraw("noarch", "a-1.0-h0_0.conda")
    there.put("noarch", released("b"))
    _, after = step(there, before)
    assert list(decoded(after, INDEX)["shards"]) == ["b", "c"]


def test_a_shard_names_what_is_gone():
    """A file that was withdrawn, or that a patch takes out, is in the shard's list."""
    there = channel()
    there.put("noarch", released("a"), released("a", "1.1"), released("a", "1.2"), released("b"))
    there.withdraw("noarch", "a-1.1-h0_0.conda")
    there.put("noarch", patch({"remove": ["a-1.2-h0_0.conda"]}))
    found = shards(made(there))
    assert found["a"]["removed"] == ["a-1.1-h0_0.conda", "a-1.2-h0_0.conda"]
    assert "removed" not in found["b"]


def test_patches_change_every_shard_that_they_name():
    """Other instructions make all shards anew, and run exports follow them (CEP 21)."""
    there = channel()
    there.put("noarch", released("a"), released("b", run_exports={"weak": ["b"]}))
    before = made(there)
    fields = {"depends": ["x"], "run_exports": None}
    entries = {"b-1.0-h0_0.conda": fields}
    there.put("noarch", patch({"patch_instructions_version": 2, "packages.conda": entries}))
    output, after = step(there, before)
    record = shards(after)["b"]["packages.conda"]["b-1.0-h0_0.conda"]
    assert record["depends"] == ["x"]
    assert "run_exports" not in record
    assert len(output.dropped) == 1


def test_newer_forms_of_records_are_apart():
    """Clients that do not know them find them in no map that they read (CEP 48)."""
    there = channel()
    there.put("noarch", released("a"), released("a", "2.0", v3=True, flags=["gpu"]))
    shard = shards(made(there))["a"]
    assert set(shard["packages.conda"]) == {"a-1.0-h0_0.conda"}
    assert set(shard["v3"]["conda"]) == {"a-2.0-h0_0"}
    assert shard["info"]["repodata_revisions"] == {
        "v3": {"n_packages": 1, "oldest": FIRST // 1000, "newest": FIRST // 1000}
    }


def test_the_index_is_as_old_as_its_newest_record():
    """The time of day is in no document; when the newest record goes, so does its time."""
    there = channel()
    newest = released("b", at=FIRST + 100_000_000)
    there.put("noarch", released("a"), newest)
    before = made(there)
    assert decoded(before, INDEX)["info"]["created_at"] == "2023-11-14T22:15:00Z"
    there.withdraw("noarch", newest.name)
    _, after = step(there, before)
    assert decoded(after, INDEX)["info"]["created_at"] == "2023-11-14T22:13:20Z"


def test_the_index_says_what_the_channel_says():
    """Where packages are, and which channels go with this one (CEPs 15 and 42)."""
    there = channel(base_url="https://cdn.example/c", channel_relations={"base": "../other"})
    info = decoded(made(there), INDEX)["info"]
    assert info["base_url"] == "https://cdn.example/c/noarch/"
    assert info["channel_relations"] == {"base": "../other"}


@pytest.mark.parametrize(
    ("path", "partition"),
    [
        (INDEX, "noarch"),
        (f"linux-64/shards/{'a' * 64}.msgpack.zst", "linux-64"),
        (f"noarch/shards/{'A' * 64}.msgpack.zst", None),
        (f"noarch/shards/{'a' * 63}.msgpack.zst", None),
        ("repodata_shards.msgpack.zst", None),
        (f"a/noarch/shards/{'a' * 64}.msgpack.zst", None),
    ],
)
def test_paths(path, partition):
    """The index, and whatever may be a shard."""
    assert indexer().partition(FilePath.parse(path)) == partition


def test_only_noarch_is_there_without_packages():
    """A channel is one for its clients only if it has noarch."""
    assert indexer().standing("noarch")
    assert not indexer().standing("linux-64")


def test_another_level_makes_other_shards():
    """Settings that change bytes make documents anew."""
    assert indexer(zstd_level=5).variant != indexer().variant
