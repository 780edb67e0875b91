"""The application that servers load by its name."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest
from wsgi_calls import call

from repocore_web import wsgi

FORKED = """
import atexit, os, sys
from wsgi_calls import call
from repocore_web import wsgi

assert call(wsgi.application, "/readyz").status == 200
parent = wsgi._opened[os.getpid()][1]
child = os.fork()
if child == 0:
    assert call(wsgi.application, "/readyz").status == 200
    assert wsgi._opened[os.getpid()][1] is not parent
    sys.exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
assert call(wsgi.application, "/readyz").status == 200
assert not parent._closed
atexit._run_exitfuncs()
assert parent._closed
"""


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A data folder that the environment names, and a process that has opened nothing."""
    monkeypatch.delenv("REPOCORE_CONFIG", raising=False)
    monkeypatch.setenv("REPOCORE_DATA", str(tmp_path / "data"))
    yield tmp_path / "data"
    wsgi._close()


def test_registry_opens_with_the_first_request(data):
    """Loading the module opens nothing; the first request does, and the next uses the same."""
    assert wsgi._opened == {}
    assert not data.exists()
    assert call(wsgi.application, "/readyz").status == 200
    opened = dict(wsgi._opened)
    assert data.is_dir()
    assert call(wsgi.application, "/healthz").text == "ok\n"
    assert wsgi._opened == opened


def test_registry_that_does_not_open_is_not_the_clients_business(data, caplog):
    """Wrong settings are logged, answered without their text, and read again when mended."""
    data.mkdir()
    settings = data / "repocore.toml"
    settings.write_text("[web]\ncanary = 1\n")
    with caplog.at_level(logging.CRITICAL, "repocore.web"):
        answer = call(wsgi.application, "/healthz")
    assert answer.status == 503
    assert "canary" not in answer.text
    assert str(data) not in answer.text
    assert "canary" in caplog.text
    settings.unlink()
    assert call(wsgi.application, "/healthz").status == 200


def test_contradicting_routes_do_not_leave_a_registry_open(data, monkeypatch):
    """A registry whose routes cannot be served is closed again."""
    opened = []
    real = wsgi.open_registry

    def noted():
        opened.append(real())
        return opened[-1]

    def refuse(_registry):
        raise wsgi.RepocoreError("Two routes.")

    monkeypatch.setattr(wsgi, "open_registry", noted)
    monkeypatch.setattr(wsgi, "create_app", refuse)
    assert call(wsgi.application, "/healthz").status == 503
    assert [registry._closed for registry in opened] == [True]


def test_each_process_has_its_own(data):
    """After a fork the child opens for itself, and its end does not close the parent's."""
    support = Path(__file__).parents[1] / "support"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(support)!r})\n{FORKED}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
