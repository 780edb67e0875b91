"""Other servers in front of repocore or around it, as processes: set up from the how-to guides."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO

import attrs
from conan_client import Conan
from live_server import REPOCORE, environment, free_port

import repocore
from repocore import Rule

GUIDES = Path(__file__).parents[2] / "docs" / "how-to"
MAIN = "conan/main"
WRITER = "writer"
PASSWORD = "high-water"
SIGNED_IN = {"Authorization": "Basic d3JpdGVyOmhpZ2gtd2F0ZXI="}

Body = bytes | Iterable[bytes] | IO[bytes] | None


def program(name: str) -> str | None:
    """Where a program is; servers stand in a folder that not every PATH names."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}{os.pathsep}/usr/sbin")


def has_ipv6() -> bool:
    """Whether this machine can talk to itself by IPv6."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


# ------------------------------------------------------------------------------------ the guides


def block(guide: str, heading: str, language: str, number: int = 0) -> str:
    """A block of a guide, by the heading above it; raises AssertionError where there is none."""
    found: list[str] = []
    below, inside = "", ""
    for line in (GUIDES / f"{guide}.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            inside = "" if inside else line.removeprefix("```")
            if (below, inside) == (heading, language):
                found.append("")
        elif inside:
            if (below, inside) == (heading, language):
                found[-1] += f"{line}\n"
        elif line.startswith("#"):
            below = line.lstrip("#").strip()
    assert len(found) > number, f"{guide}, {heading}: {len(found)} blocks of {language}"
    return found[number]


def adapted(text: str, places: Mapping[str, object]) -> str:
    """A file of a guide, for this machine; each place that differs has to be in it."""
    for old, new in places.items():
        assert old in text, f"{old!r} is not in:\n{text}"
        text = text.replace(old, str(new))
    return text


# ------------------------------------------------------------------------------ who is asked, how


@attrs.frozen
class Answer:
    """What came back; the names of the fields are in lower case."""

    status: int
    fields: Mapping[str, str]
    content: bytes

    @property
    def ours(self) -> bool:
        """Whether repocore wrote it, and not a server in front."""
        return "x-request-id" in self.fields


@attrs.frozen(kw_only=True)
class Front:
    """Where a server listens; with a CA it speaks TLS."""

    port: int
    host: str = "127.0.0.1"
    authority: Path | None = None
    prefix: str = ""
    #: Where it speaks without TLS, to send clients on.
    plain: int | None = None
    #: The process that serves, where a test wants to look at it.
    process: int | None = None
    #: Seconds in which something has to come.
    patience: float = 60

    @property
    def place(self) -> str:
        """Host and port, as a URL has them."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        return f"http{'s' if self.authority else ''}://{self.place}{self.prefix}"

    @property
    def remote(self) -> str:
        """What a Conan client calls the remote's URL."""
        return f"{self.url}/{MAIN}"

    def connect(self) -> socket.socket:
        """A connection on which bytes can be written as they stand."""
        plain = socket.create_connection((self.host, self.port), timeout=self.patience)
        if self.authority is None:
            return plain
        context = ssl.create_default_context(cafile=self.authority)
        return context.wrap_socket(plain, server_hostname=self.host)

    def ask(
        self,
        method: str,
        path: str,
        body: Body = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One request on a connection of its own; a body without a length is sent in chunks."""
        connection = http.client.HTTPConnection(self.host, self.port)
        connection.sock = self.connect()
        try:
            connection.request(method, self.prefix + path, body, dict(headers or {}))
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        fields = {name.lower(): value for name, value in answer.getheaders()}
        return Answer(answer.status, fields, content)

    def get(self, path: str, **headers: str) -> Answer:
        return self.ask("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})

    def put(self, path: str, body: Body, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask("PUT", path, body, {**SIGNED_IN, **named})


#: Makes a client with the remote `house` at a front, that trusts its CA.
MakeClient = Callable[..., Conan]

# -------------------------------------------------------------------------------------- processes


@contextlib.contextmanager
def running(
    command: Sequence[str], front: Front, log: Path, **environ: str
) -> Generator[subprocess.Popen[bytes]]:
    """A server until the block ends, once it answers at its front; its words are in the log.

    Raises AssertionError with the log where it does not come up.
    """
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command,
            env=environment(**environ),
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:
        _await(process, front, log)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(process: subprocess.Popen[bytes], front: Front, log: Path) -> None:
    hasty = attrs.evolve(front, patience=5)
    last = "nothing"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            answer = hasty.get("/healthz")
        except (OSError, http.client.HTTPException) as error:
            last = repr(error)
        else:
            if answer.status == 200:
                return
            last = f"{answer.status} {answer.content!r}"
        time.sleep(0.05)
    said = log.read_text(encoding="utf-8", errors="replace")[-5000:]
    raise AssertionError(f"{front.url} does not serve ({last}):\n{said}")


# ---------------------------------------------------------------------------------------- repocore


def make_data(folder: Path, settings: str = "") -> Path:
    """A data folder: everyone reads, `writer` does everything."""
    folder.mkdir()
    (folder / "repocore.toml").write_text(settings, encoding="utf-8")
    with repocore.open_registry(data=folder) as registry:
        session = registry.session(registry.admin())
        session.repositories.create(MAIN)
        session.accounts.add(WRITER, PASSWORD)
        for subject, actions in ((f"user:{WRITER}", ["all"]), ("*", ["read"])):
            granted = repocore.actions_of(actions)
            session.accounts.add_rule(Rule(subject=subject, actions=granted, pattern=f"{MAIN}/**"))
    return folder


@contextlib.contextmanager
def serving(data: Path, *words: str) -> Generator[Front]:
    """`repocore serve` until the block ends; requests are in `access_log(data)`."""
    front = Front(port=free_port())
    command = [*REPOCORE, "serve", "--port", str(front.port), "--workers", "1", "--access-log"]
    with running([*command, *words, "--data", str(data)], front, access_log(data)):
        yield front


def access_log(data: Path) -> Path:
    """Where `serving` writes its requests."""
    return data.with_name(f"{data.name}.log")


# ------------------------------------------------------------------------------------------- nginx


def nginx(folder: Path, inside: str) -> list[str]:
    """The command of an nginx with these lines in its `http` block; it writes into the folder."""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    spools = "".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
    # Test folders are their owner's alone; the guide has the group of the server read them.
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"daemon off; {user} pid {folder}/nginx.pid; error_log {folder}/nginx.error;\n"
        f"worker_processes 1; events {{}}\nhttp {{ access_log off; {spools}\n{inside}\n}}\n",
        encoding="utf-8",
    )
    return [str(program("nginx")), "-c", f"{folder}/nginx.conf", "-e", f"{folder}/nginx.error"]


def listening(site: str, *, plain: int, secure: int) -> str:
    """nginx's site of the guide on ports of ours, and on loopback alone."""
    for address, name in (("127.0.0.1:", ""), ("[::1]:", "[::]:")):
        there = not name or has_ipv6()
        for old, new in (("80", plain), ("443 ssl", f"{secure} ssl")):
            assert f"listen {name}{old};" in site
            line = f"listen {address}{new};" if there else ""
            site = site.replace(f"listen {name}{old};", line)
    return site


# ------------------------------------------------------------------------------------------ Apache

MODULES = Path("/usr/lib/apache2/modules")


def apache(folder: Path, port: int, inside: str, *modules: str) -> list[str]:
    """The command of an Apache with these lines in its configuration, and these modules."""
    loaded = "".join(
        f"LoadModule {name}_module {MODULES}/mod_{name}.so\n"
        for name in ("mpm_event", "authz_core", "reqtimeout", *modules)
    )
    (folder / "apache.conf").write_text(
        f"{loaded}ServerRoot {folder}\nServerName localhost\nListen 127.0.0.1:{port}\n"
        f"PidFile {folder}/apache.pid\nErrorLog /dev/stderr\nMutex file:{folder} default\n"
        f"DefaultRuntimeDir {folder}\n{inside}\n",
        encoding="utf-8",
    )
    # FOREGROUND, or the process that we started would end at once.
    command = [str(program("apache2")), "-f", f"{folder}/apache.conf", "-D", "FOREGROUND"]
    return [*_unprivileged(), *command]


def _unprivileged() -> list[str]:
    """Words before a command that must not run as root, but read and write a test's folders."""
    if os.geteuid() != 0:
        return []
    kept = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
    return ["setpriv", "--reuid=www-data", "--regid=www-data", "--clear-groups", *kept]
