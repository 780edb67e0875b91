"""Retention where a partition holds many packages: versions, numbers and sizes, on a model."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import (
    HealthCheck,
    example,
    given,
    settings as hypothesis_settings,
    strategies as st,
)
from sqlalchemy import delete, insert, select

import repocore
from repocore import AccessDeniedError, Registry, Rule, actions_of
from repocore.catalog import tables
from repocore.config import RetentionSettings, Settings
from repocore.plugins.conda.versions import version_key

MAIN = "conda/main"
HOUR = 3600 * 10**6
DAY = 24 * HOUR
#: In their order, which is not that of their texts.
VERSIONS = ["1.9", "1.10", "2.0"]


@attrs.frozen(kw_only=True)
class Package:
    """A package file as the model has it; ages are in days, and what is half is no boundary."""

    name: str
    version: str
    build: int
    subdir: str = "linux-64"
    age: int = 0
    size: int = 1
    used: int | None = None
    state: str = ""

    @property
    def file(self) -> str:
        return f"{self.name}-{self.version}-{self.build}.conda"

    @property
    def key(self) -> str:
        return f"{self.subdir}/{self.file}"

    @property
    def rank(self) -> int:
        return VERSIONS.index(self.version)

    @property
    def place(self) -> tuple[int, str, str]:
        """The newer, the greater."""
        return -self.age, self.subdir, self.file

    @property
    def listed(self) -> bool:
        return self.state == ""


def is_kept(policy: RetentionSettings, world: Sequence[Package], one: Package) -> bool:
    """The model: whether any criterion keeps a package."""
    listed = [other for other in world if other.listed]
    same = [other for other in listed if other.name == one.name]
    versions = sorted({o.rank for o in same if o.subdir == one.subdir}, reverse=True)
    last = 1 if policy.keep_last is None else policy.keep_last
    seen = sorted((o for o in world if o.state != "removed"), key=lambda o: o.place, reverse=True)
    newest = seen[: policy.keep_count]
    fitting, total = [], 0
    for other in seen:
        total += other.size
        if policy.keep_size is None or total > policy.keep_size:
            break
        fitting.append(other)
    younger, downloaded, each = policy.keep_younger, policy.keep_downloaded, policy.keep_count_each
    return (
        one.name == "repodata-patches"
        or (last > 0 and (len(versions) < last or one.rank >= versions[last - 1]))
        or (each is not None and sum(other.place > one.place for other in same) < each)
        or (policy.keep_count is not None and one in newest)
        or one in fitting
        or (younger is not None and timedelta(days=one.age) < younger)
        or (
            downloaded is not None
            and one.used is not None
            and timedelta(days=one.used) < downloaded
        )
    )


@pytest.fixture
def registry(tmp_path: Path, database_url: str) -> Iterator[Registry]:
    with repocore.open_registry(
        settings=Settings(data=tmp_path / "data", catalog=database_url)
    ) as opened:
        opened.session(opened.admin()).repositories.create(MAIN)
        yield opened


def fill(registry: Registry, world: Sequence[Package]) -> None:
    """Write the rows of these packages, and nothing else."""
    services = registry._services
    number = services.book.known.repositories[MAIN].id
    now = time.time_ns() // 1000
    rows: dict[Any, list[dict[str, Any]]] = {
        tables.releases: [],
        tables.files: [],
        tables.downloads: [],
        tables.partitions: [
            {"repository_id": number, "name": name, "serial": 9} for name in ("linux-64", "noarch")
        ],
    }
    for one in world:
        at = now - one.age * DAY - DAY // 2
        key = {"repository_id": number, "partition": one.subdir}
        rows[tables.releases].append(
            {
                **key,
                "name": one.file,
                "package": one.name,
                "package_key": one.name,
                "version": one.version,
                "sort_key": version_key(one.version),
                "serial": len(rows[tables.releases]) + 1,
                "released_at": at,
                "yanked_at": at if one.state == "yanked" else None,
                "removed_at": at if one.state == "removed" else None,
                "record": b"{}",
            }
        )
        if one.state != "removed":
            rows[tables.files].append(
                {
                    **key,
                    "path": one.key,
                    "digest": "0" * 64,
                    "size": one.size,
                    "release": one.file,
                    "media_type": "",
                    "mutable": False,
                    "created_at": at,
                    "created_by": "",
                }
            )
        if one.used is not None:
            last = now - one.used * DAY - DAY // 2
            count = {"day": last // DAY, "count": 1, "last_at": last}
            rows[tables.downloads].append({**key, "release": one.file, **count})

    def write(transaction: Any) -> None:
        for table, values in rows.items():
            transaction.execute(delete(table))
            if values:
                transaction.connection.execute(insert(table), values)

    services.catalog.write(write)


def visible(registry: Registry) -> set[str]:
    r = tables.releases
    with registry._services.catalog.snapshot() as connection:
        seen = select(r.c.partition, r.c.name).where(r.c.removed_at.is_(None))
        return {f"{partition}/{name}" for partition, name in connection.execute(seen)}


worlds = st.lists(
    st.builds(
        Package,
        name=st.sampled_from(["liba", "libb", "repodata-patches"]),
        version=st.sampled_from(VERSIONS),
        build=st.integers(0, 2),
        subdir=st.sampled_from(["linux-64", "noarch"]),
        age=st.integers(0, 4),
        size=st.integers(0, 5),
        used=st.none() | st.integers(0, 4),
        state=st.sampled_from(["", "", "", "yanked", "removed"]),
    ),
    max_size=10,
    unique_by=lambda one: one.key,
)
days = st.none() | st.integers(1, 4).map(lambda number: timedelta(days=number))
few = st.none() | st.integers(1, 4)


@st.composite
def policies(draw: st.DrawFn) -> RetentionSettings:
    given = {
        "keep_last": draw(st.none() | st.integers(0, 2)),
        "keep_downloaded": draw(days),
        "keep_younger": draw(days),
        "keep_count": draw(few),
        "keep_count_each": draw(few),
        "keep_size": draw(st.none() | st.integers(1, 20)),
    }
    if not given["keep_last"] and all(v is None for n, v in given.items() if n != "keep_last"):
        given["keep_last"] = 1
    pattern = draw(st.sampled_from(["conda/**", "conda/main/liba/**", "conda/main/*/1.*"]))
    return RetentionSettings(pattern=pattern, **given)


def fits(policy: RetentionSettings, one: Package) -> bool:
    """The patterns of `policies`, by hand."""
    if policy.pattern == "conda/main/liba/**":
        return one.name == "liba"
    return policy.pattern == "conda/**" or one.version.startswith("1.")


#: Of 1.9, 1.10 and 2.0 with two builds each the last two versions are 1.10 and 2.0.
BUILDS = [
    Package(name="liba", version=version, build=build, age=4 - place)
    for place, version in enumerate(["2.0", "1.9", "1.10"])
    for build in (0, 1)
]
LAST_TWO = RetentionSettings(pattern="conda/**", keep_last=2)
FOUR_BYTES = RetentionSettings(pattern="conda/**", keep_last=0, keep_size=4)
#: One version is listed, so there are no two of which the other one could be the older.
ONE_LISTED = [
    Package(name="liba", version="1.9", build=0, state="yanked"),
    Package(name="liba", version="1.10", build=0),
]


@hypothesis_settings(
    max_examples=max(hypothesis_settings().max_examples // 2, 20),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(world=worlds, policy=policies())
@example(world=BUILDS, policy=LAST_TWO)
@example(world=BUILDS, policy=FOUR_BYTES)
@example(world=ONE_LISTED, policy=LAST_TWO)
def test_it_does_what_the_model_says(registry, world, policy) -> None:
    """The plan is the model's; applied it leaves what the model leaves; then nothing is to do."""
    fill(registry, world)
    there = {one.key for one in world if one.state != "removed"}
    gone = {
        one.key
        for one in world
        if one.key in there and fits(policy, one) and not is_kept(policy, world, one)
    }
    room = registry.session(registry.admin()).retention
    planned = list(room.plan([policy]))
    assert sorted(f"{one.partition}/{one.release}" for one in planned) == sorted(gone)
    report = room.apply([policy])
    assert (report.releases, report.spared) == (len(gone), 0)
    assert visible(registry) == there - gone


