"""The peers, as they come from the package index, each in an environment of its own.

conda-index is a program over a folder; quetz is a server, with the libraries of its time, since it
does not start with those of today.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path

import attrs

from benchmarks.conda_client import Channel
from benchmarks.conda_packages import SUBDIR, Package, packages, write_packages
from benchmarks.servers import HERE, Server, Workshop, environment, free_port, started

__all__ = ["CondaIndex", "Quetz", "install_conda_index", "install_quetz", "pool", "quetz"]

QUETZ = (
    "quetz-server==0.10.4",
    "fastapi==0.104.1",
    "starlette==0.27.0",
    "pydantic==2.5.2",
    "sqlalchemy==2.0.23",
    "alembic==1.12.1",
    "typer==0.9.0",
    "click==8.1.7",
    "uvicorn==0.24.0",
    "httpx==0.25.2",
    "python-multipart==0.0.6",
    "fsspec==2023.10.0",
    "anyio<4",
    "authlib<1",
)
_CONDA = {
    "__init__.py": "",
    "base/__init__.py": "",
    "base/constants.py": "PLATFORM_DIRECTORIES = ('noarch', 'linux-64', 'osx-64', 'win-64')\n",
    "models/__init__.py": "",
    "models/version.py": "class VersionOrder:\n    def __init__(self, text):\n"
    "        raise NotImplementedError\n",
}
#: Files of one inode: the file system allows no more.
_LINKS = 50_000


def install_conda_index(environments: Path) -> str:
    """Returns its interpreter; raises `CalledProcessError` where it cannot be installed.

    It imports two names of conda, which the package index does not have: a list of subdirs, and
    the order of versions, which is not called for what is compared here.  These stand in.
    """
    python = environment(environments / "conda-index", ["conda-index"])
    [site] = Path(python).parent.parent.glob("lib/python*/site-packages")
    for name, text in _CONDA.items():
        path = site / "conda" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return python


def install_quetz(environments: Path) -> str:
    """Returns its interpreter; raises `CalledProcessError` where it cannot be installed."""
    return environment(environments / "quetz-0.10.4", QUETZ)


def _done(command: Sequence[str], folder: Path) -> None:
    # quetz looks for this one while it is imported; nobody else does.
    environ = {**os.environ, "QUETZ_CONFIG_FILE": str(folder / "config.toml")}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, check=False)
    if done.returncode:
        raise OSError(done.stderr.decode(errors="replace")[-500:])


# ---------------------------------------------------------------------------------- conda-index


@attrs.frozen
class CondaIndex:
    """A static channel that conda-index looks after."""

    python: str
    root: Path

    def run(self) -> float:
        """Seconds of the command, as an operator starts it; it writes the compressed form too."""
        command = [self.python, "-m", "conda_index", "--zst", str(self.root)]
        start = time.perf_counter()
        _done(command, self.root)
        return time.perf_counter() - start

    def idle(self) -> float:
        """Seconds of the same command in a channel without packages."""
        empty = CondaIndex(self.python, self.root.with_name(f"{self.root.name}-empty"))
        (empty.root / "noarch").mkdir(parents=True, exist_ok=True)
        return empty.run()

    def clear(self) -> None:
        """Forget everything but the packages."""
        for folder in (self.root, self.root / SUBDIR, self.root / "noarch"):
            for path in folder.iterdir() if folder.is_dir() else ():
                if path.is_file() and path.suffix != ".conda":
                    path.unlink()
        for folder in (self.root / SUBDIR, self.root / "noarch"):
            shutil.rmtree(folder / ".cache", ignore_errors=True)

    def fill(self, count: int, names: int) -> None:
        """Have so many packages there and known: names of a few files, and its own rows."""
        folder = self.root / SUBDIR
        folder.mkdir(parents=True)
        # -P: beside the script lies a module that is called as the peer's library is.
        command = [self.python, "-P", str(HERE / "conda_fill_index.py"), str(self.root), SUBDIR]
        with subprocess.Popen(command, stdin=subprocess.PIPE, text=True) as filling:
            assert filling.stdin is not None
            for line in self._lines(folder, count, names):
                filling.stdin.write(line)
        if filling.returncode:
            raise OSError("the rows of conda-index could not be written")

    def _lines(self, folder: Path, count: int, names: int) -> Iterator[str]:
        first = folder
        for number, package in enumerate(packages(0, count, names)):
            path = folder / package.filename
            if number % _LINKS:
                os.link(first, path)
            else:
                path.write_bytes(package.content)
                first = path
                found = path.stat()
            digest = hashlib.sha256(package.filename.encode()).hexdigest()
            index = {k: v for k, v in package.index.items() if k not in {"arch", "platform"}}
            record = {**index, "md5": digest[:32], "sha256": digest, "size": found.st_size}
            row = (package.filename, found.st_mtime, found.st_size, json.dumps(record))
            yield json.dumps(row) + "\n"

    def add(self, package: Package) -> float:
        """Seconds until one more package is in ``repodata.json.zst``."""
        (self.root / package.path).write_bytes(package.content)
        return self.run()

    def repodata(self) -> bytes:
        """The document, compressed."""
        return (self.root / SUBDIR / "repodata.json.zst").read_bytes()


# ---------------------------------------------------------------------------------------- quetz

_CLI = ("-c", "from quetz.cli import app; app()")
_CONFIG = """\
[sqlalchemy]
database_url = "sqlite:///./quetz.sqlite"

[session]
secret = "{secret}"
https_only = false

[logging]
level = "ERROR"
"""


@attrs.frozen
class Quetz:
    """A deployment: filled while it does not run."""

    python: str
    folder: Path
    key: str

    @classmethod
    def create(cls, workshop: Workshop, python: str) -> Quetz:
        """An empty one."""
        folder = workshop.folder / "quetz"
        conf = workshop.folder / "quetz.toml"
        conf.write_text(_CONFIG.format(secret=secrets.token_hex(32)))
        command = [python, *_CLI, "create", str(folder), "--copy-conf", str(conf)]
        subprocess.run(command, cwd=workshop.folder, capture_output=True, check=True)
        return cls(python, folder, secrets.token_hex(16))

    def fill(self, channel: str, folder: Path) -> None:
        """Have a channel with the packages of a folder."""
        script = str(HERE / "conda_fill_quetz.py")
        _done([self.python, "-P", script, channel, str(folder), self.key], self.folder)

    def channel(self, server: Server, name: str) -> Channel:
        """A channel as its clients see it: it has neither shards nor a form with zstd."""
        return Channel(
            port=server.port,
            name=name,
            key=self.key,
            base=f"/get/{name}",
            health="/health/live",
            repodata="repodata.json",
            sharded=False,
            # Its server keeps a connection for five seconds.
            kept=False,
        )


@contextlib.contextmanager
def quetz(workshop: Workshop, deployment: Quetz) -> Generator[Server]:
    """quetz as its own command starts it, but for the process that looks after jobs."""
    server = Server(name="quetz", port=free_port())
    command = [deployment.python, *_CLI, "start"]
    command += [str(deployment.folder), "--port", str(server.port), "--log-level", "error"]
    command += ["--no-supervisor"]
    with started(server, [command], workshop, {}, "/health/live") as running:
        yield running


def pool(workshop: Workshop, count: int, names: int) -> Path:
    """A folder with so many packages, and nothing else; made once."""
    folder = workshop.folder / "packages" / str(count)
    return folder if folder.exists() else write_packages(folder, 0, count, names)
