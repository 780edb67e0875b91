"""Taking over a conan_server: all of it, once, and the old tree stays as it was."""

from __future__ import annotations

import errno
import shutil
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from conan_protocol import Client
from old_tree import CONF, OldTree, snapshot

import repocore
from repocore import AccessDeniedError, Action, Password, Principal, Registry, Rule, Session
from repocore.config import Settings
from repocore.plugins.conan.importing import ImportReport, import_access, import_tree
from repocore.plugins.conan.server_conf import read_server_conf

MAIN = "conan/main"
ZLIB = "zlib/1.3/_/_"
R = f"/v2/conans/{ZLIB}"


@pytest.fixture
def tree(tmp_path: Path) -> OldTree:
    made = OldTree(tmp_path / "home" / "data")
    made.recipe(ZLIB, "bbb", 1_700_000_000.25)
    made.recipe(ZLIB, "aaa", "2023-01-01T00:00:00Z")
    package = made.package(ZLIB, "aaa", "p1", "x", 1_700_000_300)
    made.package(ZLIB, "aaa", "p1", "y", 1_700_000_200)
    (package / "metadata").mkdir()
    (package / "metadata" / "log.txt").write_bytes(b"log")
    made.recipe("png/1.0/u/c", "0", 5)
    (made.root.parent / "server.conf").write_text(CONF, encoding="utf-8")
    return made


@pytest.fixture
def registry(database_url: str, tmp_path: Path) -> Iterator[Registry]:
    settings = Settings(data=tmp_path / "ours", catalog=database_url)
    with repocore.open_registry(settings=settings) as opened:
        opened.session(opened.admin()).repositories.create(MAIN)
        yield opened


@pytest.fixture
def session(registry: Registry) -> Session:
    return registry.session(registry.admin())


def revisions(registry: Registry, path: str) -> list[tuple[str, datetime]]:
    answer = Client(registry, registry.session(registry.admin())).get(f"{path}/revisions").json
    return [(e["revision"], datetime.fromisoformat(e["time"])) for e in answer["revisions"]]


def test_everything_is_taken(registry, session, tree):
    """Revisions in the old order with the old times, which never go back, and every byte."""
    before = snapshot(tree.root)
    report = import_tree(session, MAIN, tree.root)
    assert (report.references, report.revisions, report.package_revisions) == (2, 3, 2)
    assert (report.skipped, report.repaired, report.known) == (0, 0, 0)
    first = datetime.fromtimestamp(1_700_000_000.25, UTC)
    [(newest, later), (oldest, time)] = revisions(registry, R)
    assert (newest, oldest, time) == ("aaa", "bbb", first)
    assert 0 < (later - first).total_seconds() < 0.001  # the old clock had gone back
    packages = revisions(registry, f"{R}/revisions/aaa/packages/p1")
    assert [name for name, _ in packages] == ["y", "x"]
    files = list(session.files.list(MAIN))
    assert len(files) == report.files == 13
    for file in files:
        with session.files.open(MAIN, file.path) as stream:
            assert stream.read() == (tree.root / str(file.path)).read_bytes()
    assert session.upkeep.check(read_data=True).ok
    assert snapshot(tree.root) == before


def test_files_are_linked(session, tree, tmp_path):
    """The disk holds their bytes once; the old names and ours go by themselves."""
    import_tree(session, MAIN, tree.root)
    old = tree.root / ZLIB / "aaa" / "export" / "conanfile.py"
    assert old.stat().st_nlink == 2
    shutil.rmtree(tree.root)
    assert session.upkeep.check(read_data=True).ok


def test_second_import_takes_what_has_come(registry, session, tree):
    """What is there stays as it is, also the order."""
    import_tree(session, MAIN, tree.root)
    before = revisions(registry, R)
    tree.recipe(ZLIB, "ccc", 1_700_000_900)
    report = import_tree(session, MAIN, tree.root)
    assert (report.revisions, report.known, report.files) == (1, 5, 2)
    assert [name for name, _ in revisions(registry, R)] == ["ccc", "aaa", "bbb"]
    assert revisions(registry, R)[1:] == before


