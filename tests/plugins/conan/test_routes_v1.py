"""The protocol without revisions: revision 0 is written at once, and the newest is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import pytest
from conan_protocol import Answer, Client
from tests_manifest import manifest

from repocore import Action, Bearer, NotAuthenticatedError, Password, Principal, Rule

R = "/v1/conans/zlib/1.3/ho/stable"
P = f"{R}/packages/p1"
V2 = "/v2/conans/zlib/1.3/ho/stable"
INFO = b"[settings]\nos=Linux\n[options]\nshared=True\n[recipe_hash]\nabc\n"


def recipe(text: bytes = b"recipe", *archives: str) -> dict[str, bytes]:
    lines = ["conanfile.py", *("header.h" for _ in archives)]
    files = {"conanfile.py": text, "conanmanifest.txt": manifest(*lines)}
    return files | dict.fromkeys(archives, b"archive")


PACKAGE = {
    "conan_package.tgz": b"binaries",
    "conaninfo.txt": INFO,
    "conanmanifest.txt": manifest("lib/libz.a"),
}


@pytest.fixture
def ann(conan: Client) -> Iterator[Client]:
    """Somebody with an account, who may do everything in the repository."""
    accounts = conan.session.accounts
    accounts.add("ann", "right")
    rules = [
        accounts.add_rule(
            Rule(subject="user:ann", actions=frozenset(Action), pattern="conan/main/**")
        ),
        accounts.add_rule(
            Rule(subject="*", actions=frozenset({Action.READ}), pattern="conan/main/**")
        ),
    ]
    credentials = Password("ann", "right")
    yield Client(conan.registry, conan.registry.connect(credentials), credentials=credentials)
    for rule in rules:
        accounts.remove_rule(rule.id)
    accounts.remove("ann")


def anybody(client: Client) -> Client:
    """Nobody in particular: who uses a signed URL sends no credentials."""
    return client.as_(Principal(name=None))


def local(url: str) -> str:
    """A signed URL as the client of these tests takes it."""
    assert url.startswith("http://conan.example/conan/main/v1/files/")
    parts = urlsplit(url)
    return f"{parts.path.removeprefix('/conan/main')}?{parts.query}"


def post(client: Client, path: str, value: object) -> Answer:
    return client.ask("POST", path, json.dumps(value).encode())


def urls(client: Client, path: str, files: Mapping[str, bytes]) -> dict[str, str]:
    answer = post(client, f"{path}/upload_urls", {name: len(c) for name, c in files.items()})
    assert answer.status == 200, answer.text
    return {name: local(url) for name, url in answer.json.items()}


def upload(client: Client, path: str, files: Mapping[str, bytes]) -> None:
    for name, url in urls(client, path, files).items():
        sha1 = hashlib.sha1(files[name]).hexdigest()
        assert anybody(client).put(url, files[name], X_Checksum_Sha1=sha1).status == 200


def fetched(client: Client, path: str) -> dict[str, bytes]:
    answer = client.get(f"{path}/download_urls")
    assert answer.status == 200, answer.text
    return {n: anybody(client).get(local(url)).body for n, url in answer.json.items()}


def test_upload_and_download(ann):
    """A recipe and a package travel by signed URLs, and are revision 0 to other clients."""
    upload(ann, R, recipe())
    upload(ann, P, PACKAGE)
    assert fetched(ann, R) == recipe()
    assert fetched(ann, P) == PACKAGE
    assert ann.get(f"{V2}/latest").json["revision"] == "0"
    latest = ann.get(f"{V2}/revisions/0/packages/p1/latest")
    assert latest.json["revision"] == "0"
    assert list(ann.get(f"{R}/digest").json) == ["conanmanifest.txt"]
    assert list(ann.get(f"{P}/digest").json) == ["conanmanifest.txt"]


def test_snapshot_has_md5(ann):
    """The client compares these with its own; they are summed once and kept."""
    upload(ann, R, recipe())
    sums = {name: hashlib.md5(content).hexdigest() for name, content in recipe().items()}
    assert ann.get(R).json == sums
    assert ann.get(R).json == sums
    upload(ann, P, PACKAGE)
    assert set(ann.get(P).json) == set(PACKAGE)


def test_nothing_is_seen_before_the_last_file(ann):
    """Readers see all files of an upload or none, in whichever order they come."""
    files = recipe(b"new", "conan_export.tgz")
    for name, url in reversed(urls(ann, R, files).items()):
        assert ann.get(R).status == 404
        assert list(ann.session.files.list("conan/main")) == []
        assert anybody(ann).put(url, files[name]).status == 200
    assert fetched(ann, R) == files


def test_another_upload_replaces_all_at_once(ann):
    """Until the last file has come, readers have the old ones, whole."""
    upload(ann, R, recipe(b"old"))
    new = recipe(b"new")
    first, *rest = urls(ann, R, new).items()
    assert anybody(ann).put(first[1], new[first[0]]).status == 200
    assert fetched(ann, R) == recipe(b"old")
    for name, url in rest:
        assert anybody(ann).put(url, new[name]).status == 200
    assert fetched(ann, R) == new
    assert len(ann.get(f"{V2}/revisions").json["revisions"]) == 1


def test_only_what_has_changed_is_sent(ann):
    """What the client leaves out, because it is there, is taken over."""
    upload(ann, R, recipe(b"old", "conan_export.tgz"))
    changed = recipe(b"new", "conan_export.tgz")
    del changed["conan_export.tgz"]
    upload(ann, R, changed)
    assert fetched(ann, R) == changed | {"conan_export.tgz": b"archive"}


def test_newest_revision_is_completed_to_revision_0(ann):
    """What another client has published as a revision is what this one compares with."""
    ann.recipe("abc", "zlib/1.3/ho/stable")
    before = fetched(ann, R)
    assert before["conanfile.py"] == b"recipe abc"
    changed = {"conanfile.py": b"other"}
    upload(ann, R, changed)
    assert fetched(ann, R) == before | changed
    revisions = [entry["revision"] for entry in ann.get(f"{V2}/revisions").json["revisions"]]
    assert revisions == ["0", "abc"]


def test_package_of_a_recipe_that_another_client_has_published(ann):
    """The recipe becomes revision 0 with it, in the same moment."""
    ann.recipe("abc", "zlib/1.3/ho/stable")
    upload(ann, P, PACKAGE)
    assert fetched(ann, P) == PACKAGE
    assert fetched(ann, R)["conanfile.py"] == b"recipe abc"


def test_package_needs_its_recipe(ann):
    """404 before anything is sent."""
    answer = post(ann, f"{P}/upload_urls", {"conaninfo.txt": 3})
    assert answer.status == 404
    assert answer.text == "Binary package not found: 'zlib/1.3@ho/stable:p1'"


def test_url_is_for_one_file_and_its_size(ann):
    """Another path, another signature, another size, and a URL of the other kind are refused."""
    upload(ann, R, recipe())
    stranger = anybody(ann)
    download = {n: local(u) for n, u in ann.get(f"{R}/download_urls").json.items()}
    sending = urls(ann, R, recipe(b"new"))
    path, _, query = download["conanfile.py"].partition("?")
    other = download["conanmanifest.txt"].partition("?")[0]
    for bad in (path, f"{path}?signature=x", f"{path}?signature=a.b.c", f"{other}?{query}"):
        assert (stranger.get(bad).status, stranger.get(bad).text) == (404, "File not found")
    assert stranger.get(sending["conanfile.py"]).status == 404
    assert stranger.put(download["conanfile.py"], b"recipe").status == 404
    short = stranger.put(sending["conanfile.py"], b"x")
    assert short.status == 400
    assert "announced with 3 bytes" in short.text
    wrong = stranger.put(sending["conanfile.py"], b"new", X_Checksum_Sha1="0" * 40)
    assert wrong.status == 400
    assert fetched(ann, R) == recipe()


def test_url_ends(ann, monkeypatch):
    """After the time of the settings it is worth nothing."""
    upload(ann, R, recipe())
    monkeypatch.setattr("repocore.plugins.conan.transfers.time.time", lambda: 1_600_000_000.0)
    url = local(ann.get(f"{R}/digest").json["conanmanifest.txt"])
    monkeypatch.undo()
    assert anybody(ann).get(url).status == 404


def test_url_dies_with_its_owner(ann, conan):
    """What somebody may do is asked when the URL is used."""
    upload(ann, R, recipe())
    sending = urls(ann, R, recipe(b"new"))
    conan.session.accounts.disable("ann")
    assert anybody(ann).put(sending["conanfile.py"], b"new").status == 401
    assert fetched(anybody(ann), R) == recipe()


def test_url_is_no_login(ann):
    """The token in it opens nothing else."""
    upload(ann, R, recipe())
    token = next(iter(urls(ann, R, recipe(b"new")).values())).partition("signature=")[2]
    with pytest.raises(NotAuthenticatedError):
        _ = ann.registry.connect(Bearer(token)).principal


GUARDED = {
    ("GET", "/v1/conans/search"): Action.READ,
    ("GET", R): Action.READ,
    ("GET", f"{R}/digest"): Action.READ,
    ("GET", f"{R}/download_urls"): Action.READ,
    ("GET", f"{R}/search"): Action.READ,
    ("GET", P): Action.READ,
    ("GET", f"{P}/digest"): Action.READ,
    ("GET", f"{P}/download_urls"): Action.READ,
    ("POST", f"{R}/upload_urls"): Action.WRITE,
    ("POST", f"{P}/upload_urls"): Action.WRITE,
    ("POST", f"{R}/remove_files"): Action.DELETE,
    ("POST", f"{R}/packages/delete"): Action.DELETE,
    ("DELETE", R): Action.DELETE,
}
BODY = json.dumps({"files": [], "package_ids": []}).encode()


def test_every_route_is_guarded(conan):
    """Those that take a signature ask for it, ping and login are for everyone."""
    templates = [r.template for r in conan.registry.routes() if r.template.startswith("/v1/")]
    signed = {t for t in templates if t.startswith("/v1/files/")}
    open_ = {t for t in templates if t == "/v1/ping" or t.startswith("/v1/users/")}
    assert len(templates) - 2 * len(signed) - len(open_) == len(GUARDED)


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_every_route_asks_for_its_own_action(conan, method, path):
    """Nobody unasked; every other action together does not open it."""
    conan.recipe("0", "zlib/1.3/ho/stable")
    assert anybody(conan).ask(method, path, BODY).status == 401
    needed = GUARDED[method, path]
    rule = conan.session.accounts.add_rule(
        Rule(subject="user:someone", actions=frozenset(Action) - {needed}, pattern="conan/main/**")
    )
    status = conan.as_(Principal(name="someone")).ask(method, path, BODY).status
    conan.session.accounts.remove_rule(rule.id)
    assert status == (404 if needed is Action.READ else 403)
    assert conan.get(f"{V2}/latest").json["revision"] == "0"


@pytest.mark.parametrize("end", ["upload_urls", "remove_files", "packages/delete"])
def test_permission_goes_before_existence(ann, end):
    """Whoever did not sign in learns nothing by asking for what is not there."""
    assert post(anybody(ann), f"{R}/{end}", {"files": []}).status == 401


@pytest.mark.parametrize("who", ["anonymous", "reader"])
def test_upload_needs_permission(ann, conan, who):
    """No URL is signed for whoever may not write."""
    client = anybody(ann) if who == "anonymous" else conan.as_(Principal(name="reader"))
    body = json.dumps({"conanfile.py": 1}).encode()
    wanted = 401 if who == "anonymous" else 403
    assert client.ask("POST", f"{R}/upload_urls", body).status == wanted


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"../x": 1}', b'{"conanfile.py": "x"}', b'{"conanfile.py": -1}',
     b'{"a\\u0000": 1}', b'{"setup.py": 1}', b"[" * 9000, b'{"conanfile.py": true}'],
)  # fmt: skip
def test_bad_list_of_files(ann, body):
    """400 and a sentence; nothing is signed."""
    answer = ann.ask("POST", f"{R}/upload_urls", body)
    assert answer.status == 400
    assert answer.text


def test_long_list_of_files(ann):
    """What is read of a list is bounded."""
    assert ann.ask("POST", f"{R}/upload_urls", b" " * (5 << 20)).status == 413


def test_vanished_files_are_removed(ann):
    """What the new recipe does without goes; what it needs stays."""
    upload(ann, R, recipe(b"old", "conan_export.tgz"))
    upload(ann, R, recipe(b"new"))
    gone = {"files": ["conan_export.tgz", "conan_sources.tgz"]}
    assert post(ann, f"{R}/remove_files", gone).status == 200
    assert post(ann, f"{R}/remove_files", gone).status == 200
    assert fetched(ann, R) == recipe(b"new")
    assert post(ann, f"{R}/remove_files", {"files": ["conanfile.py"]}).status == 409
    assert post(ann, f"{R}/remove_files", {"files": "x"}).status == 400
    assert fetched(ann, R) == recipe(b"new")


def test_search_has_parsed_fields(ann):
    """The packages of all revisions, the newest's first, with what queries look at."""
    upload(ann, R, recipe())
    upload(ann, P, PACKAGE)
    found = ann.get(f"{R}/search").json
    assert found == {
        "p1": {
            "content": INFO.decode(),
            "settings": {"os": "Linux"},
            "options": {"shared": "True"},
            "full_requires": [],
            "recipe_hash": "abc",
        }
    }
    assert ann.get("/v1/conans/search?q=zl*").json == {"results": ["zlib/1.3@ho/stable"]}
    assert ann.get("/v1/conans/none/1.0/_/_/search").status == 404


