"""A PostgreSQL of the benchmark's own, as it is in production: it flushes what it commits."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator, Sequence
from pathlib import Path

import attrs

from benchmarks.servers import ServerError, free_port

__all__ = ["Database", "database"]

_INSTALLED = Path("/usr/lib/postgresql")
_START_SECONDS = 30.0


@attrs.frozen
class Database:
    """A running server: its process, and how it is reached."""

    pid: int
    port: int
    _programs: Path

    def create(self, name: str) -> str:
        """Make an empty database; its address."""
        self._run("createdb", name)
        return f"postgresql://app@127.0.0.1:{self.port}/{name}"

    def drop(self, name: str) -> None:
        """Forget a database that nobody uses any more."""
        self._run("dropdb", "--force", name)

    def _run(self, program: str, *words: str) -> None:
        where = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "app"]
        subprocess.run([str(self._programs / program), *where, *words], check=True)


def _programs() -> Path:
    found = sorted(_INSTALLED.glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    on_path = shutil.which("initdb")
    if not found and on_path is None:
        message = "PostgreSQL is not installed"
        raise ServerError(message)
    return found[-1].parent if found else Path(str(on_path)).resolve().parent


def _as_owner() -> Sequence[str]:
    """PostgreSQL refuses to run as root."""
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] * (not os.geteuid())


@contextlib.contextmanager
def database(folder: Path) -> Generator[Database]:
    """Start one on the device of ``folder``; it is gone when the block ends."""
    programs, port = _programs(), free_port()
    # Others may not enter the folder of the run, but its owner has to reach this one.
    home = Path(tempfile.mkdtemp(prefix="postgres-", dir=folder if os.geteuid() else folder.parent))
    home.chmod(0o700)
    if not os.geteuid():
        owner = pwd.getpwnam("postgres")
        os.chown(home, owner.pw_uid, owner.pw_gid)
    try:
        make = [str(programs / "initdb"), "-D", str(home / "data"), "-U", "app", "-A", "trust"]
        subprocess.run([*_as_owner(), *make, "-E", "UTF8"], check=True, capture_output=True)
        command = [str(programs / "postgres"), "-D", str(home / "data"), f"--port={port}"]
        command += ["--listen_addresses=127.0.0.1", f"--unix_socket_directories={home}"]
        command += ["--shared_buffers=512MB", "--max_connections=200"]
        with (home / "log").open("wb") as log:
            process = subprocess.Popen([*_as_owner(), *command], stdout=log, stderr=log, cwd=home)
        try:
            _wait(programs, port, process)
            yield Database(process.pid, port, programs)
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(60)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _wait(programs: Path, port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _START_SECONDS
    ready = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    while subprocess.run(ready, check=False).returncode:
        if process.poll() is not None or time.monotonic() > until:
            message = "PostgreSQL did not start"
            raise ServerError(message)
        time.sleep(0.05)
