"""A replica serves, refuses changes, says how far behind it is, and can be promoted."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta

import attrs
import pytest
from replica_house import Pair, contents, differences, served

import repocore
from repocore import Action, Binding, ReplicaError, ReplicaReadOnlyError, Rule, Session
from repocore.catalog import following
from repocore.config import AccountSettings, RepositorySettings
from repocore.http import status_for
from repocore_web import create_app

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
TIDE = "tide-1.0-0.tar.bz2"

CHANGES: dict[str, Callable[[Session], object]] = {
    "put": lambda s: s.files.put("conan/main", "a/1/_/_/r/export/conanfile.py", io.BytesIO(b"x")),
    "delete": lambda s: s.releases.delete("conda/main", "noarch", TIDE),
    "yank": lambda s: s.releases.yank("conda/main", "noarch", TIDE),
    "create": lambda s: s.repositories.create("conan/other"),
    "configure": lambda s: s.repositories.configure("conan/main", private=True),
    "add": lambda s: s.accounts.add("bob"),
    "token": lambda s: s.accounts.create_token("mirror", "t"),
    "rule": lambda s: s.accounts.add_rule(
        Rule(subject="*", actions=frozenset({Action.READ}), pattern="**")
    ),
    "bind": lambda s: s.roles.bind(Binding(subject="user:ann", role="viewer", pattern="**")),
    "submit": lambda s: s.jobs.submit("gc"),
}


def test_nothing_is_changed_in_a_replica(two: Pair) -> None:
    """Not even by its administrator, who is told where to do it; what reads goes on."""
    two.conda("tide")
    replica = two.replica()
    two.sync(replica)
    admin = replica.session(replica.admin())
    for name, change in CHANGES.items():
        with pytest.raises(ReplicaReadOnlyError, match=two.url) as refused:
            change(admin)
        assert status_for(refused.value) == 403, name
    assert differences(two.primary, replica) == {}
    assert replica.worker().claim() is None
    with admin.files.open("conda/main", f"noarch/{TIDE}") as stream:
        assert stream.read()


@on_sqlite
def test_what_the_settings_want_is_made_at_the_primary(two: Pair) -> None:
    """A replica with repositories and accounts in its settings still begins empty."""
    settings = attrs.evolve(
        two.settings(),
        repository=(RepositorySettings(name="own", format="conda"),),
        account=(AccountSettings(name="own"),),
    )
    with repocore.open_registry(settings=settings) as replica:
        two.sync(replica)
        assert differences(two.primary, replica) == {}


def test_how_far_behind_it_is_can_be_seen(two: Pair) -> None:
    """By partitions, serials and time; when the primary is silent, by the last look."""
    two.conda("tide")
    replica = two.replica()
    room = replica.session(replica.admin()).replica
    before = room.status()
    assert (before.whole, before.ok, before.synced_at) == (False, False, None)
    two.sync(replica)
    even = room.status()
    assert (even.ok, even.records, even.partitions, even.behind) == (True, 0, 0, timedelta(0))
    two.conda("wave")
    two.conda("ebb")
    two.recipe("r1")
    two.primary.tell()
    late = room.status()
    assert (late.ok, late.reached, late.records > 2) == (False, True, True)
    assert (late.partitions, late.serials) == (2, 3)
    assert [(one.partition, one.serial, one.primary_serial) for one in late.lags] == [
        ("zlib/1.3@_/_", 0, 1),
        ("noarch", 1, 3),
    ]
    assert timedelta(0) < late.behind < timedelta(minutes=5)
    two.sync(replica)
    assert room.status().ok
    silent = two.replica(of="http://127.0.0.1:9")
    gone = silent.session(silent.admin()).replica.status()
    assert (gone.reached, gone.partitions, gone.ok) == (False, 0, False)
    assert gone.synced_at is not None
    assert "does not answer" in gone.error


def test_a_promoted_replica_goes_on_where_the_primary_was(two: Pair) -> None:
    """It takes changes, serials go on upwards, and no number is given twice."""
    two.conda("tide")
    two.recipe("r1")
    two.admin.accounts.add("ann", "correct horse")
    two.admin.accounts.create_token("ann", "gone")
    replica = two.replica()
    two.sync(replica)
    admin = replica.session(replica.admin())
    before = contents(replica, "conda/main")
    status = admin.replica.promote()
    assert (status.ok, replica.following) == (True, False)
    there = Pair(replica, "", "", two.folder)
    there.conda("wave")
    assert before.items() < contents(replica, "conda/main").items()
    there.recipe("r2")
    [newest, older] = admin.releases.list("conan/main", "zlib/1.3@_/_")
    assert (newest.name, newest.serial, older.serial) == ("r2", 2, 1)
    token, _ = admin.accounts.create_token("ann", "new")
    assert token.id > max(one.id for one in two.admin.accounts.tokens())
    assert admin.repositories.create("conda/new").address == "conda/new"
    replica.tell()
    assert admin.audit.verify().ok
    assert admin.upkeep.check(read_data=True).ok
    [record] = [one for one in admin.audit.list() if one.what == "site"]
    assert "follows" in str(record.details["change"])
    with pytest.raises(ReplicaError, match="follows nobody"):
        admin.replica.sync()
    with pytest.raises(ReplicaError, match="nothing to promote"):
        admin.replica.promote()


def test_a_quota_is_counted_from_the_promotion_on(two: Pair) -> None:
    """What came before counts, too."""
    two.admin.repositories.configure("conan/main", policy=repocore.Policy(quota=1000))
    two.recipe("r1", content=b"x" * 900)
    replica = two.replica()
    two.sync(replica)
    replica.session(replica.admin()).replica.promote()
    there = Pair(replica, "", "", two.folder)
    with pytest.raises(repocore.QuotaExceededError):
        there.recipe("r2", content=b"y" * 900)


def test_a_replica_that_is_behind_is_promoted_by_force_only(two: Pair) -> None:
    """It is told what would be lost; then it is lost, and nothing else."""
    two.conda("tide")
    replica = two.replica()
    two.sync(replica)
    two.conda("wave")
    two.primary.tell()
    room = replica.session(replica.admin()).replica
    with pytest.raises(ReplicaError, match=r"lacks 1 changes in 1 partitions.*--force"):
        room.promote()
    assert replica.following
    status = room.promote(force=True)
    assert (status.records, status.partitions) == (1, 1)
    assert [*contents(replica, "conda/main")] == [f"noarch/{TIDE}"]
    assert replica.session(replica.admin()).upkeep.check(read_data=True).ok


@on_sqlite
def test_nobody_knows_what_is_lost_when_the_primary_is_gone(two: Pair) -> None:
    """So it takes force, and says since when."""
    two.conda("tide")
    replica = two.replica()
    two.sync(replica)
    replica.close()
    alone = two.replica(of="http://127.0.0.1:9")
    room = alone.session(alone.admin()).replica
    with pytest.raises(
        ReplicaError, match=r"Nobody knows.*does not answer.*last even at \d{4}-.*--force"
    ):
        room.promote()
    assert not room.promote(force=True).reached
    assert not alone.following


@on_sqlite
def test_a_promotion_ends_whoever_follows(two: Pair) -> None:
    """Also one that is in the middle of a look, in another process: it writes nothing more."""
    two.conda("tide")
    replica, other = two.replica(), two.replica()
    two.sync(replica)
    two.conda("wave")

    def promote(step: str) -> None:
        if step == "fetched":
            replica.step = lambda _step: None
            # As if the other had found nobody at it: names are for processes that live.
            other._services.catalog.write(following.promote)

    replica.step = promote
    with pytest.raises(ReplicaError, match="was promoted"):
        two.sync(replica)
    assert replica.session(replica.admin()).replica.status().of is None
    assert not replica.following
    assert [*contents(other, "conda/main")] == [f"noarch/{TIDE}"]
    assert not other.following
    assert not two.replica().following


@on_sqlite
def test_a_replica_of_a_promoted_one_begins_anew(two: Pair) -> None:
    """It is another history from then on; who follows is told, and decides."""
    two.conda("tide")
    first, second = two.replica("first"), two.replica("second")
    two.sync(first)
    two.conda("wave")
    two.sync(second)
    first.session(first.admin()).replica.promote(force=True)
    there = Pair(first, "", two.secret, two.folder)
    there.conda("ebb")
    with served(create_app(first)) as url:
        second.close()
        second = two.replica("second", of=url)
        with pytest.raises(ReplicaError, match="another history"):
            there.sync(second)
        there.sync(second, full=True)
        assert differences(first, second) == {}
        assert contents(second, "conda/main") == contents(first, "conda/main")


def test_only_administrators_ask_and_promote(two: Pair) -> None:
    """Whoever may replicate may not."""
    replica = two.replica()
    two.sync(replica)
    mirror = replica.connect(repocore.ApiKey(two.secret)).replica
    for ask in (mirror.status, mirror.sync, mirror.promote):
        with pytest.raises(repocore.AccessDeniedError):
            ask()
    nobody = replica.session(replica.authenticate(repocore.Anonymous())).replica
    with pytest.raises(repocore.NotAuthenticatedError):
        nobody.status()


@on_sqlite
def test_a_registry_that_follows_nobody_says_so(two: Pair) -> None:
    """A primary has a status as well."""
    status = two.admin.replica.status()
    assert (status.of, status.promoted_at) == (None, None)
    with pytest.raises(ReplicaError, match="follows nobody"):
        two.admin.replica.sync()
