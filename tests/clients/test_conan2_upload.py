"""What the real Conan 2 client uploads, and how the server keeps it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from conan_client import finish
from recorder import recording

pytestmark = pytest.mark.clients


def folder_of(client, reference, *arguments):
    return Path(client.run("cache", "path", reference, *arguments).output.strip())


def puts(exchanges):
    return [passed for passed in exchanges if passed.method == "PUT"]


def test_parallel_upload_publishes_every_compiled_package(shipyard, published):
    """Recipes and packages that four threads upload at once are all listed, by revision."""
    listed = shipyard.client.listed("*:*#*")
    for package in shipyard.made:
        recipe = listed[package.reference]["revisions"][package.recipe_revision]
        assert package.package_revision in recipe["packages"][package.package_id]["revisions"]
    assert "shiprules/1.3" in listed


def test_second_upload_sends_nothing(conan, server):
    """What the server has already is not sent again, and keeps its time."""
    client = conan("writer")
    package = conan.note(client, "again/1.0", "once")
    client.run("upload", "again/1.0", "-r=house", "-c")
    before = client.recipe_revisions("again/1.0")
    with recording(server.remote) as (address, exchanges):
        client.run("remote", "update", "house", f"--url={address}")
        said = client.run("upload", "again/1.0", "-r=house", "-c").messages
    assert "already in server, skipping upload" in said
    assert puts(exchanges) == []
    client.run("remote", "update", "house", f"--url={server.remote}")
    assert client.recipe_revisions("again/1.0") == before
    assert list(before) == [package.recipe_revision]


@pytest.mark.slow
def test_forced_upload_of_the_latest_keeps_its_time(conan):
    """`--force` sends the same revision again: still one revision, with the time that it had."""
    client = conan("writer")
    package = conan.note(client, "forced/1.0", "twice")
    client.run("upload", "forced/1.0", "-r=house", "-c")
    before = client.recipe_revisions("forced/1.0"), client.packages(package.recipe)
    said = client.run("upload", "forced/1.0", "-r=house", "-c", "--force").messages
    assert "Uploading recipe" in said
    assert (client.recipe_revisions("forced/1.0"), client.packages(package.recipe)) == before


@pytest.mark.slow
def test_forced_upload_of_an_older_revision_makes_it_the_latest(conan):
    """Re-uploading an older revision puts it after the newer one, once."""
    client = conan("writer")
    older = conan.note(client, "tidal/1.0", "older")
    client.run("upload", "tidal/1.0", "-r=house", "-c")
    newer = conan.note(client, "tidal/1.0", "newer")
    client.run("upload", "tidal/1.0", "-r=house", "-c")
    assert list(client.recipe_revisions("tidal/1.0")) == [
        older.recipe_revision,
        newer.recipe_revision,
    ]
    client.run("upload", older.recipe, "-r=house", "-c", "--force")
    assert list(client.recipe_revisions("tidal/1.0")) == [
        newer.recipe_revision,
        older.recipe_revision,
    ]
    assert list(client.listed("tidal/1.0#latest")["tidal/1.0"]["revisions"]) == [
        older.recipe_revision
    ]


@pytest.mark.slow
def test_checked_upload_of_a_damaged_package_stays_unlisted(conan):
    """`--check` stops at a package that was changed in the cache, and nothing becomes visible."""
    client = conan("writer")
    package = conan.note(client, "damaged/1.0", "whole")
    (folder_of(client, str(package)) / "text.txt").write_text("broken")
    client.refused("upload", "damaged/1.0", "-r=house", "-c", "--check")
    assert not client.listed("damaged/*")


@pytest.mark.slow
def test_package_list_names_what_is_uploaded(conan):
    """`upload --list` sends the recipes and packages of a list, and nothing else."""
    client = conan("writer")
    sweet = conan.note(client, "listed/1.0", "text")
    conan.note(client, "listed/1.0", "text", "-o=&:flavour=sour")
    conan.note(client, "listed/2.0", "text")
    chosen = client.saved("list", f"{sweet.binary}#*")
    client.run("upload", f"--list={chosen}", "-r=house", "-c")
    assert set(client.listed("listed/*")) == {"listed/1.0"}
    assert set(client.packages(sweet.recipe)) == {sweet.package_id}


@pytest.mark.slow
def test_recipe_alone_then_its_packages(conan):
    """`--only-recipe` publishes the recipe; its packages may follow in a later upload."""
    client = conan("writer")
    package = conan.note(client, "alone/1.0", "first the recipe")
    client.run("upload", "alone/1.0", "-r=house", "-c", "--only-recipe")
    assert list(client.recipe_revisions("alone/1.0")) == [package.recipe_revision]
    assert client.packages(package.recipe) == {}
    client.run("upload", "alone/1.0", "-r=house", "-c")
    assert set(client.packages(package.recipe)) == {package.package_id}


@pytest.mark.slow
def test_metadata_travels_with_and_after_its_revision(conan):
    """Metadata goes up with a revision or later, may be replaced, and changes no revision."""
    client = conan("writer")
    package = conan.note(client, "logged/1.0", "text")
    logs = folder_of(client, package.recipe, "--folder=metadata") / "logs"
    built = folder_of(client, str(package), "--folder=metadata") / "logs"
    for folder in (logs, built):
        folder.mkdir(parents=True, exist_ok=True)
    (logs / "export.log").write_text("exported")
    (built / "build log+1.txt").write_text("built")
    client.run("upload", "logged/1.0", "-r=house", "-c")
    before = client.recipe_revisions("logged/1.0"), client.packages(package.recipe)
    (logs / "export.log").write_text("exported again")
    (logs / "later.log").write_text("later")
    client.run("upload", "logged/1.0", "-r=house", "-c", "--metadata=logs/*")
    assert (client.recipe_revisions("logged/1.0"), client.packages(package.recipe)) == before

    other = conan()
    other.run("download", str(package), "-r=house", "--metadata=*")
    got = folder_of(other, package.recipe, "--folder=metadata") / "logs"
    assert (got / "export.log").read_text() == "exported again"
    assert (got / "later.log").read_text() == "later"
    got = folder_of(other, str(package), "--folder=metadata") / "logs"
    assert (got / "build log+1.txt").read_text() == "built"


@pytest.mark.parametrize("form", ["xz", "zst"])
@pytest.mark.slow
def test_every_compression_format_comes_back(conan, form):
    """Packages in the newer archive formats are stored, listed and installed."""
    client = conan("writer")
    if "core.upload:compression_format" not in client.run("config", "list").output:
        pytest.skip("this client knows one format")
    package = conan.note(client, f"packed-{form}/1.0", form)
    client.configure(f"core.upload:compression_format={form}")
    answer = client.attempt("upload", package.reference, "-r=house", "-c")
    if "only for Python" in answer.messages:
        pytest.skip("this client's Python cannot write the format")
    assert answer.status == 0, str(answer)
    other = conan()
    other.run("download", str(package), "-r=house")
    assert (folder_of(other, str(package)) / "text.txt").read_text() == form


@pytest.mark.slow
def test_another_format_replaces_the_archive(conan):
    """A revision forced up in another archive format is installed from the new archive."""
    client = conan("writer")
    if "core.upload:compression_format" not in client.run("config", "list").output:
        pytest.skip("this client knows one format")
    package = conan.note(client, "repacked/1.0", "text")
    client.run("cache", "save", str(package), f"--file={client.home / 'kept.tgz'}")
    client.run("upload", "repacked/1.0", "-r=house", "-c")
    again = conan("writer")
    again.run("cache", "restore", client.home / "kept.tgz")
    again.configure("core.upload:compression_format=xz")
    again.run("upload", "repacked/1.0", "-r=house", "-c", "--force")
    other = conan()
    other.run("download", str(package), "-r=house")
    assert (folder_of(other, str(package)) / "text.txt").read_text() == "text"


def test_known_bytes_are_not_sent_twice(conan, server):
    """Checksum deploy: files that the server has under another name cost one empty PUT each."""
    with recording(server.remote) as (address, exchanges):
        client = conan("writer", remote=address)
        conan.note(client, "one/1.0", "the same bytes")
        client.run("upload", "one/1.0", "-r=house", "-c", "--only-recipe")
        exchanges.clear()
        twin = conan.note(client, "twin/1.0", "the same bytes")
        client.run("upload", "twin/1.0", "-r=house", "-c")
    same = ("conanfile.py", "conan_export.tgz", "conan_sources.tgz")
    sent = [put for put in puts(exchanges) if put.path.endswith(same)]
    assert [(put.size, put.status) for put in sent] == [(0, 201)] * len(same)
    other = conan()
    other.run("install", f"--requires={twin.reference}", "-r=house", "--build=twin/*")
    assert (folder_of(other, str(twin)) / "text.txt").read_text() == "the same bytes"


@pytest.mark.slow
def test_clients_at_once_lose_no_revision(conan):
    """Four clients that upload different revisions of one recipe at once are all listed, once."""
    uploaders = [conan("writer") for _ in range(4)]
    made = [conan.note(c, "crowd/1.0", f"of {n}") for n, c in enumerate(uploaders)]
    started = [c.start("upload", "crowd/1.0", "-r=house", "-c") for c in uploaders]
    answers = [finish(process) for process in started]
    assert [answer.status for answer in answers] == [0] * 4, "\n".join(map(str, answers))
    revisions = conan().recipe_revisions("crowd/1.0")
    assert sorted(revisions) == sorted(package.recipe_revision for package in made)
    assert len(set(revisions.values())) == len(revisions)


@pytest.mark.slow
def test_two_clients_upload_the_same_revision_at_once(conan):
    """The same revision from two clients at once succeeds for both, and is listed once."""
    first, second = conan("writer"), conan("writer")
    package = conan.note(first, "echo/1.0", "the same")
    first.run("cache", "save", str(package), f"--file={first.home / 'kept.tgz'}")
    second.run("cache", "restore", first.home / "kept.tgz")
    started = [c.start("upload", "echo/1.0", "-r=house", "-c") for c in (first, second)]
    answers = [finish(process) for process in started]
    assert [answer.status for answer in answers] == [0, 0], "\n".join(map(str, answers))
    assert list(first.recipe_revisions("echo/1.0")) == [package.recipe_revision]
    conan().run("download", str(package), "-r=house")


@pytest.mark.slow
def test_large_package_comes_back_whole(conan):
    """A package of 48 MiB that cannot be compressed arrives byte for byte."""
    client = conan("writer")
    content = random.Random(7).randbytes(48 << 20).hex()[: 48 << 20]
    package = conan.note(client, "whale/1.0", content)
    client.run("upload", "whale/1.0", "-r=house", "-c")
    other = conan()
    other.run("download", str(package), "-r=house")
    assert (folder_of(other, str(package)) / "text.txt").read_text() == content
    other.run("cache", "check-integrity", str(package))


@pytest.mark.parametrize(
    "reference",
    [
        pytest.param("plus+plus/1.0+build.5", marks=pytest.mark.slow),
        pytest.param("userless/1.0@crew", marks=pytest.mark.slow),
        "crewed/1.0+build.5@crew/stable",
    ],
)
def test_every_shape_of_reference_is_published(conan, reference):
    """Names with plus and dots, users and channels go up, are listed, and come down."""
    client = conan("writer")
    package = conan.note(client, reference, reference)
    client.run("upload", reference, "-r=house", "-c")
    assert set(client.listed(f"{reference}")) == {reference}
    other = conan()
    other.run("install", f"--requires={reference}", "-r=house")
    assert (folder_of(other, str(package)) / "text.txt").read_text() == reference
