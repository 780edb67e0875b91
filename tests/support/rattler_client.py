"""py-rattler with a home of its own: it searches, solves and installs as pixi and rattler do."""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import json
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

import attrs
import pytest

rattler = pytest.importorskip("rattler", reason="pip install py-rattler")
errors = importlib.import_module("rattler.exceptions")

T = TypeVar("T")


def run(work: Coroutine[Any, Any, T]) -> T:
    """Wait for a call of the library, and no longer than a minute."""
    return asyncio.run(asyncio.wait_for(work, 60))


@attrs.frozen
class Rattler:
    """A client; each call has a gateway of its own, as each run of a program has.

    ``credentials`` are those of an authentication file, such as ``{"CondaToken": "..."}``.
    """

    home: Path
    channel: str
    credentials: dict[str, Any] | None = None

    def search(self, *specs: str, sharded: bool = True) -> list[Any]:
        """The records that the specs find, dependencies not among them."""
        gateway = self.gateway(sharded=sharded)
        found = run(
            gateway.query(
                [rattler.Channel(self.channel)],
                platforms(),
                [rattler.MatchSpec(spec) for spec in specs],
                recursive=False,
            )
        )
        return [record for records in found for record in records]

    def solve(self, *specs: str, sharded: bool = True, **options: Any) -> list[Any]:
        """The records of an environment, by name."""
        records = run(
            rattler.solve(
                [rattler.Channel(self.channel)],
                [rattler.MatchSpec(spec) for spec in specs],
                gateway=self.gateway(sharded=sharded),
                platforms=platforms(),
                virtual_packages=rattler.VirtualPackage.detect(),
                **options,
            )
        )
        return sorted(records, key=lambda record: record.name.normalized)

    def install(self, *specs: str, prefix: Path | None = None, **options: Any) -> Path:
        """Solve and install; the prefix."""
        target = prefix or self.home / "prefix"
        run(
            rattler.install(
                self.solve(*specs, **options),
                target_prefix=str(target.absolute()),
                platform=rattler.Subdir.current(),
                package_cache=rattler.PackageCache(self.home / "packages"),
                client=self.client(),
                show_progress=False,
            )
        )
        return target

    def gateway(self, *, sharded: bool = True) -> Any:
        return rattler.Gateway(
            cache_dir=self.home / "repodata",
            default_config=rattler.SourceConfig(sharded_enabled=sharded),
            client=self.client(),
        )

    def client(self) -> Any:
        """One that knows the credentials, or none at all."""
        self.home.mkdir(parents=True, exist_ok=True)
        file = self.home / "credentials.json"
        known = {} if self.credentials is None else {"127.0.0.1": self.credentials}
        file.write_text(json.dumps(known), encoding="utf-8")
        settings = f"authentication-override-file = {json.dumps(str(file))}"
        return rattler.Client.from_config(rattler.Config.from_toml(settings))


def platforms() -> list[Any]:
    """This machine's subdir and noarch."""
    return [rattler.Subdir.current(), rattler.Subdir("noarch")]


def here() -> str:
    """The name of this machine's subdir."""
    return str(rattler.Subdir.current())


def installed(prefix: Path) -> dict[str, str]:
    """The versions that a prefix says it holds, by name."""
    records = [json.loads(path.read_bytes()) for path in (prefix / "conda-meta").glob("*.json")]
    return {record["name"]: record["version"] for record in records}


def check_files(prefix: Path) -> int:
    """Compare every installed file with the digest that was noted for it; how many there were.

    Raises AssertionError for a file that differs.  A file that the installer rewrote has two
    digests: the one in the package, and the one in the prefix.
    """
    count = 0
    for path in (prefix / "conda-meta").glob("*.json"):
        for entry in json.loads(path.read_bytes())["paths_data"]["paths"]:
            file = prefix / entry["_path"]
            wanted = entry.get("sha256_in_prefix") or entry.get("sha256")
            if file.is_symlink() or wanted is None:
                assert file.exists(), file
                continue
            assert hashlib.sha256(file.read_bytes()).hexdigest() == wanted, file
            count += 1
    return count
