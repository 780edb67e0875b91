"""What must not be sent is refused with one sentence, on both databases, and changes nothing.

Threats T1 to T4 and T42 to T45: paths, bodies, names and credentials that lie, over the wire of
the Conan protocol.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from gate import Gate
from tests_manifest import manifest
from wsgi_calls import BAD_SEGMENTS, Answer, ShortInput, Untouchable, basic, call

import repocore
from repocore import Policy, Registry, Rule
from repocore.config import LimitSettings, Settings
from repocore.errors import StorageFullError
from repocore_web import create_app

MAIN = "conan/main"
RECIPE = f"/{MAIN}/v2/conans/zlib/1.3/_/_"
FILE = f"{RECIPE}/revisions/r2/files/conanfile.py"
LISTS = (
    f"/{MAIN}/v2/conans/search?q=*",
    f"{RECIPE}/revisions",
    f"{RECIPE}/latest",
    f"{RECIPE}/revisions/r1/files",
    f"{RECIPE}/revisions/r1/files/conanfile.py",
)
CHUNKED = {"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""}
LIMITS = LimitSettings(max_body=2000)


@attrs.frozen
class Wire:
    """An application over a registry with one released recipe."""

    app: Any
    registry: Registry
    data: Path

    def send(self, method: str, target: str, user: str = "writer", **fields: Any) -> Answer:
        sent = {"HTTP_AUTHORIZATION": basic(user, "high-water"), **fields}
        return call(self.app, target, method, **sent)

    def seen(self) -> list[tuple[int, bytes]]:
        answers = [self.send("GET", target) for target in LISTS]
        return [(answer.status, answer.body) for answer in answers]


@pytest.fixture
def wire(database_url: str, tmp_path: Path) -> Iterator[Wire]:
    settings = Settings(data=tmp_path / "data", catalog=database_url, limits=LIMITS)
    with repocore.open_registry(settings=settings, plugins=(Gate(),)) as registry:
        session = registry.session(registry.admin())
        session.repositories.create(MAIN)
        allowed = repocore.actions_of(["all"])
        for subject in ("user:writer", "user:writer2"):
            session.accounts.add_rule(Rule(subject=subject, actions=allowed, pattern=f"{MAIN}/**"))
        for name, content in (
            ("conanfile.py", b"recipe"),
            ("conanmanifest.txt", manifest("conanfile.py")),
        ):
            session.files.put(MAIN, f"zlib/1.3/_/_/r1/export/{name}", io.BytesIO(content))
        yield Wire(create_app(registry), registry, settings.data)


def wrong_sha1(wire: Wire) -> Answer:
    announced = hashlib.sha1(b"other").hexdigest()
    return wire.send("PUT", FILE, body=b"content", HTTP_X_CHECKSUM_SHA1=announced)


def sha1_that_is_none(wire: Wire) -> Answer:
    return wire.send("PUT", FILE, body=b"content", HTTP_X_CHECKSUM_SHA1="xyz")


def truncated(wire: Wire) -> Answer:
    return wire.send("PUT", FILE, body=io.BytesIO(b"con"), CONTENT_LENGTH="7")


def cut_connection(wire: Wire) -> Answer:
    return wire.send("PUT", FILE, body=ShortInput(b"con"), CONTENT_LENGTH="7")


def cut_chunks(wire: Wire) -> Answer:
    return wire.send("PUT", FILE, body=ShortInput(b"con"), **CHUNKED)


def no_length(wire: Wire) -> Answer:
    return wire.send("PUT", FILE, body=Untouchable(), **{"wsgi.input_terminated": False})


def length_that_is_none(wire: Wire) -> Answer:
    return wire.send("PUT", FILE, body=Untouchable(), CONTENT_LENGTH="1e3")


def negative_length(wire: Wire) -> Answer:
    return wire.send("PUT", FILE, body=Untouchable(), CONTENT_LENGTH="-1")


def oversized(wire: Wire) -> Answer:
    return wire.send("PUT", FILE, body=Untouchable(), CONTENT_LENGTH="2001")


def oversized_chunks(wire: Wire) -> Answer:
    return wire.send("PUT", FILE, body=io.BytesIO(b"x" * 4000), **CHUNKED)


def past_the_quota(wire: Wire) -> Answer:
    room = wire.registry.session(wire.registry.admin()).repositories
    room.configure(MAIN, policy=Policy(quota=500))
    try:
        return wire.send("PUT", FILE, body=Untouchable(), CONTENT_LENGTH="600")
    finally:
        room.configure(MAIN, policy=Policy())


def full_disk(wire: Wire) -> Answer:
    return with_storage(wire, "writer", lambda *_: raise_full(), Untouchable())


def disk_that_fills_up(wire: Wire) -> Answer:
    real = wire.registry.storage

    class Filling:
        def __init__(self, length: int | None) -> None:
            self.inner = real.writer(length)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.inner, name)

        def write(self, chunk: bytes) -> None:
            self.inner.write(chunk[:1])
            raise_full()

    return with_storage(wire, "writer", Filling, io.BytesIO(b"content"))


def raise_full() -> None:
    raise StorageFullError


def with_storage(wire: Wire, method: str, instead: Callable[..., Any], body: Any) -> Answer:
    real = wire.registry.storage

    class Storage:
        def __getattr__(self, name: str) -> Any:
            return instead if name == method else getattr(real, name)

    services = wire.registry._services  # type: ignore[attr-defined]
    services.storage = Storage()
    try:
        return wire.send("PUT", FILE, body=body, CONTENT_LENGTH="7")
    finally:
        services.storage = real


def name_not_of_the_protocol(wire: Wire) -> Answer:
    return wire.send("PUT", FILE.replace("conanfile.py", "setup.py"), body=b"content")


def reference_not_of_the_protocol(wire: Wire) -> Answer:
    return wire.send("PUT", FILE.replace("zlib", ".sources"), body=b"content")


def revision_not_of_the_protocol(wire: Wire) -> Answer:
    return wire.send("PUT", FILE.replace("r2", "r 2".replace(" ", "%20")), body=b"content")


def source_that_is_another(wire: Wire) -> Answer:
    return wire.send("PUT", f"/{MAIN}/sources/{'0' * 64}", body=b"content")


def source_without_a_digest(wire: Wire) -> Answer:
    return wire.send("PUT", f"/{MAIN}/sources/archive.tgz", body=b"content")


def summary_that_is_no_json(wire: Wire) -> Answer:
    return wire.send("PUT", f"/{MAIN}/sources/{'0' * 64}.json", body=b'{"references": ')


def summary_without_a_bottom(wire: Wire) -> Answer:
    return wire.send("PUT", f"/{MAIN}/sources/{'0' * 64}.json", body=b"[" * 1500)


def delete_of_a_recipe_that_is_not_there(wire: Wire) -> Answer:
    return wire.send("DELETE", RECIPE.replace("zlib", "none"))


def delete_of_a_revision_that_is_not_there(wire: Wire) -> Answer:
    return wire.send("DELETE", f"{RECIPE}/revisions/r9")


def delete_of_packages_that_are_not_there(wire: Wire) -> Answer:
    return wire.send("DELETE", f"{RECIPE}/revisions/r1/packages")


def delete_of_a_package_that_is_not_there(wire: Wire) -> Answer:
    return wire.send("DELETE", f"{RECIPE}/revisions/r1/packages/p1")


def delete_of_a_package_revision_that_is_not_there(wire: Wire) -> Answer:
    return wire.send("DELETE", f"{RECIPE}/revisions/r1/packages/p1/revisions/q1")


def files_of_a_package_that_is_not_there(wire: Wire) -> Answer:
    return wire.send("GET", f"{RECIPE}/revisions/r1/packages/p1/revisions/q1/files")


def search_where_nothing_may_be_read(wire: Wire) -> Answer:
    return wire.send("GET", f"/{MAIN}/v2/conans/search?q=*", "nobody")


def range_behind_the_end(wire: Wire) -> Answer:
    return wire.send("GET", LISTS[-1], HTTP_RANGE="bytes=900-")


def package_without_its_recipe(wire: Wire) -> Answer:
    target = f"{RECIPE}/revisions/r9/packages/p1/revisions/q1/files/conaninfo.txt"
    return wire.send("PUT", target, body=b"content")


def bad_token(wire: Wire) -> Answer:
    return wire.send("PUT", FILE, body=Untouchable(), HTTP_AUTHORIZATION="Bearer a.b.c")


def bad_api_token(wire: Wire) -> Answer:
    return wire.send("PUT", FILE, body=Untouchable(), HTTP_AUTHORIZATION="Bearer rpc-never-made")


def broken_basic(wire: Wire) -> Answer:
    return wire.send("PUT", FILE, body=Untouchable(), HTTP_AUTHORIZATION="Basic %%%")


def wrong_password(wire: Wire) -> Answer:
    sent = basic("writer", "low-water")
    return wire.send("PUT", FILE, body=Untouchable(), HTTP_AUTHORIZATION=sent)


def anonymous(wire: Wire) -> Answer:
    return wire.send("PUT", FILE, body=Untouchable(), HTTP_AUTHORIZATION="")


def without_permission(wire: Wire) -> Answer:
    return wire.send("PUT", FILE, "nobody", body=Untouchable())


def method_not_of_the_protocol(wire: Wire) -> Answer:
    return wire.send("POST", FILE, body=Untouchable())


def repository_that_is_not_there(wire: Wire) -> Answer:
    return wire.send("PUT", FILE.replace("main", "other"), body=Untouchable())


def query_that_is_no_text(wire: Wire) -> Answer:
    return wire.send("GET", f"/{MAIN}/v2/conans/search?q=%ff")


def query_without_end(wire: Wire) -> Answer:
    return wire.send("GET", f"/{MAIN}/v2/conans/search?q={'*a' * 2000}")


def nul_in_a_query(wire: Wire) -> Answer:
    return wire.send("GET", f"/{MAIN}/v2/conans/search?q=a%00b")


CASES: dict[Callable[[Wire], Answer], int] = {
    wrong_sha1: 400,
    sha1_that_is_none: 400,
    truncated: 400,
    cut_connection: 400,
    cut_chunks: 400,
    no_length: 411,
    length_that_is_none: 400,
    negative_length: 400,
    oversized: 413,
    oversized_chunks: 413,
    past_the_quota: 413,
    full_disk: 507,
    disk_that_fills_up: 507,
    name_not_of_the_protocol: 400,
    reference_not_of_the_protocol: 400,
    revision_not_of_the_protocol: 400,
    source_that_is_another: 400,
    source_without_a_digest: 400,
    summary_that_is_no_json: 400,
    summary_without_a_bottom: 400,
    delete_of_a_recipe_that_is_not_there: 404,
    delete_of_a_revision_that_is_not_there: 404,
    delete_of_packages_that_are_not_there: 404,
    delete_of_a_package_that_is_not_there: 404,
    delete_of_a_package_revision_that_is_not_there: 404,
    files_of_a_package_that_is_not_there: 404,
    search_where_nothing_may_be_read: 404,
    range_behind_the_end: 416,
    package_without_its_recipe: 404,
    bad_token: 401,
    bad_api_token: 401,
    broken_basic: 401,
    wrong_password: 401,
    anonymous: 401,
    without_permission: 404,
    method_not_of_the_protocol: 405,
    repository_that_is_not_there: 404,
    query_that_is_no_text: 400,
    query_without_end: 400,
    nul_in_a_query: 400,
}


def judge(wire: Wire, answer: Answer) -> None:
    """One sentence of plain text, without a path of ours or a secret."""
    assert answer.headers["content-type"].startswith("text/plain")
    text = answer.text.strip()
    assert text
    assert "\n" not in text
    assert len(text) < 400
    for secret in (str(wire.data), "blobs", "sqlite", "Traceback", "high-water", "low-water"):
        assert secret not in text


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_bad_request(wire: Wire, case: Callable[[Wire], Answer]) -> None:
    """The right status, a sentence, and every list is byte for byte what it was."""
    before = wire.seen()
    answer = case(wire)
    assert answer.status == CASES[case], answer.text
    judge(wire, answer)
    assert wire.seen() == before
    assert not list(
        wire.registry.session(wire.registry.admin()).files.list(MAIN, prefix="zlib/1.3/_/_/r2")
    )


@pytest.mark.parametrize("segment", BAD_SEGMENTS)
def test_bad_path(wire: Wire, segment: str) -> None:
    """T1: a segment that no path may have is refused wherever it stands, unread."""
    before = wire.seen()
    for target in (
        f"/{MAIN}/v2/conans/{segment}/1.3/_/_/revisions/r2/files/conanfile.py",
        f"{RECIPE}/revisions/{segment}/files/conanfile.py",
        f"{RECIPE}/revisions/r2/files/metadata/{segment}/log.txt",
        f"/{MAIN}/sources/{segment}",
    ):
        answer = wire.send("PUT", target, body=Untouchable(), CONTENT_LENGTH="7")
        assert answer.status in {400, 404, 405}
        judge(wire, answer)
    assert wire.seen() == before


def test_bad_manifest_makes_nothing_of_it(wire: Wire) -> None:
    """A manifest that cannot be read is kept as it came, and harms nobody else."""
    before = wire.seen()[0]
    for name, content in (("conanfile.py", b"x"), ("conanmanifest.txt", b"\xff{]\0")):
        target = FILE.replace("r2", "r3").replace("conanfile.py", name)
        assert wire.send("PUT", target, body=content).status == 200
    assert wire.seen()[0] == before
    assert wire.send("GET", f"{RECIPE}/latest").body.startswith(b'{"revision": "r3"')


def test_lost_bytes_are_our_failure(wire: Wire) -> None:
    """A file whose stored bytes are gone is no missing file: 500, and who has to do what."""
    for key in list(wire.registry.storage.keys()):
        wire.registry.storage.delete(key)
    answer = wire.send("GET", LISTS[-1])
    assert answer.status == 500
    assert "repocore check" in answer.text
    judge(wire, answer)


@pytest.mark.parametrize("query", ["limit=1000000000", "limit=-1", "offset=99999999999", "page=x"])
def test_numbers_in_a_query_change_nothing(wire: Wire, query: str) -> None:
    """T49: the protocol has no pages, so nobody can ask for one without end."""
    target = LISTS[0]
    assert wire.send("GET", f"{target}&{query}").body == wire.send("GET", target).body
    assert wire.send("GET", f"{LISTS[1]}?{query}").body == wire.send("GET", LISTS[1]).body


def test_errors_can_be_found_in_the_log(wire: Wire) -> None:
    """T50: whoever reports an error has a number for it."""
    answers = [wrong_sha1(wire), anonymous(wire), repository_that_is_not_there(wire)]
    numbers = {answer.headers["x-request-id"] for answer in answers}
    assert len(numbers) == len(answers)
