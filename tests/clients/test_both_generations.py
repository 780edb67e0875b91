"""One repository, one compiled recipe, and clients of Conan 1 and Conan 2 at work on it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree

import pytest
from conan1_house import furnish
from conan_client import Conan, executable
from live_server import LiveServer, live_server
from old_conan import RECIPES, Conan1
from old_servers import USERS

pytestmark = [pytest.mark.clients, pytest.mark.slow]
TEST = RECIPES / "buoy" / "test_package"


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """One server for both."""
    with live_server(tmp_path_factory.mktemp("shared") / "data") as running:
        furnish(running)
        yield running


@pytest.fixture
def first(shared: LiveServer, conan_1: Path, revisions: bool, tmp_path: Path) -> Conan1:
    """A Conan 1 client, signed in."""
    client = Conan1(conan_1, tmp_path / "first", {"house": shared.remote}, revisions)
    client.login("writer", USERS["writer"])
    return client


@pytest.fixture
def second(shared: LiveServer, tmp_path: Path) -> Conan:
    """A Conan 2 client, signed in."""
    return client_of_conan_2(shared, tmp_path / "second")


def client_of_conan_2(server: LiveServer, home: Path) -> Conan:
    program = executable("newest")
    if program is None:
        pytest.skip("no conan in this environment: pip install conan")
    client = Conan(program, home)
    client.run("remote", "add", "house", server.remote, "--index=0", "--force")
    client.run("remote", "login", "house", "writer", "-p", USERS["writer"])
    return client


def recipe(folder: Path, name: str) -> Path:
    """The recipe of a compiled library, under a name of one test."""
    copytree(RECIPES / "buoy", folder / name)
    for path in (folder / name).rglob("*"):
        if path.name in {"conanfile.py", "CMakeLists.txt"}:
            # Targets and files keep their names; the package is found by its own.
            text = path.read_text().replace('name = "buoy"', f'name = "{name}"')
            text = text.replace("find_package(buoy ", f"find_package({name} ")
            path.write_text(text.replace("buoy::buoy", f"{name}::{name}"))
    return folder / name


def consumed_by_both(first: Conan1, second: Conan, test: Path, reference: str) -> None:
    """Both clients, with empty caches, link a program with what they download, and run it.

    A revision in the reference is for Conan 2.
    """
    first.forget()
    said = first.run("test", test, f"{reference.partition('#')[0]}@", "-r=house")
    assert "Downloading conan_package.tgz" in said
    assert "leave it to port" in said
    second.run("remove", "*", "-c")
    answer = second.run("test", test, reference, "-r=house")
    assert "leave it to port" in answer.messages + answer.output


def test_a_recipe_of_conan_1_gets_packages_of_both(first, second, revisions, tmp_path):
    """Conan 1 uploads a recipe and its package; Conan 2 builds it from there and adds its own."""
    name = f"one-{int(revisions)}"
    folder = recipe(tmp_path, name)
    reference = f"{name}/1.0"
    first.run("create", folder, f"{reference}@")
    first.run("upload", f"{reference}@", "-r=house", "--all", "-c")
    (listed,) = second.recipe_revisions(reference)
    assert listed == (first.listed_revisions(f"{reference}@")[0] if revisions else "0")
    second.run("install", f"--requires={reference}", "-r=house", "--build=missing")
    second.run("upload", f"{reference}*:*", "-r=house", "-c")
    assert list(second.recipe_revisions(reference)) == [listed]
    consumed_by_both(first, second, folder / "test_package", reference)


def test_a_recipe_of_conan_2_gets_packages_of_both(first, second, revisions, tmp_path):
    """Conan 2 uploads a recipe and its package; Conan 1 builds it from there and adds its own."""
    name = f"two-{int(revisions)}"
    folder = recipe(tmp_path, name)
    reference = f"{name}/1.0"
    made = second.create(folder, "--version=1.0", "-tf=")
    second.run("upload", f"{reference}*", "-r=house", "-c")
    assert first.searched(f"{name}*") == {reference}
    first.run("install", f"{reference}@", "-r=house", "--build=missing")
    first.run("upload", f"{reference}@", "-r=house", "--all", "-c")
    assert made.recipe_revision in second.recipe_revisions(reference)
    # Without revisions, Conan 1 uploads the recipe again as revision 0, which is then the latest.
    meant = reference if revisions else made.recipe
    consumed_by_both(first, second, folder / "test_package", meant)


def test_packages_of_each_are_listed_to_each(first, second, revisions, tmp_path):
    """The packages of Conan 1 are no packages to Conan 2; nobody is shown a revision twice."""
    if not revisions:
        pytest.skip("without revisions there is one of each")
    folder = recipe(tmp_path, "listed")
    reference = "listed/1.0"
    made = second.create(folder, "--version=1.0", "-tf=")
    second.run("upload", f"{reference}*", "-r=house", "-c")
    first.run("create", folder, f"{reference}@", "-tf=None")
    first.run("upload", f"{reference}@", "-r=house", "--all", "-c")
    # Both compute the same revision from the same recipe.
    assert first.listed_revisions(f"{reference}@") == [made.recipe_revision]
    assert list(second.recipe_revisions(reference)) == [made.recipe_revision]
    assert set(second.packages(made.recipe)) == {made.package_id}
    old = {i for i, package in first.packages(f"{reference}@").items() if package["settings"]}
    assert old - {made.package_id}


def test_a_newer_upload_of_either_is_the_latest_to_both(first, second, shared, revisions, tmp_path):
    """What was uploaded last is what both install, whichever uploaded it."""
    name = f"turns-{int(revisions)}"
    reference = f"{name}/1.0@ho/stable"
    words = (f"--name={name}", "--version=1.0", "--user=ho", "--channel=stable")
    for text in ("ebb", "flood"):
        first.note(reference, f"{text} of the first")
        first.run("upload", reference, "-r=house", "--all", "-c", "--force")
        assert latest(shared, second, first, reference) == f"{text} of the first"
        second.create(first.chart(f"{text} of the second"), *words)
        second.run("upload", f"{reference}#latest", "-r=house", "-c")
        assert latest(shared, second, first, reference) == f"{text} of the second"
        time.sleep(1)  # Conan 1 compares whole seconds


def latest(server: LiveServer, second: Conan, first: Conan1, reference: str) -> str:
    """The text of the latest recipe, as both clients see it."""
    fresh = Conan1(first.python, first.home / str(time.time_ns()), first.remotes, first.revisions)
    fresh.run("download", reference, "-r=house", "--recipe")
    seen = (fresh.cached(reference) / "export_source" / "text.txt").read_text()
    other = client_of_conan_2(server, second.home / str(time.time_ns()))
    other.run("download", reference, "-r=house", "--only-recipe")
    folder = other.run("cache", "path", reference, "--folder=export_source").output.strip()
    assert (Path(folder) / "text.txt").read_text() == seen
    return seen
