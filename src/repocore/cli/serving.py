"""``serve``."""

from __future__ import annotations

import errno
import ipaddress
import os
import shlex
import socket
from typing import Any, Final

import attrs
import click
from click.core import ParameterSource

from repocore.cli.doubts import tell
from repocore.cli.first import ADMIN, FirstStart, first_start, reading_rule
from repocore.cli.moving import OldServer, unfinished
from repocore.cli.output import State, command, show
from repocore.config import Settings
from repocore.errors import ConfigurationError
from repocore.logs import configure_logging
from repocore.model import Action, Effect, Rule
from repocore.plugin_manager import open_registry
from repocore.registry import Registry

__all__ = [
    "COMMANDS",
    "bind",
    "serve",
]

#: The channel that is recommended where there are several: the one of the first start.
_MAIN: Final = "conda/main"

PORT: Final = 9300

_EVERYONE: Final = frozenset({"*", "anonymous"})
_TRIES: Final = 5
_HALF: Final = (
    "WARNING: not everything of the old conan_server has been taken over yet; "
    "start with --conan-server once more."
)


@command()
@click.option(
    "--host", "hosts", multiple=True, default=("127.0.0.1",), help="An address; may repeat."
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=PORT,
    show_default=True,
    help="0 is a free one.",
)
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True, help="Processes.")
@click.option("--threads", type=click.IntRange(1), default=32, show_default=True, help="Of each.")
@click.option(
    "--conan-server",
    is_flag=False,
    flag_value="~/.conan_server",
    metavar="[DIR]",
    help="Take over the conan_server at home in DIR (~/.conan_server), by its server.conf.",
)
@click.option("--access-log", is_flag=True, help="A line a request on stdout, without secrets.")
def serve(state: State, hosts: tuple[str, ...], port: int, workers: int, **more: Any) -> None:
    """Serve the data folder over HTTP; makes it first where it is not there.

    The first start makes conan/main and an administrator, whose password is REPOCORE_ADMIN_PASSWORD
    or is made and shown once.

    With --conan-server the data folder is DIR/repocore, the first start imports what is in DIR
    without changing it, and host and port are those of the old server.
    """
    old = _old_server(state, more.pop("conan_server"))
    if old is not None:
        hosts, port = _where(old, hosts, port)
    try:
        # gunicorn is of an extra that the other commands do without.
        from repocore.cli.server import Server, ServerOptions  # noqa: PLC0415
    except ImportError as error:
        message = f"`repocore serve` needs {error.name}: pip install 'repocore[server]'"
        raise ConfigurationError(message) from error
    settings = state.settings()
    options = ServerOptions(workers=1 if _in_memory(settings) else workers, **more)
    listeners = bind(hosts, port)
    configure_logging(options.shown(settings).logs, everything=True)
    administrator = ADMIN if old is None else old.administrator
    with first_start(settings, os.environ, administrator) as start:
        with open_registry(settings=settings) as registry:
            local = all(_is_loopback(listener) for listener in listeners)
            # A server.conf says by itself who may read.
            start.prepare(registry, everyone_reads=local and old is None)
            if old is not None:
                listeners = _after(old, state, registry, listeners)
            elif unfinished(settings.data):
                click.echo(_HALF, err=True)
            tell(registry.doubts())
            banner = _Banner.of(registry, listeners, start, local=local, governed=old is not None)

        def ready() -> None:
            show(state, banner.described(), "\n".join(banner.lines()))
            start.shown()

        Server(listeners, options, state.settings, ready).run()


def _old_server(state: State, folder: str | None) -> OldServer | None:
    if folder is None:
        return None
    old = OldServer.at(folder)
    if state.data is None and not os.environ.get("REPOCORE_DATA"):
        state.data = old.data
    state.beneath = old.beneath
    return old


def _where(old: OldServer, hosts: tuple[str, ...], port: int) -> tuple[tuple[str, ...], int]:
    """Where the old server listened, as far as nothing else was said."""
    context = click.get_current_context()
    given = [
        context.get_parameter_source(name) is not ParameterSource.DEFAULT
        for name in ("hosts", "port")
    ]
    everywhere = ("0.0.0.0",)  # noqa: S104 - what is taken over listened there
    return hosts if given[0] else everywhere, port if given[1] else old.conf.port


def _after(
    old: OldServer, state: State, registry: Registry, listeners: list[socket.socket]
) -> list[socket.socket]:
    """Import before anybody is served; a port that is taken is told before, not after."""
    addresses = [listener.getsockname()[:2] for listener in listeners]
    for listener in listeners:
        listener.close()
    for line in old.take_over(state, registry, registry.settings):
        click.echo(line, err=True)
    return bind(tuple(host for host, _ in addresses), addresses[0][1])


def _in_memory(settings: Settings) -> bool:
    """Whether what one process keeps is unknown to another."""
    database = settings.catalog.partition(":///")[2]
    lost = settings.catalog.startswith("sqlite") and (not database or ":memory:" in database)
    return lost or settings.storage.startswith("memory:")


# ----------------------------------------------------------------------------------- the address


def bind(hosts: tuple[str, ...], port: int) -> list[socket.socket]:
    """Sockets bound to these hosts, all at one port; 0 is a free one.

    Raises `ConfigurationError` with what to do where a port is taken or a host is not ours.
    """
    for attempt in range(_TRIES):
        bound: list[socket.socket] = []
        try:
            for host in dict.fromkeys(hosts):
                bound.append(_bind(host, bound[0].getsockname()[1] if bound else port))
            return bound
        except OSError as error:
            for listener in bound:
                listener.close()
            # A port that was free at the first host may be taken at the second: take another.
            if port or not bound or attempt == _TRIES - 1:
                raise _refused(error, hosts, port) from error
    raise AssertionError


