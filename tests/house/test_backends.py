"""The parameters that every other test stands on."""

from __future__ import annotations

import socket
import sqlite3
from contextlib import closing

import psycopg
import pytest


def test_database_is_new_and_empty(database_url):
    """Each test is given a database without a table, and may make one."""
    if database_url.startswith("sqlite:///"):
        with closing(sqlite3.connect(database_url.removeprefix("sqlite:///"))) as file:
            file.execute("CREATE TABLE house (brick TEXT)")
    else:
        with psycopg.connect(database_url) as server:
            server.execute("CREATE TABLE house (brick TEXT)")


@pytest.mark.postgres
def test_template_is_copied(postgres_databases):
    """A copy of a template has its tables; what is written to it is not seen by the next."""

    def prepare(url):
        with psycopg.connect(url) as server:
            server.execute("CREATE TABLE house (brick TEXT)")

    with postgres_databases.template(prepare) as template:
        for _ in range(2):
            with postgres_databases.fresh(template) as url, psycopg.connect(url) as server:
                assert server.execute("SELECT count(*) FROM house").fetchone() == (0,)
                server.execute("INSERT INTO house VALUES ('red')")


@pytest.mark.postgres
def test_postgres_orders_by_language(postgres_databases):
    """The test server does not sort by bytes, so that a forgotten collation is noticed."""
    with postgres_databases.fresh() as url, psycopg.connect(url) as server:
        assert server.execute("SELECT 'a' < 'B'").fetchone() == (True,)


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "elsewhere.example"])
def test_connections_stay_on_loopback(host):
    """A test that speaks to another machine fails instead of reaching it."""
    with pytest.raises(pytest.fail.Exception, match="loopback only"):
        socket.create_connection((host, 9), timeout=1)


def test_loopback_is_open():
    """A test may speak to a server of its own."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), timeout=5).close()
