"""Clocks of servers, of workers and of the database that are set by hours, forth and back (T57).

REPOCORE_FAULTS says how often under load (6, or 40 with nox); how far, and whose clock it is, comes
from a seed.  Programs wait by the monotonic clock, which nobody sets; what has a date has it from
the database.
"""

from __future__ import annotations

import contextlib
import os
import random
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Final

import attrs
import pytest
from fleet_load import load
from live_server import ADMIN
from postgres_cluster import NoPostgresError
from restarting_postgres import restarting_postgres
from serving_fleet import Client, Fleet, fleet
from shifted_clock import NoFakeClockError, ShiftedClock, library
from tide_uploads import ADDRESS, Log, judge
from wsgi_calls import basic

import repocore
from repocore import JobState, Registry, Session
from repocore.config import load_settings
from repocore.errors import StorageError

pytest.importorskip("gunicorn")
pytestmark = [pytest.mark.faults, pytest.mark.postgres]

JUMPS: Final = int(os.environ.get("REPOCORE_FAULTS", "6"))
SEED: Final = int(os.environ.get("REPOCORE_SEED", "7000"))
#: Whoever jumps is at most so far from the time.
HOURS: Final = 30
DATABASE: Final = "database"

#: The collector takes what is an hour old: in no time, that is, where the clock has jumped.  An
#: upload that was not finished for the time that the settings say is forgotten, as they say, so
#: this is longer than any jump.
SETTINGS: Final = """
catalog = "{catalog}"
runner = "threads:0"
[limits]
blob_grace = "1h"
draft_lifetime = "7d"
login_lifetime = "24h"
[jobs]
attempts = 1000
lease = "30s"
interval = "100ms"
backoff = "100ms"
[[schedule]]
job = "gc"
every = "1h"
"""


@attrs.frozen
class House:
    """A fleet, its database, and a clock for each of their programs."""

    running: Fleet
    registry: Registry
    clocks: dict[str, ShiftedClock]

    @property
    def admin(self) -> Session:
        return self.registry.session(self.registry.admin())

    def right(self) -> None:
        """Put all clocks right."""
        for clock in self.clocks.values():
            clock.shift(0)


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Two servers and two workers, all of them and PostgreSQL with clocks of their own."""
    try:
        library()
    except NoFakeClockError as problem:
        pytest.skip(str(problem))
    data = tmp_path_factory.mktemp("clocks") / "data"
    data.mkdir()
    with contextlib.ExitStack() as stack:
        # PostgreSQL may run as somebody else, who reads its clock.
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="repocore-clocks-")))
        place.chmod(0o755)
        names = ("server0", "server1", "worker0", "worker1", DATABASE)
        clocks = {name: ShiftedClock(place / name) for name in names}
        own = [f"{name}={value}" for name, value in clocks[DATABASE].variables().items()]
        try:
            database = stack.enter_context(restarting_postgres("env", *own))
        except NoPostgresError as problem:
            if os.environ.get("REPOCORE_TEST_POSTGRES") == "require":
                raise
            pytest.skip(str(problem))
        text = SETTINGS.format(catalog=database.url)
        (data / "repocore.toml").write_text(text, encoding="utf-8")
        each = {**ShiftedClock(place / "any").variables()}
        each["FAKETIME_TIMESTAMP_FILE"] = f"{place}/{{member}}"
        for clock in clocks.values():
            clock.shift(0)
        running = stack.enter_context(fleet(data, workers=2, **each))
        settings = load_settings(data=data, environ={})
        registry = stack.enter_context(repocore.open_registry(settings=settings))
        yield House(running, registry, clocks)


# --------------------------------------------------------------------------------------- tokens


def status(client: Client, server: int, signed: str) -> int:
    """What a server answers to somebody who wants to know who they are."""
    client.signed = signed
    return client.ask(server, "GET", f"/{ADDRESS}/v2/users/check_credentials").status


def login(client: Client, server: int) -> str:
    """A login of the Conan client, from that server."""
    client.signed = basic("admin", ADMIN)
    reply = client.ask(server, "GET", f"/{ADDRESS}/v2/users/authenticate")
    assert reply.status == 200, reply
    return f"Bearer {reply.body.decode()}"


def test_tokens_end_by_the_clock_of_the_database(house: House) -> None:
    """However the clocks of servers go, and also of those who have just seen it."""
    house.right()
    accounts = house.admin.accounts
    client = Client(house.running.ports, "")
    long, short = (
        f"Bearer {accounts.create_token('admin', name, lifetime=timedelta(seconds=span))[1]}"
        for name, span in (("long", 3600), ("short", 3))
    )
    began = time.monotonic()
    for server in (0, 1):
        assert status(client, server, short) == 200
    house.clocks["server0"].shift(-6)
    house.clocks["server1"].shift(6)
    for server in (0, 1):
        assert status(client, server, long) == 200
    time.sleep(max(0.0, began + 3.5 - time.monotonic()))
    for server in (0, 1):
        assert status(client, server, short) == 401
        assert status(client, server, long) == 200
    house.clocks[DATABASE].shift(2)
    fresh = f"Bearer {accounts.create_token('admin', 'fresh', lifetime=timedelta(hours=1))[1]}"
    assert status(client, 0, fresh) == 200
    house.clocks[DATABASE].shift(4)
    assert status(client, 1, fresh) == 401
    client.close()


def test_logins_end_by_the_clocks_of_servers(house: House) -> None:
    """One is good where it is neither over nor of the future; whoever is refused logs in again."""
    house.right()
    client = Client(house.running.ports, "")
    signed = login(client, 0)
    house.clocks["server1"].shift(23)
    assert status(client, 1, signed) == 200
    house.clocks["server1"].shift(25)
    assert status(client, 1, signed) == 401
    ahead = login(client, 1)
    assert (status(client, 1, ahead), status(client, 0, ahead)) == (200, 401)
    assert status(client, 0, login(client, 0)) == 200
    client.close()


# ----------------------------------------------------------------------------------------- load


def jump(house: House, chance: random.Random) -> str:
    """Set somebody's clock; returns what was done."""
    name = chance.choice(sorted(house.clocks))
    hours = chance.choice([-HOURS, -6, -1, 0, 1, 6, HOURS]) * chance.uniform(0.5, 1)
    house.clocks[name].shift(hours)
    return f"{name} {hours:+.1f} h"


