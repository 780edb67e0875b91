"""Everything below one path, served by gunicorn, which is mounted at one itself or not."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from front_servers import SIGNED_IN, Front, make_data, running
from front_uploads import CONANS, MIB, REVISION
from live_server import free_port

pytestmark = pytest.mark.servers

SETTINGS = '[web]\nprefix = "/packages"\n'
FILES = f"{CONANS}/tide/1.0/_/_/revisions/{REVISION}/files"


@pytest.fixture(params=["", "/above"], ids=["alone", "mounted"])
def front(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Front]:
    """gunicorn knows where it is mounted by SCRIPT_NAME, and takes it off the path."""
    data = make_data(tmp_path / "data", SETTINGS)
    front = Front(port=free_port(), prefix=f"{request.param}/packages")
    command = [sys.executable, "-m", "gunicorn", "--bind", front.place, "--threads", "4"]
    environ = {"REPOCORE_DATA": str(data)}
    if request.param:
        environ["SCRIPT_NAME"] = request.param
    words = [*command, "repocore_web.wsgi:application"]
    with running(words, front, tmp_path / "gunicorn.log", **environ):
        yield front


def test_a_file_goes_in_and_out_below_the_prefix(front: Front) -> None:
    """And addresses that the server makes lead back to it."""
    content = b"x" * MIB
    assert front.put(f"{FILES}/conan_export.tgz", content).status in {200, 201}
    manifest = b"1\nconanfile.py: 0\n"
    assert front.put(f"{FILES}/conanfile.py", b"recipe").status in {200, 201}
    assert front.put(f"{FILES}/conanmanifest.txt", manifest).status in {200, 201}
    assert front.get(f"{FILES}/conan_export.tgz").content == content
    listed = json.loads(front.get("/api/v1/repositories/conan/main/files?limit=1").content)
    url = listed["items"][0]["url"]
    assert url.startswith(f"{front.url}/api/v1/")
    assert front.get(url.removeprefix(front.url)).status == 200
    link = front.get("/api/v1/repositories/conan/main/files?limit=1").fields["link"]
    assert link.startswith(f"<{front.url}/api/v1/repositories/conan/main/files?limit=1&cursor=")
    assert front.url.encode() in front.get("").content


def test_nothing_is_beside_the_prefix(front: Front) -> None:
    """Not even whether the server lives."""
    above = front.prefix.removesuffix("/packages")
    bare = Front(port=front.port, prefix=above)
    for path in ("/healthz", "/conan/main/v1/ping", "/api/v1/me", "/packagesx/healthz"):
        assert bare.get(path).status == 404


def test_errors_and_conditions_pass_the_server(front: Front) -> None:
    """A problem has its type and its page below the prefix; 304 and 204 come without a body."""
    told = front.get("/api/v1/nothing")
    assert told.fields["content-type"] == "application/problem+json"
    problem = json.loads(told.content)
    assert problem["type"] == f"{front.prefix}/api/v1/docs#MissingError"
    assert front.get(urlsplit(problem["type"]).path.removeprefix(front.prefix)).status == 200
    place = "/api/v1/repositories/conan/main"
    tag = front.get(place, **SIGNED_IN).fields["etag"]
    unchanged = front.get(place, If_None_Match=tag, **SIGNED_IN)
    assert (unchanged.status, unchanged.content) == (304, b"")
    body = json.dumps({"description": "new"})
    changed = front.ask("PATCH", place, body, {**SIGNED_IN, "If-Match": tag})
    assert json.loads(changed.content)["description"] == "new"
    assert front.ask("PATCH", place, body, {**SIGNED_IN, "If-Match": tag}).status == 412
    assert front.ask("DELETE", place, None, {**SIGNED_IN, "If-Match": tag}).status == 412
