"""No line of a log holds a secret or a control character."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import logging
from repocore.cli.logs import log_warnings
log_warnings()
try:
    raise ValueError("GET /t/rpc-hush-hush/x\\x1b[2J")
except ValueError:
    logging.getLogger("repocore.web").exception("Authorization: Bearer hushhushhush")
"""


def test_warnings_are_redacted():
    """Messages and tracebacks lose their tokens and what moves a terminal."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    assert "hush" not in done.stderr
    assert "\x1b" not in done.stderr
    assert "Traceback" in done.stderr
