"""A private PostgreSQL for one test process: it starts from installed binaries and ends with it."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import attrs
import psycopg
from psycopg import sql

BINARIES = Path("/usr/lib/postgresql")
START_SECONDS = 60.0
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "synchronous_commit": "off",
    "unix_socket_directories": "",
}


class NoPostgresError(Exception):
    """There is no PostgreSQL to test with; the message says why and what would help."""


@attrs.frozen
class Databases:
    """Short-lived databases on one server, each of them a copy of a template."""

    host: str  # the URL up to, and without, the name of the database
    admin: psycopg.Connection
    numbers: Iterator[int] = attrs.field(factory=lambda: itertools.count(1))

    def url(self, name: str) -> str:
        """The address of a database of this server."""
        return f"{self.host}/{name}"

    @contextlib.contextmanager
    def fresh(self, template: str = "template0") -> Iterator[str]:
        """Yield the address of a new copy of the template, and drop the copy afterwards."""
        name = f"test_{os.getpid()}_{next(self.numbers)}"
        self._run("CREATE DATABASE {} TEMPLATE {}", name, template)
        try:
            yield self.url(name)
        finally:
            self._run("DROP DATABASE {} WITH (FORCE)", name)

    @contextlib.contextmanager
    def template(self, prepare: Callable[[str], None]) -> Iterator[str]:
        """Yield the name of a database that prepare(url) has filled, to be copied by fresh()."""
        with self.fresh() as url:
            prepare(url)
            yield url.rpartition("/")[2]

    def _run(self, statement: str, *names: str) -> None:
        self.admin.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


@contextlib.contextmanager
def databases(wanted: str | None) -> Iterator[Databases]:
    """Open the server that REPOCORE_TEST_POSTGRES asks for.

    "0" wants none, a URL names an existing server, and everything else a private cluster.
    NoPostgresError says that there is none.
    """
    if wanted == "0":
        raise NoPostgresError("REPOCORE_TEST_POSTGRES=0 leaves PostgreSQL out")
    with contextlib.ExitStack() as stack:
        if wanted and "://" in wanted:
            url = wanted
        else:
            url = stack.enter_context(private_cluster(newest_binaries()))
        admin = stack.enter_context(psycopg.connect(url, autocommit=True))
        yield Databases(url.rpartition("/")[0], admin)


def newest_binaries() -> Path:
    """The folder of the newest PostgreSQL server that is installed, or NoPostgresError."""
    found = sorted(BINARIES.glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    if on_path is None:
        raise NoPostgresError("no PostgreSQL server is installed (Debian: apt install postgresql)")
    return Path(on_path).resolve().parent


@contextlib.contextmanager
def private_cluster(binaries: Path) -> Iterator[str]:
    """Yield the address of a new cluster of the super-user "app", gone when the block ends."""
    with restartable_cluster(binaries) as cluster:
        yield cluster.url


@contextlib.contextmanager
def restartable_cluster(
    binaries: Path, folder: Path | None = None, within: Sequence[str] = (), **settings: str
) -> Iterator[Cluster]:
    """Yield a new cluster that may be stopped and started again; gone when the block ends.

    It lies in ``folder``, which its account may enter, or where temporary files do.  ``within``
    are words that go before those of the server.
    """
    home = Path(tempfile.mkdtemp(prefix="repocore-postgres-", dir=folder))
    try:
        _hand_over(home)
        _initialise(binaries, home / "data")
        cluster = Cluster(binaries, home, free_port(), {**SETTINGS, **settings}, tuple(within))
        cluster.start()
        try:
            yield cluster
        finally:
            cluster.stop()
    finally:
        shutil.rmtree(home, ignore_errors=True)


@attrs.define
class Cluster:
    """A server of its own, always at the same port."""

    binaries: Path
    home: Path
    port: int
    settings: dict[str, str]
    within: tuple[str, ...] = ()
    server: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The address of its first database."""
        return f"postgresql://app@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = [f"--{name}={value}" for name, value in self.settings.items()]
        command = [f"{self.binaries}/postgres", "-D", str(self.home / "data")]
        command += [f"--port={self.port}", *options]
        with (self.home / "log").open("ab") as log:
            self.server = subprocess.Popen(
                [*as_owner(), *self.within, *command], stdout=log, stderr=log, cwd=self.home
            )
        _await(self.server, self.url, self.home / "log")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT ends every connection, SIGQUIT is a crash.  Idempotent."""
        if self.server is None:
            return
        self.server.send_signal(how)
        try:
            self.server.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.server.kill()
            self.server.wait()
        self.server = None


def _initialise(binaries: Path, data: Path) -> None:
    # The order of a language, not of bytes, so that a query which forgot its collation fails here.
    command = [f"{binaries}/initdb", "-D", str(data), "-U", "app", "-A", "trust", "-E", "UTF8"]
    command += ["--no-sync", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en"]
    done = subprocess.run(
        [*as_owner(), *command], capture_output=True, text=True, check=False, cwd=data.parent
    )
    if done.returncode:
        raise NoPostgresError(f"initdb failed: {done.stderr.strip()}")


def _await(server: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(url, connect_timeout=5).close()
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > until:
                raise NoPostgresError(f"PostgreSQL did not start: {log.read_text()}") from None
            time.sleep(0.05)
        else:
            return


def server_account() -> pwd.struct_passwd | None:
    """The account that PostgreSQL runs as, where that is another one."""
    # PostgreSQL refuses to run as root, so that root has to be somebody else.
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise NoPostgresError("PostgreSQL does not run as root, and there is no other account for it")


def as_owner() -> list[str]:
    """What goes before a command that this account is to run."""
    owner = server_account()
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        if owner is not None:
            raise NoPostgresError("PostgreSQL does not run as root, and there is no setpriv")
        return []
    command = [setpriv, "--pdeathsig", "INT"]  # a killed test run leaves no server behind
    if owner is not None:
        command += [f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]
    return command


def _hand_over(home: Path) -> None:
    owner = server_account()
    if owner is not None:
        os.chown(home, owner.pw_uid, owner.pw_gid)


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
