"""What we promise whoever keeps packages with us: what is safe, and what is always whole.

One test a promise, from a request to what is stored; `test_promises_served` has those that need a
server.  How each is kept is tested where the code is.
"""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from old_tree import OldTree
from wsgi_calls import BAD_SEGMENTS, Untouchable, basic, call

import repocore
from repocore import Rule
from repocore.plugins.conan.importing import import_tree

MAIN = "conan/main"


# ---------------------------------------------------------------------------------------- safety


def places(name: str) -> Iterator[str]:
    """Paths of files of the recipe ``name/1.0``, with a hole in each field."""
    recipe = f"/v2/conans/{name}/1.0/_/_/revisions/r1"
    yield "/v2/conans/%s/1.0/_/_/revisions/r1/files/conanfile.py"
    yield f"/v2/conans/{name}/%s/_/_/revisions/r1/files/conanfile.py"
    yield f"/v2/conans/{name}/1.0/%s/c/revisions/r1/files/conanfile.py"
    yield f"/v2/conans/{name}/1.0/u/%s/revisions/r1/files/conanfile.py"
    yield f"/v2/conans/{name}/1.0/_/_/revisions/%s/files/conanfile.py"
    yield f"{recipe}/files/%s"
    yield f"{recipe}/files/metadata/%s"
    yield f"{recipe}/files/metadata/%s/conanfile.py"
    yield f"{recipe}/packages/%s/revisions/p1/files/conaninfo.txt"
    yield f"{recipe}/packages/pid/revisions/%s/files/conaninfo.txt"
    yield "/v1/files/%s/1.0/_/_/r1/export/conanfile.py"


@pytest.mark.parametrize("segment", BAD_SEGMENTS, ids=repr)
def test_paths_are_confined(house, segment: str) -> None:
    """Whoever may do everything still reads and writes below their repository, and nowhere else."""
    (house.folder / "conanfile.py").write_bytes(b"a neighbour's")
    before, outside = house.listing(), sorted(house.folder.iterdir())
    for place in places("confined"):
        for method in ("PUT", "GET"):
            answer = house.signed(place.replace("%s", segment), method, body=b"planted")
            assert answer.status in {400, 404, 405}, place
            assert b"neighbour" not in answer.body
    assert house.listing() == before
    assert sorted(house.folder.iterdir()) == outside


#: References and names that look like somebody, or like what is always allowed.
ODD = ["_/_", "None/_", "writer/_", "writer/writer", "anonymous/c", "signature/signature"]


@pytest.mark.parametrize("rest", ODD)
def test_anonymous_never_writes(house, rest: str) -> None:
    """Nobody's request changes anything, whatever the reference and the query look like."""
    base = f"guarded/1.0/{rest}"
    house.recipe("guarded", "r1", rest)
    before = house.listing()
    recipe = f"/v2/conans/{base}/revisions/r1"
    questions = ["", "?signature=x", "?Signature=", "?token=writer"]
    for method, path in (
        *(("PUT", f"{recipe}/files/conanfile.py{query}") for query in questions),
        ("PUT", f"{recipe}/packages/pid/revisions/p1/files/conaninfo.txt"),
        ("DELETE", f"/v2/conans/{base}"),
        ("DELETE", recipe),
        ("DELETE", f"{recipe}/packages"),
        ("DELETE", f"/v1/conans/{base}"),
        ("POST", f"/v1/conans/{base}/upload_urls"),
        ("POST", f"/v1/conans/{base}/remove_files"),
    ):
        answer = house.ask(path, method, body=b'{"files": ["conanfile.py"]}')
        assert answer.status == 401, (method, path)
    assert house.listing() == before


def test_a_signed_url_opens_what_it_names(house) -> None:
    """Not another file, not to write instead of to read, and not with a changed signature."""
    house.recipe("signed", "r1")
    url = urlsplit(house.json("/v1/conans/signed/1.0/_/_/download_urls")["conanfile.py"])
    path, query = url.path.removeprefix(f"/{MAIN}"), url.query
    assert house.ask(f"{path}?{query}").body == b"recipe signed r1"
    before = house.listing()
    other = path.replace("conanfile.py", "conanmanifest.txt")
    for method, target in (
        ("GET", f"{other}?{query}"),
        ("GET", f"{path}?{query[:-4]}AAAA"),
        ("GET", f"{path}?signature="),
        ("GET", path),
        ("PUT", f"{path}?{query}"),
        ("PUT", f"{other}?{query}"),
    ):
        assert house.ask(target, method, body=b"x").status in {401, 404}, (method, target)
    assert house.listing() == before