def submitted(session: Session) -> bool:
    """Queue a collection; a statement whose time has jumped may be given up."""
    with contextlib.suppress(StorageError):
        session.jobs.submit("gc", {})
        return True
    return False


def unfinished(session: Session) -> list[str]:
    """Jobs that nobody ends."""
    deadline = time.monotonic() + 60
    while left := [job for job in session.jobs.list() if job.state is not JobState.DONE]:
        if time.monotonic() > deadline:
            return [f"job {job.id} is {job.state}: {job.error}" for job in left]
        time.sleep(0.1)
    return []


def unscheduled(session: Session) -> list[str]:
    """What is wrong where the schedule, whose moment has come, has queued nothing that was done."""
    deadline = time.monotonic() + 60
    while not any(job.key and job.state is JobState.DONE for job in session.jobs.list()):
        if time.monotonic() > deadline:
            return ["the schedule has queued nothing"]
        time.sleep(0.1)
    return []


def out_of_time(session: Session) -> Iterator[str]:
    """Releases that are newer than others and have an older date."""
    for partition in {one.partition for one in session.releases.all(ADDRESS)}:
        dates = [one.released_at for one in session.releases.list(ADDRESS, partition)]
        if dates != sorted(dates, reverse=True):
            yield f"{partition}: {dates}"


def test_clocks_that_jump_lose_nothing(house: House, tmp_path: Path) -> None:
    """Uploads, deletions and collections go on; what is newer never has an older date."""
    house.right()
    chance, log = random.Random(SEED), tmp_path / "load.log"
    jumped: list[str] = []
    queued = 0
    with load(house.running.ports, basic("admin", ADMIN), SEED, log) as clients:
        clients.await_more()
        for _ in range(JUMPS):
            jumped.append(jump(house, chance))
            queued += submitted(house.admin)
            clients.await_more(10)
    # Now is later than any moment at which somebody has queued something: all of it is due.
    house.right()
    house.clocks[DATABASE].shift(HOURS + 1)
    problems = unscheduled(house.admin) + unfinished(house.admin)
    problems += judge(house.registry, SEED, Log.read(log))
    problems += out_of_time(house.admin)
    assert problems == [], f"seed {SEED}, after {jumped}: {clients.told()}"
    assert queued
    assert all(member.alive for member in house.running.members)
    house.admin.upkeep.collect(grace=timedelta(0))
    assert house.admin.upkeep.check(read_data=True).ok


def test_a_clock_is_set_while_a_process_runs(tmp_path: Path) -> None:
    """Without which all of the above would be true of any clock."""
    clock = ShiftedClock(tmp_path / "clock", -6)
    try:
        assert round(clock.told(), 2) == -6
    except NoFakeClockError as problem:
        pytest.skip(str(problem))
    clock.hours = 30
    assert round(clock.told(), 2) == 30
