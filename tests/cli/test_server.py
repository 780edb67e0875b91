"""Clients that are slow, and those that stall."""

from __future__ import annotations

import socket

import attrs
import pytest

pytest.importorskip("gunicorn")

from repocore.cli.server import STALLED, Server, ServerOptions
from repocore.config import load_settings


def made(tmp_path, **changes):
    listener = socket.create_server(("127.0.0.1", 0))
    options = ServerOptions(**{"workers": 3, "threads": 5, "access_log": False} | changes)
    return Server([listener], options, lambda: load_settings(data=tmp_path, environ={}), list)


@pytest.fixture
def server(tmp_path):
    built = made(tmp_path)
    yield built
    for bind in built.cfg.settings["bind"].get():
        socket.socket(fileno=int(bind.removeprefix("fd://"))).close()


def test_gunicorn_is_told_by_us_alone(server):
    """Workers and threads are those of the command; no forwarded field is believed."""
    cfg = server.cfg
    assert (cfg.workers, cfg.threads, cfg.worker_class_str) == (3, 5, "gthread")
    assert not cfg.secure_scheme_headers
    assert not cfg.forwarder_headers
    assert cfg.accesslog is None


def test_lines_of_requests_are_the_applications(tmp_path):
    """The command's word for them counts as that of the settings, whichever are read later."""
    settings = load_settings(data=tmp_path, environ={})
    quiet = ServerOptions(workers=1, threads=1, access_log=False)
    assert quiet.shown(settings) is settings
    loud = attrs.evolve(quiet, access_log=True)
    assert loud.shown(settings).logs.access
    assert loud.shown(loud.shown(settings)) == loud.shown(settings)


def test_stalled_client_has_an_end(server):
    """A request's socket is given a time-out; what has no socket is left alone."""
    left, right = socket.socketpair()
    with left, right:
        request = type("Request", (), {"unreader": type("Reader", (), {"sock": left})})
        server.cfg.pre_request(None, request)
        assert left.gettimeout() == STALLED
    server.cfg.pre_request(None, object())


def test_worker_opens_and_closes_its_registry(server, tmp_path):
    """The application is made from the settings as they are then, and closed with the worker."""
    assert callable(server.load())
    assert (tmp_path / "catalog.db").exists()
    server.cfg.worker_exit(None, None)
    server.cfg.worker_exit(None, None)