def test_a_signed_url_has_an_end(house, monkeypatch) -> None:
    """One that was given out yesterday opens nothing any more."""
    house.recipe("yesterday", "r1")
    now = time.time()
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: now - 24 * 3600)
        urls = house.json("/v1/conans/yesterday/1.0/_/_/download_urls")
    old = urls["conanfile.py"].partition(MAIN)[2]
    assert house.ask(old).status == 404
    new = house.json("/v1/conans/yesterday/1.0/_/_/download_urls")["conanfile.py"]
    assert house.ask(new.partition(MAIN)[2]).body == b"recipe yesterday r1"


def test_secrets_are_not_kept(house) -> None:
    """Neither a password nor a token stands anywhere in the data folder; any text may be one."""
    _, secret = house.admin.accounts.create_token("writer", "ci")
    login = basic("writer", house.password)
    answer = house.ask("/v2/users/authenticate", HTTP_AUTHORIZATION=login)
    assert answer.status == 200
    files = [path for path in house.folder.rglob("*") if path.is_file()]
    assert files
    for path in files:
        content = path.read_bytes()
        for one in (house.password, secret, secret.rpartition("_")[2], answer.text):
            assert one.encode() not in content, path


def test_access_ends_at_once(house) -> None:
    """A token that is revoked, and an account that is disabled, open nothing from then on."""
    accounts = house.admin.accounts
    accounts.add("leaver", "high water")
    token, secret = accounts.create_token("leaver", "ci")
    answer = house.ask("/v2/users/authenticate", HTTP_AUTHORIZATION=basic("leaver", "high water"))
    doors = {"token": f"Bearer {secret}", "login": f"Bearer {answer.text}"}
    check = "/v2/users/check_credentials"
    for door in doors.values():
        assert house.ask(check, HTTP_AUTHORIZATION=door).text == "leaver"
    accounts.revoke_token(token.id)
    assert house.ask(check, HTTP_AUTHORIZATION=doors["token"]).status == 401
    accounts.disable("leaver")
    assert house.ask(check, HTTP_AUTHORIZATION=doors["login"]).status == 401


def test_errors_tell_nothing_of_the_inside(house) -> None:
    """A failure of ours has a sentence for people in it, and no path, exception or query."""
    base = house.recipe("failing", "r1")
    [stored] = [
        path
        for path in (house.folder / "data" / "blobs").rglob("*")
        if path.is_file() and path.read_bytes() == b"recipe failing r1"
    ]
    stored.chmod(0o600)
    content = stored.read_bytes()
    stored.unlink()
    answer = house.ask(f"{base}/revisions/r1/files/conanfile.py")
    assert answer.status == 500
    assert answer.headers["content-type"].startswith("text/plain")
    for inside in (str(house.folder), "Errno", "Error:", "blobs", "Traceback", "SELECT"):
        assert inside not in answer.text
    stored.write_bytes(content)


# ---------------------------------------------------------------------------------- always whole


def test_a_broken_upload_leaves_what_was_there(house) -> None:
    """Cut short, or other bytes than announced: readers still get the file as it was."""
    base = house.recipe("tide", "r1")
    file = f"{base}/revisions/r1/files/conanfile.py"
    before = house.listing()
    for fields in ({"CONTENT_LENGTH": "100"}, {"HTTP_X_CHECKSUM_SHA1": "0" * 40}):
        answer = house.signed(
            file, "PUT", body=io.BytesIO(b"half"), **{"CONTENT_LENGTH": "4"} | fields
        )
        assert answer.status == 400
        assert house.ask(file).body == b"recipe tide r1"
    assert house.listing() == before


