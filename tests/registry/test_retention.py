"""Retention: what a policy keeps stays, the rest goes whole, and nothing is lost on the way."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, settings as hypothesis_settings, strategies as st
from sqlalchemy import delete, insert, select, update

import repocore
from repocore import AccessDeniedError, NotAuthenticatedError, ReleaseMissingError
from repocore.catalog import tables
from repocore.config import LimitSettings, RetentionSettings, Settings
from repocore.testing.fakes import RecordingProgress

MAIN = "conan/main"
ZLIB = "zlib/1.3@_/_"
HOUR = 3600 * 10**6
DAY = 24 * HOUR


def keep(pattern: str = "conan/**", **given: Any) -> list[RetentionSettings]:
    """One policy; lengths of time are in days."""
    days = {name: timedelta(days=given.pop(name)) for name in [*given] if name != "keep_last"}
    return [RetentionSettings(pattern=pattern, **given, **days)]


def names(house, policies: Sequence[RetentionSettings]) -> list[str]:
    return [one.release for one in house.admin.retention.plan(policies)]


def revisions(house, partition: str = ZLIB) -> list[str]:
    """Those that are listed, oldest first."""
    return [name for name, _ in house.admin.releases.names(MAIN, partition)][::-1]


def read(house, path: str) -> None:
    """Download a file."""
    house.admin.files.open(MAIN, f"zlib/1.3/_/_/{path}").close()


def age(house, days: int, table: Any = tables.releases, **where: str) -> None:
    """Make rows older."""
    column = {tables.releases: "released_at", tables.downloads: "last_at"}[table]
    mine = [table.c[name] == value for name, value in where.items()]
    values = {column: table.c[column] - days * DAY}
    if table is tables.downloads:
        values["day"] = table.c.day - days
    house.registry._services.catalog.write(
        lambda transaction: transaction.execute(update(table).where(*mine).values(values))
    )


@pytest.fixture
def four(house):
    """Four revisions of a recipe, the first two with a package."""
    for number in (1, 2, 3, 4):
        house.recipe(f"r{number}")
    house.package("r1", "p1")
    house.package("r2", "p2")
    return house


# ---------------------------------------------------------------------------------- what is kept


def test_the_last_of_each_partition_are_kept(four) -> None:
    """Of a recipe and of a package alike; with a recipe revision go its packages."""
    for number in (2, 3):
        four.package("r4", f"q{number}", "other")
    found = list(four.admin.retention.plan(keep(keep_last=2)))
    assert [(one.release, one.releases, one.files) for one in found] == [("r1", 2, 5), ("r2", 2, 5)]
    four.package("r4", "q4", "other")
    assert names(four, keep(keep_last=2)) == ["r1", "r2", "q2"]
    report = four.admin.retention.apply(keep(keep_last=2))
    assert (report.releases, report.files, report.spared) == (5, 13, 0)
    assert revisions(four) == ["r3", "r4"]
    assert revisions(four, f"{ZLIB}#r4:other") == ["q3", "q4"]
    assert four.admin.upkeep.check(read_data=True).ok


def test_bytes_are_those_of_the_files(four) -> None:
    """What a plan tells is what the listing says of the paths that are gone afterwards."""
    before = {str(file.path): file.size for file in four.admin.files.list(MAIN)}
    [one] = four.admin.retention.plan(keep(keep_last=3))
    four.admin.retention.apply(keep(keep_last=3))
    after = {str(file.path) for file in four.admin.files.list(MAIN)}
    gone = {path: size for path, size in before.items() if path not in after}
    assert (one.files, one.bytes) == (len(gone), sum(gone.values()))


def test_what_was_downloaded_lately_is_kept(four) -> None:
    """A recipe revision is used by whoever downloads its package; the count is not written yet."""
    read(four, "r1/package/pid/p1/conan_package.tgz")
    read(four, "r3/export/conanfile.py")
    policies = keep(keep_downloaded=30)
    assert names(four, policies) == ["r2"]
    age(four, 31, tables.downloads, release="p1")
    assert names(four, policies) == ["r1", "r2"]
    [one, _] = four.admin.retention.plan(policies)
    assert one.last_used is not None
    assert one.why == "not the newest, not downloaded for 30d"


def test_what_is_young_is_kept(four) -> None:
    """A recipe revision is as young as the youngest of its packages."""
    policies = keep(keep_last=1, keep_younger=7)
    assert names(four, policies) == []
    age(four, 8, partition=ZLIB)
    assert names(four, policies) == ["r3"]
    age(four, 8, name="p1")
    assert names(four, policies) == ["r1", "r3"]


def test_the_newest_goes_only_where_that_is_said(four) -> None:
    """Without keep_last one is kept; keep_last = 0 takes the unused newest too."""
    age(four, 8)
    assert names(four, keep(keep_younger=7)) == ["r1", "r2", "r3"]
    assert names(four, keep(keep_last=0, keep_younger=7)) == ["r1", "r2", "r3", "r4"]


def test_yanked_releases_are_not_counted(four) -> None:
    """They are offered to nobody: the last two are two that are."""
    four.admin.releases.yank(MAIN, ZLIB, "r3")
    assert names(four, keep(keep_last=2)) == ["r1"]
    four.admin.releases.yank(MAIN, ZLIB, "r4")
    assert names(four, keep(keep_last=2)) == []


def test_an_upload_in_progress_keeps_its_recipe(four) -> None:
    """Until it would be forgotten as unfinished."""
    base = "zlib/1.3/_/_/r1/package/new/p9"
    four.put(f"{base}/conan_package.tgz", b"half of it")
    assert names(four, keep(keep_last=2)) == ["r2"]
    catalog = four.registry._services.catalog
    old = update(tables.releases).values(touched_at=tables.releases.c.touched_at - 25 * HOUR)
    catalog.write(lambda transaction: transaction.execute(old))
    assert names(four, keep(keep_last=2)) == ["r1", "r2"]


def test_the_first_policy_that_fits_decides(house) -> None:
    """An exception stands before its rule; what no pattern fits is kept."""
    for reference in ("zlib/1.3/_/_", "png/1.6/_/_", "tide/1.0/_/_"):
        for number in (1, 2, 3):
            house.recipe(f"{reference[0]}{number}", reference)
    general, special = keep("conan/*/p*/**", keep_last=1), keep("conan/main/png/1.6", keep_last=2)
    zlib = keep("conan/main/zlib/**", keep_last=1)
    assert names(house, [*special, *general, *zlib]) == ["p1", "z1", "z2"]
    assert names(house, [*general, *special]) == ["p1", "p2"]
    assert names(house, keep("conan/other/**", keep_last=1)) == []
    assert names(house, [*zlib, *zlib]) == ["z1", "z2"]


# ------------------------------------------------------------------------------------- the doing


def test_settings_bring_the_policies(settings: Settings) -> None:
    """Without policies in the call those of the settings hold, a page at a time."""
    given = attrs.evolve(
        settings,
        retention=tuple(keep(keep_last=1)),
        limits=LimitSettings(page=2),
    )
    with repocore.open_registry(settings=given) as registry:
        session = registry.session(registry.admin())
        session.repositories.create(MAIN)
        fill(registry, [Revision(name=f"r{n}", age=9) for n in range(8)])
        assert session.retention.policies() == given.retention
        assert [one.release for one in session.retention.plan()] == [f"r{n}" for n in range(7)]
        progress = RecordingProgress()
        assert session.retention.apply(progress=progress).releases == 7
        assert progress.steps == 7
        assert session.retention.apply().releases == 0


def test_a_plan_changes_nothing(four) -> None:
    """Everything is there afterwards."""
    before = four.listing()
    assert len(names(four, keep(keep_last=1))) == 3
    assert four.listing() == before


def test_deleting_is_asked_for(four) -> None:
    """Whoever may not delete a release neither deletes nor learns of it."""
    four.allow("user:reader", "read", "conan/main/**")
    four.allow("user:keeper", "read,delete", "conan/main/zlib/**")
    reader, keeper = four.as_("reader"), four.as_("keeper")
    for attempt in (reader.retention.apply, lambda p: list(reader.retention.plan(p))):
        with pytest.raises(AccessDeniedError):
            attempt(keep(keep_last=1))
    with pytest.raises(NotAuthenticatedError):
        four.as_(None).retention.apply(keep(keep_last=1))
    assert len(revisions(four)) == 4
    assert keeper.retention.apply(keep(keep_last=3)).releases == 2
    for number in (1, 2):
        four.recipe(f"p{number}", "png/1.6/_/_")
    with pytest.raises(AccessDeniedError):
        keeper.retention.apply(keep(keep_last=1))
    assert revisions(four, "png/1.6@_/_") == ["p1", "p2"]


class Meanwhile:
    """A progress at which something happens, between look-up and deletion."""

    def __init__(self, *happenings: Callable[[], object]) -> None:
        self._happenings: Iterator[Callable[[], object]] = iter(happenings)

    def start(self, total: int | None, message: str) -> None:
        pass

    def advance(self, steps: int = 1) -> None:
        pass

    def log(self, text: str) -> None:
        pass

    def check(self) -> None:
        next(self._happenings, lambda: None)()


@pytest.mark.parametrize(
    "use",
    [
        lambda house: house.recipe("r1"),
        lambda house: house.package("r1", "p9"),
        lambda house: house.put("zlib/1.3/_/_/r1/package/pid/p9/conaninfo.txt", b""),
        lambda house: read(house, "r1/package/pid/p1/conaninfo.txt"),
    ],
    ids=["uploaded", "package", "begun", "downloaded"],
)
def test_what_is_used_meanwhile_is_spared(four, use) -> None:
    """Uploaded again, given a package, about to get one, downloaded: it stays, with its files."""
    age(four, 30)
    policies = keep(keep_last=1, keep_downloaded=7, keep_younger=7)
    progress = Meanwhile(lambda: use(four))
    report = four.admin.retention.apply(policies, progress=progress)
    assert report.spared == 1
    assert "r1" in revisions(four)
    assert "r2" not in revisions(four)
    assert four.admin.releases.files(MAIN, ZLIB, "r1")


def test_a_revision_that_is_uploaded_again_is_another(four) -> None:
    """It is spared whatever the policy: nobody has looked at this one."""
    again = Meanwhile(lambda: four.recipe("r1"))
    report = four.admin.retention.apply(keep(keep_last=0, keep_downloaded=7), progress=again)
    assert (report.spared, revisions(four)) == (1, ["r1"])


def test_an_upload_and_a_run_at_once(house) -> None:
    """Either the package is there with its recipe, or its sender was told that this is gone."""
    policies = keep(keep_last=1, keep_younger=7)
    for attempt in range(6):
        old, package = f"old{attempt}", f"p{attempt}"
        house.recipe(old)
        age(house, 30, name=old)
        house.recipe(f"new{attempt}")
        told: list[Exception] = []
        start = threading.Barrier(2)

        def upload(old=old, package=package, told=told, start=start) -> None:
            start.wait()
            try:
                house.package(old, package)
            except ReleaseMissingError as error:
                told.append(error)

        uploading = threading.Thread(target=upload)
        uploading.start()
        start.wait()
        house.admin.retention.apply(policies)
        uploading.join()
        assert (old in revisions(house)) is not bool(told)
        assert revisions(house, f"{ZLIB}#{old}:pid") == ([] if told else [package])
    assert house.admin.upkeep.check(read_data=True).ok


def test_what_is_gone_meanwhile_is_no_error(four) -> None:
    """Somebody else deleted it first."""
    gone = Meanwhile(lambda: four.admin.releases.delete(MAIN, ZLIB, "r1"))
    report = four.admin.retention.apply(keep(keep_last=2), progress=gone)
    assert (report.releases, report.spared) == (2, 1)
    assert revisions(four) == ["r3", "r4"]


def test_an_interrupted_run_goes_on(four) -> None:
    """What was deleted is gone whole, what was not is there whole, and the next run does it."""
    with pytest.raises(KeyboardInterrupt):
        four.admin.retention.apply(keep(keep_last=1), progress=RecordingProgress(stop_after=1))
    assert revisions(four) == ["r2", "r3", "r4"]
    with pytest.raises(ReleaseMissingError):
        four.admin.releases.files(MAIN, f"{ZLIB}#r1:pid", "p1")
    assert revisions(four, f"{ZLIB}#r2:pid") == ["p2"]
    assert four.admin.retention.apply(keep(keep_last=1)).releases == 3
    assert revisions(four) == ["r4"]


# ------------------------------------------------------------------------------ against the model


@attrs.frozen(kw_only=True)
class Revision:
    """A revision as the model has it; ages are in days, and what is half is no boundary."""

    name: str
    age: int
    used: int | None = None
    yanked: bool = False
    removed: bool = False
    uploading: bool = False
    packages: tuple[tuple[Revision, ...], ...] = ()

    @property
    def there(self) -> list[Revision]:
        """It and its packages, as far as they can be seen."""
        below = [one for package in self.packages for one in package if not one.removed]
        return [self, *below]


def kept(policy: RetentionSettings, siblings: Sequence[Revision], place: int) -> bool:
    """The model: whether a policy keeps a revision of a partition, oldest first."""
    one = siblings[place]
    newer = [other for other in siblings[place + 1 :] if not (other.yanked or other.removed)]
    wanted = 1 if policy.keep_last is None else policy.keep_last
    younger, downloaded = policy.keep_younger, policy.keep_downloaded
    return (
        len(newer) < wanted
        or one.uploading
        or (younger is not None and any(timedelta(days=r.age) < younger for r in one.there))
        or (
            downloaded is not None
            and any(r.used is not None and timedelta(days=r.used) < downloaded for r in one.there)
        )
    )


def expected(
    policy: RetentionSettings | None, recipes: Sequence[Revision], partition: str
) -> tuple[list[str], list[str]]:
    """What goes, and what is left, as ``partition#name``."""
    gone: list[str] = []
    left: list[str] = []
    for place, one in enumerate(recipes):
        key = f"{partition}#{one.name}"
        if one.removed:
            continue
        if policy is not None and not kept(policy, recipes, place):
            gone.append(key)
            continue
        left.append(key)
        for number, package in enumerate(one.packages):
            for at, inner in enumerate(package):
                if not inner.removed:
                    goes = policy is not None and not kept(policy, package, at)
                    (gone if goes else left).append(f"{key}:{number}#{inner.name}")
    return gone, left


