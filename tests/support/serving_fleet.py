"""Several servers and workers on one catalog, as processes that can be killed and started again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path

import attrs
from live_server import ADMIN, REPOCORE, environment, free_port

PATIENCE = 60.0


@attrs.define
class Member:
    """One program of a fleet; its port is kept when it is started anew."""

    name: str
    words: tuple[str, ...]
    log: Path
    port: int | None = None
    more: Mapping[str, str] = attrs.field(factory=dict)
    #: Goes before the program, for what it has to be started within.
    prefix: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; `await_ready` returns once it works."""
        port = () if self.port is None else ("--port", str(self.port))
        with self.log.open("ab") as stream:
            self.process = subprocess.Popen(
                [*self.prefix, *REPOCORE, *self.words, *port],
                env=environment(REPOCORE_ADMIN_PASSWORD=ADMIN, **self.more),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def await_ready(self) -> None:
        """Return when a server answers; of a worker nothing is awaited."""
        deadline = time.monotonic() + PATIENCE
        while self.port is not None and not healthy(self.port):
            assert self.alive, f"{self.name} ended:\n{self.said()}"
            assert time.monotonic() < deadline, f"{self.name} is not up:\n{self.said()}"
            time.sleep(0.02)

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def children(self) -> list[int]:
        """The processes that a server has made."""
        with contextlib.suppress(OSError):
            listed = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text(encoding="ascii")
            return [int(number) for number in listed.split()]
        return []

    def kill(self) -> None:
        """SIGKILL to it and to all that it has made."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()

    def kill_child(self, place: int) -> bool:
        """SIGKILL to one of its processes; the server replaces it.  False where it has none."""
        found = self.children()
        if not found:
            return False
        with contextlib.suppress(ProcessLookupError):
            os.kill(found[place % len(found)], signal.SIGKILL)
        return True

    def stop(self) -> int:
        """SIGTERM, and SIGKILL where that is not enough; the status."""
        assert self.process is not None
        if self.alive:
            self.process.terminate()
        try:
            return self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} does not end:\n{self.said()}") from None

    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""


def healthy(port: int) -> bool:
    """Whether a server answers there."""
    with contextlib.suppress(OSError, HTTPException):
        connection = HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        finally:
            connection.close()
    return False


@attrs.define
class Fleet:
    """Servers and workers of one data folder."""

    data: Path
    servers: list[Member]
    workers: list[Member]

    @property
    def ports(self) -> list[int]:
        return [one.port for one in self.servers if one.port is not None]

    @property
    def members(self) -> list[Member]:
        return [*self.servers, *self.workers]

    def pids(self) -> dict[str, int]:
        """Every process, by a name that says what it is."""
        found: dict[str, int] = {}
        for member in self.members:
            if member.alive:
                found[member.name] = member.pid
                found |= {f"{member.name}.{n}": pid for n, pid in enumerate(member.children())}
        return found

    def start(self) -> None:
        """The first one makes what is not there; then the others."""
        for number, member in enumerate(self.members):
            member.start()
            if number == 0:
                member.await_ready()
        for member in self.members:
            member.await_ready()

    def end(self) -> None:
        """Ask all to end, and end those that do not."""
        for member in self.members:
            if member.alive and member.process is not None:
                member.process.terminate()
        failures: list[AssertionError] = []
        for member in self.members:
            try:
                if member.process is not None:
                    member.stop()
            except AssertionError as failure:
                failures.append(failure)
        if failures:
            raise failures[0]

    def said(self) -> Iterator[str]:
        """Every line of every log."""
        for member in self.members:
            yield from (f"{member.name}: {line}" for line in member.said().splitlines())


@contextmanager
def fleet(
    data: Path,
    *,
    servers: int = 2,
    processes: int = 1,
    workers: int = 0,
    settings: Path | None = None,
    prefix: Sequence[str] = (),
    **more: str,
) -> Generator[Fleet]:
    """Serve a data folder by several servers, of so many processes each, until the block ends.

    The logs stand beside the folder.  ``more`` are variables of all of them, in whose values
    ``{member}`` is the name of each.
    """
    where = ("--data", str(data)) + (("--config", str(settings)) if settings else ())

    def member(name: str, words: tuple[str, ...], port: int | None) -> Member:
        log = data.with_name(f"{data.name}-{name}.log")
        own = {key: value.replace("{member}", name) for key, value in more.items()}
        return Member(name, (*words, *where), log, port, own, tuple(prefix))

    serve = ("serve", "--host", "127.0.0.1", "--workers", str(processes))
    made = Fleet(
        data,
        [member(f"server{n}", serve, free_port()) for n in range(servers)],
        [member(f"worker{n}", ("worker", "--threads", "2"), None) for n in range(workers)],
    )
    try:
        made.start()
        yield made
    finally:
        try:
            made.end()
        finally:
            for one in made.members:
                if one.process is not None:
                    one.kill()


# ----------------------------------------------------------------------------------- clients


@attrs.frozen
class Reply:
    """A whole answer; header names in lower case."""

    status: int
    fields: Mapping[str, str]
    body: bytes

    @property
    def old(self) -> bool:
        """Whether it says that there is something newer (RFC 9111 section 5.5, code 110)."""
        return self.fields.get("warning", "").startswith("110")


class NoAnswerError(Exception):
    """The connection broke, or nothing came: what was asked may have been done, or not."""


@attrs.define
class Client:
    """Somebody with a connection to each server, which is made anew after it broke."""

    ports: Sequence[int]
    signed: str
    timeout: float = PATIENCE
    _kept: dict[int, HTTPConnection] = attrs.field(factory=dict, init=False)

    def ask(
        self,
        server: int,
        method: str,
        target: str,
        body: bytes | None = None,
        **fields: str,
    ) -> Reply:
        """One request; raises `NoAnswerError` where no whole answer came."""
        return self._sent(server, method, target, body, fields, _whole)

    def abandon(
        self, server: int, method: str, target: str, body: bytes | None = None, **fields: str
    ) -> None:
        """Ask, and go away before there is an answer."""
        with contextlib.suppress(NoAnswerError):
            self._sent(server, method, target, body, fields, None)
        self.close(server)

    def _sent(
        self,
        server: int,
        method: str,
        target: str,
        body: bytes | None,
        fields: Mapping[str, str],
        read: Callable[[HTTPResponse], Reply] | None,
    ) -> Reply:
        port = self.ports[server]
        named = {name.replace("_", "-"): value for name, value in fields.items()}
        connection = self._kept.get(server)
        if connection is None:
            connection = HTTPConnection("127.0.0.1", port, timeout=self.timeout)
            self._kept[server] = connection
        try:
            connection.request(method, target, body, {"Authorization": self.signed, **named})
            if read is None:
                return Reply(0, {}, b"")
            return read(connection.getresponse())
        except (OSError, HTTPException) as error:
            self.close(server)
            raise NoAnswerError(f"{method} {target}: {error!r}") from error

    def close(self, server: int | None = None) -> None:
        for number in list(self._kept) if server is None else [server]:
            if (known := self._kept.pop(number, None)) is not None:
                known.close()


def _whole(answer: HTTPResponse) -> Reply:
    fields = {name.lower(): value for name, value in answer.getheaders()}
    return Reply(answer.status, fields, answer.read())
