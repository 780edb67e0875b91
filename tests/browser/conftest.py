"""A real browser, a real OpenID provider, and a server between them.

`nox -s browser` installs what is needed; elsewhere the tests are skipped, and say what is missing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from live_server import LiveServer, free_port, live_server

HERE = Path(__file__).parent
#: The folder in which node finds the package oidc-provider.
NODE = "REPOCORE_TEST_NODE"
NAMES = ("chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost",
]


@attrs.define
class Provider:
    """The provider of `provider.mjs`, which can begin anew with other keys."""

    folder: Path
    port: int
    redirect: str
    log: Path
    process: Any = None

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        node = shutil.which("node")
        assert node is not None
        with self.log.open("ab") as stream:
            self.process = subprocess.Popen(
                [node, str(HERE / "provider.mjs"), str(self.port), self.redirect],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        for _ in range(600):
            if f"ready {self.issuer}" in self.log.read_text(encoding="utf-8"):
                return
            assert self.process.poll() is None, self.log.read_text(encoding="utf-8")
            time.sleep(0.05)
        pytest.fail("the provider does not start")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)
        self.log.write_text("", encoding="utf-8")


@attrs.frozen
class Site:
    server: LiveServer
    provider: Provider


@pytest.fixture(scope="session")
def node_folder() -> Path:
    folder = os.environ.get(NODE)
    if shutil.which("node") is None:
        pytest.skip("there is no node for the OpenID provider")
    if not folder or not Path(folder, "node_modules", "oidc-provider").is_dir():
        pytest.skip(f"{NODE} names no folder with oidc-provider; `nox -s browser` makes one")
    return Path(folder)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="there is no playwright")
    program = next((found for name in NAMES if (found := shutil.which(name))), None)
    if program is None:
        pytest.skip("there is no Chromium")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=program, args=ARGUMENTS, headless=True)
        yield opened
        opened.close()


@pytest.fixture
def page(chromium: Any) -> Iterator[Any]:
    """A page of a browser without a past; an error of a script or a policy fails the test."""
    context = chromium.new_context()
    context.set_default_timeout(60_000)
    opened = context.new_page()
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on(
        "console",
        lambda said: problems.append(said.text) if "Content Security" in said.text else None,
    )
    yield opened
    context.close()
    assert problems == []


@pytest.fixture(scope="module")
def site(node_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server whose people sign in with the provider, or with a password."""
    folder = tmp_path_factory.mktemp("site")
    data, port = folder / "data", free_port()
    data.mkdir()
    redirect = f"http://127.0.0.1:{port}/auth/house/callback"
    provider = Provider(node_folder, free_port(), redirect, folder / "provider.log")
    data.joinpath("repocore.toml").write_text(
        f"""
[[provider]]
name = "house"
title = "The House"
kind = "oidc"
client_id = "packages"
client_secret = "a secret: with / signs & more"
issuer = "{provider.issuer}"
scope = "openid profile email groups"
organisations = ["keepers"]
groups = {{ writers = "authors" }}
allow = ["127.0.0.0/8"]
""",
        encoding="utf-8",
    )
    provider.start()
    try:
        with live_server(data, port=port) as server:
            yield Site(server, provider)
    finally:
        provider.stop()
