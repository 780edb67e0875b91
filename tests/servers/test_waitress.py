"""waitress, another server that loads our application by its name."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from certificates import Certificates
from front_contract import FrontContract
from front_servers import Front, make_data, running
from live_server import free_port

pytestmark = [
    pytest.mark.servers,
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("waitress") is None, reason="waitress is not installed"
    ),
]


@contextmanager
def waitress(folder: Path, _certificates: Certificates) -> Generator[Front]:
    """One process with eight threads; its own limit of a body is lifted to ours."""
    data = make_data(folder / "data")
    front = Front(port=free_port())
    words = [f"--listen={front.place}", f"--max-request-body-size={64 << 30}", "--threads=8"]
    command = [sys.executable, "-m", "waitress", *words, "repocore_web.wsgi:application"]
    with running(command, front, folder / "waitress.log", REPOCORE_DATA=str(data)):
        yield front


class TestWaitress(FrontContract):
    """Nobody is in front."""

    fronted = waitress
