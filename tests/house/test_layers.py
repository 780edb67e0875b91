"""The floors of the house are kept by its imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from source_tree import ROOT


def test_every_contract_is_kept():
    """No import goes upwards, sideways or through a wall."""
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
