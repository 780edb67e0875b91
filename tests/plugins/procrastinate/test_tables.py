"""The tables of the queue: made once, brought up to date, and never somebody else's."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import attrs
import psycopg
import pytest

import repocore
from repocore import ConfigurationError, JobState, StorageError
from repocore.config import Settings
from repocore.plugins.procrastinate.tables import QueueTables

pytestmark = pytest.mark.postgres

SHAPE = """
SELECT table_name, column_name, data_type, column_default FROM information_schema.columns
WHERE table_name LIKE 'procrastinate%'
UNION ALL SELECT 'function', proname, pg_get_function_identity_arguments(oid), NULL FROM pg_proc
WHERE proname LIKE 'procrastinate%'
UNION ALL SELECT 'trigger', tgname, NULL, NULL FROM pg_trigger WHERE tgname LIKE 'procrastinate%'
UNION ALL SELECT 'index', indexname, NULL, NULL FROM pg_indexes
WHERE tablename LIKE 'procrastinate%' ORDER BY 1, 2, 3
"""


def test_several_that_start_at_once_make_them_once(settings, ask) -> None:
    """And whoever comes later has nothing to do."""
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: QueueTables(settings).migrate(), range(4)))
    assert sorted(map(list, done)) == [[], [], [], ["procrastinate"]]
    assert QueueTables(settings).pending() == []
    assert ask("SELECT count(*) FROM procrastinate_jobs") == [(0,)]


def test_who_may_not_make_them_says_what_to_run(settings) -> None:
    """With `migrate_at_start = false`; read-only asks for none."""
    manual = attrs.evolve(settings, migrate_at_start=False)
    with pytest.raises(ConfigurationError, match="run `repocore migrate`"):
        repocore.open_registry(settings=manual)
    with repocore.open_registry(settings=attrs.evolve(manual, read_only=True)):
        pass
    assert [name for name, _ in QueueTables(manual).pending()] == ["procrastinate"]
    QueueTables(manual).migrate()
    with repocore.open_registry(settings=manual):
        pass


def until(settings: Settings, last: str) -> None:
    """Make the tables as a version of procrastinate had them whose last migration was that."""
    tables = QueueTables(settings)
    tables._steps = {name: path for name, path in tables._steps.items() if name <= last}
    with tables._connection() as connection:
        for path in tables._steps.values():
            connection.execute(path.read_text(encoding="utf-8"))
        connection.execute(
            "CREATE TABLE repocore_procrastinate"
            ' (name TEXT COLLATE "C" PRIMARY KEY, done_at TIMESTAMPTZ NOT NULL DEFAULT now())'
        )
        tables._note(connection, tables._steps)


def test_older_tables_are_brought_up_to_date(
    settings, ask, postgres_databases, postgres_tables
) -> None:
    """They are then like those of a new installation."""
    until(settings, "03.01.00_50_post_add_heartbeat")
    with pytest.raises(ConfigurationError, match="run `repocore migrate`"):
        QueueTables(settings).require_current()
    planned = [name for name, _ in QueueTables(settings).pending()]
    assert planned[0] == "03.02.00_01_pre_batch_defer_jobs"
    assert list(QueueTables(settings).migrate()) == planned
    with postgres_databases.fresh(postgres_tables) as url:
        QueueTables(attrs.evolve(settings, catalog=url)).migrate()
        with psycopg.connect(url) as connection:
            assert connection.execute(SHAPE).fetchall() == ask(SHAPE)


def test_what_is_for_later_waits_until_nobody_works(settings, ask) -> None:
    """Workers of the version before go on meanwhile."""
    until(settings, "03.04.00_01_pre_add_retry_failed_job_procedure")
    ask("INSERT INTO procrastinate_workers DEFAULT VALUES")
    assert QueueTables(settings).migrate() == []
    QueueTables(settings).require_current()
    ask("UPDATE procrastinate_workers SET last_heartbeat = now() - interval '1 hour'")
    assert QueueTables(settings).migrate() == ["03.04.00_50_post_add_retry_failed_job_procedure"]


def test_workers_that_are_too_old_have_to_end_first(settings, ask) -> None:
    """There is a step between that they would not survive."""
    until(settings, "03.01.00_01_pre_add_heartbeat")
    ask("INSERT INTO procrastinate_workers DEFAULT VALUES")
    with pytest.raises(ConfigurationError, match="end them"):
        QueueTables(settings).migrate()


def test_newer_tables_are_refused_where_they_have_lost_something(settings, ask) -> None:
    """Those that only gained something are not."""
    QueueTables(settings).migrate()
    ask("INSERT INTO repocore_procrastinate VALUES ('99.00.00_01_pre_more')")
    assert QueueTables(settings).migrate() == ()
    ask("INSERT INTO repocore_procrastinate VALUES ('99.00.00_50_post_more')")
    with pytest.raises(ConfigurationError, match="newer procrastinate"):
        repocore.open_registry(settings=settings)


def test_another_s_tables_are_left_alone(settings, ask) -> None:
    """Nobody knows what is in them, or who else works there."""
    ask("CREATE TABLE procrastinate_jobs (id INT)")
    with pytest.raises(ConfigurationError, match="database of its own"):
        repocore.open_registry(settings=settings)
    assert ask("SELECT to_regclass('procrastinate_workers')") == [(None,)]


def test_a_role_that_may_make_no_tables(settings, ask) -> None:
    """It is told who has to."""
    with repocore.open_registry(settings=attrs.evolve(settings, runner="threads:0")):
        pass
    ask("DROP ROLE IF EXISTS guest_of_queue")
    ask("CREATE ROLE guest_of_queue LOGIN")
    guest = attrs.evolve(settings, catalog=settings.catalog.replace("app@", "guest_of_queue@"))
    try:
        ask("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        with pytest.raises(ConfigurationError, match="their owner"):
            QueueTables(guest).migrate()
    finally:
        ask("DROP ROLE guest_of_queue")


def test_a_database_that_is_away(settings) -> None:
    """It is the storage's fault, and says nothing of the address."""
    away = attrs.evolve(settings, catalog="postgresql://app@127.0.0.1:9/none")
    with pytest.raises(StorageError) as caught:
        QueueTables(away).pending()
    assert "127.0.0.1" not in str(caught.value)


def test_nothing_is_lost_where_the_queue_is_made_later(settings) -> None:
    """What threads have left is run."""
    before = attrs.evolve(settings, runner="threads:0")
    with repocore.open_registry(settings=before) as registry:
        number = registry.session(registry.admin()).jobs.submit("check").id
    with repocore.open_registry(settings=settings) as registry:
        registry.run_jobs()
        assert registry.session(registry.admin()).jobs.wait(number).state is JobState.DONE
