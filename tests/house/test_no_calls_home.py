"""Nobody is called who was not named: not at import, not by a server that does its work (T64)."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path

import repocore
import repocore_s3
import repocore_web

#: Tells of each name that is asked for and of each connection that is made, and ends the program.
WATCH = """
import sys

def told(event, words):
    if event in {"socket.getaddrinfo", "socket.gethostbyname", "socket.connect", "socket.sendto"}:
        if "/" in str(words[-1])[:1]:  # a socket of this machine has a path
            return
        sys.stderr.write(f"CALLED: {event} {words[1:]}\\n")
        sys.stderr.flush()
        import os
        os._exit(9)

sys.addaudithook(told)
"""

WORK = """
import io, pathlib, sys
import repocore
from repocore.config import Settings
from repocore_web import create_app

with repocore.open_registry(settings=Settings(data=pathlib.Path(sys.argv[1]))) as registry:
    session = registry.session(registry.admin())
    session.repositories.create("conan/main")
    session.files.put("conan/main", "a/1/_/_/r/export/conanfile.py", io.BytesIO(b"x"))
    create_app(registry)
    registry.run_jobs()
    session.jobs.wait(session.jobs.submit("gc").id)
    registry.tell()
print("done")
"""


def run(text: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", WATCH + text, *words], capture_output=True, text=True, check=False
    )


def modules() -> list[str]:
    """Every module of ours that is installed."""
    found: list[str] = []
    for package in (repocore, repocore_s3, repocore_web):
        walked = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        found += [one.name for one in walked if not one.name.endswith("__main__")]
    return found


def test_an_import_asks_nobody() -> None:
    """Of all modules, with everything that they import from others."""
    found = modules()
    assert len(found) > 150
    # Migrations are made to be run by alembic, and tests by pytest.
    wanted = [name for name in found if ".migrations" not in name]
    done = run(f"import importlib\nfor name in {wanted!r}: importlib.import_module(name)\n")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_registry_at_work_asks_nobody(tmp_path: Path) -> None:
    """Nothing is reported to anybody: there is no telemetry to switch off."""
    done = run(WORK, str(tmp_path / "data"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", "")


def test_the_watch_sees_who_is_called() -> None:
    """Else the others would prove nothing."""
    done = run("import socket\nsocket.create_connection(('127.0.0.1', 9))\n")
    assert done.returncode == 9
    assert "CALLED" in done.stderr
