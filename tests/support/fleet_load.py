"""Clients that upload and delete through a fleet while it is attacked, and what they were told.

What they note is read by the judge of `tide_uploads`: nothing that was answered may be lost, and
nothing may be half visible.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
import urllib.parse
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs
from serving_fleet import Client, NoAnswerError, Reply
from tide_uploads import ADDRESS, Upload, notes, uploads

__all__ = ["Load", "load", "route"]

PATIENCE = 120.0
DONE = frozenset({200, 201})
#: Statuses of a server that is not able to answer now; a client comes again.
LATER = frozenset({500, 502, 503, 504, 507})


def route(upload: Upload, path: str) -> str:
    """Where the protocol takes the file of a path."""
    name, version, user, channel, rrev, kind, *rest = path.split("/")
    head = recipe_route(name, version, user, channel, rrev)
    if kind == "package":
        package_id, prev, *rest = rest
        head = f"{head}/packages/{package_id}/revisions/{prev}"
    return f"{head}/files/{urllib.parse.quote('/'.join(rest))}"


def recipe_route(name: str, version: str, user: str, channel: str, rrev: str) -> str:
    """Where the protocol has a recipe revision."""
    return f"/{ADDRESS}/v2/conans/{name}/{version}/{user}/{channel}/revisions/{rrev}"


@attrs.define
class Load:
    """What several clients do, until they are told to end."""

    ports: Sequence[int]
    signed: str
    seed: int
    note: Callable[[str, str], None]
    ended: threading.Event = attrs.field(factory=threading.Event)
    #: How many requests were answered with 2xx, how many with what means "later", how many not.
    done: int = 0
    later: int = 0
    lost: int = 0
    #: What nobody may answer, whatever is broken.
    wrong: list[str] = attrs.field(factory=list)
    #: Whether statuses above 500 are among what is allowed.
    may_fail: bool = True
    _lock: threading.Lock = attrs.field(factory=threading.Lock)

    def work(self, thread: int) -> None:
        """Upload revision after revision, and delete each fourth."""
        client = Client(self.ports, self.signed)
        chance = random.Random(f"{self.seed}/{thread}/ways")
        try:
            for number in itertools.count():
                if self.ended.is_set() or self.wrong:
                    return
                self._revision(client, chance, thread, number)
        except Exception as error:  # noqa: BLE001 - told by the thread that waits for this one
            self.wrong.append(f"client {thread}: {error!r}")
        finally:
            client.close()

    def _revision(self, client: Client, chance: random.Random, thread: int, number: int) -> None:
        self.note("begun", f"{thread}/{number}")
        recipe, package = uploads(self.seed, thread, number)
        for upload in (recipe, package):
            for path, content in upload.files.items():
                reply = self._ask(client, chance, "PUT", route(upload, path), content)
                if reply is None:
                    return
                self.note("stored", path)
                self._read(client, chance, upload, path, content)
        if number % 4 == 3:
            self.note("deleting", recipe.key)
            place = recipe_route(*next(iter(recipe.files)).split("/")[:5])
            # The second answer of one that was lost: it is gone.
            if self._ask(client, chance, "DELETE", place, None, 404) is not None:
                self.note("deleted", recipe.key)

    def _read(
        self, client: Client, chance: random.Random, upload: Upload, path: str, content: bytes
    ) -> None:
        """Some are fetched: whole and right, or not at all."""
        if chance.random() < 0.3 and path.endswith("conanmanifest.txt"):
            reply = self._ask(client, chance, "GET", route(upload, path), None, 404)
            if reply is not None and reply.status == 200 and reply.body != content:
                self.wrong.append(f"{path} was answered with other bytes")

    def _ask(
        self,
        client: Client,
        chance: random.Random,
        method: str,
        target: str,
        body: bytes | None,
        *also: int,
    ) -> Reply | None:
        """Ask again and again, here or there; None where nobody answers before the end."""
        deadline = time.monotonic() + PATIENCE
        for attempt in itertools.count():
            try:
                reply = client.ask(chance.randrange(len(self.ports)), method, target, body)
            except NoAnswerError:
                self._count("lost")
            else:
                if reply.status in DONE or (reply.status in also and (attempt or method == "GET")):
                    self._count("done")
                    return reply
                if reply.status not in LATER or not self.may_fail:
                    said = reply.body[:300].decode(errors="replace")
                    self.wrong.append(f"{method} {target}: {reply.status} {said}")
                    return None
                self._count("later")
            if self.ended.is_set():
                return None
            if time.monotonic() > deadline:
                self.wrong.append(f"{method} {target}: nobody could answer for {PATIENCE:.0f} s")
                return None
            time.sleep(0.02)
        raise AssertionError

    def _count(self, what: str) -> None:
        with self._lock:
            setattr(self, what, getattr(self, what) + 1)

    def await_more(self, count: int = 20) -> None:
        """Return when so many more requests were answered: whatever happened, work goes on."""
        wanted, deadline = self.done + count, time.monotonic() + PATIENCE
        while self.done < wanted and not self.wrong:
            assert time.monotonic() < deadline, f"nothing is answered any more: {self}"
            time.sleep(0.02)

    def told(self) -> str:
        return f"{self.done} answered, {self.later} told to come later, {self.lost} lost"


@contextmanager
def load(
    ports: Sequence[int], signed: str, seed: int, log: Path, *, threads: int = 4, **more: bool
) -> Generator[Load]:
    """Have clients work until the block ends; raises AssertionError for a wrong answer."""
    made = Load(ports, signed, seed, notes(log), **more)
    workers = [threading.Thread(target=made.work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    try:
        yield made
    finally:
        made.ended.set()
        for worker in workers:
            worker.join()
    assert made.wrong == [], made.wrong
