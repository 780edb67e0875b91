"""A replica takes over what its primary has: all of it, in whole partitions, and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from replica_house import Pair, contents, differences, pair, served
from sqlalchemy import update

import repocore
from repocore import Action, Binding, BlobMissingError, Registry, ReplicaError, Role, Rule
from repocore.catalog import tables
from repocore.config import LimitSettings, Settings
from repocore.plugins.conan.paths import SourceFile
from repocore.registry import Replica, UpstreamClient
from repocore_web import create_app

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def document(registry: Registry, path: str = "noarch/repodata.json") -> bytes:
    session = registry.session(registry.admin())
    with session.files.open("conda/main", path) as stream:
        return stream.read()


def alike(two: Pair, replica: Registry) -> None:
    """Rows, bytes and documents are the same, and what is stored is sound."""
    assert differences(two.primary, replica) == {}
    for repository in two.admin.repositories.list():
        found = contents(replica, repository.address)
        assert found == contents(two.primary, repository.address)
    assert replica.session(replica.admin()).upkeep.check(read_data=True).ok


class Killed(BaseException):
    """What a process that is killed never sees."""


def dying(at: int) -> Callable[[str], None]:
    """A step that dies at the given one; the counted steps are in ``dying.steps``."""
    left = at

    def step(_name: str) -> None:
        nonlocal left
        left -= 1
        if not left:
            raise Killed

    return step


def test_a_replica_becomes_what_its_primary_is(two: Pair) -> None:
    """Rows, bytes and documents; a second look brings nothing."""
    two.recipe("r1")
    two.package("r1", "p1")
    two.put("conan/main", "zlib/1.3/_/_/r1/export/metadata/log.txt", b"log")
    two.conda("tide")
    two.conda("wave")
    two.admin.accounts.add("ann", "correct horse")
    replica = two.replica()
    report = two.sync(replica)
    alike(two, replica)
    assert document(replica) == document(two.primary)
    assert (report.releases, report.missing) == (4, 0)
    assert two.sync(replica).fetched == 0
    assert replica.session(replica.admin()).replica.status().ok


def test_changes_and_deletions_follow(two: Pair) -> None:
    """What was deleted there disappears; what was yanked, replaced or added is as it is there."""
    for rrev in ("r1", "r2"):
        two.recipe(rrev)
    two.conda("tide")
    two.conda("wave")
    replica = two.replica()
    two.sync(replica)
    before = document(replica)
    two.admin.releases.delete("conan/main", "zlib/1.3@_/_", "r1")
    two.admin.releases.yank("conda/main", "noarch", "tide-1.0-0.tar.bz2")
    two.put("conan/main", "zlib/1.3/_/_/r2/export/conanfile.py", b"another recipe")
    two.conda("tide2")
    two.admin.repositories.create("conda/new", private=True)
    assert not replica.session(replica.admin()).replica.status().ok
    assert document(replica) == before
    two.sync(replica)
    alike(two, replica)
    assert document(replica) == document(two.primary) != before
    two.admin.repositories.delete("conda/main")
    two.sync(replica)
    assert differences(two.primary, replica) == {}
    assert [one.address for one in replica.session(replica.admin()).repositories.list()] == [
        "conan/main",
        "conda/new",
    ]


def test_files_that_change_no_list_follow(two: Pair) -> None:
    """Metadata that is added, replaced and deleted, and files of no release."""
    path = "zlib/1.3/_/_/r1/export/metadata/log.txt"
    source = str(SourceFile(hashlib.sha256(b"source").hexdigest()).path)
    two.recipe("r1")
    replica = two.replica()
    two.sync(replica)
    for change in (
        lambda: two.put("conan/main", path, b"one"),
        lambda: two.put("conan/main", path, b"two"),
        lambda: two.put("conan/main", source, b"source"),
        lambda: two.admin.files.delete("conan/main", path),
        lambda: two.admin.files.delete("conan/main", source),
    ):
        change()
        two.sync(replica)
        alike(two, replica)


def test_who_may_what_follows(two: Pair) -> None:
    """Accounts, tokens, groups, roles and rules; what is taken away ends with the next look."""
    admin = two.admin
    admin.accounts.add("ann", "correct horse")
    admin.accounts.add("bob", "right battery")
    _, secret = admin.accounts.create_token("ann", "ci")
    admin.accounts.add_to_group("crew", "ann")
    admin.roles.add(Role(name="keeper", actions=frozenset({Action.READ})))
    admin.roles.bind(Binding(subject="group:crew", role="keeper", pattern="conda/main"))
    everything = frozenset(Action)
    rule = admin.accounts.add_rule(Rule(subject="user:bob", actions=everything, pattern="**"))
    replica = two.replica()
    two.sync(replica)
    assert differences(two.primary, replica) == {}
    assert replica.connect(repocore.ApiKey(secret)).principal.name == "ann"
    bob = replica.connect(repocore.Password("bob", "right battery"))
    assert len(bob.repositories.list()) == 2
    admin.accounts.remove_rule(rule.id or 0)
    admin.accounts.remove("ann")
    admin.accounts.add("ann", "another horse")
    two.sync(replica)
    assert differences(two.primary, replica) == {}
    assert bob.repositories.list() == []
    with pytest.raises(repocore.NotAuthenticatedError):
        replica.connect(repocore.ApiKey(secret))
    assert replica.connect(repocore.Password("ann", "another horse")).principal.name == "ann"


def test_keys_that_sign_stay_where_they_are(two: Pair) -> None:
    """Whoever takes a replica can sign nothing that the primary believes; it has its own keys."""
    [ours] = two.admin.accounts.signing_keys("bearer")
    replica = two.replica()
    two.sync(replica)
    own = replica.session(replica.admin()).accounts.signing_keys("bearer")
    assert ours.secret not in {one.secret for one in own}
    assert differences(two.primary, replica) == {}


def test_records_are_sealed_as_at_the_primary(two: Pair) -> None:
    """A seal that was noted there fits here; what the replica writes for itself is no record."""
    two.recipe("r1")
    two.primary.tell()
    noted = two.admin.audit.seal()
    assert noted is not None
    two.recipe("r2")
    replica = two.replica()
    two.sync(replica)
    replica.tell()
    report = replica.session(replica.admin()).audit.verify([(noted.last, noted.root)])
    assert (report.ok, report.open, report.records > 3) == (True, 0, True)
    assert differences(two.primary, replica) == {}


def test_downloads_are_counted_on(two: Pair) -> None:
    """Retention asks when something was last used: of both counts the larger one is kept."""
    two.conda("tide")
    for _ in range(3):
        two.admin.files.open("conda/main", "noarch/tide-1.0-0.tar.bz2").close()
    replica = two.replica()
    admin = replica.session(replica.admin())

    def counts() -> list[int]:
        return [count for _, _, count, _ in admin.upkeep.downloads("conda/main")]

    two.sync(replica)
    assert counts() == [3]
    for _ in range(2):
        admin.files.open("conda/main", "noarch/tide-1.0-0.tar.bz2").close()
    assert counts() == [5]
    two.sync(replica)
    assert counts() == [5]


def test_pages_have_no_seams(tmp_path: Path, database_url: str) -> None:
    """Many answers come to the same as one, also where one change has made many."""
    limits = LimitSettings(page=3)
    with pair(tmp_path, database_url, limits=limits) as two:
        for number in range(8):
            two.conda(f"tide{number}")
            two.recipe("r1", f"lib{number}")
            content = b"%d" % number
            source = SourceFile(hashlib.sha256(content).hexdigest())
            two.put("conan/main", str(source.path), content)
            two.admin.accounts.add(f"sailor{number}")
        names = [("noarch", f"tide{number}-1.0-0.tar.bz2") for number in range(8)]
        replica = two.replica()
        two.sync(replica)
        alike(two, replica)
        two.admin.releases.yank_all("conda/main", names[1:])
        two.sync(replica)
        alike(two, replica)


# ---------------------------------------------------------------------------------------- faults


@on_sqlite
def test_whoever_dies_anywhere_goes_on(two: Pair) -> None:
    """At no step is half of a partition seen, and what was fetched is not fetched again."""
    for number in range(3):
        two.conda(f"tide{number}")
    two.recipe("r1")
    replica = two.replica()
    two.sync(replica)
    complete = {document(replica)}
    for number in range(3, 6):
        two.conda(f"tide{number}")
    two.admin.releases.delete("conda/main", "noarch", "tide0-1.0-0.tar.bz2")
    two.admin.accounts.add("ann")
    two.recipe("r2")
    complete.add(document(two.primary))
    fetched, died = 0, 0
    while True:
        replica.step = dying(died + 1)
        try:
            fetched += two.sync(replica).fetched
        except Killed:
            died += 1
            assert document(replica) in complete
            replica.close()
            replica = two.replica()
            continue
        break
    assert died > 2
    alike(two, replica)
    assert document(replica) == document(two.primary)


def failing(two: Pair, monkeypatch: pytest.MonkeyPatch, fail: Callable[[str, Any], Any]) -> None:
    """Have ``fail`` look at the bytes that the primary sends."""
    room = type(two.admin.replication)
    content = room.content

    def sent(self: Any, digest: str) -> Any:
        return fail(digest, lambda: content(self, digest))

    monkeypatch.setattr(room, "content", sent)


@on_sqlite
def test_bytes_that_do_not_come_are_fetched_by_the_next_look(
    two: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others of the partition have come meanwhile, and are not sent twice; nobody sees them."""
    for number in range(4):
        two.conda(f"tide{number}")
    asked: list[str] = []

    def fail(digest: str, content: Callable[[], Any]) -> Any:
        asked.append(digest)
        if len(asked) == 3:
            raise repocore.StorageError("The disk is slow.")
        return content()

    failing(two, monkeypatch, fail)
    replica = two.replica(workers=1)
    with pytest.raises(repocore.UpstreamUnavailableError):
        two.sync(replica)
    assert contents(replica, "conda/main") == {}
    two.sync(replica)
    alike(two, replica)
    assert sorted(asked.count(digest) for digest in {*asked}) == [1, 1, 1, 2]


