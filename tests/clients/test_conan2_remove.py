"""What the real Conan 2 client removes, level by level, and what is left."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.clients


@pytest.fixture
def writer(conan):
    return conan("writer")


def uploaded(conan, client, reference, text, *arguments):
    package = conan.note(client, reference, text, *arguments)
    client.run("upload", reference, "-r=house", "-c")
    return package


@pytest.mark.slow
def test_removing_a_package_revision_leaves_the_older_one(conan, writer):
    """Without its newest revision, a package is the one before."""
    first = uploaded(conan, writer, "removed1/1.0", "text")
    second = uploaded(conan, writer, "removed1/1.0", "text", "-c=user.note:printing=second")
    writer.run("remove", str(second), "-r=house", "-c")
    packages = writer.packages(first.recipe)
    assert list(packages[first.package_id]["revisions"]) == [first.package_revision]
    conan().run("install", "--requires=removed1/1.0", "-r=house")


@pytest.mark.slow
def test_removing_a_package_leaves_the_others(conan, writer):
    """Without all its revisions a package is gone, and the other packages of the recipe stay."""
    sweet = uploaded(conan, writer, "removed2/1.0", "text")
    sour = uploaded(conan, writer, "removed2/1.0", "text", "-o=&:flavour=sour")
    writer.run("remove", f"{sweet.binary}#*", "-r=house", "-c")
    assert set(writer.packages(sweet.recipe)) == {sour.package_id}
    conan().run("install", "--requires=removed2/1.0", "-r=house", "-o=*:flavour=sour")
    conan().refused("install", "--requires=removed2/1.0", "-r=house")


@pytest.mark.slow
def test_removing_all_packages_leaves_the_recipe(conan, writer):
    """A recipe without packages is still listed, and can be removed of packages again."""
    package = uploaded(conan, writer, "removed3/1.0", "text")
    uploaded(conan, writer, "removed3/1.0", "text", "-o=&:flavour=sour")
    writer.run("remove", "removed3/1.0:*", "-r=house", "-c")
    assert writer.packages(package.recipe) == {}
    assert list(writer.recipe_revisions("removed3/1.0")) == [package.recipe_revision]
    writer.run("remove", "removed3/1.0:*", "-r=house", "-c")


@pytest.mark.slow
def test_removing_a_recipe_revision_falls_back(conan, writer):
    """Without its newest revision, the latest of a recipe is the one before, with its packages."""
    older = uploaded(conan, writer, "removed4/1.0", "older")
    newer = uploaded(conan, writer, "removed4/1.0", "newer")
    writer.run("remove", newer.recipe, "-r=house", "-c")
    assert list(writer.recipe_revisions("removed4/1.0")) == [older.recipe_revision]
    other = conan()
    other.run("install", "--requires=removed4/1.0", "-r=house")
    assert other.run("cache", "path", str(older)).output.strip()


def test_removing_a_recipe_takes_all_of_it(conan, writer):
    """Without any revision a reference is in no list; it can be uploaded anew."""
    older = uploaded(conan, writer, "removed5/1.0", "older")
    uploaded(conan, writer, "removed5/1.0", "newer")
    writer.run("remove", "removed5/1.0#*", "-r=house", "-c")
    assert not writer.listed("removed5/*")
    assert not writer.searched("removed5/*")
    writer.run("upload", f"{older.recipe}:*", "-r=house", "-c")
    assert list(writer.recipe_revisions("removed5/1.0")) == [older.recipe_revision]
    conan().run("download", str(older), "-r=house")


@pytest.mark.slow
def test_package_list_names_what_is_removed(conan, writer):
    """`remove --list` removes what a list of the remote names."""
    sweet = uploaded(conan, writer, "removed6/1.0", "text")
    sour = uploaded(conan, writer, "removed6/1.0", "text", "-o=&:flavour=sour")
    chosen = writer.saved("list", f"{sour.binary}#*", "-r=house")
    writer.run("remove", f"--list={chosen}", "-r=house", "-c")
    assert set(writer.packages(sweet.recipe)) == {sweet.package_id}


@pytest.mark.parametrize(
    ("user", "said"),
    [("reader", "Permission denied for user: 'reader'"), (None, "interactive mode disabled")],
)
def test_who_may_not_write_may_not_remove(conan, writer, user, said):
    """A reader is denied, an anonymous client asked to sign in; everything stays."""
    package = uploaded(conan, writer, "kept/1.0", "text")
    other = conan(user)
    for pattern in ("kept/1.0", "kept/1.0#*", f"{package.binary}#*", str(package)):
        assert said in other.refused("remove", pattern, "-r=house", "-c")
    packages = writer.packages(package.recipe)
    assert list(packages[package.package_id]["revisions"]) == [package.package_revision]


@pytest.mark.slow
def test_removing_what_is_not_there_is_an_error(conan, writer):
    """A reference that nobody has is said not to be found."""
    assert "not found" in writer.refused("remove", "nothing/1.0", "-r=house", "-c").lower()
