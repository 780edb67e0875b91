"""``/api/v1/openapi.json`` and ``/api/v1/docs``: what the API is, for programs and for people."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cached_property
from typing import Any, Final

from repocore.http import Admits, Request, Response, Route
from repocore.plugins.api.answering import tagged_text
from repocore.plugins.api.describing import route
from repocore.plugins.api.openapi import describe
from repocore.plugins.api.page import POLICY, page
from repocore.registry import Registry, Session

__all__ = ["Pages"]

#: Addresses for which the document is remembered; whoever asks can make up another.
_ADDRESSES: Final = 8
_HTML: Final = "text/html; charset=utf-8"


class Pages:
    """The description of a registry's routes, made when somebody first asks for it."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._texts: dict[str, bytes] = {}

    def routes(self) -> Iterable[Route[Session]]:
        """Two routes of the site; the page is one of those that ``web.pages`` switches off."""
        anyone = Admits.ANYONE
        described = {200: "application/json"}
        yield route("GET", "openapi.json", self.openapi, anyone, answers=described)
        if self._registry.settings.web.pages:
            yield route("GET", "docs", self.docs, anyone, answers={200: "text/html"})

    @cached_property
    def _document(self) -> dict[str, Any]:
        return describe(self._registry.routes())

    @cached_property
    def _page(self) -> bytes:
        return page(self._document).encode()

    def _written(self, url: str) -> bytes:
        """The document for an address; a server has one or two."""
        found = self._texts.get(url)
        if found is None:
            document = {**self._document, "servers": [{"url": url}]}
            found = json.dumps(document, ensure_ascii=False).encode()
            if len(self._texts) >= _ADDRESSES:
                self._texts.clear()
            self._texts[url] = found
        return found

    def openapi(self, _session: Session, request: Request) -> Response:
        """Describe the API, as a document of OpenAPI 3.1."""
        return tagged_text(request, self._written(request.base_url))

    def docs(self, _session: Session, _request: Request) -> Response:
        """Describe the API, its shapes and its errors, as a page for people."""
        fields = (("Content-Type", _HTML), ("Content-Security-Policy", POLICY))
        return Response(200, self._page, fields)
