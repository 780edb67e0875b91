"""Where lines go, and that nobody else's logging is touched."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

PROGRAM = """
import logging, sys
from repocore.config import LogSettings
from repocore.logs import ACCESS, configure_logging, noted
for _ in range(2):
    configure_logging(LogSettings(**{settings!r}), everything={everything})
log, other = logging.getLogger("repocore.web"), logging.getLogger("other")
with noted(request_id="one"):
    try:
        raise ValueError("GET /t/rpc-hush-hush/x\\x1b[2J")
    except ValueError:
        log.exception("Authorization: Bearer hushhushhush")
    log.info("quiet")
    other.warning("Authorization: Bearer hushhushhush")
    log.warning("%d", "hushhush")
    logging.getLogger(ACCESS).info("GET /x 200", extra={{"repocore_fields": {{"status": 200}}}})
print(len(logging.getLogger().handlers), file=sys.stderr)
"""


def run(everything=True, **settings) -> tuple[str, str]:
    """What a program that is configured so writes to stdout and stderr."""
    program = PROGRAM.format(settings=settings, everything=everything)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return done.stdout, done.stderr


@pytest.mark.parametrize("format", ["text", "json"])
def test_lines_are_redacted(format):
    """Messages and tracebacks lose their tokens and what moves a terminal, once each."""
    out, err = run(format=format)
    assert "hush" not in out + err
    assert "\x1b" not in err
    assert err.count("Traceback") == 1
    assert "Logging error" not in err
    assert "quiet" not in err
    assert out.count("GET /x 200") == 1
    assert "GET /x" not in err


def test_json_of_everybody_is_json():
    """Those of other packages, too."""
    out, err = run(format="json")
    *lines, handlers = err.splitlines()
    assert handlers == "1"
    said = [json.loads(line) for line in (*lines, *out.splitlines())]
    assert [one["logger"] for one in said] == [
        "repocore.web",
        "other",
        "repocore.web",
        "repocore.access",
    ]
    assert {one["request_id"] for one in said} == {"one"}
    assert said[-1]["status"] == 200


def test_level_is_that_of_the_settings():
    """Lines of requests are written whatever it is."""
    assert "quiet" in run(level="info")[1]
    out, err = run(level="critical")
    assert "Traceback" not in err
    assert "GET /x 200" in out


def test_an_application_s_own_logging_is_left_alone():
    """Unless it is asked for everything, only our loggers are configured."""
    _, err = run(everything=False, format="json")
    other = [line for line in err.splitlines() if not line.startswith("{")]
    assert other == ["Authorization: Bearer hushhushhush", "0"]
