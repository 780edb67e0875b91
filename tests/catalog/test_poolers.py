"""A catalog behind PgBouncer, which lends a connection for one transaction."""

from __future__ import annotations

import contextlib
import io
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from postgres_cluster import Databases, as_owner, free_port
from sqlalchemy import make_url
from tests_manifest import manifest

import repocore
from repocore import ConfigurationError
from repocore.config import PostgresSettings, Settings

pytestmark = [pytest.mark.postgres, pytest.mark.servers]


@pytest.fixture
def pooled(postgres_databases: Databases, postgres_tables: str) -> Iterator[str]:
    """The address of a new database behind PgBouncer, with two connections to it."""
    program = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
    if program is None:
        pytest.skip("no pgbouncer is installed (Debian: apt install pgbouncer)")
    with postgres_databases.fresh(postgres_tables) as url, contextlib.ExitStack() as stack:
        address = make_url(url)
        port = free_port()
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="repocore-pooler-")))
        (home / "users.txt").write_text('"app" ""\n', encoding="utf-8")
        (home / "pgbouncer.ini").write_text(
            "[databases]\n"
            f"* = host={address.host} port={address.port}\n"
            "[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = trust\nauth_file = {home}/users.txt\n"
            "pool_mode = transaction\ndefault_pool_size = 2\n",
            encoding="utf-8",
        )
        home.chmod(0o755)  # the server is another account's
        with (home / "log").open("wb") as log:
            server = subprocess.Popen(
                [*as_owner(), program, str(home / "pgbouncer.ini")], stdout=log, stderr=log
            )
        there = address.set(port=port).render_as_string(hide_password=False)
        try:
            _await(server, there)
            yield there
        finally:
            server.terminate()
            server.wait()


def _await(server: subprocess.Popen[bytes], url: str) -> None:
    for _ in range(200):
        assert server.poll() is None
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    pytest.fail("pgbouncer does not answer")


def test_everything_works_with_transaction_pooling(pooled: str, tmp_path: Path) -> None:
    """Many threads on two connections: uploads, statements of one step, documents, jobs, seals."""
    postgres = PostgresSettings(transaction_pooling=True)
    settings = Settings(data=tmp_path, catalog=pooled, postgres=postgres)
    with repocore.open_registry(settings=settings) as registry:
        session = registry.session(registry.admin())
        session.repositories.create("conan/main")

        def upload(number: int) -> None:
            base = f"zlib/1.3/_/_/r{number}/export"
            for name, body in (
                ("conanfile.py", b"recipe"),
                ("conanmanifest.txt", manifest("conanfile.py")),
            ):
                session.files.put("conan/main", f"{base}/{name}", io.BytesIO(body))
            assert session.releases.latest("conan/main", "zlib/1.3@_/_") is not None

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(upload, range(16)))
        assert len(session.releases.list("conan/main", "zlib/1.3@_/_")) == 16
        assert session.upkeep.check(read_data=True).ok
        assert session.audit.seal() is not None
        assert session.audit.verify().ok
        session.jobs.submit("gc")
        assert registry.worker().work()


def test_without_the_setting_it_is_refused_at_start(
    pooled: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And not later, in the middle of something; the log says what PgBouncer does not take."""
    settings = Settings(data=tmp_path, catalog=pooled)
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        repocore.open_registry(settings=settings)
    assert "unsupported startup parameter" in caplog.text
