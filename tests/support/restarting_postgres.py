"""A private PostgreSQL that can be stopped in the ways that it has, and started again."""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from contextlib import contextmanager

import attrs
from postgres_cluster import Cluster, newest_binaries, restartable_cluster

__all__ = ["STOPS", "RestartingPostgres", "restarting_postgres"]

#: What its master takes for an order to stop: to end every session, or to leave all as it is.
STOPS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}
#: What was committed has to be there after any stop.  Without fsync, after a stop of PostgreSQL;
#: with it, after one of the machine as well, and as slowly as it is for people.
SURE = {"synchronous_commit": "on", "full_page_writes": "on"}


@attrs.define
class RestartingPostgres:
    """One cluster on one port."""

    cluster: Cluster

    @property
    def url(self) -> str:
        return self.cluster.url

    def start(self) -> None:
        """Start it, and return when it answers."""
        self.cluster.start()

    def stop(self, how: str) -> None:
        """Stop it; returns when it has ended."""
        self.cluster.stop(STOPS[how])


@contextmanager
def restarting_postgres(*within: str) -> Generator[RestartingPostgres]:
    """Run a new cluster until the block ends; REPOCORE_TEST_FSYNC=on is for the long forms.

    The server is started within these words: by `env`, say, with variables of its own.
    Raises `NoPostgresError` where none is installed.
    """
    wanted = {**SURE, "fsync": os.environ.get("REPOCORE_TEST_FSYNC", "off")}
    with restartable_cluster(newest_binaries(), within=within, **wanted) as cluster:
        yield RestartingPostgres(cluster)
