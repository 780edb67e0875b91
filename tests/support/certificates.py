"""A throw-away CA and the certificate of a server, made as the guide to a private CA makes them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import attrs
from front_servers import adapted, block, environment

GUIDE = "private-ca"


@attrs.frozen
class Certificates:
    """A folder with what the guide's commands left there."""

    folder: Path

    @property
    def authority(self) -> Path:
        """What clients are given."""
        return self.folder / "authority.pem"

    @property
    def certificate(self) -> Path:
        return self.folder / "packages.example.pem"

    @property
    def key(self) -> Path:
        return self.folder / "packages.example.key"


def make_certificates(folder: Path) -> Certificates:
    """Run the guide's commands in a new folder; the certificate names loopback too."""
    folder.mkdir()
    names = "DNS:packages.example, DNS:localhost, IP:127.0.0.1, IP:::1"
    settings = block(GUIDE, "Make an authority and a certificate", "ini")
    (folder / "packages.cnf").write_text(
        adapted(settings, {"DNS:packages.example": names}), encoding="utf-8"
    )
    shell(folder, block(GUIDE, "Make an authority and a certificate", "sh"))
    return Certificates(folder)


def shell(folder: Path, script: str, **environ: str) -> str:
    """Run a script in a folder; returns what it printed, raises AssertionError where it fails."""
    done = subprocess.run(
        ["sh", "-eu", "-c", script],
        cwd=folder,
        env=environment(**environ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
    return done.stdout
