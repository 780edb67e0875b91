"""Files of a repository: listed, looked at, fetched, deleted."""

from __future__ import annotations

import hashlib
import io
from urllib.parse import urlsplit

import pytest

from repocore import Binding

MAIN = "conan/main"
TOP = f"repositories/{MAIN}"
RECIPE = "zlib/1.3/_/_/r1/export/conanfile.py"


@pytest.fixture
def stocked(house):
    for name in ("zlib", "fmt"):
        house.recipe(f"{name}/1.3/_/_")
    return house


def test_files_are_listed_by_path(stocked) -> None:
    """In pages, below a prefix or all; each once."""
    paths = [one["path"] for one in stocked.walk(f"{TOP}/files?limit=1")]
    assert paths == sorted(paths)
    assert len(paths) == 4
    below = stocked.walk(f"{TOP}/files?prefix=zlib/&limit=1")
    assert [one["path"] for one in below] == [one for one in paths if one.startswith("zlib/")]


def test_a_file_is_looked_at_and_fetched(stocked) -> None:
    """What it is has the address of its bytes, which are sent with ranges."""
    told = stocked.value(f"{TOP}/files/{RECIPE}")
    content = b"zlib/1.3/_/_ r1"
    assert (told["size"], told["sha256"]) == (len(content), hashlib.sha256(content).hexdigest())
    assert (told["partition"], told["release"]) == ("zlib/1.3@_/_", "r1")
    path = urlsplit(told["url"]).path.removeprefix("/api/v1/")
    answer = stocked.send(path)
    assert answer.body == content
    assert answer.headers["content-security-policy"].startswith("sandbox")
    fields = {"HTTP_IF_NONE_MATCH": answer.headers["etag"]}
    assert stocked.send(path, **fields).status == 304
    assert stocked.problem(404, f"{TOP}/files/none/1.0/_/_/r1/export/conanfile.py")


def test_lists_show_what_one_may_read(stocked) -> None:
    """At the grain of the format; hidden ones are like those that are not there."""
    stocked.admin.roles.bind(Binding(subject="user:carl", role="viewer", pattern=f"{MAIN}/fmt"))
    paths = [one["path"] for one in stocked.walk(f"{TOP}/files", who="carl")]
    assert {path.partition("/")[0] for path in paths} == {"fmt"}
    for room in ("files", "content"):
        hidden = stocked.problem(404, f"{TOP}/{room}/{RECIPE}", who="carl")
        missing = stocked.problem(404, f"{TOP}/{room}/{RECIPE.replace('zlib', 'no')}", who="carl")
        assert {**hidden, "request_id": ""} == {**missing, "request_id": ""}


def test_a_file_is_deleted_where_its_release_does_without(stocked) -> None:
    """What a release needs is not, and neither is what was changed since one looked."""
    assert stocked.problem(409, f"{TOP}/files/{RECIPE}", "DELETE")["title"] == "Conflict"
    extra = RECIPE.replace("conanfile.py", "conan_sources.tgz")
    stocked.admin.files.put(MAIN, extra, io.BytesIO(b"more"))
    path = f"{TOP}/files/{extra}"
    assert stocked.send(path, "DELETE", HTTP_IF_MATCH='"other"').status == 412
    assert stocked.send(path, "DELETE", who="carl").status == 404
    tag = stocked.send(path).headers["etag"]
    assert stocked.send(path, "DELETE", HTTP_IF_MATCH=tag).status == 204
    assert stocked.send(path).status == 404


@pytest.mark.parametrize("path", ["zlib//x", "zlib/%2e%2e/x", "zlib/a%2Fb", "zlib/x."])
def test_a_path_has_one_spelling(stocked, path) -> None:
    """Another is a mistake, and no file."""
    for room in ("files", "content"):
        assert stocked.send(f"{TOP}/{room}/{path}").status == 400