def test_delete(ann):
    """Named packages, all packages, the recipe; 404 where there is nothing."""
    upload(ann, R, recipe())
    for name in ("p1", "p2", "p3"):
        upload(ann, f"{R}/packages/{name}", PACKAGE)
    delete = f"{R}/packages/delete"
    assert post(ann, delete, {"package_ids": ["p2", "none"]}).status == 200
    assert list(ann.get(f"{R}/search").json) == ["p1", "p3"]
    assert post(ann, delete, {"package_ids": ["../x"]}).status == 400
    assert post(ann, delete, {"package_ids": []}).status == 200
    assert post(ann, delete, {"package_ids": []}).status == 404
    assert ann.delete(R).status == 200
    assert (ann.delete(R).status, ann.get(R).status) == (404, 404)


def test_what_is_missing(ann):
    """404 in the protocol's words."""
    for path in (R, f"{R}/digest", f"{R}/download_urls", f"{R}/search"):
        assert ann.get(path).text == "Recipe not found: 'zlib/1.3@ho/stable'"
    upload(ann, R, recipe())
    for path in (P, f"{P}/digest", f"{P}/download_urls"):
        assert ann.get(path).text == "Binary package not found: 'zlib/1.3@ho/stable:p1'"


def test_two_uploads_at_once(ann):
    """Each is whole; the last to end is what is there."""
    one, two = recipe(b"one"), recipe(b"two", "conan_export.tgz")
    first, second = urls(ann, R, one), urls(ann, R, two)
    for name in two:
        assert anybody(ann).put(second[name], two[name]).status == 200
    assert fetched(ann, R) == two
    for name in one:
        assert anybody(ann).put(first[name], one[name]).status == 200
    assert fetched(ann, R)["conanfile.py"] == b"one"
    assert anybody(ann).put(first["conanfile.py"], b"one").status == 200  # sent once more
    assert fetched(ann, R)["conanfile.py"] == b"one"
