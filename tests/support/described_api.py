"""The API's own description, held against what it answers."""

from __future__ import annotations

import json
import re
from typing import Any

from wsgi_calls import Answer, call

try:
    from jsonschema import Draft202012Validator
except ImportError:  # nobody checks the shapes then; test_openapi says so
    Draft202012Validator = None


class DescribedApi:
    """An application, asked for what is below ``/api/v1``; no answer is without its description."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.document = json.loads(call(app, "/api/v1/openapi.json").body)
        self.met: set[tuple[str, str]] = set()

    def ask(self, target: str, method: str = "GET", body: object = None, **fields: Any) -> Answer:
        """Send a request; a body that is no bytes goes as JSON.

        Raises AssertionError where the answer is another than the description says.
        """
        if body is not None:
            fields["body"] = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = call(self.app, f"/api/v1/{target}", method, **fields)
        self.check(method, f"/api/v1/{target}".partition("?")[0], answer)
        return answer

    def check(self, method: str, path: str, answer: Answer) -> None:
        """Hold one answer against the operation of its path."""
        if answer.status >= 400:
            assert answer.headers["content-type"] == "application/problem+json", answer.text
            self._valid({"$ref": "#/components/schemas/Problem"}, json.loads(answer.body))
            return
        template, operation = self._operation(method, path)
        self.met.add((method, template))
        if answer.status == 304:
            return
        described = operation["responses"][str(answer.status)]
        content = described.get("content")
        if content is None:
            assert answer.body == b""
            return
        media = answer.headers["content-type"].partition(";")[0]
        [(kind, what)] = content.items()
        assert kind in {media, "application/octet-stream"}
        if "schema" in what:
            self._valid(what["schema"], json.loads(answer.body))

    def _operation(self, method: str, path: str) -> tuple[str, dict[str, Any]]:
        found = []
        for template, methods in self.document["paths"].items():
            # Only the last field of a template may hold slashes.
            pattern = re.sub(r"\\\{(?:path|release)\\\}\Z", ".+", re.escape(template))
            pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", pattern)
            if method.lower() in methods and re.fullmatch(pattern, path):
                found.append((template.count("{"), template, methods[method.lower()]))
        assert found, f"{method} {path} is not described"
        _, template, operation = min(found, key=lambda one: one[0])
        return template, operation

    def _valid(self, schema: dict[str, Any], value: object) -> None:
        if Draft202012Validator is not None:
            whole = {**schema, "components": self.document["components"]}
            errors = [one.message for one in Draft202012Validator(whole).iter_errors(value)]
            assert errors == []
