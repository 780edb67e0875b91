"""channeldata.json: one entry for each name, of all subdirs together."""

from __future__ import annotations

from release_query import channel, decoded, patch, released, releases

from repocore.model import FilePath
from repocore.plugins.conda.channeldata import ChanneldataIndexer
from repocore.plugins.conda.settings import CondaSettings
from repocore.testing.contracts.indexer import indexer_contract
from repocore.testing.documents import make_documents

FLAGS = {
    "activate.d",
    "binary_prefix",
    "deactivate.d",
    "post_link",
    "pre_link",
    "pre_unlink",
    "text_prefix",
}


def indexer() -> ChanneldataIndexer:
    return ChanneldataIndexer(settings=CondaSettings())


TestChanneldataIndexer = indexer_contract(indexer, releases=releases(), whole=True)


def shown(**found):
    there = channel()
    for subdir, partition in found.items():
        there.put(subdir.replace("_", "-"), *partition)
    documents = make_documents(indexer(), there, "")
    document = decoded(documents, "channeldata.json")
    assert decoded(documents, "channeldata.json.zst") == document
    assert document["channeldata_version"] == 1
    return document


def test_an_empty_channel():
    """It has noarch from its birth."""
    assert shown() == {"channeldata_version": 1, "packages": {}, "subdirs": ["noarch"]}


def test_an_entry_has_all_that_clients_require():
    """Whatever the package says or does not (CEP 38)."""
    entry = shown(noarch=[released("a")])["packages"]["a"]
    assert entry == {
        **dict.fromkeys(FLAGS, False),
        "run_exports": {},
        "subdirs": ["noarch"],
        "timestamp": 0,
        "version": "1.0",
    }


def test_the_newest_version_speaks_first():
    """Older ones only of what it is silent about; by the order of versions, in all subdirs."""
    document = shown(
        noarch=[
            released("a", "1.9", channeldata={"summary": "old", "home": "https://a.example"}),
        ],
        linux_64=[
            released("a", "1.10", channeldata={"summary": "new", "timestamp": 7}),
            released("a", "1.2", channeldata={"summary": "older", "timestamp": 9}),
        ],
    )
    entry = document["packages"]["a"]
    assert document["subdirs"] == entry["subdirs"] == ["linux-64", "noarch"]
    assert entry["version"] == "1.10"
    assert entry["summary"] == "new"
    assert entry["home"] == "https://a.example"
    assert entry["timestamp"] == 9


def test_of_a_version_the_newest_build_speaks():
    """And of equally old twins the newer kind of file."""
    document = shown(
        noarch=[
            released("a", build="h0_0", channeldata={"summary": "x", "timestamp": 1}),
            released("a", build="h1_0", channeldata={"summary": "y", "timestamp": 2}),
            released("b", kind="tar.bz2", channeldata={"summary": "x", "timestamp": 1}),
            released("b", channeldata={"summary": "y", "timestamp": 1}),
        ]
    )
    assert document["packages"]["a"]["summary"] == "y"
    assert document["packages"]["b"]["summary"] == "y"


def test_a_script_of_one_is_a_script_of_all():
    """Subdirs and versions are not told apart."""
    document = shown(
        noarch=[released("a", "2.0", channeldata={"post_link": False})],
        win_64=[released("a", "1.0", channeldata={"post_link": True, "pre_link": False})],
    )
    entry = document["packages"]["a"]
    assert entry["post_link"] is True
    assert entry["pre_link"] is False


def test_run_exports_are_those_of_each_version():
    """Those that impose nothing are left out."""
    document = shown(
        noarch=[
            released("a", "1.0", run_exports={"weak": ["a >=1"]}),
            released("a", "2.0"),
        ]
    )
    assert document["packages"]["a"]["run_exports"] == {"1.0": {"weak": ["a >=1"]}}


def test_patches_count_in_their_subdir():
    """What they remove is not there, and a new licence is said."""
    content = {
        "packages.conda": {"a-1.0-h0_0.conda": {"license": "MIT"}},
        "remove": ["b-1.0-h0_0.conda"],
    }
    data = {"license": "unknown"}
    document = shown(
        noarch=[released("a", channeldata=data), released("b"), patch(content)],
        osx_64=[released("b")],
        linux_64=[patch({})],
    )
    assert document["packages"]["a"]["license"] == "MIT"
    assert document["packages"]["b"]["subdirs"] == ["osx-64"]
    assert document["subdirs"] == ["noarch", "osx-64"]


def test_paths():
    """Its two encodings, at the root."""
    assert indexer().partition(FilePath.parse("channeldata.json")) == ""
    assert indexer().partition(FilePath.parse("channeldata.json.zst")) == ""
    assert indexer().partition(FilePath.parse("noarch/channeldata.json")) is None
    assert indexer().standing("")
