"""The Conan protocol without a server: a request in, an answer out, and words for its paths."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import attrs
from hypothesis import strategies as st
from tests_manifest import manifest

from repocore import (
    AccessDeniedError,
    Action,
    Anonymous,
    Credentials,
    Principal,
    Registry,
    RepocoreError,
    Rule,
    Session,
)
from repocore.errors import InvalidPathError
from repocore.http import FileContent, Request, Response, Route, status_for
from repocore.plugins.conan.references import ConanReference


@attrs.frozen
class Answer:
    """What came back: a status, a body, and header fields."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = attrs.field(factory=dict)

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        assert self.headers["Content-Type"] == "application/json"
        return json.loads(self.body)


class LowerCase(dict[str, str]):
    """Header fields by name, whatever their case."""

    def get(self, name: str, default: str | None = None, /) -> str | None:
        return super().get(name.lower(), default)


@lru_cache(maxsize=8)
def routes_of(registry: Registry, method: str) -> list[tuple[re.Pattern[str], Route[Session]]]:
    """The routes of the protocol, in the order in which they are tried."""
    # The more literal segments, the earlier: "search" is a word before it is a name.
    found = [r for r in registry.routes() if r.format == "conan" and r.method == method]
    found.sort(key=lambda route: (route.template.count("{"), route.template))
    return [(pattern_of(route), route) for route in found]


def pattern_of(route: Route[Session]) -> re.Pattern[str]:
    """A template as an expression."""
    parts = re.split(r"(\{[a-z_]+(?::path)?\})", route.template)
    return re.compile("".join(map(_part, parts)) + r"\Z")


def _part(text: str) -> str:
    if not text.startswith("{"):
        return re.escape(text)
    name, _, rest = text[1:-1].partition(":")
    return f"(?P<{name}>.+)" if rest else f"(?P<{name}>[^/]+)"


@attrs.define
class Client:
    """Somebody who talks to one repository, and to no server."""

    registry: Registry
    session: Session
    repository: str = "conan/main"
    credentials: Credentials = attrs.field(factory=Anonymous)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        chunked: bool = False,
    ) -> Answer:
        """Send a request; answers as an adapter would."""
        path, _, query = path.partition("?")
        route, fields = self.route(method, path)
        request = Request(
            method=method,
            path=path,
            fields=fields,
            query=dict(pair.split("=", 1) for pair in query.split("&") if pair),
            headers=LowerCase({name.lower(): value for name, value in (headers or {}).items()}),
            body=io.BytesIO(body),
            length=None if chunked else len(body),
            credentials=self.credentials,
            repository=self.repository,
            base_url=f"http://conan.example/{self.repository}",
        )
        try:
            return answered(route.handler(self.session, request))
        except RepocoreError as error:
            return refused(error, route)

    def route(self, method: str, path: str) -> tuple[Route[Session], dict[str, str]]:
        for pattern, route in routes_of(self.registry, method):
            if match := pattern.match(path):
                return route, match.groupdict()
        raise LookupError(path)

    def as_(self, who: Principal) -> Client:
        return Client(self.registry, self.registry.session(who), self.repository)

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def put(self, path: str, body: bytes = b"", **headers: str) -> Answer:
        return self.ask("PUT", path, body, {k.replace("_", "-"): v for k, v in headers.items()})

    def delete(self, path: str) -> Answer:
        return self.ask("DELETE", path)

    def recipe(self, rrev: str, reference: str = "zlib/1.3/_/_") -> str:
        """Upload a whole recipe revision; the path of its reference."""
        base = f"/v2/conans/{reference}"
        files = f"{base}/revisions/{rrev}/files"
        assert self.put(f"{files}/conanfile.py", b"recipe " + rrev.encode()).status == 200
        assert self.put(f"{files}/conanmanifest.txt", manifest("conanfile.py")).status == 200
        return base

    def package(self, rrev: str, pid: str, prev: str, info: bytes = b"[settings]\n") -> str:
        """Upload a whole package revision of zlib/1.3; the path of its package."""
        base = f"/v2/conans/zlib/1.3/_/_/revisions/{rrev}/packages/{pid}"
        files = f"{base}/revisions/{prev}/files"
        assert self.put(f"{files}/conan_package.tgz", b"archive " + prev.encode()).status == 200
        assert self.put(f"{files}/conaninfo.txt", info).status == 200
        assert self.put(f"{files}/conanmanifest.txt", manifest("lib/libz.a")).status == 200
        return base


def answered(response: Response) -> Answer:
    """A response, read to its end."""
    body = response.body
    if isinstance(body, FileContent):
        with body.open(0, None) as stream:
            return Answer(response.status, stream.read(), dict(response.headers))
    content = body if isinstance(body, bytes) else b"".join(body)
    return Answer(response.status, content, dict(response.headers))


def refused(error: RepocoreError, route: Route[Session]) -> Answer:
    """An error, as an adapter writes it."""
    if isinstance(error, AccessDeniedError) and error.hidden:
        return Answer(404, b"Not found.")
    for kind in type(error).__mro__:
        if kind in route.errors:
            return Answer(route.errors[kind], str(error).encode())
    return Answer(status_for(error), str(error).encode())


def principal(*actions: Action, pattern: str = "conan/main/**") -> Principal:
    """Somebody signed in, whose token allows no more than these actions."""
    scope = (Rule(subject="*", actions=frozenset(actions), pattern=pattern),) if actions else ()
    return Principal(name="someone", scope=scope, via="test")


def sha1(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


# ------------------------------------------------------------------------------- strategies


def names() -> st.SearchStrategy[str]:
    """Names, versions, users and channels."""
    return st.from_regex(r"[a-zA-Z0-9_][a-zA-Z0-9_+.\-]{0,12}", fullmatch=True).map(
        lambda text: text.rstrip(".") or "x"
    )


def references() -> st.SearchStrategy[ConanReference]:
    """References, with and without user and channel."""

    def make(name: str, version: str, rest: tuple[str, ...]) -> ConanReference:
        try:
            return ConanReference(name, version, *rest)
        except InvalidPathError:  # a channel without a user
            return ConanReference(name, version)

    rest = st.one_of(st.just(()), names().map(lambda one: (one,)), st.tuples(names(), names()))
    return st.builds(make, names(), names(), rest)


def ids() -> st.SearchStrategy[str]:
    """Revisions and package ids."""
    return st.from_regex(r"[A-Za-z0-9_\-]{1,64}", fullmatch=True)
