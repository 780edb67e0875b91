"""The last Conan 1 client, with revisions and without: what it finds, shows and installs."""

from __future__ import annotations

import json
import time
from shutil import copytree

import pytest
from old_conan import RECIPES

pytestmark = [pytest.mark.clients, pytest.mark.slow]
REFERENCE = "shelf/1.0@ho/stable"


@pytest.fixture(scope="module")
def shelf(old_house):
    """The ids of two packages of one recipe, by flavour; newer versions and a bare one beside."""
    client = old_house.client("writer")
    for flavour in ("sweet", "sour"):
        client.note(REFERENCE, "on the shelf", "-o", f"shelf:flavour={flavour}")
    client.note("shelf/1.2@ho/stable", "newer")
    client.note("shelf/1.2@ho/testing", "elsewhere")
    client.note("shelf/2.0@", "bare")
    client.run("upload", "shelf/*", "-r=house", "--all", "-c", "--parallel")
    return {p["options"]["flavour"]: p["id"] for p in client.packages(REFERENCE).values()}


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("shelf", {"1.0@ho/stable", "1.2@ho/stable", "1.2@ho/testing", "2.0"}),
        ("shel?/1*", {"1.0@ho/stable", "1.2@ho/stable", "1.2@ho/testing"}),
        ("shelf/*@ho/stable", {"1.0@ho/stable", "1.2@ho/stable"}),
        ("SHELF/2.0", {"2.0"}),
        ("shel", set()),
    ],
)
def test_recipes_are_searched_by_patterns(shelf, visitor, pattern, found):
    """Patterns match whole parts of references, whatever the case unless it is asked for."""
    assert visitor.searched(pattern) == {f"shelf/{rest}" for rest in found}


def test_recipes_are_searched_in_all_remotes_and_by_case(shelf, old_house):
    """`-r all` asks every remote; `--case-sensitive` is left to the server."""
    client = old_house.client(second=old_house.url)
    said = client.json("search", "shelf/2.0", "-r=all")["results"]
    assert {item["remote"] for item in said} == {"house", "second"}
    assert client.run("search", "SHELF/2.0", "-r=house", "--raw", "--case-sensitive").split() == []


def test_packages_are_searched_with_queries(shelf, visitor):
    """A query chooses packages by settings and options, which the server has read."""
    found = visitor.packages(REFERENCE)
    assert set(found) == set(shelf.values())
    sour = found[shelf["sour"]]
    assert sour["settings"] == {"build_type": "Release", "os": "Linux"}
    assert sour["options"] == {"flavour": "sour"}
    assert sour["requires"] == []
    assert set(visitor.packages(REFERENCE, "-q", "os=Linux AND flavour=sour")) == {shelf["sour"]}
    assert visitor.packages(REFERENCE, "-q", "os=Windows OR build_type=Debug") == {}


def test_packages_are_shown_as_a_table(shelf, visitor):
    """`--table` writes a page that names every package."""
    page = visitor.home / "table.html"
    visitor.run("search", REFERENCE, "-r=house", "--table", page)
    text = page.read_text(encoding="utf-8")
    assert all(package in text for package in shelf.values())


def test_revisions_are_listed(shelf, visitor, old_house):
    """`--revisions` lists those of a recipe and of a package; a client without them refuses."""
    if not old_house.revisions:
        said = visitor.refused("search", REFERENCE, "-r=house", "--revisions")
        assert "revisions feature" in said
        return
    (recipe,) = visitor.listed_revisions(REFERENCE)
    (package,) = visitor.listed_revisions(f"{REFERENCE}#{recipe}:{shelf['sour']}")
    assert len(recipe) == len(package) == 32


def test_install_from_a_clean_cache(shelf, visitor):
    """Install downloads what the options choose, and says so as JSON."""
    said = visitor.json("install", REFERENCE, "-r=house", "-o", "shelf:flavour=sour")
    ((recipe,), (package,)) = (
        [entry for item in said["installed"] for entry in [item["recipe"]]],
        [entry for item in said["installed"] for entry in item["packages"]],
    )
    assert recipe["downloaded"]
    assert package["downloaded"]
    assert package["id"] == shelf["sour"]
    assert visitor.texts(REFERENCE) == {"sour": "on the shelf"}


