"""The guide and the reference of the API say what a server does."""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from described_api import DescribedApi
from front_servers import block
from wsgi_calls import basic

import repocore
from repocore import Binding
from repocore.config import Settings, WebSettings
from repocore.config.structuring import structure
from repocore_web import create_app

GUIDE = "api"
TOP = Path(__file__).parents[2]
SIGNED = {"HTTP_AUTHORIZATION": basic("ann", "right")}


@pytest.fixture
def api(tmp_path: Path) -> Iterator[DescribedApi]:
    with repocore.open_registry(settings=Settings(data=tmp_path)) as registry:
        admin = registry.session(registry.admin())
        admin.repositories.create("conda/main")
        admin.accounts.add("ann", "right")
        admin.roles.bind(Binding(subject="user:ann", role="owner"))
        yield DescribedApi(create_app(registry))


def sent(text: str) -> str:
    """The object of JSON that a command of the guide sends."""
    return re.findall(r"'(\{.*?\})'", text, re.DOTALL)[0]


def test_the_token_of_the_guide_is_made(api: DescribedApi) -> None:
    """And signs in, as narrow as it is."""
    body = sent(block(GUIDE, "Sign in", "sh")).encode()
    made = json.loads(api.ask("tokens", "POST", body, **SIGNED).body)
    assert made["token"]["scope"] == [{"actions": ["read"], "pattern": "conda/main"}]
    me = json.loads(api.ask("me", HTTP_AUTHORIZATION=f"Bearer {made['secret']}").body)
    assert me["administrator"] is False


def test_the_change_of_the_guide_is_made(api: DescribedApi) -> None:
    """With the tag of now, once."""
    body = sent(block(GUIDE, "Change something", "sh")).encode()
    place = "repositories/conda/main"
    tag = api.ask(place, **SIGNED).headers["etag"]
    changed = api.ask(place, "PATCH", body, HTTP_IF_MATCH=tag, **SIGNED)
    assert json.loads(changed.body)["policy"]["quota"] == 100 << 30
    assert api.ask(place, "PATCH", body, HTTP_IF_MATCH=tag, **SIGNED).status == 412


def test_the_problem_of_the_guide_is_told(api: DescribedApi) -> None:
    """To the letter, but for its number."""
    shown = json.loads(block(GUIDE, "When it does not work out", "json"))
    body = {"policy": {"quota": "much"}}
    told = json.loads(api.ask("repositories/conda/main", "PATCH", body, **SIGNED).body)
    assert {**told, "request_id": shown["request_id"]} == shown


def test_every_address_of_the_guide_is_one_of_the_api(api: DescribedApi) -> None:
    """None of them is asked for in vain: what is there is shown, and the rest is missing."""
    text = (TOP / "docs" / "how-to" / "api.md").read_text(encoding="utf-8")
    urls = re.findall(r"https://packages\.example(/api/v1/[^\s'\"]*)", text)
    assert len(urls) > 6
    for url in urls:
        parts = urlsplit(url)
        path = parts.path.removeprefix("/api/v1/")
        answer = api.ask(f"{path}?{parts.query}" if parts.query else path, **SIGNED)
        assert answer.status == (404 if "/conan/" in path else 200), url


def test_the_settings_of_the_guide_are_settings() -> None:
    """With the values that they have there."""
    table = tomllib.loads(block(GUIDE, "Serve it below a path, or not at all", "toml"))
    web = structure(table["web"], WebSettings)
    assert (web.prefix, web.api, web.pages) == ("/packages", True, True)


def test_the_reference_has_every_operation_and_shape(api: DescribedApi) -> None:
    """It is made from the document that servers give out."""
    pytest.importorskip("sphinx")
    spec = importlib.util.spec_from_file_location("generated", TOP / "docs" / "generated.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = "\n".join(module.api())
    for path, methods in api.document["paths"].items():
        for method in methods:
            assert f"### `{method.upper()} {path}`\n" in page
    for name in api.document["components"]["schemas"]:
        assert f"### {name}\n" in page
