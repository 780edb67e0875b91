"""A registry between a browser of sorts and a provider that signs what a test wants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sign_in_house import Browser, Signer
from stand_in import StandIn, stand_in

import repocore
from repocore import Registry
from repocore.config import ProviderSettings, SessionSettings, Settings, WebSettings
from repocore_web import create_app


@pytest.fixture
def signer() -> Iterator[Signer]:
    made = Signer()
    with stand_in(made.answer) as server:
        made.url = server.url
        yield made


Open = Callable[..., Browser]


@pytest.fixture
def open_site(tmp_path: Path) -> Iterator[Open]:
    """Open a registry with these providers; returns a browser at its door."""
    opened: list[Registry] = []

    def make(
        *providers: ProviderSettings,
        session: SessionSettings | None = None,
        web: WebSettings | None = None,
    ) -> Browser:
        settings = Settings(
            data=tmp_path,
            provider=providers,
            session=session or SessionSettings(),
            web=web or WebSettings(),
        )
        opened.append(repocore.open_registry(settings=settings))
        return Browser(create_app(opened[-1]))

    yield make
    for registry in opened:
        registry.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., StandIn]]:
    opened: list[Any] = []

    def start(answer: Any) -> StandIn:
        context = stand_in(answer)
        opened.append(context)
        return context.__enter__()

    yield start
    for context in opened:
        context.__exit__(None, None, None)