@on_sqlite
def test_what_is_deleted_while_it_is_fetched_is_gone_here_too(
    two: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The replica becomes what the primary is by then."""
    for name in ("tide", "wave"):
        two.conda(name)
    gone = two.admin.files.stat("conda/main", "noarch/tide-1.0-0.tar.bz2").digest

    def fail(digest: str, content: Callable[[], Any]) -> Any:
        if digest == gone and two.admin.releases.exists("conda/main", "noarch", TIDE):
            two.admin.releases.delete("conda/main", "noarch", TIDE)
        return content()

    failing(two, monkeypatch, fail)
    replica = two.replica()
    two.sync(replica)
    two.sync(replica)
    alike(two, replica)
    assert [*contents(replica, "conda/main")] == ["noarch/wave-1.0-0.tar.bz2"]


TIDE = "tide-1.0-0.tar.bz2"


@on_sqlite
def test_what_the_primary_has_lost_holds_up_nothing(two: Pair) -> None:
    """It is told of, served by nobody, and comes as soon as the primary has it again."""
    two.conda("tide")
    two.conda("wave")
    file = two.admin.files.stat("conda/main", f"noarch/{TIDE}")
    with two.primary.storage.open(file.key) as stream:
        content = stream.read()
    two.primary.storage.delete(file.key)
    replica = two.replica()
    report = two.sync(replica)
    assert report.missing == 1
    admin = replica.session(replica.admin())
    with pytest.raises(BlobMissingError):
        admin.files.open("conda/main", f"noarch/{TIDE}")
    assert differences(two.primary, replica) == {}
    assert admin.replica.status().missing == 1
    two.put("conda/main", f"noarch/{TIDE}", content)
    assert two.sync(replica).missing == 0
    alike(two, replica)


@on_sqlite
def test_bytes_that_are_others_are_not_believed(two: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the primary sends under a digest: only what has it is stored."""
    two.conda("tide")
    wave = hashlib.sha256(b"wave").hexdigest()
    path = str(SourceFile(wave).path)
    two.put("conan/main", path, b"wave")
    content = two.admin.replication.content(wave)
    failing(two, monkeypatch, lambda digest, real: real() if digest == wave else content)
    replica = two.replica()
    assert two.sync(replica).missing == 1
    assert contents(replica, "conan/main") == {path: b"wave"}
    assert len([*replica.storage.keys()]) == 1


@on_sqlite
def test_what_was_fetched_for_nothing_is_collected(two: Pair) -> None:
    """A replica collects by itself; what files name stays."""
    two.conda("tide")
    replica = two.replica()
    two.sync(replica)
    two.admin.releases.delete("conda/main", "noarch", TIDE)
    two.conda("wave")
    two.sync(replica)
    admin = replica.session(replica.admin())
    report = admin.upkeep.collect(grace=timedelta(0))
    assert report.blobs == 1
    alike(two, replica)


# ------------------------------------------------------------------------------- whom it follows


def test_a_replica_begins_empty(two: Pair) -> None:
    """What somebody has put there is not overwritten."""
    settings = two.settings()
    alone = Settings(data=settings.data, catalog=settings.catalog)
    with repocore.open_registry(settings=alone) as registry:
        registry.session(registry.admin()).repositories.create("conda/own")
    replica = two.replica()
    with pytest.raises(ReplicaError, match="begins with an empty data folder"):
        two.sync(replica)
    assert [one.address for one in replica.session(replica.admin()).repositories.list()] == [
        "conda/own"
    ]


@on_sqlite
def test_another_history_is_followed_when_that_is_said(two: Pair, tmp_path: Path) -> None:
    """A primary that was restored from a backup has lost what the replica has."""
    two.conda("tide")
    two.admin.upkeep.backup(tmp_path / "kept")
    two.conda("wave")
    replica = two.replica()
    two.sync(replica)
    older = Settings(data=tmp_path / "older", read_only=True)
    with repocore.open_registry(settings=older) as restored:
        restored.session(restored.admin()).upkeep.restore(tmp_path / "kept")
    replica.close()
    settings = Settings(data=tmp_path / "older")
    with repocore.open_registry(settings=settings) as restored:
        again = Pair(restored, "", two.secret, tmp_path)
        again.conda("ebb")
        with served(create_app(restored)) as url:
            again.url = url
            replica = two.replica(of=url)
            with pytest.raises(ReplicaError, match="another history"):
                again.sync(replica)
            assert "noarch/wave-1.0-0.tar.bz2" in contents(replica, "conda/main")
            again.sync(replica, full=True)
            alike(again, replica)
            assert document(replica) == document(restored)


def test_full_makes_good_whatever_was_changed_by_hand(two: Pair) -> None:
    """Rows that are there and not at the primary go, and those that lack come."""
    for name in ("tide", "wave"):
        two.conda(name)
    two.recipe("r1")
    replica = two.replica()
    two.sync(replica)

    def harm(transaction: Any) -> None:
        r, p = tables.releases, tables.partitions
        transaction.execute(update(r).where(r.c.name == TIDE).values(name="ebb-1.0-0.tar.bz2"))
        transaction.execute(r.delete().where(r.c.name == "r1"))
        transaction.execute(p.insert().values(repository_id=1, name="stray/1.0@_/_", serial=3))

    replica._services.catalog.write(harm)
    assert differences(two.primary, replica)
    two.sync(replica, full=True)
    alike(two, replica)


def test_a_token_without_the_permission_is_told_what_it_lacks(two: Pair) -> None:
    """The message says which, and nothing of the token."""
    _, weak = two.admin.accounts.create_token(
        "mirror", "weak", rules=[Rule(subject="*", actions=frozenset({Action.READ}), pattern="**")]
    )
    for token, told in (
        (weak, "replicate"),
        ("rpc-0123456789ab-nothing", "token"),
        (None, "token"),
    ):
        replica = two.replica(token=token, name=f"replica{told}{token is None}")
        with pytest.raises(ReplicaError, match=told) as refused:
            two.sync(replica)
        assert token is None or token not in str(refused.value)


@on_sqlite
def test_what_rots_in_a_replica_comes_from_the_primary(two: Pair) -> None:
    """With the next look after a check has found it; or by `repair`, for whoever may replicate."""
    two.conda("tide")
    replica = two.replica()
    two.sync(replica)
    admin = replica.session(replica.admin())

    def harm() -> None:
        key = admin.files.stat("conda/main", f"noarch/{TIDE}").key
        location = replica.storage.location(key)
        assert location is not None
        path = replica.settings.data / "blobs" / location
        path.chmod(0o600)
        path.write_bytes(b"x" * path.stat().st_size)
        assert admin.upkeep.check(read_data=True).quarantined == 1

    harm()
    two.sync(replica)
    alike(two, replica)
    harm()
    client = UpstreamClient(allow=("127.0.0.1",))
    headers = {"Authorization": f"Bearer {two.secret}"}
    source = Replica(url=two.url, client=client, headers=headers)
    report = admin.upkeep.repair(replicas=[source])
    assert len(report.repaired) == 1
    alike(two, replica)