def test_readers_see_whole_files(house) -> None:
    """Who has begun to read a file reads it to its end, though it is replaced and deleted."""
    base = house.recipe("reader", "r1")
    path = "reader/1.0/_/_/r1/export/conanfile.py"
    with house.admin.files.open(MAIN, path) as stream:
        begun = stream.read(3)
        house.put(f"{base}/revisions/r1/files/conanfile.py", b"another")
        assert house.ask(f"{base}/revisions/r1/files/conanfile.py").body == b"another"
        assert house.signed(base, "DELETE").status == 200
        assert begun + stream.read() == b"recipe reader r1"


def test_reuploading_the_oldest_revision_lists_it_once(house) -> None:
    """It is the newest then; without it the others are what they were, and can be read."""
    for rrev in ("r1", "r2", "r3", "r1"):
        base = house.recipe("again", rrev)
    assert house.revisions(base) == ["r1", "r3", "r2"]
    assert house.signed(f"{base}/revisions/r1", "DELETE").status == 200
    assert house.revisions(base) == ["r3", "r2"]
    assert house.json(f"{base}/latest")["revision"] == "r3"
    assert house.ask(f"{base}/revisions/r3/files/conanfile.py").body == b"recipe again r3"


def test_what_is_deleted_is_in_no_list(house) -> None:
    """A package without revisions, and a recipe without, are nowhere."""
    base = house.recipe("gone", "r1")
    package = house.package("gone", "r1", "p1")
    search = f"{base}/revisions/r1/search?list_only="
    assert list(house.json(f"{search}True")) == ["pid"]
    assert house.signed(f"{package}/revisions/p1", "DELETE").status == 200
    assert house.json(f"{search}True") == house.json(f"{search}False") == {}
    assert house.ask(f"{package}/latest").status == 404
    assert house.signed(f"{base}/revisions/r1", "DELETE").status == 200
    assert house.found("gone*") == []
    assert house.ask(f"{base}/latest").status == 404


def test_unfinished_uploads_are_in_no_list(house) -> None:
    """Until a revision is whole it is found by nobody, and can be given up."""
    base = "/v2/conans/unfinished/1.0/_/_"
    house.put(f"{base}/revisions/r1/files/conanfile.py", b"the first file")
    assert house.found("unfinished*") == []
    for path in ("latest", "revisions", "revisions/r1/files", "search"):
        assert house.ask(f"{base}/{path}").status == 404
    assert house.signed(f"{base}/revisions/r1", "DELETE").status == 200
    assert not [path for path, _ in house.listing() if path.startswith("unfinished/")]
    assert house.revisions(house.recipe("unfinished", "r1")) == ["r1"]


def test_every_question_has_an_answer(house) -> None:
    """What is unknown, or has no description yet, is missing or empty, and no failure."""
    assert house.ask("/v2/conans/nothing/1.0/_/_/search").status == 404
    base = house.recipe("plain", "r1")
    package = f"{base}/revisions/r1/packages/pid/revisions/p1/files"
    house.put(f"{package}/conan_package.tgz", b"archive")
    assert house.json(f"{base}/search?list_only=False") == {}
    house.package("plain", "r1", "p1")
    assert "os=Linux" in house.json(f"{base}/search")["pid"]["content"]


def test_names_are_kept_byte_for_byte(house) -> None:
    """Every name that is accepted is listed and fetched as it was sent; no two become one."""
    base = house.recipe("named", "r1")
    names = {
        "a%20b.txt": "a b.txt",
        "a-b.txt": "a-b.txt",
        "a+b.txt": "a+b.txt",
        "ab.txt": "ab.txt",
        ".hid": ".hid",
        "hid": "hid",
        "-x-": "-x-",
        "m%C3%A4rz": "märz",
    }
    files = f"{base}/revisions/r1/files"
    for turn in ("first", "second"):
        for name in names:
            house.put(f"{files}/metadata/{name}", f"{turn} {name}".encode())
    listed = house.json(files)["files"]
    assert {name for name in listed if name.startswith("metadata/")} == {
        f"metadata/{name}" for name in names.values()
    }
    for name in names:
        assert house.ask(f"{files}/metadata/{name}").body == f"second {name}".encode()


