"""The class that ``[postgres]`` becomes: how a catalog in PostgreSQL is reached."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import attrs

from repocore.config.saying import positive, says, some, whole

__all__ = ["PostgresSettings"]

#: PostgreSQL counts milliseconds in 32 bits.
_LONGEST: Final = timedelta(days=24)


def _bound(value: timedelta) -> None:
    whole(value)
    if value > _LONGEST:
        raise ValueError("must not be longer than 24 days; 0 means without end")


@attrs.frozen(kw_only=True)
class PostgresSettings:
    """``[postgres]``: connections of each process to a catalog in PostgreSQL, and their bounds."""

    pool_size: int = attrs.field(
        default=10,
        metadata=says("Connections that a process keeps open once it needed them.", check=positive),
    )
    pool_overflow: int = attrs.field(
        default=10,
        # One at least: who makes documents holds a connection and asks for another.
        metadata=says("Further ones while there is much to do; closed afterwards.", check=positive),
    )
    pool_wait: timedelta = attrs.field(
        default=timedelta(seconds=30),
        metadata=says(
            "How long a request waits while all are in use; then it is told to try again.",
            check=positive,
        ),
    )
    pool_recycle: timedelta = attrs.field(
        default=timedelta(hours=1),
        metadata=says("A connection older than that is replaced by a new one.", check=positive),
    )
    pool_ping: bool = attrs.field(
        default=True,
        metadata=says(
            "Whether a connection is tried before it is used, so that one that has died costs "
            "nobody an error."
        ),
    )
    read_connections: int = attrs.field(
        default=10,
        metadata=says(
            "Connections beside the pool for what is asked most and answered in one step.",
            check=positive,
        ),
    )
    connect_timeout: timedelta = attrs.field(
        default=timedelta(seconds=10),
        metadata=says("How long one attempt to connect may take.", check=positive),
    )
    reconnect: timedelta = attrs.field(
        default=timedelta(seconds=15),
        metadata=says(
            "How long requests wait for a server that has gone away, a restart, say; afterwards "
            "they fail at once until it is back.",
            check=whole,
        ),
    )
    attempts: int = attrs.field(
        default=8,
        metadata=says(
            "How often a change is tried that the database has given up for another's sake, or "
            "whose connection broke before it was committed.",
            check=positive,
        ),
    )
    statement_timeout: timedelta = attrs.field(
        default=timedelta(minutes=2),
        metadata=says("How long one statement may run; 0 without end.", check=_bound),
    )
    lock_timeout: timedelta = attrs.field(
        default=timedelta(seconds=30),
        metadata=says("How long one waits for a lock; 0 without end.", check=_bound),
    )
    idle_timeout: timedelta = attrs.field(
        default=timedelta(hours=1),
        metadata=says(
            "How long a transaction may do nothing before the database ends it; 0 without end.",
            check=_bound,
        ),
    )
    keepalive: timedelta = attrs.field(
        default=timedelta(seconds=30),
        metadata=says(
            "A connection that is silent for so long is asked for a sign of life by TCP.",
            check=positive,
        ),
    )
    keepalive_interval: timedelta = attrs.field(
        default=timedelta(seconds=10),
        metadata=says("How long until it is asked again.", check=positive),
    )
    keepalive_count: int = attrs.field(
        default=3, metadata=says("Unanswered questions that end a connection.", check=positive)
    )
    application_name: str = attrs.field(
        default="repocore", metadata=says("What the database lists connections as.", check=some)
    )
    prepare_after: int = attrs.field(
        default=5,
        metadata=says(
            "How often a connection sends a statement before it has the database prepare it; 0 "
            "never.",
            check=whole,
        ),
    )
    transaction_pooling: bool = attrs.field(
        default=False,
        metadata=says(
            "Whether a pooler such as PgBouncer lends its connections for one transaction each: "
            "then nothing is prepared, and the three time-outs are those of the database's role."
        ),
    )
