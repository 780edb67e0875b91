"""The real quetz, filled by its own API: it is moved, and its requests are answered alike."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from channel_pool import Packaged, package
from live_server import LiveServer, live_server
from old_servers import Reply
from real_quetz import RealQuetz, ask

pytestmark = [pytest.mark.clients, pytest.mark.slow]

OWNER, MEMBER = "OwnerOwnerOwnerOwnerOwnerOwner12", "MemberMemberMemberMemberMember12"
TIDE = package(
    "noarch", "tide-1.0-0.conda", about={"summary": "Tides.", "home": "http://a.example"}
)
ZLIB = package("linux-64", "zlib-1.3-0.tar.bz2")
#: What is asked of both, with whose key; the answers have the same statuses and keys.
REQUESTS = (
    ("/api/users", OWNER), ("/api/users", MEMBER), ("/api/users", ""),
    ("/api/paginated/users", OWNER), ("/api/users/mike", OWNER), ("/api/users/olga", MEMBER),
    ("/api/users/nobody", OWNER), ("/api/users/mike/role", MEMBER),
    ("/api/users/mike/channels", MEMBER), ("/api/users/mike/packages", MEMBER),
    ("/api/channels", MEMBER), ("/api/channels", ""), ("/api/paginated/channels", MEMBER),
    ("/api/channels?public=false", MEMBER), ("/api/channels/main", ""),
    ("/api/channels/gone", MEMBER), ("/api/channels/main/members", MEMBER),
    ("/api/channels/main/members", ""), ("/api/channels/main/mirrors", MEMBER),
    ("/api/channels/main/packages", ""), ("/api/paginated/channels/main/packages", ""),
    ("/api/channels/main/packages/tide", ""), ("/api/channels/main/packages/gone", ""),
    ("/api/channels/main/packages/tide/members", MEMBER),
    ("/api/channels/main/packages/tide/versions", ""),
    ("/api/paginated/channels/main/packages/tide/versions", ""),
    (f"/api/channels/main/packages/tide/versions/noarch/{TIDE.file}", ""),
    ("/api/channels/main/packages/tide/versions/noarch/gone-1-0.conda", ""),
    ("/api/packages/search/?q=tide", ""), ("/api/channels/search/?q=main", ""),
    ("/api/api-keys", MEMBER), ("/api/api-keys", ""), ("/api/jobs", MEMBER), ("/api/jobs", ""),
    ("/metrics/channels/main", ""), ("/health/live", ""),
)  # fmt: skip


@attrs.frozen(kw_only=True)
class Both:
    """Both servers, and a key with roles that the old one has made."""

    old: RealQuetz
    new: LiveServer
    robot: str
    answers: dict[tuple[str, str], Reply]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    folder = tmp_path_factory.mktemp("quetz")
    old = RealQuetz.create(folder / "quetz")
    old.add_people(("olga", "owner", OWNER), ("mike", "member", MEMBER))
    with old.served():
        robot = filled(old)
        answers = {one: ask(old.port, "GET", *one) for one in REQUESTS}
    with live_server(folder / "data") as new:
        new.run("import", "quetz", str(old.folder))
        yield Both(old=old, new=new, robot=robot, answers=answers)


def filled(old: RealQuetz) -> str:
    """Channels, members, packages and a key, by its own API; returns the key."""

    def done(method: str, path: str, key: str, body: object) -> Reply:
        answer = ask(old.port, method, path, key, body)
        assert answer.status in {200, 201}, (path, answer)
        return answer

    for name, private in (("main", False), ("shut", True)):
        done("POST", "/api/channels", MEMBER, {"name": name, "private": private})
        for one in (TIDE, ZLIB):
            done("POST", upload(name, one), MEMBER, one.content)
    done("POST", "/api/channels/shut/members", MEMBER, {"username": "olga", "role": "maintainer"})
    roles = [{"channel": "shut", "role": "maintainer"}]
    body = {"description": "robot", "roles": roles, "expire_at": "2099-01-01"}
    key = done("POST", "/api/api-keys", MEMBER, body).json["key"]
    for _ in range(100):
        index = ask(old.port, "GET", "/get/shut/linux-64/repodata.json", MEMBER)
        if index.status == 200 and ZLIB.file in index.text:
            return key
        time.sleep(0.1)
    raise AssertionError("quetz made no index")


def upload(channel: str, one: Packaged) -> str:
    return f"/api/channels/{channel}/upload/{one.file}?force=False&sha256={one.sha256}"


def form(answer: Reply) -> tuple[int, Any]:
    """The status and the keys of an answer; those of a refusal are always the same."""
    refused = answer.status != 200
    assert not refused or set(answer.json) == {"detail"}
    return answer.status, None if refused else shape(answer.json)


def shape(value: Any) -> Any:
    """The keys of an answer, and of one thing in each list; `info` is the package's own."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items() if name != "info"}
    return [shape(each) for each in value[:1]] if isinstance(value, list) else "…"


def test_requests_are_answered_alike(both) -> None:
    """With the same status, and exactly the same keys."""
    # In one test: were there many, several processes would each fill a server.
    assert {one: form(ask(both.new.port, "GET", *one)) for one in REQUESTS} == {
        one: form(both.answers[one]) for one in REQUESTS
    }


def test_answers_tell_the_same(both) -> None:
    """Names, roles, versions and times of what was moved."""
    for path, key, names in (
        ("/api/channels", MEMBER, ("name", "private", "members_count", "packages_count")),
        ("/api/channels/main/packages", "", ("name", "platforms", "current_version")),
        ("/api/users/mike/channels", MEMBER, ("name", "role")),
        ("/api/users", OWNER, ("username",)),
        ("/api/channels/main/packages/tide/versions", "", ("filename", "version", "build_string")),
    ):
        told = [both.answers[path, key].json, ask(both.new.port, "GET", path, key).json]
        # Whoever set up our server is one more account there.
        told[1] = [one for one in told[1] if one.get("username") != "admin"]
        old, new = ([{n: one[n] for n in names} for one in each] for each in told)
        assert sorted(new, key=str) == sorted(old, key=str)


def test_old_keys_read_and_write(both) -> None:
    """That of a person, and the one with roles in its one channel."""
    private = f"/get/shut/noarch/{TIDE.file}"
    for key, status in ((MEMBER, 200), (OWNER, 200), (both.robot, 200), ("", 404)):
        answer = ask(both.new.port, "GET", private, key)
        assert answer.status == status
        assert status != 200 or answer.body == TIDE.content
    late = package("noarch", "late-1.0-0.conda")
    for channel, key, status in (
        ("main", both.robot, 403),
        ("shut", both.robot, 201),
        ("main", MEMBER, 201),
    ):
        answer = ask(both.new.port, "POST", upload(channel, late), key, late.content)
        assert answer.status == status, answer.text


def test_it_is_moved_once(both, tmp_path: Path) -> None:
    """Again, nothing comes twice, and nothing was left out."""
    said = both.new.run("import", "quetz", str(both.old.folder / "config.toml"))
    assert "Imported 0 packages" in said
    assert "0 are left out" in said
