"""Mixed load of a fleet that goes on for as long as one likes, with as much stored at its end as
soon after its beginning: what grows is not what is kept.

Clients upload, read and delete revisions of their own, of which `tide_uploads` knows what has to be
there, and ask, all of them of the same few things, for what `history_players` has calls for:
indexes in every encoding, lists, downloads, promotions, copies, yanked releases, deletions.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import attrs
from fleet_load import recipe_route, route
from history_players import Place, conan_call, conda_call, do_conan, do_conda
from serving_fleet import Client, NoAnswerError, Reply
from tide_uploads import Upload, uploads

__all__ = ["CLIENTS", "Faulty", "Soak", "soaking"]

CLIENTS: Final = 4
#: Revisions that each client keeps; a new one takes the place of its oldest.
KEPT: Final = 6
PATIENCE: Final = 90.0
DONE: Final = frozenset({200, 201})
#: What a server answers whose storage does not answer; nothing else is excused by that.
STORAGE_FAILED: Final = frozenset({503})
#: Seconds after a fault until which what it has begun may go on: pauses between attempts.
AFTER: Final = 2.0


@attrs.define
class Faulty:
    """When something was broken on purpose: only then, and only there, may an answer fail.

    ``began`` is the moment that all others are told from.
    """

    began: float = attrs.field(factory=time.monotonic)
    #: From, to, and what it was: "store", or "restart" and of which server.
    windows: list[tuple[float, float, str, int | None]] = attrs.field(factory=list)
    _open: dict[tuple[str, int | None], float] = attrs.field(factory=dict)
    _lock: threading.Lock = attrs.field(factory=threading.Lock)

    @contextmanager
    def window(self, what: str, server: int | None = None) -> Generator[None]:
        """Something is broken until the block ends."""
        with self._lock:
            self._open[what, server] = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                begun = self._open.pop((what, server))
                self.windows.append((begun, time.monotonic(), what, server))

    def excuse(self, begun: float, server: int, status: int | None) -> str | None:
        """What was broken while a request was asked that began then; None: nothing."""
        with self._lock:
            still = [(at, float("inf"), *key) for key, at in self._open.items()]
            overlapping = [
                (what, where)
                for since, until, what, where in (*self.windows, *still)
                if begun < until + AFTER
            ]
        for what, where in overlapping:
            if what == "restart" and where == server and status is None:
                return what
            if what == "store" and (status is None or status in STORAGE_FAILED):
                return what
        return None

    def told(self) -> list[tuple[float, float, str]]:
        """The windows, in seconds since the beginning."""
        return [(since - self.began, to - self.began, what) for since, to, what, _ in self.windows]


@attrs.define
class Soak:
    """What all clients share, and what they were told."""

    ports: Sequence[int]
    signed: str
    seed: int
    note: Callable[[str, str], None]
    faulty: Faulty
    places: Sequence[Place]
    #: Requests a second, of all clients.
    rate: float
    ended: threading.Event = attrs.field(factory=threading.Event)
    wrong: list[str] = attrs.field(factory=list)
    counts: dict[str, int] = attrs.field(factory=dict)
    _lock: threading.Lock = attrs.field(factory=threading.Lock)

    def count(self, what: str) -> None:
        """One more of these."""
        with self._lock:
            self.counts[what] = self.counts.get(what, 0) + 1

    @property
    def going(self) -> bool:
        """Whether clients go on."""
        return not self.ended.is_set() and not self.wrong

    def work(self, number: int) -> None:
        """What one client does until the end."""
        client = PacedClient(self, number)
        try:
            owner = Owner(self, client, number)
            while self.going:
                if client.chance.random() < 0.5:
                    owner.step()
                else:
                    self._share(client)
        except EndedError:
            return
        except Exception as error:  # noqa: BLE001 - told by the thread that waits for this one
            self.wrong.append(f"client {number}: {error!r}")
        finally:
            client.inner.close()

    def _share(self, client: PacedClient) -> None:
        """One call about something that everybody works on."""
        place, server = client.chance.choice(self.places), client.server()
        make, do = (conan_call, do_conan) if place.kind == "conan" else (conda_call, do_conda)
        call = make(client.chance, place)
        _, reply = do(client, server, place, call, client.chance)
        self.count(f"{place.kind} {call[0]}")
        if reply.old:
            self.count("answers that say that they are old")


class EndedError(Exception):
    """The time is over, and what was asked for does not matter any more."""


@attrs.define
class PacedClient:
    """A client that does not ask too often, and asks again where a fault is known."""

    soak: Soak
    number: int
    inner: Client = attrs.field(init=False)
    chance: random.Random = attrs.field(init=False)
    _next: float = attrs.field(factory=time.monotonic, init=False)

    def __attrs_post_init__(self) -> None:
        self.inner = Client(self.soak.ports, self.soak.signed)
        self.chance = random.Random(f"{self.soak.seed}/{self.number}/soak")

    def server(self) -> int:
        """Any of them."""
        return self.chance.randrange(len(self.soak.ports))

    def ask(
        self, server: int, method: str, target: str, body: bytes | None = None, **fields: str
    ) -> Reply:
        """What is answered in the end; what is not excused by a known fault is wrong."""
        deadline = time.monotonic() + PATIENCE
        while True:
            self._pace()
            begun = time.monotonic()
            try:
                reply = self.inner.ask(server, method, target, body, **fields)
            except NoAnswerError as error:
                said, status = str(error), None
            else:
                if reply.status < 500:
                    self.soak.count("answered")
                    return reply
                text = reply.body[:300].decode(errors="replace")
                said, status = f"{method} {target}: {reply.status} {text}", reply.status
            excuse = self.soak.faulty.excuse(begun, server, status)
            if excuse is None:
                at = begun - self.soak.faulty.began
                self.soak.wrong.append(f"at {at:.1f} s, of server {server}: {said}")
                raise EndedError
            self.soak.count(f"not answered, for a fault: {excuse}")
            if self.soak.ended.is_set() or time.monotonic() > deadline:
                raise EndedError
            server = self.server()

    def abandon(
        self, server: int, method: str, target: str, body: bytes | None = None, **fields: str
    ) -> None:
        """Ask, and go away before there is an answer."""
        self.inner.abandon(server, method, target, body, **fields)

    def _pace(self) -> None:
        """Wait for this client's turn, at times that chance has a part in."""
        pause = CLIENTS / self.soak.rate
        self._next = max(self._next + self.chance.uniform(0.5, 1.5) * pause, time.monotonic())
        self.soak.ended.wait(max(0.0, self._next - time.monotonic()))


