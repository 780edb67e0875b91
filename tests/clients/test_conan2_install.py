"""What the real Conan 2 client finds, downloads, builds on and runs."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from conan_client import finish

pytestmark = pytest.mark.clients


def resolved(client, *arguments):
    """Installed references with revisions, from the graph that `conan install` prints."""
    nodes = client.json("install", *arguments, "-r=house")["graph"]["nodes"]
    return {node["ref"] for node in nodes.values() if "/" in node["ref"]}


def package_list(packages):
    """What the client calls a package list: recipes, revisions, packages, revisions."""
    found = {}
    for package in packages:
        recipe = found.setdefault(package.reference, {"revisions": {}})["revisions"]
        binaries = recipe.setdefault(package.recipe_revision, {"packages": {}})["packages"]
        binaries[package.package_id] = {"revisions": {package.package_revision: {}}}
    return found


def text_of(client, package):
    folder = Path(client.run("cache", "path", str(package)).output.strip())
    return (folder / "text.txt").read_text()


def test_anonymous_client_installs_and_runs_a_program(conan, shipyard, published, tmp_path):
    """A new machine without a user installs a program from the server alone, and runs it."""
    client = conan()
    client.run(
        "install", "--requires=harbor/2.0", "-r=house", f"-of={tmp_path}", "-g=VirtualRunEnv"
    )
    command = f". {tmp_path}/conanrun.sh && harbor"
    ran = subprocess.run(["sh", "-c", command], check=True, capture_output=True, text=True)
    assert ran.stdout == "harbor on tide 1.1: |||\n"
    client.run("cache", "check-integrity", "*:*")


@pytest.mark.parametrize("shared", [pytest.param("False", marks=pytest.mark.slow), "True"])
def test_downloaded_library_compiles_into_a_consumer(conan, shipyard, published, tmp_path, shared):
    """A consumer builds against the static or shared library of the server, and runs."""
    recipe = Path(__file__).with_name("recipes") / "tide" / "test_package"
    consumer = tmp_path / "consumer"
    shutil.copytree(recipe, consumer)
    said = conan().run("test", consumer, "tide/1.0", f"-o=tide/*:shared={shared}", "-r=house")
    assert "tide 1.0 at seven: 2" in said.messages + said.output


@pytest.mark.slow
def test_recipes_of_the_server_build_everything_from_source(conan, shipyard, published, origin):
    """Exported sources, tools and shared build steps of the server suffice to build it all anew."""
    client = conan()
    client.configure(origin)
    nodes = client.json("install", "--requires=harbor/2.0", "-r=house", "--build=*")
    built = {node["ref"].split("#")[0] for node in nodes["graph"]["nodes"].values()}
    assert {"harbor/2.0", "tide/1.1", "gauge/1.2", "stamp/1.0"} <= built


@pytest.mark.slow
def test_range_finds_the_highest_version(conan, shipyard, published):
    """A version range resolves to the highest version that the server lists."""
    (tide,) = resolved(conan(), "--requires=tide/[>=1.0 <2]")
    assert tide.startswith("tide/1.1#")


@pytest.mark.slow
def test_range_orders_versions_by_number(conan):
    """Among 1.9 and 1.10 a range takes 1.10, and a version uploaded later is seen at once."""
    client = conan("writer")
    for version in ("1.9", "1.10", "1.2"):
        conan.note(client, f"steps/{version}", version)
    client.run("upload", "steps/*", "-r=house", "-c")
    other = conan()
    (found,) = resolved(other, "--requires=steps/[>=1 <2]")
    assert found.startswith("steps/1.10#")
    conan.note(client, "steps/1.11", "1.11")
    client.run("upload", "steps/1.11", "-r=house", "-c")
    (found,) = resolved(other, "--requires=steps/[>=1 <2]", "--update")
    assert found.startswith("steps/1.11#")


def test_revision_pins_what_is_installed(conan):
    """By revision one gets the older recipe and its package, without one the newest."""
    client = conan("writer")
    older = conan.note(client, "pinned/1.0", "older")
    client.run("upload", "pinned/1.0", "-r=house", "-c")
    newer = conan.note(client, "pinned/1.0", "newer")
    client.run("upload", "pinned/1.0", "-r=house", "-c")

    other = conan()
    assert resolved(other, f"--requires={older.recipe}") == {older.recipe}
    assert text_of(other, older) == "older"
    assert resolved(other, "--requires=pinned/1.0") == {older.recipe}
    assert resolved(other, "--requires=pinned/1.0", "--update") == {newer.recipe}
    assert text_of(other, newer) == "newer"


@pytest.mark.slow
def test_package_revision_is_downloaded_by_name(conan):
    """Each package revision of one recipe can be downloaded; without one it is the newest."""
    client = conan("writer")
    first = conan.note(client, "printed/1.0", "text")
    client.run("upload", "printed/1.0", "-r=house", "-c")
    second = conan.note(client, "printed/1.0", "text", "-c=user.note:printing=second")
    client.run("upload", "printed/1.0", "-r=house", "-c")
    assert first.binary == second.binary
    for package, asked, printing in (
        (first, str(first), "first"),
        (second, second.binary, "second"),
    ):
        other = conan()
        other.run("download", asked, "-r=house")
        folder = Path(other.run("cache", "path", str(package)).output.strip())
        assert (folder / "printing.txt").read_text() == f"{printing}\n"


@pytest.mark.slow
def test_parallel_download_of_everything_is_whole(conan, shipyard, published):
    """All compiled packages, four downloads at a time, pass the client's own integrity check."""
    client = conan()
    chosen = client.home / "chosen.json"
    chosen.write_text(json.dumps({"house": package_list(shipyard.made)}))
    # Make the client's own database and cache: four of its threads may not be the first there.
    client.run("remote", "list-users")
    client.run("list", "*")
    client.run("download", f"--list={chosen}", "-r=house", "-cc", "core.download:parallel=4")
    client.run("cache", "check-integrity", "*:*")
    for package in shipyard.made:
        client.run("cache", "path", str(package))


