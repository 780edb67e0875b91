"""Two servers and two workers on PostgreSQL and an object store, under mixed load, with faults.

Clients upload, download, read indexes, delete and promote, Conan's and conda's things; a schedule
collects meanwhile.  Now and then the store answers 503, hangs up or stalls, and one of the servers
is restarted.  No request may fail but for these, what is there at the end is sound, and no process
holds more than it did after its warm-up.

REPOCORE_SOAK is how long it takes, in seconds (15, or 1,200 with `nox -s soak`); REPOCORE_SOAK_RATE
how many requests a second are asked (12); REPOCORE_SOAK_FOLDER where samples.csv, events.csv,
summary.json and soak.svg go; REPOCORE_SEED what chance does.
"""

from __future__ import annotations

import csv
import json
import os
import re
import time
from collections import Counter
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
from fault_proxy import Faults, fault_proxy
from history_players import Players
from moto_server import NoMotoError, moto_server
from postgres_cluster import Databases
from serving_fleet import Fleet, Member, fleet
from soak_load import CLIENTS, Faulty, Soak, soaking
from soak_plot import plot
from soak_watch import MIB, Growth, Sample, Watch, growths, write_samples
from tide_uploads import ADDRESS, Log, judge, notes

import repocore
from repocore import JobState, Registry
from repocore.config import load_settings

pytest.importorskip("gunicorn")
botocore = pytest.importorskip("botocore.session")
pytestmark = [pytest.mark.soak, pytest.mark.postgres]

SECONDS: Final = float(os.environ.get("REPOCORE_SOAK", "15"))
RATE: Final = float(os.environ.get("REPOCORE_SOAK_RATE", "12"))
SEED: Final = int(os.environ.get("REPOCORE_SEED", "8000"))

#: A round has both kinds of faults: where they begin, and how long they last, as parts of it.
ROUND: Final = 120.0
STORE: Final = (0.35, 0.15)
RESTART: Final = 0.75
#: Of a thousand requests to the store, while it fails.
FAILING: Final = 150
#: Processes fill caches and pools at first; so much of a process's life is not judged.
WARM_UP: Final = 0.4
#: Seconds; a run that is shorter says nothing of an hour, and nor does a life of which less than
#: half of them is left after its warm-up.
JUDGED: Final = 600.0

#: What a process may hold more at the end of a long run than after its warm-up: parts of its
#: median, and descriptors.
MORE_MEMORY: Final = 0.05
MORE_DESCRIPTORS: Final = 2
#: And in a run that is too short for a slope: bytes above the first sample after the warm-up.
SHORT_MEMORY: Final = 96 * MIB
SHORT_DESCRIPTORS: Final = 60

SETTINGS: Final = """
catalog = "{catalog}"
storage = "s3://soak/fleet"
runner = "threads:0"
[logs]
format = "json"
[limits]
blob_grace = "{grace}"
tombstone_lifetime = "60s"
document_lifetime = "60s"
draft_lifetime = "120s"
[jobs]
attempts = 1000
backoff = "1s"
[[schedule]]
job = "gc"
every = "{every}"
[plugins.s3]
endpoint = "{endpoint}"
access_key = "key"
secret_key = "secret"
"""


@attrs.define
class Stage:
    """All that a soak takes place on."""

    data: Path
    running: Fleet
    registry: Registry
    store: Faults


@contextmanager
def stage(folder: Path, catalog: str) -> Generator[Stage]:
    """A fleet of two servers and two workers before a store that can be made to fail."""
    data = folder / "data"
    data.mkdir()
    store = Faults(seed=SEED, rate=0, stall=(0.05, 1.0))
    with moto_server() as address, fault_proxy(address, store) as (endpoint, _):
        made = botocore.get_session().create_client(
            "s3",
            endpoint_url=address,
            region_name="us-east-1",
            aws_access_key_id="key",
            aws_secret_access_key="secret",
        )
        made.create_bucket(Bucket="soak")
        made.close()
        every, grace = ("30s", "30s") if SECONDS > ROUND else ("3s", "2s")
        text = SETTINGS.format(catalog=catalog, endpoint=endpoint, every=every, grace=grace)
        (data / "repocore.toml").write_text(text, encoding="utf-8")
        with (
            fleet(data, workers=2) as running,
            repocore.open_registry(settings=load_settings(data=data, environ={})) as registry,
        ):
            yield Stage(data, running, registry, store)


