"""repodata.json: every record with its stamp, in all encodings, from one pass."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from release_query import FIRST, channel, decoded, patch, released, releases, stamped

from repocore.model import FilePath
from repocore.plugins.conda.records import splice_json
from repocore.plugins.conda.repodata import RepodataIndexer
from repocore.plugins.conda.settings import CondaSettings
from repocore.testing.contracts.indexer import indexer_contract
from repocore.testing.documents import make_documents

PATH = "noarch/repodata.json"


def indexer(*, patched: bool = True, **settings) -> RepodataIndexer:
    return RepodataIndexer(settings=CondaSettings(**settings), patched=patched)


TestRepodataIndexer = indexer_contract(indexer, releases=releases())
TestUnpatchedIndexer = indexer_contract(lambda: indexer(patched=False), releases=releases())
TestInEveryEncoding = indexer_contract(lambda: indexer(bz2=True), releases=releases())


def made(found, **options):
    return make_documents(indexer(**options), found, "noarch")


def test_an_empty_channel_has_repodata():
    """Real JSON with both maps, because clients ask for noarch before anything is there."""
    assert decoded(made(channel()), PATH) == {
        "info": {"subdir": "noarch"},
        "packages": {},
        "packages.conda": {},
        "removed": [],
        "repodata_version": 1,
    }


@given(releases(patches=False))
def test_every_record_is_there_with_its_stamp(found):
    """In the map of its kind, and in no other; under ``v3`` without its extension (CEP 48)."""
    there = channel()
    there.put("noarch", *found)
    document = decoded(made(there), PATH)
    maps = {key: document[key] for key in ("packages", "packages.conda")}
    maps |= {f"v3.{key}": records for key, records in document.get("v3", {}).items()}
    seen = {
        (section, f"{name}.{section[3:]}" if section.startswith("v3") else name): record
        for section, records in maps.items()
        for name, record in records.items()
    }
    assert seen == {(release.section, release.name): stamped(release) for release in found}


@given(releases())
def test_all_encodings_say_the_same(found):
    """Whoever asks for which of them."""
    there = channel()
    there.put("noarch", *found)
    documents = made(there, bz2=True)
    assert set(documents.mutable) == {PATH, f"{PATH}.zst", f"{PATH}.bz2"}
    assert decoded(documents, f"{PATH}.zst") == decoded(documents, PATH)
    assert decoded(documents, f"{PATH}.bz2") == decoded(documents, PATH)


def test_stored_bytes_are_copied():
    """What is not patched is the stored record to the byte, and its stamp."""
    there = channel()
    release = released("a", license="MIT ©", timestamp=1)
    there.put("noarch", release)
    assert splice_json(release.record, release.released_at) in made(there).mutable[PATH]


def test_what_was_withdrawn_is_named():
    """Deleted, yanked, or taken out by patches; clients with a lock file can still fetch some."""
    there = channel()
    there.put("noarch", released("a"), released("b"), released("c"), patch({}))
    there.withdraw("noarch", "b-1.0-h0_0.conda", "patch_instructions.json")
    there.put("noarch", patch({"remove": ["a-1.0-h0_0.conda", "never-1-0.conda"]}))
    document = decoded(made(there), PATH)
    assert document["removed"] == ["a-1.0-h0_0.conda", "b-1.0-h0_0.conda"]
    assert set(document["packages.conda"]) == {"c-1.0-h0_0.conda"}
    there.withdraw("noarch", "patch_instructions.json")
    assert decoded(made(there), PATH)["removed"] == ["b-1.0-h0_0.conda"]


def test_patches_are_applied_and_kept_apart():
    """repodata.json has them, repodata_from_packages.json has what packages say."""
    there = channel()
    release = released("a", depends=["x"])
    there.put("noarch", release, patch({"packages.conda": {release.name: {"depends": ["y"]}}}))
    unpatched = decoded(made(there, patched=False), "noarch/repodata_from_packages.json")
    record = decoded(made(there), PATH)["packages.conda"][release.name]
    assert record == {**stamped(release), "depends": ["y"]}
    assert unpatched["packages.conda"] == {release.name: stamped(release)}


def test_newer_records_are_counted():
    """Clients that cannot read them can tell what they miss (CEP 48)."""
    there = channel()
    there.put(
        "noarch",
        released("a", v3=True, at=FIRST + 2_000_000),
        released("b", v3=True, kind="tar.bz2", at=FIRST),
        released("c", at=FIRST + 9_000_000),
    )
    document = decoded(made(there), PATH)
    assert set(document["v3"]["conda"]) == {"a-1.0-h0_0"}
    assert set(document["v3"]["tar.bz2"]) == {"b-1.0-h0_0"}
    assert document["info"]["repodata_revisions"] == {
        "v3": {"n_packages": 2, "oldest": FIRST // 1000, "newest": FIRST // 1000 + 2000}
    }


def test_packages_can_be_elsewhere():
    """Then the version is 2, which clients have to know (CEP 15); else it stays 1."""
    there = channel(base_url="https://cdn.example/c/", channel_relations={"overrides": "../.."})
    document = decoded(made(there), PATH)
    assert document["repodata_version"] == 2
    assert document["info"] == {
        "subdir": "noarch",
        "base_url": "https://cdn.example/c/noarch/",
        "channel_relations": {"overrides": "../.."},
    }


@pytest.mark.parametrize("kinds", [("conda",), ("tar.bz2",), ("conda", "tar.bz2")])
def test_many_records(kinds):
    """More than a block, and more than a spool keeps in memory: nothing is lost or doubled."""
    there = channel()
    text = "x" * 4000
    there.put(
        "noarch",
        *(
            released(f"p{number}", kind=kind, license=text)
            for number in range(600)
            for kind in kinds
        ),
    )
    documents = made(there)
    document = decoded(documents, PATH)
    assert decoded(documents, f"{PATH}.zst") == document
    assert len(document["packages.conda"]) == (600 if "conda" in kinds else 0)
    assert len(document["packages"]) == (600 if "tar.bz2" in kinds else 0)


@pytest.mark.parametrize(
    ("path", "options", "partition"),
    [
        (PATH, {}, "noarch"),
        ("linux-64/repodata.json.zst", {}, "linux-64"),
        (f"{PATH}.bz2", {}, None),
        (f"{PATH}.bz2", {"bz2": True}, "noarch"),
        ("noarch/repodata_from_packages.json", {}, None),
        ("noarch/repodata_from_packages.json", {"patched": False}, "noarch"),
        (PATH, {"patched": False}, None),
        ("repodata.json", {}, None),
        ("a/noarch/repodata.json", {}, None),
    ],
)
def test_paths(path, options, partition):
    """An encoding that is switched off is no document."""
    assert indexer(**options).partition(FilePath.parse(path)) == partition


def test_settings_make_documents_anew():
    """Whatever changes their bytes."""
    variants = {indexer().variant, indexer(zstd_level=4).variant, indexer(bz2=True).variant}
    assert len(variants) == 3
    assert indexer().standing("noarch")
    assert not indexer().standing("linux-64")


def test_one_record_is_small():
    """The text has no spaces and its keys are always in the same order."""
    there = channel()
    there.put("noarch", released("a"))
    text = made(there).mutable[PATH]
    assert text.startswith(b'{"packages.conda":{"a-1.0-h0_0.conda":{"build":"h0_0"')
    assert list(json.loads(text)) == [
        "packages.conda",
        "packages",
        "info",
        "removed",
        "repodata_version",
    ]
