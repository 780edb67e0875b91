"""current_repodata.json: the newest of everything, and what that needs."""

from __future__ import annotations

import pytest
from release_query import FIRST, channel, decoded, patch, released, releases, stamped

from repocore.model import FilePath
from repocore.plugins.conda.current import CurrentIndexer
from repocore.plugins.conda.settings import CondaSettings
from repocore.testing.contracts.indexer import indexer_contract
from repocore.testing.documents import make_documents

PATH = "noarch/current_repodata.json"


def indexer() -> CurrentIndexer:
    return CurrentIndexer(settings=CondaSettings())


TestCurrentIndexer = indexer_contract(indexer, releases=releases())


def shown(*found, **options):
    there = channel(**options)
    there.put("noarch", *found)
    documents = make_documents(indexer(), there, "noarch")
    document = decoded(documents, PATH)
    assert decoded(documents, f"{PATH}.zst") == document
    return document


def names(*found, **options) -> set[str]:
    document = shown(*found, **options)
    return {*document["packages"], *document["packages.conda"]}


def test_the_newest_version_has_all_its_builds():
    """By the order of versions, in which 1.10 is after 1.9, and whatever the kind of file."""
    found = names(
        released("a", "1.9"),
        released("a", "1.10"),
        released("a", "1.10.0", "h1_1"),
        released("b", "1", kind="tar.bz2"),
    )
    assert found == {"a-1.10-h0_0.conda", "a-1.10.0-h1_1.conda", "b-1-h0_0.tar.bz2"}


def test_a_dependency_on_an_older_version_has_it():
    """The best that satisfies it, with all its builds; nothing of what that depends on."""
    found = names(
        released("a", depends=["b <2", "c", "unknown >=1"]),
        released("b", "1.0", depends=["c <2"]),
        released("b", "1.5", depends=["c <2"]),
        released("b", "1.5", "h1_1", depends=["c <2"]),
        released("b", "2.0"),
        released("c", "1.0"),
        released("c", "2.0"),
    )
    assert found == {
        "a-1.0-h0_0.conda",
        "b-1.5-h0_0.conda",
        "b-1.5-h1_1.conda",
        "b-2.0-h0_0.conda",
        "c-2.0-h0_0.conda",
    }


def test_what_nothing_satisfies_adds_nothing():
    """Nor does what is not understood."""
    found = names(
        released("a", depends=["b <1", "b ^2$"]), released("b", "1.0"), released("b", "2")
    )
    assert found == {"a-1.0-h0_0.conda", "b-2-h0_0.conda"}


def test_a_channel_names_versions_that_are_to_be_there():
    """The newest of each series that its options name."""
    versions = ["3.11.1", "3.11.10", "3.12.0", "3.13.0"]
    found = names(
        *(released("python", version) for version in versions),
        index_versions={"python": ["3.11", "3.10"]},
    )
    assert found == {"python-3.11.10-h0_0.conda", "python-3.13.0-h0_0.conda"}


@pytest.mark.parametrize("field", [{"track_features": "mkl"}, {"features": "mkl"}])
def test_packages_with_features_have_company(field):
    """The newest without any, because solvers avoid features."""
    found = names(
        released("a", "1.0"),
        released("a", "1.5"),
        released("a", "2.0", **field),
        released("b", depends=["c <2"]),
        released("c", "1.0"),
        released("c", "1.5", **field),
        released("c", "2.0"),
    )
    assert found == {
        "a-1.5-h0_0.conda",
        "a-2.0-h0_0.conda",
        "b-1.0-h0_0.conda",
        "c-1.5-h0_0.conda",
        "c-2.0-h0_0.conda",
    }


def test_of_twins_the_newer_is_there():
    """It names the digest of the other, so that clients take them for one package."""
    tar, conda = released("a", kind="tar.bz2", md5="ab" * 16), released("a")
    document = shown(tar, conda, released("b"))
    assert document["packages"] == {}
    records = document["packages.conda"]
    assert records[conda.name] == {**stamped(conda), "legacy_bz2_md5": "ab" * 16}
    assert records["b-1.0-h0_0.conda"]["legacy_bz2_md5"] is None


def test_patches_come_first():
    """What they remove is no newest version, and what they say is depended on."""
    found = names(
        released("a", "1.0"),
        released("a", "2.0"),
        released("b", "1.0"),
        released("b", "2.0"),
        patch(
            {
                "packages.conda": {"a-1.0-h0_0.conda": {"depends": ["b <2"]}},
                "remove": ["a-2.0-h0_0.conda"],
            }
        ),
    )
    assert found == {"a-1.0-h0_0.conda", "b-1.0-h0_0.conda", "b-2.0-h0_0.conda"}


def test_the_rest_is_as_in_repodata():
    """Newer records, what was removed and what the channel says of itself."""
    document = shown(
        released("a", "1.0", v3=True),
        released("a", "2.0", v3=True, at=FIRST + 1_000_000),
        released("b"),
        patch({"remove": ["b-1.0-h0_0.conda"]}),
        base_url="../../files",
    )
    assert set(document["v3"]["conda"]) == {"a-1.0-h0_0", "a-2.0-h0_0"}
    assert document["removed"] == ["b-1.0-h0_0.conda"]
    assert document["info"]["base_url"] == "../../files/noarch/"
    assert document["repodata_version"] == 2


def test_records_of_elsewhere_do_not_stop_it():
    """Fields that an old index left empty are read as such."""
    assert names(released("a", depends=None, build_number=None, track_features="")) == {
        "a-1.0-h0_0.conda"
    }


def test_paths():
    """Its two encodings."""
    assert indexer().partition(FilePath.parse(PATH)) == "noarch"
    assert indexer().partition(FilePath.parse(f"linux-64/{PATH[7:]}.zst")) == "linux-64"
    assert indexer().partition(FilePath.parse("current_repodata.json")) is None
    assert indexer().standing("noarch")
