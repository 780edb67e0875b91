"""``serve``: the fixed points that scripts of others rely on, and its addresses."""

from __future__ import annotations

import base64
import http.client
import json
import os
import signal
import socket
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from tempfile import gettempdir

import pytest
from cli_support import finished, launch, read_document

from repocore import open_registry
from repocore.cli.first import first_start
from repocore.cli.server import _shared_memory
from repocore.cli.serving import _Banner, bind, serve as serve_command
from repocore.config import load_settings
from repocore.errors import ConfigurationError

SHARED = Path(_shared_memory() or gettempdir())
UID = os.getuid()


def get(port: int, path: str, password: str | None = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {}
    if password:
        credentials = base64.b64encode(f"admin:{password}".encode()).decode()
        headers["Authorization"] = f"Basic {credentials}"
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_serve_alone_is_enough(serve, program):
    """An empty folder becomes a server with two repositories; SIGTERM ends it."""
    served = serve()
    password = served.said["administrator"]["password"]
    assert get(served.port, "/healthz")[0] == 200
    assert get(served.port, "/conan/main/v1/ping")[0] == 200
    login = "/conan/main/v2/users/authenticate"
    assert get(served.port, login, password)[0] == 200
    assert get(served.port, login, "wrong")[0] == 401
    assert served.said["repositories"] == {
        address: f"http://127.0.0.1:{served.port}/{address}"
        for address in ("conan/main", "conda/main")
    }
    assert served.stop() == 0


def test_workers_are_counted_as_one(serve, program):
    """What each of them has answered is in the numbers of any; the folder of these goes at last."""
    program.data.mkdir()
    lines = '[web]\nmetrics = true\nmetrics_from = ["127.0.0.1"]\n'
    (program.data / "repocore.toml").write_text(lines, encoding="utf-8")
    served = serve("--workers", "2")
    for _ in range(40):
        assert get(served.port, "/healthz")[0] == 200
    [told] = {
        line
        for line in get(served.port, "/metrics")[1].decode().splitlines()
        if line.startswith("repocore_requests_total{") and 'route="/healthz"' in line
    }
    assert told.endswith(" 40.0")
    folders = {path for path in SHARED.glob("repocore-metrics-*") if path.stat().st_uid == UID}
    assert served.stop() == 0
    assert [path for path in folders if not path.exists()]


def test_settings_are_read_anew(serve, program):
    """At SIGHUP, all or nothing: what is wrong leaves those before in force, also for workers that
    start later; requests are answered all the while.
    """
    served = serve("--workers", "1")
    file = program.data / "repocore.toml"
    front = get(served.port, "/")
    assert front[0] == 200
    file.write_text("[web]\npages = false\nprefix = 'x'\n", encoding="utf-8")
    served.process.send_signal(signal.SIGHUP)
    said = served.process.stderr.readline()
    while "are not taken over" not in said:
        said = served.process.stderr.readline()
    [worker] = children(served.process.pid)
    os.kill(worker, signal.SIGKILL)  # the master starts another one
    assert until(lambda: children(served.process.pid) not in ([worker], []))
    assert until(lambda: answered(served.port, "/") == front)
    file.write_text("[web]\npages = false\n", encoding="utf-8")
    served.process.send_signal(signal.SIGHUP)
    assert until(lambda: answered(served.port, "/") == (404, b"Not found."))
    assert served.stop() == 0


def test_a_catalog_that_cannot_be_served_is_not_taken_over(serve, program):
    """One that does not answer, or is empty: the server goes on with the one that it has."""
    served = serve("--workers", "1")
    file = program.data / "repocore.toml"
    front = get(served.port, "/")
    for catalog, why in (
        ("postgresql://app@127.0.0.1:1/none", "cannot be opened"),
        ("sqlite:///other.db", "is empty"),
    ):
        file.write_text(f'catalog = "{catalog}"\n', encoding="utf-8")
        served.process.send_signal(signal.SIGHUP)
        said = served.process.stderr.readline()
        while "are not taken over" not in said:
            said = served.process.stderr.readline()
        assert why in said
        assert get(served.port, "/") == front
    assert served.stop() == 0


def test_a_worker_outlives_a_catalog_that_does_not_open(serve, program):
    """It takes the place of one that died, says that it is not ready, and opens it later."""
    served = serve("--workers", "1")
    front = get(served.port, "/")
    [worker] = children(served.process.pid)
    away = program.data / "away"
    away.mkdir()
    for path in program.data.glob("catalog.db*"):
        path.rename(away / path.name)
    (program.data / "catalog.db").write_bytes(b"no database" * 1000)
    os.kill(worker, signal.SIGKILL)
    assert until(lambda: (answered(served.port, "/readyz") or (0,))[0] == 503)
    assert get(served.port, "/healthz") == (200, b"ok\n")
    (program.data / "catalog.db").unlink()
    for path in away.iterdir():
        path.rename(program.data / path.name)
    assert until(lambda: answered(served.port, "/") == front)
    assert served.stop() == 0


def children(pid: int) -> list[int]:
    """The workers of a server."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [int(number) for number in listed]


def answered(port: int, path: str) -> tuple[int, bytes] | None:
    """What is answered, if somebody does."""
    try:
        return get(port, path)
    except (OSError, http.client.HTTPException):
        return None


def until(holds: Callable[[], bool]) -> bool:
    """Wait for something; how long it takes is not what is tested."""
    for _ in range(600):
        if holds():
            return True
        time.sleep(0.1)
    return False


def test_password_is_shown_by_one_start_only(serve):
    """The second start of a folder says nothing of a password, and the first one still works."""
    first = serve()
    assert first.stop() == 0
    assert "administrator" not in serve().said


def test_password_of_the_environment(serve):
    """REPOCORE_ADMIN_PASSWORD is the administrator's, and is not printed."""
    served = serve(REPOCORE_ADMIN_PASSWORD="high-water")
    assert "high-water" not in json.dumps(served.said)
    assert get(served.port, "/conan/main/v2/users/authenticate", "high-water")[0] == 200


def test_the_prefix_is_told(serve):
    """What clients are given is where it is answered."""
    served = serve(REPOCORE__WEB__PREFIX="/packages")
    base = f"http://127.0.0.1:{served.port}/packages"
    assert served.said["url"] == base
    assert served.said["repositories"]["conan/main"] == f"{base}/conan/main"
    assert get(served.port, "/packages/conan/main/v1/ping")[0] == 200
    assert get(served.port, "/conan/main/v1/ping")[0] == 404


@pytest.mark.parametrize("local", [True, False])
def test_rule_that_opens_reading_is_printed(tmp_path, local):
    """Where others can reach it nobody reads unasked; what would change that is said, and does."""
    settings = load_settings(data=tmp_path, environ={})
    with first_start(settings, {}) as start, open_registry(settings=settings) as registry:
        start.prepare(registry, everyone_reads=local)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            said = _Banner.of(registry, [listener], start, local=local).lines()
            port = listener.getsockname()[1]
        start.shown()
    rule = "  repocore rule add --subject '*' --actions read --pattern 'conan/main/**'"
    assert (rule in said) is not local
    assert any(line.startswith("WARNING") for line in said) is not local
    assert "  conan remote login repocore admin" in said
    assert f"  export REPOCORE_TOKEN=$(repocore token create admin --data {tmp_path})" in said
    channel = f"--channel http://127.0.0.1:{port}/conda/main"
    assert f"  repocore conda upload *.conda {channel}" in said


@pytest.mark.parametrize(
    ("hosts", "status"),
    [(["127.0.0.1"], 200), (["0.0.0.0"], 401), (["127.0.0.1", "127.0.0.2"], 200)],
)
def test_address_decides_who_reads_at_first(serve, hosts, status):
    """Everyone reads what only this machine can reach, and nobody what others can."""
    served = serve(*(word for host in hosts for word in ("--host", host)))
    assert get(served.port, "/conan/main/v2/conans/search?q=*")[0] == status


def test_defaults_of_serve_are_a_contract():
    """Loopback, at port 9300."""
    assert {p.name: p.default for p in serve_command.params if p.name in {"hosts", "port"}} == {
        "hosts": ("127.0.0.1",),
        "port": 9300,
    }


def test_several_hosts(serve):
    """--host may repeat, with IPv6 too; all listen at one port."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    served = serve("--host", "127.0.0.1", "--host", "::1")
    for address in served.said["addresses"]:
        with urllib.request.urlopen(f"{address}/healthz", timeout=30) as answer:
            assert answer.status == 200


def test_two_servers_at_once_make_one_password(program):
    """Both serve, and one of them made the administrator."""
    both = [launch(program.data), launch(program.data)]
    try:
        said = [read_document(process) for process in both]
        assert sorted("administrator" in one for one in said) == [False, True]
    finally:
        for process in both:
            with finished(process):
                process.terminate()


def test_forwarded_fields_change_nothing(serve):
    """Without trusted proxies nobody tells the server what its scheme and host are."""
    served = serve()
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=30)
    fields = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example"}
    connection.request("GET", "/", headers=fields)
    body = connection.getresponse().read()
    connection.close()
    assert b"evil.example" not in body
    assert b"https://" not in body


def test_access_log_holds_no_token(serve):
    """A token in a path is not written down."""
    served = serve("--access-log")
    get(served.port, "/t/rpc-hushhushhush-hush/conan/main/v1/ping")
    served.stop()
    assert served.process.stdout is not None
    written = served.process.stdout.read()
    assert "/t/***/" in written
    assert "hush" not in written


def test_lines_of_a_server_are_json(serve, tmp_path):
    """Those of requests on stdout, all others on stderr, gunicorn's too; an id leads from an answer
    to its line.
    """
    config = tmp_path / "logs.toml"
    config.write_text('[logs]\nformat = "json"\nlevel = "info"\naccess = true\n')
    served = serve("--config", str(config), "--workers", "1")
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)
    connection.request("GET", "/t/rpc-hushhush-hush/healthz", headers={"Cookie": "a=hushhushhush"})
    number = connection.getresponse().headers["X-Request-Id"]
    connection.close()
    served.stop()
    assert served.process.stdout is not None
    assert served.process.stderr is not None
    out, err = served.process.stdout.read(), served.process.stderr.read()
    [line] = [json.loads(one) for one in out.splitlines() if one.startswith('{"time"')]
    assert (line["request_id"], line["status"]) == (number, 401)
    assert line["client"] == "127.0.0.1"
    said = [json.loads(one) for one in err.splitlines() if one.startswith("{")]
    assert {"gunicorn.error"} <= {one["logger"] for one in said}
    assert "hush" not in out + err


def test_port_that_is_taken_is_told():
    """The sentence names the port and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigurationError, match=rf"{port} is taken.*--port"):
            bind(("127.0.0.1",), port)


def test_taken_port_starts_nothing(program):
    """A server that cannot listen has made no folder, no account, no password."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        assert "taken" in program.refused("serve", "--port", port)["error"]
    assert not program.data.exists()


def test_host_of_another_machine_is_told(monkeypatch):
    """An address that is not ours is no traceback."""

    def unknown(*_arguments, **_options):
        raise socket.gaierror(socket.EAI_NONAME, "nobody knows that name")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(ConfigurationError, match="no address of this machine"):
        bind(("elsewhere.example",), 0)