@attrs.define
class Owner:
    """The revisions of one client, of which it knows what has to be there."""

    soak: Soak
    client: PacedClient
    number: int
    kept: deque[tuple[Upload, Upload]] = attrs.field(factory=deque)
    _made: int = 0

    def step(self) -> None:
        """Upload a revision and its package, or read one, or delete the oldest."""
        if len(self.kept) > KEPT:
            self._delete(*self.kept.popleft())
        elif self.kept and self.client.chance.random() < 0.7:
            self._read()
        else:
            self._upload()

    def _upload(self) -> None:
        self.soak.note("begun", f"{self.number}/{self._made}")
        pair = uploads(self.soak.seed, self.number, self._made)
        self._made += 1
        for upload in pair:
            for path, content in upload.files.items():
                self._ask("PUT", route(upload, path), content)
                self.soak.note("stored", path)
        self.kept.append(pair)
        self.soak.count("conan revisions uploaded, with a package")

    def _read(self) -> None:
        upload = self.client.chance.choice(self.client.chance.choice(self.kept))
        path, content = self.client.chance.choice(list(upload.files.items()))
        reply = self._ask("GET", route(upload, path))
        if reply.body != content:
            self.soak.wrong.append(f"{path} was answered with other bytes")
        self.soak.count("conan files read and compared")

    def _delete(self, recipe: Upload, _package: Upload) -> None:
        self.soak.note("deleting", recipe.key)
        place = recipe_route(*next(iter(recipe.files)).split("/")[:5])
        self._ask("DELETE", place, None, 404)  # of an answer that was lost: it is gone
        self.soak.note("deleted", recipe.key)
        self.soak.count("conan revisions deleted")

    def _ask(self, method: str, target: str, body: bytes | None = None, *also: int) -> Reply:
        reply = self.client.ask(self.client.server(), method, target, body)
        if reply.status not in DONE | {*also}:
            said = reply.body[:300].decode(errors="replace")
            self.soak.wrong.append(f"{method} {target}: {reply.status} {said}")
            raise EndedError
        return reply


@contextmanager
def soaking(soak: Soak) -> Generator[Mapping[str, int]]:
    """Have clients work until the block ends; raises AssertionError for what was wrong."""
    workers = [
        threading.Thread(target=soak.work, args=(number,), name=f"client {number}")
        for number in range(CLIENTS)
    ]
    for worker in workers:
        worker.start()
    try:
        yield soak.counts
    finally:
        soak.ended.set()
        for worker in workers:
            worker.join()
    assert soak.wrong == [], soak.wrong