def test_a_project_installs_ranges_and_locks(shelf, visitor):
    """A conanfile.txt with a range gets the newest that fits; a lock file keeps it."""
    project = visitor.home / "project"
    project.mkdir()
    (project / "conanfile.txt").write_text("[requires]\nshelf/[>=1.0 <2]@ho/stable\n")
    visitor.run("install", project, "-r=house", "-g=txt", "-if", project)
    assert visitor.texts("shelf/1.2@ho/stable") == {"sweet": "newer"}
    visitor.forget()
    lock = project / "locked.lock"
    visitor.run("lock", "create", project / "conanfile.txt", "-r=house", f"--lockfile-out={lock}")
    assert "shelf/1.2@ho/stable" in lock.read_text()
    words = ("--reference=shelf/1.0@ho/stable", f"--lockfile-out={lock}")
    visitor.run("lock", "create", *words, "-r=house")
    visitor.run("lock", "install", lock)
    assert visitor.texts("shelf/1.0@ho/stable") == {"sweet": "on the shelf"}


def test_a_missing_package_is_built_from_the_servers_sources(shelf, visitor):
    """`--build=missing` downloads the sources of a recipe whose package is not there."""
    install = ("install", REFERENCE, "-r=house", "-s", "build_type=Debug")
    assert "Missing prebuilt package" in visitor.refused(*install)
    assert "Downloading conan_sources.tgz" in visitor.run(*install, "--build=missing")
    assert visitor.texts(REFERENCE) == {"sweet": "on the shelf"}


def test_update_gets_what_is_newer(old_house, writer, visitor):
    """Without `--update` the cache is good enough; with it, the server's newer one comes."""
    reference = "moving/1.0@ho/stable"
    for text in ("before", "after"):
        writer.note(reference, text)
        writer.run("upload", reference, "-r=house", "--all", "-c")
        visitor.run("install", reference, "-r=house")
        assert visitor.texts(reference) == {"sweet": "before"}
        time.sleep(1)  # the client compares whole seconds
    assert (
        "A newer" in (said := visitor.run("info", reference, "-u", "-r=house")) or "Update" in said
    )
    visitor.run("install", reference, "-r=house", "--update")
    assert visitor.texts(reference) == {"sweet": "after"}


def test_an_older_revision_can_be_installed(old_house, writer, visitor):
    """With revisions, all of them stay; the latest is what a plain reference means."""
    if not old_house.revisions:
        pytest.skip("this mode has one revision")
    reference = "revised/1.0@ho/stable"
    for text in ("first", "second"):
        writer.note(reference, text)
        writer.run("upload", reference, "-r=house", "--all", "-c")
        time.sleep(1)  # the original server counts whole seconds
    newer, older = writer.listed_revisions(reference)
    visitor.run("install", reference, "-r=house")
    assert visitor.texts(reference) == {"sweet": "second"}
    visitor.forget()
    visitor.run("install", f"{reference}#{older}", "-r=house")
    assert visitor.texts(reference) == {"sweet": "first"}
    assert newer != older


def test_a_new_package_revision_is_the_latest(old_house, writer, visitor):
    """A package that was built again, from the same recipe, replaces the one before."""
    reference = "rebuilt/1.0@ho/stable"
    for printing in ("first", "second"):
        conf = f"-c=user.chart:printing={printing}"
        writer.note(reference, "the same recipe", conf)
        writer.run("upload", reference, "-r=house", "--all", "-c", "--force")
    visitor.run("install", reference, "-r=house")
    (file,) = visitor.cached(reference).glob("package/*/printing.txt")
    assert file.read_text() == "second\n"
    (package,) = visitor.packages(reference)
    if old_house.revisions:
        (recipe,) = visitor.listed_revisions(reference)
        assert len(visitor.listed_revisions(f"{reference}#{recipe}:{package}")) == 2


def test_download_takes_all_or_one_or_the_recipe(shelf, visitor):
    """`download` ignores settings: the recipe alone, one package by its id, or everything."""
    folder = visitor.cached(REFERENCE)
    visitor.run("download", REFERENCE, "-r=house", "--recipe")
    assert not list(folder.glob("package/*"))
    assert (folder / "export_source" / "text.txt").read_text() == "on the shelf"
    visitor.run("download", f"{REFERENCE}:{shelf['sour']}", "-r=house")
    assert set(visitor.texts(REFERENCE)) == {"sour"}
    visitor.forget()
    visitor.run("download", REFERENCE, "-r=house")
    assert set(visitor.texts(REFERENCE)) == {"sour", "sweet"}
    visitor.refused("download", f"{REFERENCE}:{'0' * 40}", "-r=house")


def test_get_shows_files_and_folders(shelf, visitor):
    """`get` prints a file or a list of files of a recipe or package; a missing one is an error."""
    recipe = (RECIPES / "chart" / "conanfile.py").read_text()
    assert visitor.run("get", REFERENCE, "-r=house", "--raw").strip() == recipe.strip()
    package = f"{REFERENCE}:{shelf['sour']}"
    assert "flavour=sour" in visitor.run("get", package, "-r=house", "--raw")
    assert visitor.run("get", package, ".", "-r=house", "--raw").split() == [
        "conan_package.tgz",
        "conaninfo.txt",
        "conanmanifest.txt",
    ]
    visitor.refused("get", REFERENCE, "nothing.txt", "-r=house")
    visitor.refused("get", "nothing/1.0@ho/stable", "-r=house")


