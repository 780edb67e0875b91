"""The last Conan 1 client, with revisions and without: who it may be, and what it uploads.

Each test of Conan 1 runs against the original server too: REPOCORE_CONAN1_SERVERS=ours:original.
"""

from __future__ import annotations

import re
import time

import pytest
from conan1_house import house
from old_servers import USERS, Asker

pytestmark = [pytest.mark.clients, pytest.mark.slow]
#: What the client makes of a 404, without revisions and with.
NOT_THERE = re.compile("Unable to find|Recipe not found|was not found")


def test_a_package_goes_up_and_down_and_away(old_house, writer, visitor):
    """Sign in, create, upload, search, install elsewhere with nobody signed in, remove."""
    assert "'writer' [Authenticated]" in writer.run("user")
    writer.note("round/1.0@ho/stable", "there and back")
    said = writer.run("upload", "round/*", "-r=house", "--all", "-c", "--check", "--parallel")
    assert "Package integrity OK!" in said
    assert visitor.searched("round*") == {"round/1.0@ho/stable"}
    (package,) = visitor.packages("round/1.0@ho/stable").values()
    assert package["options"] == {"flavour": "sweet"}
    assert package["outdated"] is False
    visitor.run("install", "round/1.0@ho/stable", "-r=house")
    assert visitor.texts("round/1.0@ho/stable") == {"sweet": "there and back"}
    writer.run("remove", "-f", "-r=house", "round/1.0@ho/stable")
    assert visitor.searched("round*") == set()
    visitor.forget()
    assert NOT_THERE.search(visitor.refused("install", "round/1.0@ho/stable", "-r=house"))


# -------------------------------------------------------------------------------------- login


def test_wrong_password_is_refused(visitor):
    """A wrong password and an unknown name are refused with the same words, and stay nobody."""
    for user in ("writer", "nobody"):
        said = visitor.refused("user", user, "-p", "wrong", "-r=house")
        assert "Wrong user or password" in said
    assert "'None' (anonymous)" in visitor.run("user")


def test_clean_makes_the_client_anonymous(writer):
    """After `user --clean` an upload asks for a password, which nobody types."""
    writer.note("goodbye/1.0@ho/stable", "gone")
    writer.run("user", "--clean")
    said = writer.refused("upload", "goodbye/1.0@ho/stable", "-r=house", "--all", "-c")
    assert "interactive mode disabled" in said
    assert not writer.searched("goodbye*")


def test_credentials_of_the_environment_sign_in(visitor):
    """User and password of the environment are used when the server asks for them."""
    visitor.note("environed/1.0@ho/stable", "text")
    words = {"CONAN_LOGIN_USERNAME": "writer", "CONAN_PASSWORD_HOUSE": USERS["writer"]}
    visitor.run("upload", "environed/1.0@ho/stable", "-r=house", "--all", "-c", **words)
    assert visitor.searched("environed*") == {"environed/1.0@ho/stable"}


def test_users_are_told_as_json_and_kept_with_skip_auth(writer):
    """`user` without a password shows who is known; --skip-auth keeps what is there."""
    said = writer.json("user", "-r=house")
    assert said["remotes"] == [{"name": "house", "authenticated": True, "user_name": "writer"}]
    said = writer.run("user", "writer", "-p", "not asked", "-r=house", "--skip-auth")
    assert "is already 'writer'" in said


def test_denied_write_says_so(old_house):
    """A signed-in user who may not write is told at once, and nothing becomes visible."""
    reader = old_house.client("reader")
    reader.note("denied/1.0@ho/stable", "not yours")
    said = reader.refused("upload", "denied/1.0@ho/stable", "-r=house", "--all", "-c")
    assert "Permission denied" in said
    assert not reader.searched("denied*")


