"""Statistics: what is counted, and for whom."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from repocore import AccessDeniedError, NotAuthenticatedError, RepositoryMissingError
from repocore.model import Binding

MAIN = "conan/main"
ZLIB = "zlib/1.3@_/_"


@pytest.fixture
def stocked(house):
    """Two recipes, three recipe revisions, two packages with three revisions between them."""
    house.recipe("r1")
    house.recipe("r2")
    house.recipe("q1", "png/1.6/team/_")
    house.package("r1", "p1", "linux")
    house.package("r1", "p2", "linux")
    house.package("r1", "p3", "other")
    return house


def test_everything_is_counted_once(stocked) -> None:
    """Recipes by reference, packages by id, revisions one by one, content also without doubles."""
    files = list(stocked.admin.files.list(MAIN))
    report = stocked.admin.statistics.usage(MAIN)
    assert report.repositories == (report.repositories[0],)
    usage = report.repositories[0]
    assert (usage.recipes, usage.packages, usage.releases) == (2, 2, 6)
    assert (usage.files, usage.bytes) == (len(files), sum(file.size for file in files))
    assert usage.stored == sum({file.digest: file.size for file in files}.values())
    assert usage.stored < usage.bytes
    assert (usage.downloads, usage.last_used) == (0, None)


def test_what_is_gone_or_hidden_is_not_counted(stocked) -> None:
    """Yanked revisions are revisions still, and no recipes; deleted ones are nothing."""
    stocked.admin.releases.delete(MAIN, ZLIB, "r1")
    stocked.admin.releases.yank(MAIN, "png/1.6@team/_", "q1")
    usage = stocked.admin.statistics.usage(MAIN).total
    assert (usage.recipes, usage.packages, usage.releases, usage.files) == (1, 0, 2, 4)


def test_an_unfinished_upload_takes_space(stocked) -> None:
    """Its bytes are counted; a revision it is not."""
    before = stocked.admin.statistics.usage(MAIN).total
    stocked.put("tide/1.0/_/_/r1/export/conanfile.py", b"half of it")
    after = stocked.admin.statistics.usage(MAIN).total
    assert (after.releases, after.recipes) == (before.releases, before.recipes)
    assert (after.files, after.bytes) == (before.files + 1, before.bytes + 10)


def test_downloads_are_counted_before_they_are_written(stocked) -> None:
    """What this process has served is in the numbers, of the repository and of the release."""
    for revision in ("r1", "r1", "r2"):
        path = f"zlib/1.3/_/_/{revision}/export/conanfile.py"
        stocked.admin.files.open(MAIN, path).close()
    usage = stocked.admin.statistics.usage().total
    assert usage.downloads == 3
    assert usage.last_used is not None
    assert usage.last_used.date() == datetime.now(UTC).date()
    counts = stocked.admin.statistics.downloads(MAIN, ZLIB)
    assert {name: one.count for name, one in counts.items()} == {"r1": 2, "r2": 1}
    assert stocked.admin.statistics.downloads(MAIN, "png/1.6@team/_") == {}


def test_repositories_share_content(stocked) -> None:
    """Together they store it once, and are used when the last of them was."""
    stocked.admin.repositories.create("conan/two")
    before = stocked.admin.statistics.usage().total
    files = stocked.admin.files
    path = "zlib/1.3/_/_/r1/export/conanfile.py"
    with files.open(MAIN, path) as stream:
        files.put("conan/two", path, stream)
    report = stocked.admin.statistics.usage()
    assert [one.repository for one in report.repositories] == [MAIN, "conan/two"]
    assert report.repositories[1].stored > 0
    assert report.total.stored == before.stored
    assert report.total.files == before.files + 1


def test_numbers_are_for_those_who_manage(stocked) -> None:
    """A reader gets none of a repository, and the releases' that may be read."""
    stocked.allow("user:reader", "read", "conan/main/zlib/**")
    stocked.allow("user:keeper", "read,manage", "conan/main/**")
    stocked.admin.repositories.create("conan/two")
    reader, keeper = stocked.as_("reader"), stocked.as_("keeper")
    assert [one.repository for one in keeper.statistics.usage().repositories] == [MAIN]
    with pytest.raises(AccessDeniedError):
        keeper.statistics.usage("conan/two")
    assert reader.statistics.usage().repositories == ()
    assert reader.statistics.usage().total.files == 0
    with pytest.raises(AccessDeniedError):
        reader.statistics.usage(MAIN)
    with pytest.raises(NotAuthenticatedError):
        stocked.as_(None).statistics.usage(MAIN)
    with pytest.raises(RepositoryMissingError):
        stocked.admin.statistics.usage("conan/no")
    assert reader.statistics.downloads(MAIN, ZLIB) == {}
    with pytest.raises(AccessDeniedError):
        reader.statistics.downloads(MAIN, "png/1.6@team/_")


def test_downloads_by_day_and_from_elsewhere(house) -> None:
    """Counts of another server are taken over once, and stand beside one's own."""
    house.recipe("r1")
    when = datetime(2020, 2, 3, 4, 5, tzinfo=UTC)
    counts = [(ZLIB, "r1", when, 7), (ZLIB, "r2", when, 0)]
    room = house.admin.statistics
    assert [room.take_over(MAIN, counts) for _ in range(2)] == [1, 0]
    house.admin.files.open(MAIN, "zlib/1.3/_/_/r1/export/conanfile.py").close()
    today = datetime.now(UTC).date()
    daily = room.daily(MAIN, ZLIB)
    assert daily[0] == ("r1", date(2020, 2, 3), 7)
    assert [(name, count) for name, _, count in daily[1:]] == [("r1", 1)]
    assert abs(daily[1][1] - today) <= timedelta(days=1)
    assert room.downloads(MAIN, ZLIB)["r1"].count == 8


def test_counts_are_an_administrators_to_bring(house) -> None:
    """Who owns the repository does not make up how often it is used; who may not read sees none."""
    house.admin.roles.bind(Binding(subject="user:ann", role="owner", pattern=MAIN))
    with pytest.raises(AccessDeniedError):
        house.as_("ann").statistics.take_over(MAIN, [])
    with pytest.raises(AccessDeniedError):
        house.as_("bob").statistics.daily(MAIN, ZLIB)