def test_info_and_inspect_ask_the_server(shelf, visitor):
    """`info` and `inspect` show the facts of a recipe that is only on the server."""
    assert "A text" in visitor.run("inspect", REFERENCE, "-r=house", "-a", "description")
    file = visitor.home / "inspected.json"
    visitor.run("inspect", REFERENCE, "-r=house", f"--json={file}")
    assert json.loads(file.read_text())["license"] == "BSD-3-Clause"
    visitor.forget()
    (node,) = visitor.json("info", REFERENCE, "-r=house")
    assert node["id"] == shelf["sweet"]
    assert node["binary"] == "Download"
    graph = visitor.home / "graph.html"
    visitor.run("info", REFERENCE, "-r=house", "--graph", graph)
    assert "shelf/1.0" in graph.read_text()
    said = visitor.run("info", REFERENCE, "-r=house", "--dry-build=missing", "-s=build_type=Debug")
    assert REFERENCE in said


def test_copy_fetches_what_the_cache_lacks(shelf, writer):
    """`copy` gets the sources of an installed recipe, to upload it all as somebody else's."""
    writer.run("install", REFERENCE, "-r=house")
    said = writer.run("copy", REFERENCE, "copied/stable", "--all")
    assert "Downloading conan_sources.tgz" in said
    writer.run("upload", "shelf/1.0@copied/stable", "-r=house", "--all", "-c")
    assert set(writer.packages("shelf/1.0@copied/stable")) == {shelf["sweet"]}


def test_an_alias_leads_to_its_target(shelf, writer, visitor):
    """An alias is uploaded like a recipe, and installs what it names."""
    writer.run("alias", "shelf/latest@ho/stable", "shelf/1.2@ho/stable")
    writer.run("upload", "shelf/latest@ho/stable", "-r=house", "-c")
    visitor.run("install", "shelf/latest@ho/stable", "-r=house")
    assert visitor.texts("shelf/1.2@ho/stable") == {"sweet": "newer"}


def test_recipes_that_extend_others_fetch_them(shelf, writer):
    """`export`, `create` and `export-pkg` fetch a python_requires that is only on the server."""
    folder = writer.home / "extended"
    folder.mkdir()
    recipe = folder / "conanfile.py"
    recipe.write_text(
        "from conan import ConanFile\n\n\n"
        "class Extended(ConanFile):\n"
        f'    python_requires = "{REFERENCE}"\n'
        '    python_requires_extend = "shelf.ChartConan"\n'
        "    exports = ()\n    exports_sources = ()\n"
    )
    (folder / "text.txt").write_text("packed by hand")
    for command in ("export", "create", "export-pkg"):
        writer.forget()
        more = ["-pf", folder] if command == "export-pkg" else []
        said = writer.run(command, folder, "extended/1.0@ho/stable", *more)
        assert f"{REFERENCE}: Downloaded recipe" in said, command
    writer.run("upload", "extended/*", "-r=house", "--all", "-c")
    assert len(writer.packages("extended/1.0@ho/stable")) == 1


def test_a_workspace_installs_from_the_server(shelf, visitor):
    """`workspace install` gets what its editable packages require."""
    folder = visitor.home / "workspace"
    (folder / "deck").mkdir(parents=True)
    (folder / "deck" / "conanfile.py").write_text(
        "from conans import ConanFile\n\n\n"
        f'class Deck(ConanFile):\n    name = "deck"\n    version = "1.0"\n'
        f'    requires = "{REFERENCE}"\n'
    )
    (folder / "ws.yml").write_text(
        "editables:\n    deck/1.0@ho/stable:\n        path: deck\nroot: deck/1.0@ho/stable\n"
    )
    visitor.run("workspace", "install", folder / "ws.yml", "-r=house", "-if", folder)
    assert visitor.texts(REFERENCE) == {"sweet": "on the shelf"}


def test_a_compiled_package_is_linked_elsewhere(old_house, writer, visitor):
    """A library of one client is downloaded by another, and a program runs with it."""
    folder = writer.home / "buoy"
    copytree(RECIPES / "buoy", folder)
    writer.run("create", folder, "buoy/1.0@")
    writer.run("upload", "buoy/1.0@", "-r=house", "--all", "-c", "--check")
    test = visitor.home / "test_package"
    copytree(RECIPES / "buoy" / "test_package", test)
    said = visitor.run("test", test, "buoy/1.0@", "-r=house")
    assert "Downloading conan_package.tgz" in said
    assert "leave it to port" in said
