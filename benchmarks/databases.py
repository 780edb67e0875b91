"""A PostgreSQL of the benchmark's own, as it is in production: it flushes what it commits."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator
from pathlib import Path

import attrs
import psycopg

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from postgres_cluster import Databases, newest_binaries, restartable_cluster

__all__ = ["Databases", "Server", "postgres"]

_DURABLE = {
    "fsync": "on",
    "full_page_writes": "on",
    "shared_buffers": "512MB",
    "synchronous_commit": "on",
}


@attrs.frozen
class Server:
    """A running server; one that others have started has no process that could be looked at."""

    databases: Databases
    pid: int | None


@contextlib.contextmanager
def postgres(url: str | None = None, folder: Path | None = None) -> Generator[Server]:
    """The one that is named, or a new one on the device of ``folder``, which is gone afterwards."""
    with contextlib.ExitStack() as stack:
        pid = None
        if url is None:
            made = stack.enter_context(restartable_cluster(newest_binaries(), folder, **_DURABLE))
            url, pid = made.url, None if made.server is None else made.server.pid
        admin = stack.enter_context(psycopg.connect(url, autocommit=True))
        yield Server(Databases(url.rpartition("/")[0], admin), pid)