@attrs.define
class Rows:
    """Revisions as rows of the catalog."""

    number: int
    reference: str
    now: int = attrs.field(factory=lambda: time.time_ns() // 1000)
    releases: list[dict[str, Any]] = attrs.field(factory=list[Any])
    downloads: list[dict[str, Any]] = attrs.field(factory=list[Any])

    def add(self, partition: str, parent: str | None, revisions: Sequence[Revision]) -> None:
        """Those of a partition, with all that hangs on them."""
        for serial, one in enumerate(revisions, 1):
            key = {"repository_id": self.number, "partition": partition}
            self.releases.append({**key, **self._release(one), "serial": serial, "parent": parent})
            mine = f"{partition}#{one.name}"
            if one.uploading:
                draft = {"partition": f"{mine}:new", "parent": mine, "touched_at": self.now}
                self.releases.append({**self.releases[-1], **draft, "released_at": None})
            if one.used is not None:
                last = self.now - one.used * DAY - DAY // 2
                count = {"day": last // DAY, "count": 1, "last_at": last}
                self.downloads.append({**key, "release": one.name, **count})
            for place, below in enumerate(one.packages):
                self.add(f"{mine}:{place}", mine, below)

    def _release(self, one: Revision) -> dict[str, Any]:
        package, _, version = self.reference.partition("/")
        at = self.now - one.age * DAY - DAY // 2
        return {
            "name": one.name,
            "package": package,
            "package_key": package,
            "version": version,
            "sort_key": b"",
            "released_at": at,
            "yanked_at": at if one.yanked else None,
            "removed_at": at if one.removed else None,
            "touched_at": None,
            "record": b"{}",
        }

    def write(self, transaction: Any) -> None:
        """Insert them, and their partitions."""
        names = sorted({row["partition"] for row in self.releases})
        for table, values in (
            (tables.releases, self.releases),
            (tables.downloads, self.downloads),
            (
                tables.partitions,
                [{"repository_id": self.number, "name": name, "serial": 9} for name in names],
            ),
        ):
            if values:
                transaction.connection.execute(insert(table), values)


def fill(registry, recipes: Sequence[Revision], reference: str = ZLIB) -> None:
    """Write revisions of a recipe into conan/main."""
    services = registry._services
    rows = Rows(services.book.known.repositories[MAIN].id, reference)
    rows.add(reference, None, recipes)
    services.catalog.write(rows.write)


def siblings(packages: st.SearchStrategy[Any] | None) -> st.SearchStrategy[list[Revision]]:
    """The revisions of a partition, oldest first."""
    below = st.just(()) if packages is None else packages

    def make(facts: list[Any]) -> list[Revision]:
        made: list[Revision] = []
        for place, (days, used, state, inner) in enumerate(facts):
            removed = state == "removed"
            made.append(
                Revision(
                    name=f"v{place}",
                    age=days,
                    used=used,
                    yanked=state == "yanked",
                    removed=removed,
                    uploading=state == "uploading" and packages is not None,
                    packages=() if removed else tuple(map(tuple, inner)),
                )
            )
        return made

    state = st.sampled_from(["", "", "", "yanked", "removed", "uploading"])
    used = st.none() | st.integers(0, 6)
    return st.lists(st.tuples(st.integers(0, 6), used, state, below), max_size=4).map(make)


def policies() -> st.SearchStrategy[list[RetentionSettings]]:
    """Up to three, the first of which may leave something to the others."""
    days = st.none() | st.integers(1, 6).map(lambda number: timedelta(days=number))

    def make(pattern: str, last: int | None, downloaded: Any, younger: Any) -> RetentionSettings:
        if not last and downloaded is None and younger is None:
            last = 1
        return RetentionSettings(
            pattern=pattern, keep_last=last, keep_downloaded=downloaded, keep_younger=younger
        )

    pattern = st.sampled_from(["conan/**", "conan/main/zlib/**", "conan/*/png/1.*", "conan/x/**"])
    one = st.builds(make, pattern, st.none() | st.integers(0, 3), days, days)
    return st.lists(one, max_size=3)


def fits(policy: RetentionSettings, reference: str) -> bool:
    """The patterns of `policies`, by hand."""
    meant = {"conan/main/zlib/**": "zlib", "conan/*/png/1.*": "png", "conan/x/**": "no"}
    return reference.startswith(meant.get(policy.pattern, ""))


# Each example makes and deletes dozens of releases.
@hypothesis_settings(
    max_examples=hypothesis_settings().max_examples // 4,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    worlds=st.fixed_dictionaries(
        {
            "zlib/1.3@_/_": siblings(st.lists(siblings(None), max_size=2)),
            "png/1.6@_/_": siblings(st.lists(siblings(None), max_size=1)),
        }
    ),
    given_policies=policies(),
)
def test_it_does_what_the_model_says(house, worlds, given_policies) -> None:
    """The plan is the model's; applied it leaves what the model leaves; then nothing is to do."""
    services = house.registry._services
    for table in (tables.releases, tables.partitions, tables.downloads):
        services.catalog.write(lambda t, table=table: t.execute(delete(table)))
    gone: set[str] = set()
    left: set[str] = set()
    for reference, recipes in worlds.items():
        fill(house.registry, recipes, reference)
        policy = next((one for one in given_policies if fits(one, reference)), None)
        goes, stays = expected(policy, recipes, reference)
        gone.update(goes)
        left.update(stays)
    room = house.admin.retention
    planned = list(room.plan(given_policies))
    assert sorted(f"{one.partition}#{one.release}" for one in planned) == sorted(gone)
    report = room.apply(given_policies)
    assert report.releases == sum(one.releases for one in planned)
    assert visible(house) == left
    assert list(room.plan(given_policies)) == []


def visible(house) -> set[str]:
    """The keys of all releases that can be seen."""
    r = tables.releases
    seen = select(r.c.partition, r.c.name).where(r.c.released_at.is_not(None))
    with house.registry._services.catalog.snapshot() as connection:
        rows = connection.execute(seen.where(r.c.removed_at.is_(None)))
        return {f"{partition}#{name}" for partition, name in rows}
