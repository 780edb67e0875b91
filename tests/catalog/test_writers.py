"""Writers: many at once lose nothing, and readers see one state."""

from __future__ import annotations

import io
import multiprocessing
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests_manifest import manifest

import repocore
from repocore.config import Settings

SOURCES = Path(repocore.__file__).parent


def upload(settings: Settings, numbers: range) -> None:
    with repocore.open_registry(settings=settings) as registry:
        session = registry.session(registry.admin())

        def one(number: int) -> None:
            base = f"zlib/1.3/_/_/r{number}/export"
            session.files.put(
                "conan/main", f"{base}/conanfile.py", io.BytesIO(b"%d" % (number % 3))
            )
            session.files.put(
                "conan/main", f"{base}/conanmanifest.txt", io.BytesIO(manifest("conanfile.py"))
            )

        with ThreadPoolExecutor(5) as pool:
            list(pool.map(one, numbers))


def test_sixty_uploads_at_once_are_sixty_revisions(database_url: str, tmp_path: Path) -> None:
    """Several processes with several threads each publish to one partition; none is lost."""
    settings = Settings(data=tmp_path, catalog=database_url)
    with repocore.open_registry(settings=settings) as registry:
        session = registry.session(registry.admin())
        session.repositories.create("conan/main")
        context = multiprocessing.get_context("spawn")
        workers = [
            context.Process(target=upload, args=(settings, range(start, start + 20)))
            for start in (0, 20, 40)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert [worker.exitcode for worker in workers] == [0, 0, 0]
        found = session.releases.list("conan/main", "zlib/1.3@_/_")
        assert sorted(release.name for release in found) == sorted(f"r{n}" for n in range(60))
        assert [release.serial for release in found] == list(range(60, 0, -1))
        times = [release.released_at for release in found]
        assert times == sorted(set(times), reverse=True)
        assert session.upkeep.check(read_data=True).ok


def test_two_who_upload_the_last_files_make_it_whole(database_url: str, tmp_path: Path) -> None:
    """Of two last files at once, one sees the other."""
    settings = Settings(data=tmp_path, catalog=database_url)
    with repocore.open_registry(settings=settings) as registry:
        session = registry.session(registry.admin())
        session.repositories.create("conan/main")
        for number in range(10):
            base = f"zlib/1.3/_/_/r{number}/export"
            files: list[tuple[str, bytes]] = [
                (f"{base}/conanfile.py", b"recipe"),
                (f"{base}/conanmanifest.txt", manifest("conanfile.py")),
            ]
            put: Callable[[tuple[str, bytes]], object] = lambda one: session.files.put(  # noqa: E731
                "conan/main", one[0], io.BytesIO(one[1])
            )
            with ThreadPoolExecutor(2) as pool:
                list(pool.map(put, files))
        assert len(session.releases.list("conan/main", "zlib/1.3@_/_")) == 10


def test_no_statement_uses_like() -> None:
    """A prefix is a range: a pattern would give `_` and `%` a meaning in names."""
    for source in (SOURCES / "catalog").rglob("*.py"):
        assert not re.search(
            r"\bI?LIKE\b|\.i?like\(|\.contains\(|startswith\(",
            source.read_text().replace("url.startswith(", ""),
        ), source


def test_the_hot_path_has_at_most_ten_statements() -> None:
    """What is written by hand stays little."""
    text = (SOURCES / "catalog/hot.py").read_text()
    assert len(re.findall(r"^_[A-Z]+ = ", text, re.MULTILINE)) <= 10
