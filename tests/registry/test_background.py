"""A server that is a replica follows by itself, until it ends or is promoted."""

from __future__ import annotations

import contextlib
import threading
from datetime import timedelta

import pytest
from replica_house import Pair, contents

from repocore import Registry, ReplicaError
from repocore.catalog import following

QUICK = timedelta(milliseconds=20)
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def looked(replica: Registry, wanted: str) -> threading.Event:
    """Set once a step of that name was done."""
    event = threading.Event()
    replica.step = lambda name: event.set() if name == wanted else None
    return event


def test_a_server_follows_by_itself(two: Pair) -> None:
    """What was uploaded meanwhile is there soon; nobody runs a command."""
    two.conda("tide")
    two.primary.tell()
    replica = two.replica(interval=QUICK)
    brought = looked(replica, "brought partitions")
    replica.run_jobs()
    replica.run_jobs()  # which is once
    assert brought.wait(60)
    again = looked(replica, "brought partitions")
    two.conda("wave")
    two.primary.tell()
    assert again.wait(60)
    assert len(contents(replica, "conda/main")) == 2
    replica.close()


def test_it_collects_what_is_gone(two: Pair) -> None:
    """By itself, once a day: deletions at the primary free space here."""
    replica = two.replica(interval=QUICK)
    with replica:
        replica.run_jobs()
        while not _collected(replica):
            threading.Event().wait(0.02)


def _collected(replica: Registry) -> bool:
    with replica._services.catalog.snapshot() as connection:
        return following.read(connection).collected_at is not None


def test_what_keeps_it_from_following_is_told(two: Pair) -> None:
    """In its status; it goes on trying, and is well again when that is over."""
    two.conda("tide")
    two.primary.tell()
    first = two.replica("other")
    two.sync(first)
    first.close()
    replica = two.replica("other", of="http://127.0.0.1:9", interval=QUICK)
    with replica:
        replica.run_jobs()
        room = replica.session(replica.admin()).replica
        while not room.status(ask=False).error:
            threading.Event().wait(0.02)
        assert "does not answer" in room.status(ask=False).error
    well = two.replica("other")
    two.sync(well)
    assert well.session(well.admin()).replica.status(ask=False).error == ""


def test_a_promoted_one_follows_no_more(two: Pair) -> None:
    """Its thread ends; the registry goes on."""
    two.conda("tide")
    two.primary.tell()
    replica = two.replica(interval=QUICK)
    two.sync(replica)
    with replica:
        replica.run_jobs()
        room = replica.session(replica.admin()).replica
        while replica.following:
            with contextlib.suppress(ReplicaError):  # it looks just now
                room.promote()
        [follower] = [t for t in threading.enumerate() if t.name == "repocore-follower"] or [None]
        if follower is not None:
            follower.join(60)
            assert not follower.is_alive()
        Pair(replica, "", "", two.folder).conda("wave")