def _bind(host: str, port: int) -> socket.socket:
    name = host.removeprefix("[").removesuffix("]")
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    # A name that means both is served at its IPv4 address, where clients look first or last.
    family, kind, protocol, _, address = min(found, key=lambda one: one[0] != socket.AF_INET)
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # So that :: and 0.0.0.0 can be given together.
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        # Listening claims the port at once; who connects early waits for the first worker.
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener


def _refused(error: OSError, hosts: tuple[str, ...], port: int) -> ConfigurationError:
    where = f"{', '.join(hosts)} port {port}"
    if error.errno == errno.EADDRINUSE:
        message = f"{where} is taken: stop what listens there, or choose another --port."
    elif error.errno == errno.EACCES:
        message = f"{where} is not for this user: choose a --port above 1023."
    elif isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        message = f"{', '.join(hosts)} is no address of this machine: choose another --host."
    else:
        message = f"{where} cannot be listened at: {error.strerror}."
    return ConfigurationError(message)


def _is_loopback(listener: socket.socket) -> bool:
    return ipaddress.ip_address(listener.getsockname()[0].partition("%")[0]).is_loopback


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    address = ipaddress.ip_address(host.partition("%")[0])
    if address.is_unspecified:
        # Every address of the machine: its name is the one that others can use.
        host = socket.gethostname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


# ------------------------------------------------------------------------------- what it says


@attrs.frozen(kw_only=True)
class _Banner:
    """What is said once it listens."""

    settings: Settings
    urls: tuple[str, ...]
    repositories: tuple[str, ...]
    #: The rules by which everyone reads something.
    readable: tuple[Rule, ...]
    local: bool
    start: FirstStart
    #: Whether a server.conf says who may read.
    governed: bool

    @classmethod
    def of(
        cls,
        registry: Registry,
        listeners: list[socket.socket],
        start: FirstStart,
        *,
        local: bool,
        governed: bool = False,
    ) -> _Banner:
        session = registry.session(registry.admin())
        return cls(
            settings=registry.settings,
            urls=tuple(dict.fromkeys(_url(listener) for listener in listeners)),
            repositories=tuple(r.address for r in session.repositories.list()),
            readable=tuple(
                rule
                for rule in registry.access.rules
                if rule.subject in _EVERYONE
                and rule.effect is Effect.ALLOW
                and Action.READ in rule.actions
            ),
            local=local,
            start=start,
            governed=governed,
        )

    @property
    def base(self) -> str:
        web = self.settings.web
        return (web.public_url or self.urls[0]).rstrip("/") + web.prefix

    def described(self) -> dict[str, Any]:
        """For programs."""
        return {
            "data": self.settings.data,
            "addresses": self.urls,
            "url": self.base,
            "repositories": {a: f"{self.base}/{a}" for a in self.repositories},
            **self.start.described(),
        }

    def lines(self) -> list[str]:
        """For people."""
        parts = (
            self._place(),
            self.start.lines(),
            self._commands(),
            self._channel(),
            self._reading(),
        )
        said = [line for part in parts if part for line in (*part, "")]
        return said[:-1]

    def _place(self) -> list[str]:
        places = " and ".join(f"{url}{self.settings.web.prefix}" for url in self.urls)
        lines = [f"repocore serves {self.settings.data} at {places}"]
        secure = (self.settings.web.public_url or "").startswith("https://")
        if not self.local and not secure:
            lines += [
                "WARNING: others can reach this address, and passwords travel in the clear. Put a",
                "server with TLS in front, and tell its URL in the setting web.public_url.",
            ]
        return lines

    def _commands(self) -> list[str]:
        address = next((a for a in self.repositories if a.startswith("conan/")), None)
        if address is None:
            return []
        if self.settings.web.root == address:
            return [f"Conan clients keep the remote that they have: {self.base}"]
        return [
            "A Conan client types next:",
            f"  conan remote add repocore {self.base}/{address}",
            f"  conan remote login repocore {self.start.administrator}",
            '  conan upload "*" --remote repocore --confirm',
        ]

    def _channel(self) -> list[str]:
        channels = [a for a in self.repositories if a.startswith("conda/")]
        address = _MAIN if _MAIN in channels else next(iter(channels), None)
        if address is None:
            return []
        data = f"--data {shlex.quote(str(self.settings.data))}"
        return [
            f"conda, mamba and pixi read the channel {self.base}/{address}",
            "This publishes packages there:",
            f"  export REPOCORE_TOKEN=$(repocore token create {self.start.administrator} {data})",
            f"  repocore conda upload *.conda --channel {self.base}/{address}",
        ]

    def _reading(self) -> list[str]:
        if self.local or self.governed:
            return []
        if self.readable:
            told = ", ".join(f"{r.pattern} ({_remedy(r)})" for r in self.readable)
            return [f"Everyone may read {told}."]
        rule = reading_rule(next(iter(self.repositories), "conan/main"))
        return [
            "Only those who sign in may read. This lets everyone:",
            f"  repocore rule add --subject '*' --actions read --pattern '{rule.pattern}'",
        ]


def _remedy(rule: Rule) -> str:
    where = "the settings" if rule.id is None else f"`repocore rule remove {rule.id}` ends it"
    return f"by {where}" if rule.id is None else where


COMMANDS = {"serve": serve}
