"""A restore drill: backups at random moments while many write, restored elsewhere, and compared.

The moment of a backup is that of its snapshot.  What the catalog held then is read through the same
snapshot, at once; then writers and a collector go on for a while before the backup reads anything,
so that whatever it read of a later moment would show (T56).
"""

from __future__ import annotations

import contextlib
import io
import random
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from channel_pool import pool
from tests_manifest import manifest

import repocore
from repocore import Policy, Registry, Session
from repocore.catalog import dumping
from repocore.config import Settings
from repocore.errors import RepocoreError
from repocore.registry import BackupFolder

BACKUPS = 3
WRITERS = 3
PACKAGES = pool()
#: What tells servers to look again, not what there is.
TOLD = "access"


@attrs.define
class Writers:
    """Threads that change things at random until they are told to end."""

    registry: Registry
    seed: int
    done: int = 0
    wrong: list[BaseException] = attrs.field(factory=list)
    _ended: threading.Event = attrs.field(factory=threading.Event)
    _turn: threading.Condition = attrs.field(factory=threading.Condition)

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """Have them write, and one collect, while the block runs."""
        work = [threading.Thread(target=self._run, args=(number,)) for number in range(WRITERS)]
        work.append(threading.Thread(target=self._collect))
        for thread in work:
            thread.start()
        try:
            yield
        finally:
            self._ended.set()
            for thread in work:
                thread.join()
        assert self.wrong == []

    def await_more(self, count: int) -> None:
        """Return when so many more changes were made."""
        with self._turn:
            wanted = self.done + count
            self._turn.wait_for(lambda: self.done >= wanted or self.wrong, 60)
            assert self.done >= wanted, self.wrong

    def _run(self, number: int) -> None:
        chance = random.Random(f"{self.seed}/{number}")
        session = self.registry.session(self.registry.admin())
        made = 0
        try:
            while not self._ended.is_set():
                made += 1
                with contextlib.suppress(RepocoreError):  # somebody else was first
                    change(session, chance, f"r{number}x{made}")
                with self._turn:
                    self.done += 1
                    self._turn.notify_all()
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits
            self.wrong.append(error)

    def _collect(self) -> None:
        session = self.registry.session(self.registry.admin())
        try:
            while not self._ended.wait(0.05):
                session.upkeep.collect(grace=timedelta(0))
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits
            self.wrong.append(error)


def change(session: Session, chance: random.Random, rrev: str) -> None:
    """One change of many kinds."""
    what = chance.random()
    if what < 0.4:
        reference = f"tide/1.{chance.randrange(3)}/_/_/{rrev}/export"
        content = chance.randbytes(chance.choice([10, 5_000]))
        for name, body in (
            ("conanfile.py", content),
            ("conanmanifest.txt", manifest("conanfile.py")),
        ):
            session.files.put("conan/main", f"{reference}/{name}", io.BytesIO(body))
    elif what < 0.7:
        one = chance.choice(PACKAGES)
        session.files.put("conda/main", one.path, io.BytesIO(one.content))
    else:
        source = chance.choice(["conan", "conda"])
        found = list(session.releases.all(f"{source}/main"))
        if not found:
            return
        one = chance.choice(found)
        if what < 0.85:
            session.releases.delete(f"{source}/main", one.partition, one.name)
        else:
            names = [(one.partition, one.name)]
            session.releases.copy(f"{source}/main", names, f"{source}/stable", promote=True)


def rows(connection: Any) -> dict[str, list[Any]]:
    """Every row, as a backup has them."""
    return {name: list(dumping.rows(connection, name)) for name in dumping.table_columns()}


@pytest.fixture
def busy(settings: Settings) -> Iterator[Registry]:
    """Channels and Conan repositories that writers share."""
    with repocore.open_registry(settings=settings) as registry:
        room = registry.session(registry.admin()).repositories
        for name in ("conan/main", "conan/stable", "conda/main", "conda/stable"):
            room.create(name, policy=Policy(overwrite=name == "conda/main"))
        yield registry


def test_what_is_restored_is_what_there_was_at_that_moment(
    busy: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the row and to the byte, whatever was written, deleted and collected meanwhile."""
    kept, moments = tmp_path / "kept", list[dict[str, list[Any]]]()
    writers = Writers(busy, seed=11)
    moment = dumping.moment

    def read_first(connection: Any) -> int:
        at = moment(connection)
        moments.append(rows(connection))
        writers.await_more(6)
        return at

    monkeypatch.setattr(dumping, "moment", read_first)
    chance = random.Random(11)
    with writers.at_work():
        for _ in range(BACKUPS):
            writers.await_more(chance.randrange(3, 20))
            assert busy.session(busy.admin()).upkeep.backup(kept).ok
    monkeypatch.undo()
    found = sorted(BackupFolder.at(kept).list(), key=lambda one: one.name)
    assert len(found) == len(moments) == BACKUPS
    for number, (backup, before) in enumerate(zip(found, moments, strict=True)):
        with restored(tmp_path / f"new{number}", kept, backup.name) as registry:
            compare(registry, before)
    assert moments[0] != moments[-1]


@contextlib.contextmanager
def restored(data: Path, kept: Path, name: str) -> Iterator[Registry]:
    """A new installation that has what the backup has."""
    chosen = Settings(data=data, read_only=True)
    with repocore.open_registry(settings=chosen) as registry:
        assert registry.session(registry.admin()).upkeep.restore(kept, name=name).ok
        yield registry


def compare(registry: Registry, before: dict[str, list[Any]]) -> None:
    """Every row is there, and every file that the rows name has its bytes."""
    session = registry.session(registry.admin())
    assert before["files"]
    with registry._services.catalog.snapshot() as connection:
        after = rows(connection)
    for name in before.keys() - {TOLD, "seals", "leases"}:
        assert after[name] == before[name], name
    report = session.upkeep.check(read_data=True)
    assert report.problems == ()
    # Files of uploads that were under way are nobody's yet.
    assert 0 < report.files <= len(before["files"])
