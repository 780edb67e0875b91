"""What the driver is told."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from repocore.config import PostgresSettings, Settings
from repocore.plugins.procrastinate.database import connection_options

URL = "postgresql+psycopg://u:p%40x@db.example/cat?sslmode=require&options=-csearch_path%3Dours"


def test_the_url_goes_before_the_settings() -> None:
    """Bounds come from ``[postgres]``, as for the catalog's own connections."""
    bounds = PostgresSettings(statement_timeout=timedelta(seconds=7), application_name="fleet")
    told = connection_options(Settings(data=Path("d"), catalog=URL, postgres=bounds))
    assert (told["user"], told["password"], told["host"]) == ("u", "p@x", "db.example")
    assert (told["sslmode"], told["application_name"]) == ("require", "fleet")
    assert told["options"].split(" -c ") == [
        "-c statement_timeout=7000",
        "lock_timeout=30000 -csearch_path=ours",
    ]
    assert (told["keepalives_idle"], told["tcp_user_timeout"]) == (30, 60_000)


def test_a_pooler_is_told_no_times() -> None:
    """It would refuse them, and statements that are prepared."""
    pooled = PostgresSettings(transaction_pooling=True)
    plain = "postgresql://u@db.example/cat"
    told = connection_options(Settings(data=Path("d"), catalog=plain, postgres=pooled))
    assert "options" not in told
    assert told["prepare_threshold"] is None
