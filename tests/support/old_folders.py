"""Homes of the servers that people move over from, filled by running those servers.

Each holds what a house of years holds: recipes and packages of real clients, several revisions
with time between them, one that was uploaded again, packages that were deleted, uploads that broke
off.  The manifest beside it is what the old server said over HTTP before it was stopped, without
what nobody can use: revisions whose upload never ended, packages without a revision.
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
INFO = b"[settings]\n    os=Linux\n\n[options]\n    shared=%s\n\n[recipe_hash]\n    %s\n"
NOWHERE = "f" * 32


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
            fill(writer)
        else:
            fill_plainly(writer)
        survey(asker.login("admin", USERS["admin"]), said)
        survey_first(asker.login("admin", USERS["admin"]), said)
        decide(asker, said)
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
        fill(writer)
        writer.put(f"{recipe_path('stack/1.0/_/_', 2)}/files/metadata/logs/late.log", b"late")
        survey(asker.login("admin", USERS["admin"]), said)
        decide(asker, said)
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


def put_package(asker: Asker, reference: str, number: int, package: int, revision: int) -> None:
    """Upload a whole package revision."""
    files = f"{package_path(reference, number, package, revision)}/files"
    content = hashlib.sha256(f"{number}/{package}/{revision}".encode()).digest() * 1000
    asker.put(f"{files}/conan_package.tgz", content)
    asker.put(f"{files}/conaninfo.txt", INFO % (b"%d" % package, b"%032x" % number))
    asker.put(f"{files}/conanmanifest.txt", manifest("lib/libstack.a"))


def fill(asker: Asker) -> None:
    """What only years or accidents bring: gaps, returns, deletions, and uploads that broke off."""
    stack = "stack/1.0/_/_"
    for number in (1, 2, 3, 4):
        put_recipe(asker, stack, number)
        time.sleep(1.05)
    asker.delete(recipe_path(stack, 3))
    put_recipe(asker, stack, 2)  # again: it becomes the latest
    put_recipe(asker, "again/1.0/ho/testing", 1)
    time.sleep(1.05)
    put_recipe(asker, "again/1.0/ho/testing", 2)
    time.sleep(1.05)
    put_recipe(asker, "again/1.0/ho/testing", 1)  # the oldest, again
    for package in (1, 2, 3):
        for revision in (1, 2):  # those of the third may be of one second: order is all they have
            put_package(asker, stack, 2, package, revision)
            time.sleep(0 if package == 3 else 1.05)
    asker.delete(package_path(stack, 2, 1, 2))
    for revision in (1, 2):  # a package of which no revision is left
        asker.delete(package_path(stack, 2, 2, revision))
    put_recipe(asker, "gone/1.0/ho/stable", 1)
    asker.delete("/v2/conans/gone/1.0/ho/stable")
    break_off(asker, stack)


def break_off(asker: Asker, reference: str) -> None:
    """Begin a new reference, a newer recipe revision, a package revision; finish none."""
    for path in (recipe_path("torn/1.0/ho/stable", 1), recipe_path(reference, 9)):
        asker.put(f"{path}/files/conanfile.py", b"# never finished\n")
        asker.break_off(f"{path}/files/conan_sources.tgz", b"half", length=8)
    path = package_path(reference, 2, 3, 9)
    asker.put(f"{path}/files/conaninfo.txt", b"")
    asker.break_off(f"{path}/files/conan_package.tgz", b"half", length=8)


def fill_plainly(asker: Asker) -> None:
    """The same for clients without revisions, as far as there is any."""
    start = "/v1/conans/torn/1.0/ho/stable/upload_urls"
    sizes = json.dumps({"conanfile.py": 8, "conanmanifest.txt": 9}).encode()
    urls = asker.ask("POST", start, sizes, Content_Type="application/json").json
    asker.break_off("/" + urls["conanfile.py"], b"half", length=8)


# -------------------------------------------------------------------------- what is said of it


def survey(asker: Asker, said: Manifest) -> None:
    """Ask for everything that clients with revisions ask for."""
    every = dict.fromkeys(asker.get("/v2/conans/search").json["results"])
    kept = [reference for reference in every if survey_recipe(asker, said, path_of(reference))]
    for query in QUERIES:
        # A reference may be listed once for each of its revisions.
        found = dict.fromkeys(asker.get(f"/v2/conans/search{query}").json["results"])
        said.answers[f"/v2/conans/search{query}"] = {"results": [r for r in found if r in kept]}


def path_of(reference: str) -> str:
    """Where a reference is."""
    package, _, place = reference.partition("@")
    user, _, channel = place.partition("/")
    return f"/v2/conans/{package}/{user or '_'}/{channel or '_'}"


def survey_recipe(asker: Asker, said: Manifest, path: str) -> bool:
    """Ask for all revisions of a recipe; whether any is whole."""
    kept = survey_revisions(asker, said, path)
    for revision in kept:
        below = f"{path}/revisions/{revision}"
        packages = asker.get(f"{below}/search?list_only=True").json
        whole = [p for p in packages if survey_revisions(asker, said, f"{below}/packages/{p}")]
        for query in ("", "?list_only=True"):
            found = asker.get(f"{below}/search{query}")
            if found.status == 200:
                listed = {name: found.json[name] for name in whole}
                said.answers[f"{below}/search{query}"] = listed
    return bool(kept)


def survey_revisions(asker: Asker, said: Manifest, path: str) -> list[str]:
    """Ask for the revisions of a recipe or package, and their files; those that are whole."""
    answer = asker.get(f"{path}/revisions")
    kept: dict[str, str] = {}
    for entry in answer.json["revisions"] if answer.status == 200 else []:
        name = entry["revision"]
        # An index may name one twice; it is in newest-first order, and the newest counts.
        if name not in kept and survey_files(asker, said, f"{path}/revisions/{name}"):
            kept[name] = entry["time"]
    if not kept:
        said.gone += [f"{path}/latest", f"{path}/revisions"]
        return []
    entries = [{"revision": name, "time": when} for name, when in kept.items()]
    said.answers[f"{path}/revisions"] = {"revisions": entries}
    said.answers[f"{path}/latest"] = entries[0]
    return list(kept)


def survey_files(asker: Asker, said: Manifest, path: str) -> bool:
    """Ask for the files of a revision; whether there is a manifest, and so all of them."""
    answer = asker.get(f"{path}/files")
    if answer.status != 200 or "conanmanifest.txt" not in answer.json["files"]:
        said.gone.append(f"{path}/files")
        return False
    said.answers[f"{path}/files"] = answer.json
    for name in answer.json["files"]:
        content = asker.get(f"{path}/files/{name}").body
        said.answers[f"{path}/files/{name}"] = file_answer(content)
    return True


def file_answer(content: bytes) -> dict[str, Any]:
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def survey_first(asker: Asker, said: Manifest) -> None:
    """Ask what clients without revisions ask: md5 sums of the latest, the packages of all."""
    for reference in said.references:
        if reference.startswith("stack/"):
            continue  # what it says here is of its latest recipe, which was never finished
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
