"""gunicorn says what it has to say as everybody does here."""

from __future__ import annotations

import json
import logging

import pytest

pytest.importorskip("gunicorn")

from gunicorn.config import Config

from repocore.cli.logs import Logger
from repocore.config import LogSettings
from repocore.logs import configure_logging


@pytest.fixture
def quiet():
    """The loggers as they were, afterwards."""
    names = ("", "repocore.access", "gunicorn.error", "gunicorn.access")
    loggers = [logging.getLogger(name) for name in names]
    before = [(one.level, one.propagate, one.handlers[:]) for one in loggers]
    yield
    for one, (level, propagate, handlers) in zip(loggers, before, strict=True):
        one.setLevel(level)
        one.propagate, one.handlers = propagate, handlers


@pytest.mark.usefixtures("quiet")
def test_lines_of_gunicorn_are_ours(capsys):
    """One object each, redacted; as many as the settings say, also when they are read anew."""
    configure_logging(LogSettings(format="json", level="error"), everything=True)
    logger = Logger(Config())
    logger.warning("quiet")
    logger.error("Invalid request: GET /t/rpc-hush/x\x1b[2J")
    configure_logging(LogSettings(format="json", level="info"), everything=True)
    logger.setup(Config())
    logger.info("Booting worker with pid: %s", 7)
    first, second = map(json.loads, capsys.readouterr().err.splitlines())
    assert (first["logger"], first["level"]) == ("gunicorn.error", "error")
    assert first["message"] == "Invalid request: GET /t/***/x\\x1b[2J"
    assert second["message"] == "Booting worker with pid: 7"


@pytest.mark.usefixtures("quiet")
def test_gunicorn_writes_no_line_a_request():
    """The application does, and knows more."""
    assert not Logger(Config()).access_log_enabled
