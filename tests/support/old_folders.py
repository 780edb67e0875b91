"""Homes of the servers that people move over from, filled by running those servers.

Each holds what a house of years holds: recipes and packages of real clients, several revisions
with time between them, one that was uploaded again, packages that were deleted, uploads that broke
off.  The manifest beside it is what the old server said over HTTP, before those that broke off.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from conan_client import Conan, executable
from old_conan import CONAN_1, RECIPES, SERVER_2, Conan1, wanted
from old_servers import USERS, Asker, old_server, write_conf
from tests_manifest import manifest

QUERIES = ("", "?q=tide", "?q=*/1.0*", "?q=*@ho/stable", "?q=TIDE*&ignorecase=false", "?q=none*")
INFO = "[settings]\nos=Linux\n[options]\nshared={}\n"
OLD_INFO = f"{INFO}\n[recipe_hash]\n    {'5' * 32}\n"
NOWHERE = "f" * 32
STACK, AGAIN, TORN = "stack/1.0/_/_", "again/1.0/ho/testing", "torn/1.0/ho/stable"


@attrs.define(kw_only=True)
class Manifest:
    """What a server answers: every field is for comparing with what its successor says."""

    #: GET paths and their JSON, or size and sha256 of a file.
    answers: dict[str, Any] = attrs.field(factory=dict)
    #: GET paths of what was never finished or is gone: 404 from now on.
    gone: list[str] = attrs.field(factory=list)
    #: (user or None, method, path) and the status that it got.
    decisions: dict[tuple[str | None, str, str], int] = attrs.field(factory=dict)
    #: Names and passwords.
    users: dict[str, str] = attrs.field(factory=lambda: dict(USERS))
    #: The token of a login that was never ended.
    token: str = ""
    #: What the packages of real clients hold: {reference: text}.
    texts: dict[str, str] = attrs.field(factory=dict)
    #: Whether times have fractions of a second.
    fractions: bool = False

    @property
    def references(self) -> list[str]:
        return self.answers["/v2/conans/search"]["results"]


@attrs.frozen
class Folder:
    """The home of a stopped server, and what it said."""

    home: Path
    manifest: Manifest


def make_folder_166(folder: Path, *, revisions: bool) -> Folder:
    """The last server of Conan 1, filled by clients without revisions, or with them."""
    home = folder / "conan_server"
    python = wanted(CONAN_1)
    write_conf(home)
    with old_server(python, home) as asker:
        writer = asker.login("writer", USERS["writer"])
        client = Conan1(python, folder / "client", {"house": asker.address}, revisions)
        client.login("admin", USERS["admin"])
        said = Manifest(texts=dict(fill_by_conan_1(client)), token=str(writer.token))
        if revisions:
            fill(writer, OLD_INFO)
        survey(asker.login("admin", USERS["admin"]), said)
        survey_first(asker.login("admin", USERS["admin"]), said)
        decide(asker, said)
        said.gone += break_off(writer) if revisions else break_off_plainly(writer)
    return Folder(home, said)


def make_folder_233(folder: Path) -> Folder:
    """A server of Conan 2, filled by the newest client, with metadata."""
    program = executable("newest")
    if program is None:
        pytest.skip("no conan in this environment: pip install conan")
    home = folder / "conan_server"
    write_conf(home)
    with old_server(wanted(SERVER_2), home) as asker:
        writer = asker.login("writer", USERS["writer"])
        said = Manifest(token=str(writer.token), fractions=True)
        client = Conan(program, folder / "client")
        client.run("remote", "add", "house", asker.address, "--index=0", "--force")
        client.run("remote", "login", "house", "admin", "-p", USERS["admin"])
        said.texts.update(fill_by_conan_2(client, folder))
        fill(writer, INFO)
        writer.put(f"{recipe_path(STACK, 2)}/files/metadata/logs/late.log", b"late")
        survey(asker.login("admin", USERS["admin"]), said)
        decide(asker, said)
        said.gone += break_off(writer)
    return Folder(home, said)


# ---------------------------------------------------------------------------- what is in them


def fill_by_conan_1(client: Conan1) -> Iterator[tuple[str, str]]:
    """Upload notes with the client: with user and channel, without, changed, hidden."""
    notes = {
        "tide/1.0@ho/stable": ["ebb", "flood"],
        "tide/1.1@ho/stable": ["spring tide"],
        "bare/1.0": ["nobody's"],
        "hidden/1.0@ho/stable": ["secret"],
    }
    for reference, texts in notes.items():
        name = reference if "@" in reference else f"{reference}@"
        for number, text in enumerate(texts):
            if number:
                time.sleep(1)  # this generation counts whole seconds
            client.note(name, text)
            if reference == "tide/1.1@ho/stable":
                client.note(name, text, "-o", "tide:flavour=sour")
            client.run("upload", name, "-r=house", "--all", "-c", "--force")
        yield reference, texts[-1]


def fill_by_conan_2(client: Conan, folder: Path) -> Iterator[tuple[str, str]]:
    """Upload notes with the client: with user alone, too, and logs as metadata."""
    for reference, text in {
        "tide/1.0@ho/stable": "flood",
        "tide/1.1": "spring tide",
        "buoyed/1.0@ho": "a user alone",
        "hidden/1.0@ho/stable": "secret",
    }.items():
        package, _, place = reference.partition("@")
        name, _, version = package.partition("/")
        user, _, channel = place.partition("/")
        words = [f"--name={name}", f"--version={version}"]
        words += [f"--user={user}"] if user else []
        words += [f"--channel={channel}"] if channel else []
        recipe = folder / "chart"
        recipe.mkdir(exist_ok=True)
        for file in (RECIPES / "chart").iterdir():
            (recipe / file.name).write_bytes(file.read_bytes())
        (recipe / "text.txt").write_text(text, encoding="utf-8")
        made = client.create(recipe, *words)
        for what in (made.recipe, str(made)):
            place = client.run("cache", "path", what, "--folder=metadata").output.strip()
            Path(place, "logs").mkdir(parents=True, exist_ok=True)
            Path(place, "logs", "build.log").write_text(f"built {what}\n", encoding="utf-8")
        client.run("upload", f"{reference}*", "-r=house", "-c")
        yield reference, text


def recipe_path(reference: str, number: int) -> str:
    """Where the recipe revision with a number is; numbers stand for hashes."""
    return f"/v2/conans/{reference}/revisions/{number:032x}"


def package_path(reference: str, number: int, package: int, revision: int) -> str:
    """Where a package revision is."""
    return f"{recipe_path(reference, number)}/packages/{package:040x}/revisions/{revision:032x}"


def put_recipe(asker: Asker, reference: str, number: int) -> None:
    """Upload a whole recipe revision."""
    files = f"{recipe_path(reference, number)}/files"
    asker.put(f"{files}/conanfile.py", b"# recipe %d\n" % number)
    asker.put(f"{files}/conanmanifest.txt", manifest("conanfile.py"))


def put_package(asker: Asker, path: str, info: str) -> None:
    """Upload a whole package revision."""
    content = hashlib.sha256(path.encode()).digest() * 1000
    asker.put(f"{path}/files/conan_package.tgz", content)
    asker.put(f"{path}/files/conaninfo.txt", info.encode())
    asker.put(f"{path}/files/conanmanifest.txt", manifest("lib/libstack.a"))


def fill(asker: Asker, info: str) -> None:
    """What years bring: gaps, revisions that come again, and deletions."""
    for number in (1, 2, 3, 4):
        put_recipe(asker, STACK, number)
        time.sleep(1.05)
    asker.delete(recipe_path(STACK, 3))
    put_recipe(asker, STACK, 2)  # again: it becomes the latest
    put_recipe(asker, AGAIN, 1)
    time.sleep(1.05)
    put_recipe(asker, AGAIN, 2)
    time.sleep(1.05)
    put_recipe(asker, AGAIN, 1)  # the oldest, again
    for package in (1, 2, 3):
        for revision in (1, 2):  # those of the third may be of one second: order is all they have
            put_package(asker, package_path(STACK, 2, package, revision), info.format(package))
            time.sleep(0 if package == 3 else 1.05)
    asker.delete(package_path(STACK, 2, 1, 2))
    for revision in (1, 2):  # a package of which no revision is left
        asker.delete(package_path(STACK, 2, 2, revision))
    put_recipe(asker, "gone/1.0/ho/stable", 1)
    asker.delete("/v2/conans/gone/1.0/ho/stable")


def break_off(asker: Asker) -> list[str]:
    """Begin a new reference, a newer recipe revision, a package revision, and finish none.

    Returns what has to be missing for ever.
    """
    recipes = [recipe_path(TORN, 1), recipe_path(STACK, 9)]
    for path in recipes:
        asker.put(f"{path}/files/conanfile.py", b"# never finished\n")
        asker.break_off(f"{path}/files/conan_sources.tgz", b"half", length=8)
    package = package_path(STACK, 2, 3, 9)
    asker.put(f"{package}/files/conaninfo.txt", b"")
    asker.break_off(f"{package}/files/conan_package.tgz", b"half", length=8)
    return [f"{path}/files" for path in (*recipes, package)] + [f"/v2/conans/{TORN}/latest"]


def break_off_plainly(asker: Asker) -> list[str]:
    """Begin a new reference without revisions; returns what has to be missing for ever."""
    path = f"/v1/conans/{TORN}"
    sizes = json.dumps({"conanfile.py": 8, "conanmanifest.txt": 9}).encode()
    answer = asker.ask("POST", f"{path}/upload_urls", sizes, Content_Type="application/json")
    asker.break_off("/" + answer.json["conanfile.py"], b"half", length=8)
    return [path, f"{path}/digest", f"/v2/conans/{TORN}/latest"]


# -------------------------------------------------------------------------- what is said of it


def survey(asker: Asker, said: Manifest) -> None:
    """Ask for everything that clients with revisions ask for."""
    for query in QUERIES:
        # A server may list a reference once for each of its revisions.
        found = dict.fromkeys(asker.get(f"/v2/conans/search{query}").json["results"])
        said.answers[f"/v2/conans/search{query}"] = {"results": list(found)}
    for reference in said.references:
        path = path_of(reference)
        for revision in survey_revisions(asker, said, path):
            survey_packages(asker, said, f"{path}/revisions/{revision}")


def path_of(reference: str) -> str:
    """Where a reference is."""
    package, _, place = reference.partition("@")
    user, _, channel = place.partition("/")
    return f"/v2/conans/{package}/{user or '_'}/{channel or '_'}"


def survey_packages(asker: Asker, said: Manifest, path: str) -> None:
    """Ask for all packages of a recipe revision; those of which nothing is left do not count."""
    # The shorter list is Conan 2's; servers of Conan 1 answer it with the longer one.
    queries = ("", "?list_only=True") if said.fractions else ("",)
    listed = {query: asker.get(f"{path}/search{query}").json for query in queries}
    packages = {name for found in listed.values() for name in found}
    left = {name for name in packages if survey_revisions(asker, said, f"{path}/packages/{name}")}
    for query, found in listed.items():
        said.answers[f"{path}/search{query}"] = {name: found[name] for name in found.keys() & left}


def survey_revisions(asker: Asker, said: Manifest, path: str) -> list[str]:
    """Ask for the revisions of a recipe or package, their order, times and files."""
    answer = asker.get(f"{path}/revisions")
    if answer.status == 404:
        said.gone += [f"{path}/latest", f"{path}/revisions"]
        return []
    known: dict[str, str] = {}
    for entry in answer.json["revisions"]:
        # An index may name one twice; the newest comes first, and counts.
        known.setdefault(entry["revision"], entry["time"])
    entries = [{"revision": name, "time": when} for name, when in known.items()]
    said.answers[f"{path}/revisions"] = {"revisions": entries}
    said.answers[f"{path}/latest"] = asker.get(f"{path}/latest").json
    for name in known:
        survey_files(asker, said, f"{path}/revisions/{name}/files")
    return list(known)


def survey_files(asker: Asker, said: Manifest, path: str) -> None:
    """Ask for the files of a revision, and each of them."""
    said.answers[path] = asker.get(path).json
    for name in said.answers[path]["files"]:
        said.answers[f"{path}/{name}"] = file_answer(asker.get(f"{path}/{name}").body)


def file_answer(content: bytes) -> dict[str, Any]:
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def survey_first(asker: Asker, said: Manifest) -> None:
    """Ask what clients without revisions ask: md5 sums of the latest, the packages of all."""
    for reference in said.references:
        path = path_of(reference).replace("/v2/", "/v1/")
        said.answers[path] = asker.get(path).json
        packages = asker.get(f"{path}/search").json
        said.answers[f"{path}/search"] = packages
        for package in packages:
            said.answers[f"{path}/packages/{package}"] = asker.get(
                f"{path}/packages/{package}"
            ).json


def decide(asker: Asker, said: Manifest) -> None:
    """Try everybody at everything that has a user: may they read it, may they delete nothing?"""
    placed = [path_of(reference) for reference in said.references if reference.count("/") > 1]
    for user in (None, *USERS):
        someone = asker.login(user, USERS[user]) if user else asker
        for path in placed:
            for method, what in (
                ("GET", f"{path}/latest"),
                ("DELETE", f"{path}/revisions/{NOWHERE}"),
            ):
                said.decisions[user, method, what] = someone.ask(method, what).status
