"""Jobs, their schedules, events that are still to be told, what upkeep has to remember, and who
may use the tables.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    false,
    text,
)

from repocore.catalog.tables.names import METADATA, Id, Name

__all__ = [
    "UNHANDED",
    "compatibility",
    "events",
    "job_output",
    "jobs",
    "leases",
    "replication",
    "rounds",
    "schedules",
]

events = Table(
    "events",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
)

jobs = Table(
    "jobs",
    METADATA,
    Column("id", Id, primary_key=True),
    Column("kind", Name, nullable=False),
    Column("payload", Text, nullable=False),
    Column("key", Name),
    Column("state", Name, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("max_attempts", Integer, nullable=False),
    Column("run_after", BigInteger, nullable=False),
    # Made anew for each claim: who lost a job cannot write to it any more.
    Column("worker", Text),
    Column("heartbeat_at", BigInteger),
    Column("cancelling", Boolean, nullable=False),
    Column("total", BigInteger),
    Column("done", BigInteger, nullable=False),
    Column("message", Text, nullable=False),
    Column("outcome", Text),
    Column("error", Text),
    Column("created_by", Name, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("started_at", BigInteger),
    Column("finished_at", BigInteger),
    # The number of the task by which another queue runs it, and whether that task is as it should
    # be; None, and no, while nobody but us does.
    Column("task", BigInteger),
    Column("handed", Boolean, nullable=False, server_default=false()),
    Index("jobs_state", "state", "run_after"),
    Index("jobs_created_by", "created_by", "id"),
    # A number that somebody has noted never means another job.
    sqlite_autoincrement=True,
)
Index(
    "jobs_key",
    jobs.c.kind,
    jobs.c.key,
    unique=True,
    sqlite_where=text("state = 'queued'"),
    postgresql_where=text("state = 'queued'"),
)
#: What another queue is still to be told of: those that are to be run, and those that are not.
UNHANDED: Final = "NOT handed AND (state IN ('queued', 'running') OR task IS NOT NULL)"
Index(
    "jobs_unhanded",
    jobs.c.id,
    sqlite_where=text(UNHANDED),
    postgresql_where=text(UNHANDED),
)

job_output = Table(
    "job_output",
    METADATA,
    Column("job_id", Id, ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("sequence", BigInteger, primary_key=True),
    Column("text", Text, nullable=False),
    sqlite_with_rowid=False,
)

schedules = Table(
    "schedules",
    METADATA,
    Column("name", Name, primary_key=True),
    Column("rhythm", Text, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# How far something has come that goes round and round.
rounds = Table(
    "rounds",
    METADATA,
    Column("name", Name, primary_key=True),
    Column("position", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# What somebody does until then, or longer if they say so again.
leases = Table(
    "leases",
    METADATA,
    Column("name", Name, primary_key=True),
    Column("holder", Name, primary_key=True),
    Column("until", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# One row: the oldest revision whose code can use these tables.
compatibility = Table(
    "compatibility",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("compatible_from", Text, nullable=False),
)

# One row: what replicas know this installation by, and how far it has followed another one.
replication = Table(
    "replication",
    METADATA,
    Column("id", Integer, primary_key=True),
    # Made anew when a replica is promoted: from then on it has a history of its own.
    Column("era", Name, nullable=False),
    Column("state", Text, nullable=False, server_default="{}"),
    Column("promoted_at", BigInteger),
)
