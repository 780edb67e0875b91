"""The page of the API: everything that can be asked, and no scripts."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import pytest
from wsgi_calls import call

import repocore
from repocore import errors
from repocore.config import Settings, WebSettings
from repocore.plugins.api.page import page, words
from repocore_web import create_app


def test_every_operation_shape_and_error_is_on_the_page(house) -> None:
    """With its parameters; each error where problems say that it is."""
    text = house.ask("docs").text
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    for methods in house.document["paths"].values():
        for operation in methods.values():
            assert operation["operationId"] in ids
            assert all(
                f"<code>{one['name']}</code>" in text for one in operation.get("parameters", ())
            )
    assert {*house.document["components"]["schemas"], *errors.__all__} <= {*ids}
    told = json.loads(house.ask("nothing").body)
    path, _, name = told["type"].partition("#")
    assert path == "/api/v1/docs"
    assert name in ids


def test_the_page_has_no_scripts_and_takes_nothing_from_elsewhere(house) -> None:
    """The policy names its one style; links stay on the page, or go to the document."""
    answer = house.ask("docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    [style] = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'")
    assert "<script" not in answer.text
    assert " style=" not in answer.text
    links = set(re.findall(r'(?:href|src)="([^"]+)"', answer.text))
    assert {link for link in links if link[0] != "#"} == {"openapi.json"}


def test_what_plugins_say_is_text(house) -> None:
    """No mark of theirs is one of the page."""
    document = json.loads(json.dumps(house.document))
    [*_, methods] = document["paths"].values()
    for operation in methods.values():
        operation["summary"] = "<script>alert('x')</script>"
    assert "<script" not in page(document)


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({"type": "string"}, "text"),
        ({"type": ["integer", "null"]}, "number or null"),
        ({"type": "array", "items": {"$ref": "#/x/File"}}, "list of File"),
        ({"anyOf": [{"$ref": "#/x/File"}, {"type": "null"}]}, "File or null"),
        ({"type": "string", "enum": ["a", "b"]}, "a | b"),
        ({"type": "string", "format": "date-time"}, "time"),
    ],
)
def test_types_have_words(schema, text) -> None:
    """For people."""
    assert words(schema) == text


def test_switches_take_pages_and_the_api_away(tmp_path) -> None:
    """Without pages the document is still there; without the API nothing of it is."""
    for number, (web, statuses) in enumerate(
        (
            (WebSettings(), (200, 200, 200)),
            (WebSettings(pages=False), (404, 200, 200)),
            (WebSettings(api=False), (404, 404, 404)),
        )
    ):
        settings = Settings(data=tmp_path / str(number), web=web)
        with repocore.open_registry(settings=settings) as registry:
            app = create_app(registry)
            paths = ("docs", "openapi.json", "me")
            assert tuple(call(app, f"/api/v1/{path}").status for path in paths) == statuses