def prepared(registry: Registry) -> tuple[str, Players]:
    """The secret of a token, and repositories that everybody works on."""
    admin = registry.session(registry.admin())
    if ADDRESS not in {one.address for one in admin.repositories.list()}:
        admin.repositories.create(ADDRESS)
    secret = admin.accounts.create_token("admin", "soak")[1]
    return secret, Players([None] * CLIENTS, 2, admin, word="soak")  # pyright: ignore[reportArgumentType]


# ------------------------------------------------------------------------------------- faults


def break_things(scene: Stage, soak: Soak) -> None:
    """What is broken, in rounds, until the time is over."""
    rounds = max(1, round(SECONDS / ROUND))
    each = SECONDS / rounds
    # Early, so that what has been started anew lives for long enough to be judged.
    restarted = {rounds // 10, 3 * rounds // 10}
    for number in range(rounds):
        begun = soak.faulty.began + number * each
        pause(soak, begun + STORE[0] * each)
        with soak.faulty.window("store"):
            scene.store.rate = FAILING
            pause(soak, begun + sum(STORE) * each)
            # On a machine that is busy with other things nobody may have asked the store yet.
            while soak.going and not scene.store.struck:
                soak.ended.wait(0.1)
            scene.store.rate = 0
        pause(soak, begun + RESTART * each)
        if number in restarted:
            restart(scene.running.servers[1], soak, politely=number == max(restarted))
        pause(soak, begun + each)


def pause(soak: Soak, until: float) -> None:
    """Wait for a moment, as long as nothing is wrong."""
    while soak.going and (left := until - time.monotonic()) > 0:
        soak.ended.wait(min(left, 1.0))


def restart(server: Member, soak: Soak, *, politely: bool) -> None:
    """End it, one way or the other, and start it anew."""
    with soak.faulty.window("restart", 1):
        if politely:
            server.stop()
        else:
            server.kill()
        server.start()
        server.await_ready()


# -------------------------------------------------------------------------------------- judging


def unfinished(registry: Registry) -> list[str]:
    """Jobs that do not end."""
    jobs = registry.session(registry.admin()).jobs
    deadline = time.monotonic() + 60
    while left := [job for job in jobs.list() if job.state is not JobState.DONE]:
        if time.monotonic() > deadline:
            return [f"job {job.id} is {job.state}: {job.error}" for job in left]
        time.sleep(0.2)
    return []


def logged(running: Fleet, faulty: Faulty, epoch: float) -> Iterator[str]:
    """Errors in the logs that no fault explains; ``epoch`` is the wall clock at its beginning."""
    windows = [(since - 1, to + 5) for since, to, _ in faulty.told()]
    for line in running.said():
        _, _, text = line.partition(": ")
        try:
            told: dict[str, Any] = json.loads(text)
            at = datetime.fromisoformat(told["time"]).astimezone(UTC).timestamp() - epoch
        except (ValueError, KeyError, TypeError):
            if "Traceback" in line or "ERROR" in line:
                yield line
            continue
        if told["level"] in {"error", "critical"} and not any(a <= at <= b for a, b in windows):
            yield f"at {at:.1f} s: {line}"


def too_much(growth: Growth) -> bool:
    """Whether a process of a long run holds more than after its warm-up."""
    if growth.what == "resident":
        return growth.grown > MORE_MEMORY * growth.median
    return growth.grown > MORE_DESCRIPTORS


def grown(watch: Watch) -> tuple[list[Growth], list[str]]:
    """What was measured, and what grows."""
    if SECONDS >= JUDGED:
        found = list(growths(watch.samples, WARM_UP, JUDGED / 2))
        names = {one.process for one in found}
        missing = {one.process for one in watch.samples} - names
        return found, [one.told() for one in found if too_much(one)] + sorted(missing)
    found = list(growths(watch.samples, WARM_UP))
    return found, list(leaps(watch))


def leaps(watch: Watch) -> Iterator[str]:
    """What a run that is too short for a slope shows all the same.

    A process that was started anew is still loading its modules.
    """
    lives: dict[tuple[str, int], list[Sample]] = {}
    for one in watch.samples:
        lives.setdefault((one.process, one.pid), []).append(one)
    for (process, _), life in lives.items():
        if life[0].seconds > watch.interval:
            continue
        first, last = life[int(WARM_UP * len(life))], life[-1]
        if last.resident - first.resident > SHORT_MEMORY:
            yield f"{process}: {first.resident} bytes became {last.resident}"
        if last.descriptors - first.descriptors > SHORT_DESCRIPTORS:
            yield f"{process}: {first.descriptors} descriptors became {last.descriptors}"


def collections(registry: Registry) -> tuple[int, int]:
    """How many collections there were, and how many objects they deleted."""
    jobs = registry.session(registry.admin()).jobs.list()
    told = [re.match(r"Deleted (\d+) objects", job.outcome or "") for job in jobs]
    return len(told), sum(int(one[1]) for one in told if one)


def keep(watch: Watch, soak: Soak, scene: Stage, found: list[Growth]) -> dict[str, Any]:
    """Write down what was seen, where that was asked for; what there is to say of it."""
    struck = Counter(one.kind for one in scene.store.struck)
    collected, deleted = collections(scene.registry)
    summary: dict[str, Any] = {
        "seconds": round(watch.seconds),
        "seed": SEED,
        "requests a second": RATE,
        "counts": dict(sorted(soak.counts.items())),
        "faults of the store": dict(sorted(struck.items())),
        "requests to the store": scene.store.asked,
        "collections": collected,
        "objects collected": deleted,
        "restarts": sum(what == "restart" for _, _, what in soak.faulty.told()),
        "processes": [one.told() for one in found],
    }
    if folder := os.environ.get("REPOCORE_SOAK_FOLDER"):
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        write_samples(watch.samples, place / "samples.csv")
        with (place / "events.csv").open("w", encoding="utf-8", newline="") as stream:
            rows = [(f"{a:.1f}", f"{b:.1f}", what) for a, b, what in soak.faulty.told()]
            csv.writer(stream, lineterminator="\n").writerows([("from", "to", "what"), *rows])
        title = f"{SECONDS / 60:.0f} minutes, {RATE:.0f} requests a second, with faults"
        drawn = plot(watch.samples, soak.faulty.told(), title)
        (place / "soak.svg").write_text(drawn, encoding="utf-8")
        text = json.dumps(summary, indent=2, ensure_ascii=False)
        (place / "summary.json").write_text(f"{text}\n", encoding="utf-8")
    return summary


def test_nothing_grows_and_nothing_fails_but_by_the_faults(
    tmp_path: Path, postgres_databases: Databases
) -> None:
    """In the logs as well; each process lives as it lived after its warm-up."""
    log = tmp_path / "load.log"
    try:
        with postgres_databases.fresh() as catalog, stage(tmp_path, catalog) as scene:
            secret, players = prepared(scene.registry)
            soak = Soak(
                ports=scene.running.ports,
                signed=f"Bearer {secret}",
                seed=SEED,
                note=notes(log),
                faulty=Faulty(),
                places=players.places(SEED),
                rate=RATE,
            )
            epoch = time.time() - (time.monotonic() - soak.faulty.began)
            interval = min(max(SECONDS / 240, 0.25), 5.0)
            with Watch(scene.running.pids, interval, began=soak.faulty.began) as watch:
                with soaking(soak):
                    break_things(scene, soak)
                scene.registry.session(scene.registry.admin()).jobs.submit("gc", {})
                problems = unfinished(scene.registry)
            # What the clients did not get to do is done: nothing is written any more.
            problems += list(judge(scene.registry, SEED, Log.read(log)))
            problems += list(logged(scene.running, soak.faulty, epoch))
            found, more = grown(watch)
            summary = keep(watch, soak, scene, found)
            print(json.dumps(summary, indent=2, ensure_ascii=False))  # noqa: T201
            assert problems == [], f"seed {SEED}"
            assert more == [], f"seed {SEED}"
            # And it was no fair weather, nor an idle fleet.
            assert summary["faults of the store"]
            assert summary["restarts"]
            assert summary["collections"]
            assert summary["objects collected"] or SECONDS < ROUND
            assert soak.counts["answered"] > SECONDS
    except NoMotoError as problem:
        pytest.skip(str(problem))
