"""`repocore serve` on a free port, and what it says as JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


def launch(data: Path, *words: str, **environ: str) -> subprocess.Popen[str]:
    """Start `repocore serve` on a free port."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("REPOCORE_")}
    command = [sys.executable, "-m", "repocore", "serve", "--port", "0", "--workers", "1", "--json"]
    return subprocess.Popen(
        [*command, *words, "--data", str(data)],
        env={**kept, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def read_document(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What a server says once it listens."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if line == "}\n":
            return json.loads("".join(lines))
    assert process.stderr is not None
    pytest.fail(f"it did not listen: {process.stderr.read()}")


@contextmanager
def finished(process: subprocess.Popen[str]) -> Generator[None]:
    """Leave the block, then wait for the end, and close what was read."""
    yield
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
