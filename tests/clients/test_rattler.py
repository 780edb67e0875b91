"""py-rattler at a channel: it finds, solves, installs, checks and upgrades what was just published.

Its packages are built by rattler-build, so what a real builder writes is what our reader reads.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import attrs
import pytest
from conda_channels import Quay
from rattler_builder import GAUGE_RECIPE, HARBOUR_RECIPE, PYTHON_RECIPE, tide
from rattler_client import Rattler, check_files, here, installed
from recorder import recording

pytestmark = pytest.mark.clients
INDEX = "repodata_shards.msgpack.zst"


@pytest.fixture
def client(quay: Quay, tmp_path: Path) -> Rattler:
    """A client that nobody knows."""
    return Rattler(tmp_path / "client", quay.url)


@pytest.mark.parametrize("sharded", [True, False])
def test_what_was_uploaded_is_found_with_the_next_query(quay, client, sharded):
    """A search by shards, and one of the whole index, has the package that was just uploaded."""
    assert client.search("tide", sharded=sharded) == []
    (path,) = quay.publish(tide("1.0"))
    (record,) = client.search("tide", sharded=sharded)
    assert record.file_name == path.name
    assert record.url == f"{quay.url}/{here()}/{path.name}"
    assert (record.size, record.license) == (path.stat().st_size, "MIT")
    assert record.indexed_timestamp is not None


def test_an_installed_package_is_what_was_built(quay, client):
    """Every file has its digest, links lead where they did, and scripts know their prefix."""
    quay.publish(tide("1.0"))
    prefix = client.install("tide")
    assert installed(prefix) == {"tide": "1.0"}
    assert check_files(prefix) == 2
    assert (prefix / "share/tide/now.txt").readlink() == Path("level.txt")
    said = subprocess.run([prefix / "bin/tide"], check=True, capture_output=True, text=True)
    assert said.stdout == "high 1.0\n"


@pytest.mark.parametrize("kind", ["conda", "tar-bz2"])
@pytest.mark.parametrize("sharded", [True, False])
def test_both_kinds_of_package_install(quay, client, kind, sharded):
    """A package of either kind is solved for and installed, with shards and without."""
    (path,) = quay.publish(tide("1.0"), kind=kind)
    assert path.name.endswith({"conda": ".conda", "tar-bz2": ".tar.bz2"}[kind])
    assert check_files(client.install("tide", sharded=sharded)) == 2


def test_a_second_upload_upgrades_a_prefix(quay, client):
    """What is published later is chosen by the next run, and replaces what was installed."""
    quay.publish(tide("1.0"))
    prefix = client.install("tide")
    quay.publish(tide("1.1"))
    client.install("tide", prefix=prefix)
    assert installed(prefix) == {"tide": "1.1"}
    assert (prefix / "share/tide/level.txt").read_text() == "high 1.1\n"


def test_a_higher_build_number_is_chosen(quay, client):
    """Of two builds of a version the later one is solved for."""
    quay.publish(tide("1.0"), tide("1.0", "low", number=1))
    (record,) = client.solve("tide")
    assert record.build_number == 1


@pytest.mark.parametrize("sharded", [True, False])
def test_a_deleted_package_is_not_chosen(quay, client, sharded):
    """After a deletion the next solve takes the version before."""
    _, newer = quay.publish(tide("1.0"), tide("1.1"))
    assert str(client.solve("tide", sharded=sharded)[0].version) == "1.1"
    quay.ask("DELETE", f"/{here()}/{newer.name}")
    (record,) = client.solve("tide", sharded=sharded)
    assert str(record.version) == "1.0"


def test_a_noarch_package_brings_its_entry_point(quay, client):
    """A pure Python package is solved together with a Python, and its command runs."""
    quay.publish(PYTHON_RECIPE)
    (path,) = quay.publish(GAUGE_RECIPE)
    assert path.parent.name == "noarch"
    prefix = client.install("gauge")
    assert installed(prefix) == {"gauge": "1.0", "python": "3.12.0"}
    said = subprocess.run([prefix / "bin/gauge"], check=True, capture_output=True, text=True)
    assert said.stdout == "the water is high\n"


def test_run_exports_of_the_channel_reach_a_build(quay, client):
    """What is built against a package depends on what that package exports."""
    quay.publish(tide("1.0"))
    with recording(quay.url) as (address, exchanges):
        path = attrs.evolve(quay.builder, channels=(address,)).build(HARBOUR_RECIPE)
    quay.upload(path)
    (record,) = client.search("harbour")
    assert record.depends == ["tide >=1.0,<2"]
    assert INDEX in {seen.path.rpartition("/")[2] for seen in exchanges}
    assert installed(client.install("harbour")) == {"harbour": "1.0", "tide": "1.0"}


def test_a_second_run_revalidates(quay, client):
    """With nothing new, indexes are answered by 304 alone and no shard is fetched again."""
    quay.publish(tide("1.0"))
    with recording(quay.url) as (address, exchanges):
        client = attrs.evolve(client, channel=address)
        client.search("tide")
        first = {(seen.path.rpartition("/")[2], seen.status) for seen in exchanges}
        exchanges.clear()
        assert len(client.search("tide")) == 1
    assert (INDEX, 200) in first
    assert [(seen.path.rpartition("/")[2], seen.status) for seen in exchanges] == [(INDEX, 304)] * 2


def test_a_second_run_revalidates_without_shards(quay, client):
    """The whole index is compressed, and answered by 304 while nothing is new."""
    quay.publish(tide("1.0"))
    with recording(quay.url) as (address, exchanges):
        client = attrs.evolve(client, channel=address)
        client.search("tide", sharded=False)
        exchanges.clear()
        assert len(client.search("tide", sharded=False)) == 1
        fetched = [(s.path.rpartition("/")[2], s.status) for s in exchanges if s.method == "GET"]
        assert fetched == [("repodata.json.zst", 304)] * 2
        exchanges.clear()
        quay.publish(tide("1.1"))
        assert len(client.search("tide", sharded=False)) == 2
        statuses = sorted(seen.status for seen in exchanges if seen.method == "GET")
        assert statuses == [200, 304]
