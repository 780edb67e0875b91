"""Clocks of processes that are set while these run, by libfaketime.

Wall clocks jump, as those of machines do that somebody sets; the monotonic clock, by which programs
wait, goes on as ever.  Dates of files are left as the machine's, so that after a jump all that is
on disk is hours too old, or from the future.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import attrs

__all__ = ["NoFakeClockError", "ShiftedClock", "library"]

_PLACES = ("/usr/lib/*/faketime", "/usr/lib64/faketime", "/usr/local/lib/faketime")
#: The one for programs of several threads.
_LIBRARY = "libfaketimeMT.so.1"
#: libfaketime 0.9.10 takes the end of a sleep, which Python has by the monotonic clock, for a
#: moment of the clock that it has set, and the kernel refuses it.
_PATCH = """\
import select
import time

time.sleep = lambda seconds: select.select([], [], [], seconds) and None
"""


class NoFakeClockError(Exception):
    """There is no libfaketime; the message says what would help."""


def library() -> Path:
    """Where libfaketime is; raises `NoFakeClockError`."""
    for place in _PLACES:
        for folder in Path("/").glob(place.lstrip("/")):
            if (folder / _LIBRARY).exists():
                return folder / _LIBRARY
    message = "libfaketime is not installed (Debian: apt install faketime)"
    raise NoFakeClockError(message)


@attrs.define
class ShiftedClock:
    """The clock of some processes, which all read one file."""

    file: Path
    hours: float = 0.0

    def variables(self) -> dict[str, str]:
        """What a process is started with whose clock this is; raises `NoFakeClockError`."""
        self.shift(self.hours)
        patched = self.file.with_name("python")
        patched.mkdir(exist_ok=True)
        (patched / "sitecustomize.py").write_text(_PATCH, encoding="ascii")
        return {
            "PYTHONPATH": str(patched),
            "LD_PRELOAD": str(library()),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def shift(self, hours: float) -> None:
        """Set the clock so far from the machine's; whoever runs has it at once."""
        beside = self.file.with_name(f"{self.file.name}.new")
        beside.write_text(f"{round(hours * 3600):+d}s\n", encoding="ascii")
        beside.chmod(0o644)
        if self.file.exists():
            # In its place, so that nobody reads half of it, and with its owner.
            shutil.copystat(self.file, beside)
        beside.replace(self.file)
        self.hours = hours

    def told(self) -> float:
        """How many hours a new process of this clock is off."""
        ask = "import time; print(time.time())"
        done = subprocess.run(
            [sys.executable, "-c", ask],
            env={**os.environ, **self.variables()},
            capture_output=True,
            text=True,
            check=True,
        )
        told = subprocess.run(
            [sys.executable, "-c", ask], capture_output=True, text=True, check=True
        )
        return (float(done.stdout) - float(told.stdout)) / 3600