def test_denied_remove_says_so(old_house, writer):
    """Who may read and not write may not remove either, neither recipe nor package."""
    reference = "denied-remove/1.0@ho/stable"
    writer.note(reference, "stays")
    writer.run("upload", reference, "-r=house", "--all", "-c")
    reader = old_house.client("reader")
    assert "Permission denied" in reader.refused("remove", "-f", "-r=house", reference)
    (package,) = reader.packages(reference)
    said = reader.refused("remove", "-f", "-r=house", reference, "-p", package)
    assert "Permission denied" in said
    assert set(writer.packages(reference)) == {package}


def test_anonymous_write_asks_for_a_password(visitor):
    """A client without a user is asked to sign in, and nothing becomes visible."""
    visitor.note("nameless/1.0@ho/stable", "whose?")
    said = visitor.refused("upload", "nameless/1.0@ho/stable", "-r=house", "--all", "-c")
    assert "interactive mode disabled" in said
    assert not visitor.searched("nameless*")


def test_packages_that_one_may_not_read_are_not_found(old_house):
    """A package hidden by a rule is in no list, and cannot be installed, except by its reader."""
    admin = old_house.client("admin")
    admin.note("hidden/1.0@ho/stable", "secret")
    admin.run("upload", "hidden/1.0@ho/stable", "-r=house", "--all", "-c")
    assert admin.searched("hidden*") == {"hidden/1.0@ho/stable"}
    reader = old_house.client("reader")
    assert not reader.searched("hidden*")
    reader.refused("install", "hidden/1.0@ho/stable", "-r=house")
    reader.refused("get", "hidden/1.0@ho/stable", "-r=house")


def test_expired_token_ends_in_a_new_login(conan_1, kind, revisions, tmp_path):
    """A token that ran out is refused, even to read; with a password at hand the client goes on."""
    with house(kind, conan_1, tmp_path, revisions=revisions, token_seconds=2) as brief:
        client = brief.client("admin")
        client.note("late/1.0@ho/stable", "late")
        time.sleep(2.1)
        upload = ("upload", "late/1.0@ho/stable", "-r=house", "--all", "-c")
        assert "interactive mode disabled" in client.refused(*upload)
        words = {"CONAN_LOGIN_USERNAME": "admin", "CONAN_PASSWORD": USERS["admin"]}
        client.run(*upload, **words)
        time.sleep(2.1)
        # This client forgets what was refused, and reads on as nobody.
        assert client.searched("late*") == {"late/1.0@ho/stable"}


# ------------------------------------------------------------------------------------- upload


def test_second_upload_sends_nothing_and_force_sends_all(old_house, writer):
    """What is there already is skipped; `--force` sends it again, and it stays one revision."""
    writer.note("again/1.0@ho/stable", "once")
    upload = ("upload", "again/1.0@ho/stable", "-r=house", "--all", "-c")
    first = writer.json(*upload)["uploaded"]
    assert [item["recipe"]["id"] for item in first] == ["again/1.0@ho/stable"]
    assert len(first[0]["packages"]) == 1
    said = writer.run(*upload)
    assert "Recipe is up to date, upload skipped" in said
    assert "Package is up to date, upload skipped" in said
    said = writer.run(*upload, "--force")
    assert "Uploading conanfile.py" in said
    assert "Uploading conan_package.tgz" in said
    listed = Asker(address=old_house.url).get("/v2/conans/again/1.0/ho/stable/revisions").json
    assert len(listed["revisions"]) == 1


def test_no_overwrite_keeps_what_is_there(writer):
    """`--no-overwrite` refuses another recipe, and another package of the same recipe."""
    reference = "kept/1.0@ho/stable"
    upload = ("upload", reference, "-r=house", "--all", "-c", "--no-overwrite")
    writer.note(reference, "first")
    writer.run(*upload)
    assert "upload skipped" in writer.run(*upload)
    writer.run("create", writer.chart("first"), reference, "-c=user.chart:printing=second")
    if writer.revisions:
        # A new package revision overwrites nothing; the client lets it pass.
        writer.run(*upload)
    else:
        assert "Forbidden overwrite" in writer.refused(*upload)
        writer.run(*upload, "recipe")
    writer.note(reference, "second")
    if not writer.revisions:
        assert "Forbidden overwrite" in writer.refused(*upload)
        assert "Forbidden overwrite" in writer.refused(*upload, "recipe")


