"""A replica that looks at any moment, and dies at any: each partition is one that its primary had.

Every change of a partition takes a serial, so that the serial that the replica shows names the
state that it must be: releases, files and bytes.  After a look that came through, all is the same.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from replica_house import Pair, differences, pair
from sqlalchemy import select

import repocore
from repocore import Registry
from repocore.catalog import copied_releases, drafts, tables
from repocore.registry import pulling

STEPS: Final = 20
#: Each opens two registries and a server.
# A replica that is wrong is told at once: to look for the shortest way there takes minutes.
pytestmark = pytest.mark.usefixtures("any_failure")

EXAMPLES: Final = max(settings().max_examples // 12, 3)

NAMES = st.sampled_from(["tide", "wave", "ebb"])
REVISIONS = st.sampled_from(["r1", "r2"])
ADDRESSES = st.sampled_from(["conan/main", "conda/main"])

Key = tuple[str, str]


class Killed(BaseException):
    """What a process that is killed never sees."""


def partitions(registry: Registry) -> dict[Key, tuple[int, frozenset[str]]]:
    """The serial of each partition, and what it shows."""
    r, p, f, t = tables.releases, tables.partitions, tables.files, tables.repositories
    with registry._services.catalog.snapshot() as connection:
        found: dict[tuple[int, str], tuple[int, set[str]]] = {
            (row.repository_id, row.name): (row.serial, set())
            for row in connection.execute(select(p))
        }
        seen = r.c.released_at.is_not(None) & r.c.removed_at.is_(None)
        for row in connection.execute(select(r).where(seen)):
            shown = (row.name, row.serial, row.yanked_at, row.record)
            found[row.repository_id, row.partition][1].add(str(shown))
        beside = (
            (r.c.repository_id == f.c.repository_id)
            & (r.c.partition == f.c.partition)
            & (r.c.name == f.c.release)
        )
        for row in connection.execute(select(f).join(r, beside).where(seen)):
            found[row.repository_id, row.partition][1].add(f"{row.path} {row.digest}")
        made = {
            row.id: (f"{row.format}/{row.name}", row.created_at)
            for row in connection.execute(select(t))
        }
    return {
        (f"{made[number]}", name): (serial, frozenset(shown))
        for (number, name), (serial, shown) in found.items()
        if number in made
    }


class Replicas(RuleBasedStateMachine):
    """One primary and one replica."""

    opening: Callable[[], contextlib.AbstractContextManager[Pair]]

    def __init__(self) -> None:
        super().__init__()
        self.stack = contextlib.ExitStack()
        self.two = self.stack.enter_context(type(self).opening())
        self.replica = self.two.replica()
        #: Whatever a partition ever was, by its serial.
        self.known: dict[tuple[Key, int], frozenset[str]] = {}
        self.count = 0
        self.note()

    def note(self) -> None:
        for key, (serial, shown) in partitions(self.two.primary).items():
            before = self.known.setdefault((key, serial), shown)
            assert before == shown, f"{key} has changed without a serial"

    # ------------------------------------------------------------------- changes at the primary

    def change(self, work: Callable[[], object]) -> None:
        with contextlib.suppress(repocore.RepocoreError):
            work()
        self.note()

    @rule(name=NAMES)
    def upload_package(self, name: str) -> None:
        self.change(lambda: self.two.conda(name))

    @rule(rrev=REVISIONS, content=st.sampled_from([b"", b"other"]))
    def upload_recipe(self, rrev: str, content: bytes) -> None:
        self.change(lambda: self.two.recipe(rrev, content=content))

    @rule(rrev=REVISIONS, content=st.sampled_from([b"a log", b"another"]))
    def add_metadata(self, rrev: str, content: bytes) -> None:
        path = f"zlib/1.3/_/_/{rrev}/export/metadata/log.txt"
        self.change(lambda: self.two.put("conan/main", path, content))

    @rule(rrev=REVISIONS)
    def remove_metadata(self, rrev: str) -> None:
        path = f"zlib/1.3/_/_/{rrev}/export/metadata/log.txt"
        self.change(lambda: self.two.admin.files.delete("conan/main", path))

    @rule(name=NAMES, yanked=st.booleans())
    def yank(self, name: str, yanked: bool) -> None:
        file = f"{name}-1.0-0.tar.bz2"
        self.change(lambda: self.two.admin.releases.yank("conda/main", "noarch", file, yanked))

    @rule(name=NAMES)
    def delete_package(self, name: str) -> None:
        file = f"{name}-1.0-0.tar.bz2"
        self.change(lambda: self.two.admin.releases.delete("conda/main", "noarch", file))

    @rule(rrev=REVISIONS)
    def delete_recipe(self, rrev: str) -> None:
        self.change(lambda: self.two.admin.releases.delete("conan/main", "zlib/1.3@_/_", rrev))

    @rule(address=ADDRESSES)
    def make_or_delete_repository(self, address: str) -> None:
        rooms = self.two.admin.repositories
        there = {one.address for one in rooms.list()}
        self.change(lambda: (rooms.delete if address in there else rooms.create)(address))

    @rule()
    def collect(self) -> None:
        self.change(self.two.admin.upkeep.collect)

    @rule()
    def add_account(self) -> None:
        self.count += 1
        self.change(lambda: self.two.admin.accounts.add(f"sailor{self.count}"))

    # ------------------------------------------------------------------------------- looks at it

    def look(self, step: Callable[[str], None], *, full: bool = False) -> bool:
        """One look; a process that dies is another afterwards."""
        self.replica.step = step
        try:
            self.two.sync(self.replica, full=full)
        except Killed:
            self.replica.close()
            self.replica = self.two.replica()
            return False
        self.replica.step = lambda _step: None
        return True

    @rule(full=st.booleans())
    def sync(self, full: bool) -> None:
        """Nothing changes meanwhile: then both are the same."""
        assert self.look(lambda _step: None, full=full)
        assert differences(self.two.primary, self.replica) == {}
        status = self.replica.session(self.replica.admin()).replica.status()
        assert status.ok, status

    @rule(at=st.integers(1, 8), full=st.booleans())
    def die(self, at: int, full: bool) -> None:
        left = at

        def step(_name: str) -> None:
            nonlocal left
            left -= 1
            if not left:
                raise Killed

        self.look(step, full=full)

    @rule(name=NAMES, rrev=REVISIONS, what=st.sampled_from("udr"))
    def change_meanwhile(self, name: str, rrev: str, what: str) -> None:
        """Between any two steps of a look the primary changes."""
        changes: dict[str, Callable[[], None]] = {
            "u": lambda: (self.upload_package(name), self.upload_recipe(rrev, b"new"))[0],
            "d": lambda: self.delete_package(name),
            "r": lambda: self.make_or_delete_repository("conda/main"),
        }
        self.look(lambda _step: changes[what]())

    @rule(at=st.integers(1, 6), rrev=REVISIONS)
    def lose_an_answer(self, at: int, rrev: str) -> None:
        """A request fails in the middle of a look."""
        room = type(self.two.admin.replication)
        left = at

        def fail(real: Any) -> Any:
            def ask(*given: Any) -> Any:
                nonlocal left
                left -= 1
                if not left:
                    raise repocore.StorageError("The disk is slow.")
                return real(*given)

            return ask

        with pytest.MonkeyPatch.context() as patch:
            for name in ("content", "changes", "access", "partitions", "loose_files", "records"):
                patch.setattr(room, name, fail(getattr(room, name)))
            with contextlib.suppress(repocore.UpstreamError, repocore.ReplicaError):
                self.look(lambda _step: None)

    @invariant()
    def each_partition_is_one_that_the_primary_had(self) -> None:
        for key, (serial, shown) in partitions(self.replica).items():
            if serial:
                assert self.known.get((key, serial)) == shown, (key, serial)
            else:
                assert not shown

    def teardown(self) -> None:
        with self.stack, contextlib.closing(self.two):
            self.sync(full=False)
            checked = self.replica.session(self.replica.admin()).upkeep.check(read_data=True)
            assert checked.ok, checked.problems


def run(opening: Callable[[], Any], examples: int, steps: int = STEPS) -> None:
    machine = type("Machine", (Replicas,), {"opening": staticmethod(opening)})
    chosen = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=[*HealthCheck],
    )
    run_state_machine_as_test(machine, settings=chosen)


@contextlib.contextmanager
def on_sqlite():
    with tempfile.TemporaryDirectory() as folder, pair(Path(folder), "sqlite:///catalog.db") as two:
        yield two


def test_a_replica_is_always_something_that_its_primary_was():
    """Whatever changes, whoever dies, and whichever answer is lost."""
    run(on_sqlite, EXAMPLES)


@pytest.mark.slow
def test_a_replica_is_always_something_that_its_primary_was_at_length():
    """The same, for longer."""
    run(on_sqlite, 200, 40)


@pytest.mark.postgres
def test_a_replica_in_postgresql(postgres_databases, postgres_tables):
    """The primary's catalog and the replica's are in PostgreSQL."""

    @contextlib.contextmanager
    def opening():
        with (
            postgres_databases.fresh(postgres_tables) as url,
            postgres_databases.fresh(postgres_tables) as other,
            tempfile.TemporaryDirectory() as folder,
            pair(Path(folder), url) as two,
        ):
            two.catalog = other
            yield two

    run(opening, 2)


def half(patch: pytest.MonkeyPatch) -> None:
    """The serial is published before the changes are there."""
    write = pulling.PartitionCopies._write

    def early(self: Any, transaction: Any, reached: Any, ready: Any, anew: Any) -> None:
        for one in reached:
            if one.serial is not None:
                copied_releases.set_serial(transaction, one.repository, one.partition, one.serial)
        if ready.count < 2:
            write(self, transaction, reached, ready, anew)

    patch.setattr(pulling.PartitionCopies, "_write", early)


def deaf(patch: pytest.MonkeyPatch) -> None:
    """Deletions are not taken over."""
    bring = copied_releases.bring_releases
    patch.setattr(
        copied_releases,
        "bring_releases",
        lambda t, found: bring(t, [one for one in found if one[0].removed_at is None]),
    )


def silent(patch: pytest.MonkeyPatch) -> None:
    """Files that change no list take no serial, as they did in earlier versions."""
    patch.setattr(drafts, "amend", lambda _transaction, _row: None)


def played(machine: Any) -> None:
    machine.upload_package("tide")
    machine.upload_package("wave")
    machine.upload_recipe("r1", b"")
    machine.sync(full=False)
    machine.delete_package("tide")
    machine.sync(full=False)
    machine.add_metadata("r1", b"a log")


@pytest.mark.parametrize("fault", [half, deaf, silent], ids=lambda fault: fault.__name__)
def test_the_machine_finds_faults(fault, monkeypatch):
    """A planted one, by rules that chance would find as well, some time."""
    fault(monkeypatch)
    machine = type("Machine", (Replicas,), {"opening": staticmethod(on_sqlite)})()
    with machine.stack, contextlib.closing(machine.two), pytest.raises(AssertionError):
        played(machine)


def test_the_machine_finds_nothing_else(monkeypatch):
    """The same rules pass where nothing is planted."""
    with pytest.raises(pytest.fail.Exception):
        test_the_machine_finds_faults(lambda _patch: None, monkeypatch)
