"""Which route answers a path."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, strategies as st
from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import Map, Rule

from repocore.errors import PluginError
from repocore.http import Admits, Response, Route
from repocore_web.routing import RESERVED, Router


def route(template, method="GET", format=None):
    return Route(
        method=method,
        template=template,
        handler=lambda *_: Response(),
        summary=template,
        permission=Admits.ANYONE,
        format=format,
    )


SITE = [route("/"), route("/healthz")]
CONAN = [
    route("/v2/{name}/latest", format="conan"),
    route("/v2/search/latest", format="conan"),
    route("/v2/{name}/{rest:path}", format="conan"),
    route("/v2/{name}/{rest:path}", "PUT", format="conan"),
    route("/v2/search/{what}", "DELETE", format="conan"),
]
ROUTER = Router([*CONAN, *SITE, route("/", format="conda")], "conan/main")


def segments(path):
    return tuple(path[1:].split("/")) if path != "/" else ()


@pytest.mark.parametrize(
    ("path", "method", "template", "fields", "repository"),
    [
        ("/", "GET", "/", {}, ""),
        ("/healthz", "HEAD", "/healthz", {}, ""),
        ("/conda/forge", "GET", "/", {}, "conda/forge"),
        ("/conan/a/v2/zlib/latest", "GET", "/v2/{name}/latest", {"name": "zlib"}, "conan/a"),
        ("/conan/a/v2/search/latest", "GET", "/v2/search/latest", {}, "conan/a"),
        (
            "/conan/a/v2/search/x/y",
            "GET",
            "/v2/{name}/{rest:path}",
            {"name": "search", "rest": "x/y"},
            "conan/a",
        ),
        (
            "/conan/a/v2/search/latest",
            "PUT",
            "/v2/{name}/{rest:path}",
            {"name": "search", "rest": "latest"},
            "conan/a",
        ),
        ("/v2/zlib/latest", "GET", "/v2/{name}/latest", {"name": "zlib"}, "conan/main"),
    ],
)
def test_most_literal_route_with_the_method_answers(path, method, template, fields, repository):
    """Literals go before fields, fields before the rest; a missing method looks further."""
    match = ROUTER.find(segments(path), method)
    assert match is not None
    assert match.route is not None
    assert (match.route.template, match.fields) == (template, fields)
    assert match.repository == repository
    above = segments(path)[: match.depth]
    assert "/".join(above) in {"", repository}


@pytest.mark.parametrize(
    "path", ["/nothing", "/conan", "/conan/a", "/conan/a/v2", "/conan/a/v2/x", "/t", "/v1", "/api"]
)
def test_other_paths_lead_nowhere(path):
    """A path that no template describes is not there, whatever the method."""
    assert ROUTER.find(segments(path), "GET") is None
    assert ROUTER.find(segments(path), "DELETE") is None


@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [
        ("/healthz", "POST", ("GET", "HEAD")),
        ("/conan/a/v2/search/x", "OPTIONS", ("DELETE", "GET", "HEAD", "PUT")),
        ("/conan/a/v2/zlib/x", "get", ("GET", "HEAD", "PUT")),
    ],
)
def test_wrong_method_is_told_the_right_ones(path, method, allowed):
    """A path that is there answers other methods with a list of its own."""
    match = ROUTER.find(segments(path), method)
    assert match is not None
    assert (match.route, match.allowed) == (None, allowed)


@pytest.mark.parametrize(
    "pair",
    [
        (route("/a/{x}", format="conan"), route("/a/{y}", format="conan")),
        (route("/a/{x:path}"), route("/a/{y:path}")),
        (route("/conan/{x}/v2"), route("/v2", format="conan")),
        (route("/v2"), route("/v2", format="conan")),
    ],
)
def test_equal_routes_are_refused(pair):
    """Two routes that match one path equally well stop the start, in either order."""
    for order in (pair, pair[::-1]):
        with pytest.raises(PluginError):
            Router(order, "conan/main")


@pytest.mark.parametrize(
    "template",
    ["", "a", "/a/", "//a", "/{x:path}/a", "/{x}/{x}", "/{x", "/x}", "/a{x}", "/{x:int}", "/{1}"],
)
def test_unreadable_template_is_refused(template):
    """A mistake in a template stops the start, and is not a route that nobody reaches."""
    with pytest.raises(PluginError):
        Router([route(template)])


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_no_format_takes_a_reserved_place(name):
    """What the site and other protocols have at the root is no format's."""
    with pytest.raises(PluginError):
        Router([route("/x", format=name)])


parts = st.sampled_from(["a", "b", "{x}", "{y}", "{z}"])
templates = st.builds(
    lambda head, rest: "/" + "/".join([*head, *rest]),
    st.lists(parts, min_size=1, max_size=4, unique=True),
    st.sampled_from([[], ["{rest:path}"]]),
)


@given(
    st.lists(st.tuples(templates, st.sampled_from(["GET", "PUT"])), min_size=1, max_size=8),
    st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=6),
    st.sampled_from(["GET", "PUT", "HEAD", "DELETE"]),
)
def test_same_paths_as_another_router(wanted, path, method):
    """Whether a path is there, and has the method, is what a router of another make says."""
    try:
        router = Router([route(template, verb) for template, verb in wanted])
    except PluginError:
        return
    other = Map(
        [
            Rule(
                re.sub(r"\{(\w+)\}", r"<\1>", template.replace("{rest:path}", "<path:rest>")),
                methods=[verb],
                endpoint=template,
            )
            for template, verb in wanted
        ]
    ).bind("server.example")
    match = router.find(tuple(path), method)
    try:
        other.match("/" + "/".join(path), method)
    except NotFound:
        assert match is None
    except MethodNotAllowed as refusal:
        valid = set(refusal.valid_methods or ())
        assert match is not None
        assert (match.route, set(match.allowed)) == (None, valid)
    else:
        assert match is not None
        assert match.route is not None
        filled = re.sub(r"\{(\w+)(?::path)?\}", lambda f: match.fields[f[1]], match.route.template)
        assert filled == "/" + "/".join(path)