def test_checked_upload_of_a_damaged_package_is_stopped(writer):
    """`--check` stops at a package that was changed in the cache."""
    writer.note("damaged/1.0@ho/stable", "whole")
    (text,) = writer.cached("damaged/1.0@ho/stable").glob("package/*/text.txt")
    text.chmod(0o644)
    text.write_text("broken")
    said = writer.refused("upload", "damaged/1.0@ho/stable", "-r=house", "--all", "-c", "--check")
    assert "integrity" in said.lower()
    assert writer.searched("damaged*") <= {"damaged/1.0@ho/stable"}


def test_recipe_alone_then_one_package_then_a_query(writer):
    """The recipe goes alone, then a package by its id, then packages by a query."""
    reference = "parts/1.0@ho/stable"
    writer.note(reference, "text")
    writer.note(reference, "text", "-o", "parts:flavour=sour")
    writer.run("upload", reference, "-r=house", "--all", "-c", "--skip-upload")
    assert not writer.searched("parts*")
    writer.run("upload", reference, "-r=house", "-c", "--retry=1", "--retry-wait=0")
    assert writer.searched("parts*") == {reference}
    assert writer.packages(reference) == {}
    found = writer.json("search", reference)["results"][0]["items"][0]["packages"]
    ids = {package["options"]["flavour"]: package["id"] for package in found}
    writer.run("upload", f"{reference}:{ids['sweet']}", "-r=house", "-c")
    assert set(writer.packages(reference)) == {ids["sweet"]}
    writer.run("upload", reference, "-r=house", "-c", "-q", "flavour=sour")
    assert set(writer.packages(reference)) == set(ids.values())


def test_a_changed_recipe_replaces_the_one_before(writer, visitor):
    """The next upload of a recipe is what is installed; files that it lost are gone with it."""
    reference = "changed/1.0@ho/stable"
    writer.note(reference, "before")
    writer.run("upload", reference, "-r=house", "--all", "-c")
    assert "conan_export.tgz" in visitor.run("get", reference, ".", "-r=house", "--raw")
    recipe = writer.chart("after") / "conanfile.py"
    recipe.write_text(recipe.read_text().replace('    exports = "*.md"\n', ""))
    time.sleep(1)  # the client compares whole seconds
    writer.run("create", recipe.parent, reference)
    writer.run("upload", reference, "-r=house", "--all", "-c")
    files = visitor.run("get", reference, ".", "-r=house", "--raw").split()
    assert files == ["conan_sources.tgz", "conanfile.py", "conanmanifest.txt"]
    visitor.run("install", reference, "-r=house")
    assert visitor.texts(reference) == {"sweet": "after"}


def test_an_older_recipe_is_not_uploaded_over_a_newer_one(old_house, writer):
    """Without revisions, a client whose recipe is older than the server's has to insist."""
    reference = "order/1.0@ho/stable"
    writer.note(reference, "older")
    other = old_house.client("writer")
    time.sleep(1)
    other.note(reference, "newer")
    other.run("upload", reference, "-r=house", "--all", "-c")
    upload = ("upload", reference, "-r=house", "--all", "-c")
    if old_house.revisions:
        writer.run(*upload)
    else:
        assert "Remote recipe is newer than local recipe" in writer.refused(*upload)
        writer.run(*upload, "--force")
    fresh = old_house.client()
    fresh.run("install", reference, "-r=house")
    assert fresh.texts(reference) == {"sweet": "older"}


def test_a_reference_without_user_and_names_with_odd_letters(writer, visitor):
    """References may lack user and channel, and names may have upper case, + and dots."""
    for reference in ("bare/1.0", "Upper+More.x/1.0+b2"):
        writer.note(f"{reference}@", "odd")
        writer.run("upload", f"{reference}@", "-r=house", "--all", "-c")
        assert visitor.searched(f"{reference}*") == {reference}
        visitor.run("install", f"{reference}@", "-r=house")
        assert visitor.texts(reference) == {"sweet": "odd"}