def test_import_that_was_cut_off_goes_on(registry, session, tree, monkeypatch):
    """What it has taken is whole; nothing is there twice afterwards."""
    room = type(session.files)
    real = room.put
    calls = []

    def put(*args, **given):
        calls.append(args)
        if len(calls) > 5:
            raise OSError(errno.EIO, "the cable")
        return real(*args, **given)

    monkeypatch.setattr(room, "put", put)
    with pytest.raises(OSError, match="the cable"):
        import_tree(session, MAIN, tree.root)
    assert session.upkeep.check(read_data=True).ok
    monkeypatch.undo()
    import_tree(session, MAIN, tree.root)
    assert [name for name, _ in revisions(registry, R)] == ["aaa", "bbb"]
    assert len(list(session.files.list(MAIN))) == 13
    assert session.upkeep.check(read_data=True).ok


def test_dry_run_changes_nothing(session, tree):
    """And says the same, also where there is no installation."""
    alone = import_tree(None, MAIN, tree.root, dry_run=True)
    report = import_tree(session, MAIN, tree.root, dry_run=True)
    assert alone == report
    assert (report.revisions, report.files) == (3, 13)
    assert list(session.files.list(MAIN)) == []


def test_what_is_odd_is_reported(session, tree):
    """With where it lies and what was done."""
    (tree.root / ZLIB / "aaa" / "export" / "conanmanifest.txt").unlink()
    tree.recipe("b ad/1.0/_/_", "aaa")
    tree.index(tree.root / ZLIB, "gone", 2)
    report = import_tree(session, MAIN, tree.root)
    assert (report.skipped, report.repaired) == (2, 1)
    assert sorted(finding.partition(":")[0] for finding in report.findings) == [
        "b ad/1.0/_/_",
        "zlib/1.3/_/_/aaa/export",
        "zlib/1.3/_/_/gone",
    ]


def test_findings_are_bounded(monkeypatch, tree):
    """Their number is not."""
    monkeypatch.setattr("repocore.plugins.conan.importing._LISTED", 2)
    for n in range(5):
        tree.index(tree.root / ZLIB, f"gone{n}", 2)
    report = import_tree(None, MAIN, tree.root, dry_run=True)
    assert (report.repaired, len(report.findings)) == (5, 2)


def test_progress_is_told(session, tree):
    """A step a reference, and it may end there."""
    steps: list[str] = []

    class Watching:
        def start(self, total, message):
            steps.append(message)

        def advance(self, count=1):
            steps.append("advance")

        def log(self, text):
            raise AssertionError(text)

        def check(self):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_tree(session, MAIN, tree.root, progress=Watching())
    assert steps == ["Importing references", "advance"]


def test_importing_needs_more_than_writing(registry, session, tree):
    """Whoever says when something was published manages the repository."""
    rule = Rule(subject="user:ann", actions=frozenset({Action.READ, Action.WRITE}), pattern="**")
    session.accounts.add_rule(rule)
    ann = registry.session(Principal(name="ann"))
    with pytest.raises(AccessDeniedError, match="manage"):
        import_tree(ann, MAIN, tree.root)
    assert list(session.files.list(MAIN)) == []


def test_users_and_rules(registry, session, tree):
    """Passwords are hashed on the way; what is there stays, and nothing is there twice."""
    conf = read_server_conf(tree.root.parent, {})
    for wanted in ((1, 3), (0, 0)):
        report = ImportReport()
        import_access(session, conf, MAIN, report)
        assert (report.users, report.rules) == wanted
    demo = registry.authenticate(Password("demo", "de mo"))
    assert registry.session(demo).repositories.get(MAIN)
    for path in (registry.settings.data).rglob("*"):
        assert not path.is_file() or b"de mo" not in path.read_bytes()


def test_memory_is_flat(tmp_path):
    """What is held does not grow with the number of references."""

    def peak(count: int) -> int:
        tree = OldTree(tmp_path / f"data{count}")
        for n in range(count):
            tree.recipe(f"pkg{n}/1.0/_/_", "0", 1)
        tracemalloc.start()
        try:
            import_tree(None, MAIN, tree.root, dry_run=True)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = peak(50), peak(400)
    assert many < 2 * few + 100_000
