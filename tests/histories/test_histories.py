"""Whatever clients do at once through two servers: lists, indexes and `latest` have one order.

Each seed decides what eight clients ask for; chance alone decides how their calls overlap.  So a
seed that has failed may pass the next time: all of the history that failed is told.
REPOCORE_HISTORIES says how many seeds there are (10, or 1,000 with `nox -s histories`), and
REPOCORE_SEED which is the first.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest
from history_players import CLIENTS, History, Players, play
from linearizability import NotLinearizableError, linearize
from serving_fleet import Client, Reply, fleet
from wsgi_calls import call

import repocore
from repocore import Registry, Rule, actions_of
from repocore.catalog import removals
from repocore.registry import indexing
from repocore_web import create_app

pytest.importorskip("gunicorn")
pytestmark = pytest.mark.histories

HISTORIES = int(os.environ.get("REPOCORE_HISTORIES", "10"))
FIRST = int(os.environ.get("REPOCORE_SEED", "1"))


def furnished(registry: Registry, clients: Sequence[Any]) -> Players:
    """An account that may do everything, and clients that are it."""
    admin = registry.session(registry.admin())
    for client in clients:
        client.signed = f"Bearer {admin.accounts.create_token('writer', 'test')[1]}"
    return Players(clients, 2, admin)


def add_writer(registry: Registry) -> None:
    admin = registry.session(registry.admin())
    admin.accounts.add("writer", "high-water")
    for pattern in ("conda/**", "conan/**"):
        rule = Rule(subject="user:writer", actions=actions_of(["all"]), pattern=pattern)
        admin.accounts.add_rule(rule)


@contextlib.contextmanager
def two_servers(folder: Path, catalog: str) -> Generator[Players]:
    """Two times `repocore serve` on one catalog."""
    data = folder / "data"
    data.mkdir()
    (data / "repocore.toml").write_text(f'catalog = "{catalog}"\n', encoding="utf-8")
    with fleet(data) as served, repocore.open_registry(data) as registry:
        add_writer(registry)
        clients = [Client(served.ports, "") for _ in range(CLIENTS)]
        players = furnished(registry, clients)
        try:
            yield players
        finally:
            players.pool.shutdown()
            for client in clients:
                client.close()


def judge(history: History, seed: int) -> None:
    """Each object has an order of its calls; else all that was done to it is told."""
    for place, operations in history.operations.items():
        try:
            linearize(operations, place.model)
        except AssertionError as failure:
            message = f"seed {seed}, {place}: {failure}"
            raise type(failure)(message) from None


def play_all(players: Players, seeds: Sequence[int]) -> str:
    """Play each seed and judge it; what was done in all."""
    calls = unanswered = old = 0
    for seed in seeds:
        history = play(players, seed)
        judge(history, seed)
        calls += sum(map(len, history.operations.values()))
        unanswered += history.unanswered
        old += history.old
    assert calls > old
    return (
        f"{len(seeds)} histories from seed {seeds[0]}: {calls} calls, {unanswered} without an "
        f"answer, {old} more answers that said that they were old"
    )


@pytest.mark.parametrize(
    ("database_url", "count"),
    [
        pytest.param("postgres", HISTORIES, marks=pytest.mark.postgres),
        ("sqlite", max(HISTORIES // 5, 3)),
    ],
    indirect=["database_url"],
)
def test_every_history_has_an_order(
    tmp_path: Path, database_url: str, count: int, record_property: Callable[[str, str], None]
) -> None:
    """Two server processes, eight clients, on each database."""
    with two_servers(tmp_path, database_url) as players:
        record_property("histories", play_all(players, range(FIRST, FIRST + count)))


# ---------------------------------------------------------------------------- planted faults


@attrs.define
class Direct:
    """A client of applications in this process."""

    apps: Sequence[Any]
    signed: str = ""

    def ask(
        self, server: int, method: str, target: str, body: bytes | None = None, **fields: str
    ) -> Reply:
        more = {"HTTP_AUTHORIZATION": self.signed, **fields}
        answer = call(self.apps[server], target, method, body=body or b"", **more)
        return Reply(answer.status, answer.headers, answer.body)

    def abandon(
        self, server: int, method: str, target: str, body: bytes | None = None, **fields: str
    ) -> None:
        self.ask(server, method, target, body, **fields)


@contextlib.contextmanager
def in_this_process(data: Path) -> Generator[Players]:
    with repocore.open_registry(data) as one, repocore.open_registry(data) as other:
        add_writer(one)
        apps = [create_app(one), create_app(other)]
        players = furnished(one, [Direct(apps) for _ in range(CLIENTS)])
        try:
            yield players
        finally:
            players.pool.shutdown()


def stale(patch: pytest.MonkeyPatch) -> None:
    """An index that was made once is good enough."""
    patch.setattr(indexing._State, "satisfies", lambda self, *_: self.made is not None)


def polite(patch: pytest.MonkeyPatch) -> None:
    """Whoever yanks is told so, and nothing is yanked."""
    patch.setattr(removals, "yank", lambda *_arguments, **_options: [])


@pytest.mark.parametrize("fault", [stale, polite], ids=lambda fault: fault.__name__)
def test_planted_faults_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Callable[[pytest.MonkeyPatch], None]
) -> None:
    """Clients, models and checker together see each of these."""
    fault(monkeypatch)
    with (
        in_this_process(tmp_path) as players,
        pytest.raises(NotLinearizableError, match="no order"),
    ):
        play_all(players, range(FIRST, FIRST + 20))
