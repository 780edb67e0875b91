"""The guide to a fleet: what its files say is what two servers, a worker and two proxies do."""

from __future__ import annotations

import configparser
import contextlib
import re
import shlex
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
import yaml
from front_servers import GUIDES, Front, adapted, nginx, program, running
from live_server import REPOCORE, environment, free_port
from moto_server import moto_server

from repocore.cli import main
from repocore.cli.serving import PORT

FILES = GUIDES.parents[1] / "examples" / "fleet"
ADMIN = "spring-tide"
CHANNEL = "conda/main"
#: Seconds after which both proxies send requests again to a server that has come back.
BACK: Final = 2

pytestmark = [pytest.mark.servers, pytest.mark.postgres]


@attrs.define
class Fleet:
    """Two servers on one catalog and one storage."""

    folder: Path
    variables: dict[str, str]
    fronts: tuple[Front, Front]
    _running: dict[int, contextlib.ExitStack] = attrs.field(factory=dict, init=False)

    def run(self, *words: str) -> str:
        done = subprocess.run(
            [*REPOCORE, *words],
            env=environment(**self.variables),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, front: Front) -> None:
        command = words_of("repocore@.service", str(front.port))
        command[command.index("0.0.0.0")] = "127.0.0.1"
        stack = contextlib.ExitStack()
        log = self.folder / f"{front.port}.log"
        stack.enter_context(running(command, front, log, **self.variables))
        self._running[front.port] = stack

    def stop(self, front: Front) -> None:
        """End it as systemd does, by SIGTERM."""
        self._running.pop(front.port).close()

    def close(self) -> None:
        for stack in self._running.values():
            stack.close()


def unit(name: str) -> dict[str, str]:
    """The service of a unit file; of what stands there twice, the last."""
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # pyright: ignore[reportAttributeAccessIssue]
    parser.read(FILES / "systemd" / name)
    return dict(parser["Service"])


def words_of(name: str, instance: str) -> list[str]:
    """What a unit starts, with our own program in the place of the installed one."""
    program, *words = shlex.split(unit(name)["ExecStart"].replace("%i", instance))
    assert program == "/opt/repocore/bin/repocore"
    return [*REPOCORE, *words]


def make_bucket(store: str) -> None:
    """The bucket of the settings; the mock takes any credentials."""
    request = urllib.request.Request(f"{store}/packages", method="PUT")
    with urllib.request.urlopen(request, timeout=20) as answer:
        assert answer.status == 200


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, postgres_databases) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    with postgres_databases.fresh() as database, moto_server() as store:
        places = {"https://s3.example": store, '"default"': '"us-east-1"'}
        settings = adapted(
            (FILES / "repocore.toml").read_text(encoding="utf-8"),
            {**places, "192.0.2.0/24": "127.0.0.1"},
        )
        (folder / "repocore.toml").write_text(settings, encoding="utf-8")
        make_bucket(store)
        variables = {
            "DATABASE_URL": database,
            "S3_ACCESS_KEY": "key",
            "S3_SECRET_KEY": "secret",
            "REPOCORE_ADMIN_PASSWORD": ADMIN,
            "REPOCORE_DATA": str(folder / "data"),
            "REPOCORE_CONFIG": str(folder / "repocore.toml"),
        }
        fleet = Fleet(folder, variables, (Front(port=free_port()), Front(port=free_port())))
        fleet.run("init")
        fleet.run("rule", "add", "--subject=*", "--actions=read", f"--pattern={CHANNEL}/**")
        with contextlib.closing(fleet):
            for front in fleet.fronts:
                fleet.start(front)
            yield fleet


def by_nginx(fleet: Fleet, front: Front, folder: Path) -> list[str]:
    first, second = fleet.fronts
    site = adapted(
        (FILES / "nginx.conf").read_text(encoding="utf-8"),
        {
            "first:9300": f"127.0.0.1:{first.port}",
            "second:9300": f"127.0.0.1:{second.port}",
            "listen 8080": f"listen 127.0.0.1:{front.port}",
            "fail_timeout=5s": "fail_timeout=1s",
        },
    )
    return nginx(folder, site)