@pytest.mark.slow
def test_lockfile_keeps_the_revision(conan):
    """A lockfile installs the revision that it was made with, though a newer one is there."""
    client = conan("writer")
    older = conan.note(client, "locked/1.0", "older")
    client.run("upload", "locked/1.0", "-r=house", "-c")
    other = conan()
    lock = other.home / "conan.lock"
    other.run("lock", "create", "--requires=locked/1.0", "-r=house", f"--lockfile-out={lock}")
    conan.note(client, "locked/1.0", "newer")
    client.run("upload", "locked/1.0", "-r=house", "-c")
    fresh = conan()
    assert resolved(fresh, "--requires=locked/1.0", f"--lockfile={lock}") == {older.recipe}


@pytest.mark.slow
def test_download_cache_holds_for_a_second_client(conan, shipyard, published, tmp_path):
    """Two homes with one download cache install the same bytes."""
    for _ in range(2):
        client = conan()
        client.configure(f"core.download:download_cache={tmp_path / 'cache'}")
        client.run("download", "harbor/2.0:*", "-r=house")
        client.run("cache", "check-integrity", "harbor/2.0:*")


def test_what_is_not_there_is_said_to_be_missing(conan):
    """A reference that nobody uploaded is an error that names it."""
    said = conan().refused("install", "--requires=nowhere/1.0", "-r=house")
    assert "Unable to find 'nowhere/1.0' in remotes" in said


@pytest.mark.slow
def test_readers_beside_a_writer_see_whole_revisions(conan):
    """While revisions arrive, an install gets one of them, whole, or a recipe still without it.

    The client uploads a recipe before its packages, so both can be seen.
    """
    writer, reader = conan("writer"), conan()
    made = [conan.note(writer, "stream/1.0", f"revision {n}") for n in range(6)]
    writer.run("upload", made[0].recipe + ":*", "-r=house", "-c")
    for package in made[1:]:
        uploading = writer.start("upload", package.recipe + ":*", "-r=house", "-c")
        answer = reader.attempt("install", "--requires=stream/1.0", "--update", "-r=house")
        assert answer.status == 0 or "Missing prebuilt package" in answer.messages, str(answer)
        assert finish(uploading).status == 0
    reader.run("cache", "check-integrity", "stream/1.0#*:*")
    assert resolved(reader, "--requires=stream/1.0", "--update") == {made[-1].recipe}