def test_all_builds_of_a_version_that_is_kept_stay(registry) -> None:
    """By the order of versions, not that of their texts or of their uploads; with the reason."""
    fill(registry, BUILDS)
    room = registry.session(registry.admin()).retention
    told = list(room.plan([LAST_TWO]))
    assert [one.release for one in told] == ["liba-1.9-0.conda", "liba-1.9-1.conda"]
    assert {one.why for one in told} == {"not among the newest 2 versions"}
    one_only = RetentionSettings(pattern="conda/**", keep_last=1)
    assert {one.why for one in room.plan([one_only])} == {"not the newest version"}


def test_what_is_too_much_goes_the_oldest_first(registry) -> None:
    """A channel that is too large loses its oldest packages, whatever they are."""
    fill(registry, BUILDS)
    room = registry.session(registry.admin()).retention
    told = sorted(one.release for one in room.plan([FOUR_BYTES]))
    assert told == ["liba-2.0-0.conda", "liba-2.0-1.conda"]  # uploaded before the others
    room.apply([FOUR_BYTES])
    assert len(visible(registry)) == 4
    assert list(room.plan([FOUR_BYTES])) == []


def test_who_may_delete_one_package_cleans_that_one(registry) -> None:
    """The release tells what it is of, since its subdir does not."""
    admin = registry.session(registry.admin())
    for actions, pattern in (("read", "conda/**"), ("delete", f"{MAIN}/liba/**")):
        granted = actions_of([actions])
        admin.accounts.add_rule(Rule(subject="user:ann", actions=granted, pattern=pattern))
    ann = registry.session(repocore.Principal(name="ann", via="test"))
    fill(registry, [*BUILDS, *(attrs.evolve(one, name="libb") for one in BUILDS)])
    mine = attrs.evolve(LAST_TWO, pattern=f"{MAIN}/liba/**")
    assert ann.retention.apply([mine]).releases == 2
    with pytest.raises(AccessDeniedError):
        ann.retention.apply([LAST_TWO])
