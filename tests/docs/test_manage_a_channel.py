"""The page on managing a channel: what it shows is run as it stands."""

from __future__ import annotations

import io
import json
import re
import shlex
from pathlib import Path

import pytest
from channel_pool import package, pool
from click.testing import CliRunner
from wsgi_calls import basic, call

import repocore
from repocore.cli.group import root
from repocore.config import load_settings
from repocore_web import create_app

PAGE = Path(__file__).parents[2].joinpath("docs/how-to/manage-a-channel.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """An installation with the page's settings, and packages of the names that it speaks of."""
    (tmp_path / "repocore.toml").write_text(blocks("toml")[0], encoding="utf-8")
    assert CliRunner().invoke(root, ["init", "--data", str(tmp_path)]).exit_code == 0
    with repocore.open_registry(tmp_path) as registry:
        files = registry.session(registry.admin()).files
        for one in {one.path: one for one in pool()}.values():
            files.put("conda/main", one.path, io.BytesIO(one.content))
    return tmp_path


def zlib(data: Path) -> None:
    """The packages that the page yanks."""
    with repocore.open_registry(data) as registry:
        files = registry.session(registry.admin()).files
        for build in (0, 1):
            one = package("linux-64", f"zlib-1.3-{build}.conda")
            files.put("conda/main", one.path, io.BytesIO(one.content))


def test_the_commands_run(data: Path) -> None:
    """One after another, each succeeds, and the answers are what the page says."""
    zlib(data)
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    ours = [shlex.split(line)[1:] for line in lines if line.startswith("repocore ")]
    assert len(ours) == len(lines) > 15
    for words in ours:
        typed = "high-water\n" if words[:2] == ["user", "add"] else None
        done = CliRunner().invoke(root, [*words, "--data", str(data)], input=typed)
        assert done.exit_code == 0, (words, done.output)


def test_the_policies_are_read(data: Path) -> None:
    """The exception stands before the rule, and a schedule runs them."""
    settings = load_settings(data=data, environ={})
    assert [policy.keep_last for policy in settings.retention] == [20, 5]
    assert settings.retention[1].keep_size == 500 << 30
    assert [one.job for one in settings.schedule] == ["retention"]


def test_the_requests_are_answered(data: Path) -> None:
    """Each of the five paths takes the page's JSON, with a target where it says so."""
    zlib(data)
    body = json.loads(blocks("json")[0])
    with repocore.open_registry(data) as registry:
        admin = registry.session(registry.admin())
        admin.repositories.create("conda/stable")
        admin.accounts.set_password("admin", "high-water")
        app = create_app(registry)
        paths = [line.split() for line in blocks("text")[0].splitlines()]
        assert len(paths) == 5
        for method, path in sorted(paths, key=lambda one: "delete" in one[1]):
            wanted = {name: body[name] for name in ("repository", "releases")}
            if path.endswith(("copy", "promote")):
                wanted["target"] = body["target"]
            answer = call(
                app,
                path,
                method,
                body=json.dumps(wanted).encode(),
                HTTP_AUTHORIZATION=basic("admin", "high-water"),
            )
            assert answer.status == 200, (path, answer.text)
        assert [one.name for one in admin.releases.list("conda/stable", "linux-64")][::-1] == [
            "zlib-1.3-0.conda",
            "zlib-1.3-1.conda",
        ]
