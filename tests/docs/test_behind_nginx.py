"""The guide to nginx, which sends the files: its settings and locations as they stand there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from front_servers import (
    Front,
    adapted,
    block,
    make_data,
    nginx,
    program,
    running,
    serving,
)
from front_uploads import CONANS, REVISION, Published, publish
from live_server import free_port

GUIDE = "behind-nginx"
SENDING = "Let nginx send the files"

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(program("nginx") is None, reason="nginx is not installed"),
]


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """nginx without TLS; tests/servers has the whole site, with it."""
    folder = tmp_path_factory.mktemp("front")
    data = make_data(folder / "data", block(GUIDE, SENDING, "toml"))
    site = block(GUIDE, "The site", "nginx")
    all_else = site[site.index("    client_max_body_size") : site.rindex("}")]
    files = adapted(block(GUIDE, SENDING, "nginx"), {"/srv/repocore": data})
    with serving(data) as behind:
        front = Front(port=free_port())
        locations = adapted(all_else, {"http://127.0.0.1:9300": behind.url}) + files
        server = f"server {{ listen {front.place};\n{locations}}}"
        with running(nginx(folder, server), front, folder / "nginx.log"):
            yield front


@pytest.fixture(scope="module")
def published(front: Front) -> Published:
    return publish(front, "hello")


def test_nginx_sends_the_file(front: Front, published: Published) -> None:
    """A whole file and a part of it come from nginx, and no browser runs what is in them."""
    answer = front.get(published.path)
    assert (answer.status, answer.content) == (200, published.content)
    assert not answer.ours  # our number of the request is on what we send ourselves
    assert answer.fields["x-content-type-options"] == "nosniff"
    assert answer.fields["content-security-policy"].startswith("sandbox")
    assert answer.fields["content-disposition"] == "attachment; filename=conanfile.py"
    part = front.get(published.path, Range="bytes=1-6")
    assert (part.status, part.content) == (206, b"script")


def test_validators_are_ours(front: Front, published: Published) -> None:
    """The tag of what nginx sends is the one that we compare, for a copy and for a part of one."""
    tag = front.get(published.path).fields["etag"]
    assert len(tag) > 64  # of the content
    assert front.get(published.path, If_None_Match=tag).status == 304
    assert front.get(published.path, Range="bytes=1-6", If_Range=tag).content == b"script"
    other = front.get(published.path, Range="bytes=1-6", If_Range='"other"')
    assert (other.status, other.content) == (200, published.content)


def test_objects_have_no_address(front: Front, published: Published) -> None:
    """What nginx may read for us, nobody may ask it for."""
    for path in ("/_blobs/", "/_blobs/sha256/", "/_blobs/../catalog.db", "/_blobs../catalog.db"):
        assert front.get(path).status in {400, 404}


def test_urls_are_those_of_the_front(front: Front) -> None:
    """What we print is how the client came, with the port."""
    answer = front.get("/")
    assert f"  {front.remote}" in answer.content.decode().splitlines()
    assert answer.ours


def test_refusals_pass_through(front: Front) -> None:
    """Whoever may not upload is told so by us, with our words."""
    path = f"{CONANS}/refused/1.0/_/_/revisions/{REVISION}/files/conanfile.py"
    answer = front.ask("PUT", path, b"x" * 100_000)
    assert answer.status == 401
    assert answer.ours