def test_folders_of_any_age_are_taken_over(house, tmp_path: Path) -> None:
    """Times as numbers, as texts, and both in one index: revisions keep them, and their order."""
    tree = OldTree(tmp_path)
    tree.recipe("aged/1.0/_/_", "r1", "2019-01-01T00:00:00Z")
    tree.recipe("aged/1.0/_/_", "r2", 1_700_000_000.25)
    import_tree(house.admin, MAIN, tmp_path)
    base = "/v2/conans/aged/1.0/_/_"
    entries = house.json(f"{base}/revisions")["revisions"]
    assert [
        (one["revision"], datetime.fromisoformat(one["time"]).timestamp()) for one in entries
    ] == [
        ("r2", 1_700_000_000.25),
        ("r1", 1_546_300_800.0),
    ]
    assert house.json(f"{base}/latest") == entries[0]


def test_times_never_go_back(house, monkeypatch) -> None:
    """A newer revision has a later time, also while the clock of the server is being set back."""
    base = house.recipe("clock", "r1")
    earlier = time.time_ns() - 3600 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: earlier)
    house.recipe("clock", "r2")
    second, first = house.json(f"{base}/revisions")["revisions"]
    assert (second["revision"], first["revision"]) == ("r2", "r1")
    assert datetime.fromisoformat(second["time"]) > datetime.fromisoformat(first["time"])
    assert house.json(f"{base}/latest") == second


# ------------------------------------------------------------------------------ what has no limit


def test_searches_touch_no_files(house) -> None:
    """What there is, and what it is called, is known though no file can be opened."""
    base = house.recipe("indexed", "r1")
    package = house.package("indexed", "r1", "p1")
    blobs = house.folder / "data" / "blobs"
    aside = blobs.rename(house.folder / "data" / "aside")
    try:
        assert house.found("indexed*") == ["indexed/1.0"]
        assert "os=Linux" in house.json(f"{base}/search")["pid"]["content"]
        assert house.revisions(base) == ["r1"]
        assert house.revisions(package) == ["p1"]
        assert list(house.json(f"{base}/revisions/r1/files")["files"])
    finally:
        aside.rename(blobs)


def test_a_search_reads_what_it_can_mean(house, monkeypatch) -> None:
    """Of many recipes only those are looked at whose name begins as the pattern does."""
    for name in ("harbour", "harvest", "lighthouse"):
        house.recipe(name, "r1")
    looked_at = []
    seen = type(house.admin.releases).packages

    def packages(self, *arguments, **named):
        for one in seen(self, *arguments, **named):
            looked_at.append(one[0])
            yield one

    monkeypatch.setattr(type(house.admin.releases), "packages", packages)
    assert house.found("har*/1.*") == ["harbour/1.0", "harvest/1.0"]
    assert set(looked_at) == {"harbour", "harvest"}


@pytest.mark.parametrize(("signed_in", "status"), [(False, 401), (True, 403)])
def test_refused_bodies_are_not_read(house, signed_in: bool, status: int) -> None:
    """Who may not write is told so before a byte of the body is taken."""
    reads = Rule(subject="*", actions=repocore.actions_of(["read"]), pattern=f"{MAIN}/**")
    _, secret = house.admin.accounts.create_token("writer", "reads only", rules=(reads,))
    fields = {"HTTP_AUTHORIZATION": f"Bearer {secret}"} if signed_in else {}
    path = "/v2/conans/refused/1.0/_/_/revisions/r1/files/conanfile.py"
    answer = house.ask(path, "PUT", body=Untouchable(), CONTENT_LENGTH=str(1 << 40), **fields)
    assert answer.status == status


def test_root_is_a_page_for_people(house) -> None:
    """It says what this is and which URL a client is given; elsewhere a sentence says 404."""
    page = call(house.app, "/")
    assert (page.status, page.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert "http://server.example/conan/main" in page.text
    for path in ("/nowhere", "/conan", f"/{MAIN}/v2/nowhere"):
        lost = call(house.app, path)
        assert (lost.status, lost.headers["content-type"]) == (404, "text/plain; charset=utf-8")
        assert len(lost.text.splitlines()) == 1
