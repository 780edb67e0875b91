"""run_exports.json: every package, and what it imposes."""

from __future__ import annotations

from hypothesis import given
from release_query import channel, decoded, patch, released, releases

from repocore.model import FilePath
from repocore.plugins.conda.run_exports import RunExportsIndexer
from repocore.plugins.conda.settings import CondaSettings
from repocore.testing.contracts.indexer import indexer_contract
from repocore.testing.documents import make_documents

PATH = "noarch/run_exports.json"


def indexer() -> RunExportsIndexer:
    return RunExportsIndexer(settings=CondaSettings())


TestRunExportsIndexer = indexer_contract(indexer, releases=releases())


def shown(*found):
    there = channel()
    there.put("noarch", *found)
    documents = make_documents(indexer(), there, "noarch")
    document = decoded(documents, PATH)
    assert decoded(documents, f"{PATH}.zst") == document
    return document


def test_an_empty_channel():
    """Both maps are there, and the version of the format."""
    assert shown() == {
        "info": {"subdir": "noarch", "version": 1},
        "packages": {},
        "packages.conda": {},
    }


@given(releases(patches=False))
def test_every_package_is_there(found):
    """Also those that impose nothing, and those of newer records, by the kind of their file."""
    document = shown(*found)
    files = {release.name for release in found}
    assert set(document["packages"]) == {file for file in files if file.endswith(".tar.bz2")}
    assert set(document["packages.conda"]) == {file for file in files if file.endswith(".conda")}


def test_what_a_package_imposes_is_said():
    """As its build wrote it; an empty object where it wrote nothing."""
    document = shown(released("a", run_exports={"weak": ["a >=1"]}), released("b", kind="tar.bz2"))
    assert document["packages.conda"]["a-1.0-h0_0.conda"] == {"run_exports": {"weak": ["a >=1"]}}
    assert document["packages"]["b-1.0-h0_0.tar.bz2"] == {"run_exports": {}}


def test_patches_change_it():
    """Those of version 2 (CEP 21); what they take out of the index stays here."""
    document = shown(
        released("a", run_exports={"weak": ["a"]}),
        released("b", run_exports={"weak": ["b"]}),
        patch(
            {
                "patch_instructions_version": 2,
                "packages.conda": {
                    "a-1.0-h0_0.conda": {"run_exports": {"strong": ["x"]}},
                    "b-1.0-h0_0.conda": {"run_exports": None},
                },
                "remove": ["a-1.0-h0_0.conda"],
            }
        ),
    )
    assert document["packages.conda"] == {
        "a-1.0-h0_0.conda": {"run_exports": {"strong": ["x"]}},
        "b-1.0-h0_0.conda": {"run_exports": {}},
    }


def test_paths():
    """Its two encodings."""
    assert indexer().partition(FilePath.parse(PATH)) == "noarch"
    assert indexer().partition(FilePath.parse(f"{PATH}.zst")) == "noarch"
    assert indexer().partition(FilePath.parse("run_exports.json")) is None
    assert indexer().standing("noarch")
