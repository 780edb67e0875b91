"""``import quetz``: a deployment of plain tables and files, taken over; old keys go on working."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest
from channel_pool import Packaged, package
from old_quetz import CAME, OldDeployment
from wsgi_calls import call

import repocore
from repocore_web import create_app

OWNERS = "OwnersKeyOwnersKeyOwnersKey12345"
ROBOTS = "RobotsKeyRobotsKeyRobotsKey12345"
OPEN, SHUT = "open", "shut"
TIDE = package("noarch", "tide-1.0-0.conda")
WAVE = package("noarch", "wave-1.0-0.tar.bz2")
ZLIB = package("linux-64", "zlib-1.3-0.conda")
GONE = package("noarch", "gone-1.0-0.conda")


@pytest.fixture
def old(tmp_path: Path) -> OldDeployment:
    """Two channels; one package is in the index, two are not, one has lost its file."""
    made = OldDeployment.make(tmp_path / "quetz")
    owner, member = made.user("olga", "owner"), made.user("mike", "member", "google")
    made.channel(OPEN, size_limit=1_000_000, ttl=60)
    made.channel(SHUT, private=True)
    made.member(OPEN, owner, "owner")
    made.member(OPEN, member, "maintainer")
    made.member(SHUT, member, "member")
    made.member(SHUT, member, "owner", "zlib")
    made.key(OWNERS, owner)
    robot = made.user(None)
    made.member(SHUT, robot, "maintainer")
    made.key(ROBOTS, robot, member, expire_at="2099-06-01", description="robot")
    for one in (TIDE, WAVE):
        made.package(OPEN, one, downloads=5)
    made.index(OPEN, [TIDE])
    made.package(SHUT, ZLIB)
    made.package(SHUT, GONE, file=False)
    return made


@attrs.frozen
class New:
    """What came of it, over HTTP and from within."""

    app: Any
    session: repocore.Session

    def status(self, path: str, key: str = "", method: str = "GET", body: bytes = b"") -> int:
        fields = {"HTTP_X_API_KEY": key} if key else {}
        return call(self.app, path, method, body=body, **fields).status

    def upload(self, channel: str, one: Packaged, key: str) -> int:
        path = f"/api/channels/{channel}/upload/{one.file}?sha256={one.sha256}"
        return self.status(path, key, "POST", one.content)


@pytest.fixture
def opened(program):
    """The registry of the data folder, once something was imported."""
    stack = []

    def open_() -> New:
        registry = repocore.open_registry(data=program.data)
        stack.append(registry)
        return New(create_app(registry), registry.session(registry.admin()))

    yield open_
    for registry in stack:
        registry.close()


def moved(program, old: OldDeployment, *words: str, status: int = 1) -> dict[str, Any]:
    """What the import says; one package of `old` has no file, so its status is 1."""
    path = str(old.folder / "config.toml")
    done = program("import", "quetz", path, *words, "--json", status=status)
    return json.loads(done.stdout)


def test_everything_is_counted_before(program, old) -> None:
    """A dry run makes nothing, not even the data folder."""
    said = moved(program, old, "--dry-run")
    assert (said["users"], said["identities"], said["channels"], said["keys"]) == (2, 2, 2, 2)
    assert (said["packages"], said["skipped"], said["dry_run"]) == (3, 1, True)
    assert not program.data.exists()


def test_everything_is_taken_over(program, old, opened) -> None:
    """People, channels with their sizes, roles, packages and counts; what is lost is told."""
    said = moved(program, old)
    counts = {name: said[name] for name in ("users", "identities", "channels", "keys", "packages")}
    assert counts == {"users": 2, "identities": 2, "channels": 2, "keys": 2, "packages": 3}
    assert said["findings"] == [
        f"shut/noarch/{GONE.file}: the database names it, and there is no such file"
    ]
    new = opened()
    session = new.session
    names = {one.name: one for one in session.accounts.list()}
    assert names["olga"].email == "olga@people.example"
    assert session.identities.find("google", "id-of-mike").account == "mike"
    channel = session.repositories.get("conda/open")
    assert (channel.policy.quota, channel.private, channel.options["ttl"]) == (1_000_000, False, 60)
    assert session.repositories.get("conda/shut").private
    held = {(one.subject, one.role, one.pattern) for one in session.roles.bindings()}
    assert {
        ("user:olga", "owner", "**"),
        ("user:olga", "owner", "conda/open"),
        ("user:mike", "quetz-creator", "conda/**"),
        ("user:mike", "maintainer", "conda/open"),
        ("user:mike", "viewer", "conda/shut"),
        ("user:mike", "quetz-package-owner", "conda/shut/zlib"),
    } <= held
    release = session.releases.get("conda/open", "noarch", WAVE.file)
    assert release.released_at.isoformat().startswith(CAME.replace(" ", "T"))
    assert session.statistics.downloads("conda/open", "noarch")[TIDE.file].count == 5


def test_old_addresses_and_keys_go_on_working(program, old, opened) -> None:
    """A key of a person is as good as they are; one with roles is good for these."""
    moved(program, old)
    new = opened()
    for path in (f"/get/open/noarch/{TIDE.file}", "/get/open/noarch/repodata.json"):
        assert new.status(path) == 200
    private = f"/get/shut/linux-64/{ZLIB.file}"
    assert new.status(private) == 404
    assert [new.status(private, key) for key in (OWNERS, ROBOTS)] == [200, 200]
    assert new.status(f"/t/{ROBOTS}{private}") == 200
    other = package("noarch", "other-1.0-0.conda")
    assert new.upload(OPEN, other, ROBOTS) == 403
    assert new.upload(SHUT, other, ROBOTS) == 201
    assert new.upload(OPEN, other, OWNERS) == 201
    assert new.status("/api/users", OWNERS) == 200
    [token] = [one for one in new.session.accounts.tokens() if one.name == "robot"]
    assert token.expires_at is not None
    assert token.expires_at.year == 2099
    assert ROBOTS not in repr(new.session.accounts.tokens())


def test_a_second_import_takes_what_has_come(program, old, opened) -> None:
    """And nothing twice."""
    moved(program, old)
    again = moved(program, old)
    assert (again["users"], again["channels"], again["keys"], again["packages"]) == (0, 0, 0, 0)
    assert again["known"] == 2 + 2 + 2 + 3
    late = package("noarch", "late-1.0-0.conda")
    old.package(OPEN, late)
    assert moved(program, old)["packages"] == 1
    new = opened()
    assert len(new.session.roles.bindings()) == len(
        {(one.subject, one.role, one.pattern) for one in new.session.roles.bindings()}
    )
    assert len(new.session.accounts.tokens()) == 2
    assert new.status(f"/get/open/noarch/{late.file}") == 200


def test_the_old_one_is_only_read(program, old) -> None:
    """Not a byte of it changes, and packages are other names of the old files."""
    files = [path for path in sorted(old.folder.rglob("*")) if path.is_file()]
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}
    moved(program, old)
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files} == before
    assert old.folder.joinpath("channels/open/noarch", TIDE.file).stat().st_nlink > 1


def test_people_first_packages_later(program, old) -> None:
    """So that keys work before many packages have come."""
    said = moved(program, old, "--access-only", status=0)
    assert (said["users"], said["keys"], said["packages"]) == (2, 2, 0)
    text = program("import", "quetz", str(old.folder), "--access-only").output
    assert "0 users" in text
    assert "6 things were there already" in text


def test_what_cannot_be_taken_is_told(program, tmp_path, opened) -> None:
    """By name, without a secret, and the rest comes along."""
    old = OldDeployment.make(tmp_path / "quetz")
    odd, mike = old.user("Ödd Näme"), old.user("mike", "maintainer")
    old.user("ä")
    gone = old.user("gone")
    for table in ("profiles", "identities", "emails"):
        old.delete(table, user_id=gone)
    old.channel("x_y")
    old.channel(".bad")
    old.channel("far", mirror_channel_url="http://far.example", mirror_mode="proxy")
    old.channel("near", mirror_channel_url="http://far.example", mirror_mode="mirror")
    old.member("x_y", odd, "owner")
    old.member("x_y", mike, "member", "tide")
    old.key("short", mike)
    old.key("FarKeyFarKeyFarKeyFarKeyFarKey12", mike, expire_at="9999-12-30")
    old.key("GonesKeyGonesKeyGonesKeyGonesKey", gone)
    old.key("ExpiredKeyExpiredKeyExpiredKey12", mike, expire_at="2020-01-01")
    old.key("DeletedKeyDeletedKeyDeletedKey12", mike, deleted=True)
    said = moved(program, old)
    told = "\n".join(said["findings"])
    for words in (
        "user Ödd Näme: is called dd-N-me here",
        "user ä: nobody can be called that here",
        "user gone: was deleted",
        "channel .bad:",
        "channel far: it stands before another one",
        "channel near: it mirrored another one",
        "member mike of x_y/tide: A channel is read as a whole",
        "key 'ci' of mike: A secret from elsewhere has",
        "key 'ci' of mike: it has expired",
        "key 'ci' of somebody who is gone: its owner was not taken over",
    ):
        assert words in told
    assert "short" not in told.replace("shorter", "")
    new = opened()
    assert [one.name for one in new.session.repositories.list()] == ["near", "x_y"]
    assert ("user:mike", "owner", "conda/**") in {
        (one.subject, one.role, one.pattern) for one in new.session.roles.bindings()
    }


def test_bytes_that_are_not_the_database_s_are_left_out(program, tmp_path) -> None:
    """A file that changed under its row is told, and so is one that is there with other bytes."""
    old = OldDeployment.make(tmp_path / "quetz")
    old.channel(OPEN)
    old.package(OPEN, TIDE)
    other = package("noarch", TIDE.file, payload=b"other")
    path = old.folder / "channels" / OPEN / "noarch" / TIDE.file
    path.write_bytes(other.content)
    said = moved(program, old)
    assert (said["packages"], said["skipped"]) == (0, 1)


def test_other_channels_stay_as_shut_as_they_were(program, old, opened) -> None:
    """Where there are others, only what was public is opened; else also what will be."""
    program("repo", "create", "conda/mine")
    moved(program, old)
    new = opened()
    public = [rule.pattern for rule in new.session.accounts.rules() if rule.subject == "*"]
    assert "conda/open/**" in public
    assert "conda/**" not in public
    assert new.status("/get/mine/noarch/repodata.json") == 404
    assert new.status("/get/open/noarch/repodata.json") == 200


def test_a_variable_goes_before_the_file(program, old, tmp_path, monkeypatch) -> None:
    """As it did for the old server."""
    (old.folder / "quetz.sqlite").rename(tmp_path / "moved.sqlite")
    refused = program.refused("import", "quetz", str(old.folder))
    assert "There is no database" in refused["error"]
    url = f"sqlite:///{tmp_path / 'moved.sqlite'}"
    monkeypatch.setenv("QUETZ_SQLALCHEMY_DATABASE_URL", url)
    assert moved(program, old)["users"] == 2
