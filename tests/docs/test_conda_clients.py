"""The guide for conda clients: its commands are typed, and its private channel is one."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from live_server import LiveServer, live_server
from tutorials import TUTORIALS

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine")
GUIDE = TUTORIALS.parent / "how-to" / "conda-clients.md"
SHELL = re.compile(r"```sh\n(.*?)```", re.DOTALL)


@pytest.fixture
def server(tmp_path: Path):
    with live_server(tmp_path / "data") as running:
        yield running


def status(server: LiveServer, *words: str) -> int:
    """What curl is answered with for the index of the guide's channel."""
    url = f"{server.address}/conda/team/noarch/repodata.json"
    command = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", *words, url]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_the_commands_of_the_guide_make_a_private_channel(server: LiveServer) -> None:
    """Each is typed as it stands; a token of a reader reads, and nobody else does."""
    said = ""
    for block in SHELL.findall(GUIDE.read_text(encoding="utf-8")):
        for line in block.splitlines():
            words = [word.strip("'") for word in re.findall(r"'[^']*'|\S+", line)][1:]
            typed = "spring-tide-2026\n" if "--password-stdin" in words else ""
            said = server.run(*words, typed=typed) if words[0] != "token" else said
            if words[0] == "token":
                token = json.loads(server.run(*words, "--json"))["secret"]
    assert status(server) == 404
    assert status(server, "--header", f"Authorization: Bearer {token}") == 200
    assert status(server, "--user", f"__token__:{token}") == 200
    assert status(server, "--user", "ann:spring-tide-2026") == 200
    assert status(server, "--user", "ann:wrong") == 401
    assert "base_url" not in server.run("repo", "show", "conda/team")