def by_haproxy(fleet: Fleet, front: Front, folder: Path) -> list[str]:
    first, second = fleet.fronts
    settings = adapted(
        (FILES / "haproxy.cfg").read_text(encoding="utf-8"),
        {
            "first:9300": f"127.0.0.1:{first.port}",
            "second:9300": f"127.0.0.1:{second.port}",
            "bind :8080": f"bind 127.0.0.1:{front.port}",
            "inter 2s": "inter 500ms",
        },
    )
    (folder / "haproxy.cfg").write_text(settings, encoding="utf-8")
    return [str(program("haproxy")), "-f", str(folder / "haproxy.cfg"), "-db"]


def installed(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(program(name) is None, reason=f"{name} is not installed")


PROXIES = [
    pytest.param(by_nginx, id="nginx", marks=installed("nginx")),
    pytest.param(by_haproxy, id="haproxy", marks=[installed("haproxy"), pytest.mark.slow]),
]


@pytest.mark.parametrize("proxy", PROXIES)
def test_a_server_that_is_restarted_is_not_noticed(fleet, proxy, tmp_path) -> None:
    """Readers go on while one after the other ends and comes back."""
    front = Front(port=free_port())
    answers: list[int] = []
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            answers.append(front.get(f"/{CHANNEL}/noarch/repodata.json").status)

    with running(proxy(fleet, front, tmp_path), front, tmp_path / "proxy.log"):
        reader = threading.Thread(target=read)
        reader.start()
        try:
            for one in fleet.fronts:
                fleet.stop(one)
                fleet.start(one)
                time.sleep(BACK)
        finally:
            over.set()
            reader.join()
    assert set(answers) == {200}


def test_jobs_are_the_workers(fleet) -> None:
    """A server leaves them; a worker, started as its unit says, runs them."""
    assert '"queued"' in fleet.run("job", "run", "check", "--json")
    command = [*words_of("repocore-worker@.service", "1"), "--once"]
    done = subprocess.run(
        command, env=environment(**fleet.variables), capture_output=True, text=True, check=True
    )
    assert "Ran 1 attempt." in done.stdout


def manifests() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted((FILES / "kubernetes").glob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8")):
            yield path.name, document


def containers() -> list[dict[str, Any]]:
    return [
        one
        for _, document in manifests()
        if document["kind"] in {"Deployment", "Job"}
        for one in document["spec"]["template"]["spec"]["containers"]
    ]


def commands() -> list[list[str]]:
    """What compose and the manifests run."""
    compose = yaml.safe_load((FILES / "compose.yaml").read_text(encoding="utf-8"))
    said = [one["command"] for one in compose["services"].values() if "command" in one]
    return said + [one["args"] for one in containers()]


@pytest.mark.parametrize("words", commands(), ids=lambda words: words[0])
def test_what_containers_run_is_a_command(words, monkeypatch, capsys) -> None:
    """With options that it has."""
    monkeypatch.setattr(sys, "argv", ["repocore", *words, "--help"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code in {0, None}
    said = capsys.readouterr().out
    assert all(word in said for word in words if word.startswith("--"))


def test_probes_ask_what_there_is(fleet) -> None:
    """At the port that a server listens at unless it is told otherwise."""
    asked: set[str] = set()
    for one in containers():
        for probe in ("livenessProbe", "readinessProbe"):
            if probe in one:
                asked.add(one[probe]["httpGet"]["path"])
                assert one["ports"] == [{"name": "http", "containerPort": 9300}]
    assert asked == {"/healthz", "/readyz"}
    for path in asked:
        assert fleet.fronts[0].get(path).status == 200
    assert PORT == 9300


def test_every_secret_that_the_settings_read_is_given() -> None:
    """By compose and by the manifest of the secret."""
    read = set(re.findall(r'env = "(\w+)"', (FILES / "repocore.toml").read_text(encoding="utf-8")))
    compose = yaml.safe_load((FILES / "compose.yaml").read_text(encoding="utf-8"))
    [secret] = [document for _, document in manifests() if document["kind"] == "Secret"]
    given = [compose["services"][name]["environment"] for name in ("first", "second", "worker")]
    for names in (*given, secret["stringData"]):
        assert read <= set(names)
        assert set(names) - read == {"REPOCORE_ADMIN_PASSWORD"}
    comment = (FILES / "systemd" / "repocore@.service").read_text(encoding="utf-8")
    assert all(name in comment for name in read)
