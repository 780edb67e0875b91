"""Which path a request has, and which spellings of one are refused."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given, strategies as st
from wsgi_calls import BAD_SEGMENTS, environ

from repocore.errors import InvalidPathError
from repocore.model import check_segment
from repocore_web.targets import read_target


def normal(text: str) -> bool:
    try:
        check_segment(text)
    except InvalidPathError:
        return False
    return True


segments = st.lists(
    st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20).filter(normal),
    min_size=1,
    max_size=8,
).filter(lambda found: found[0] != "t")


@given(found=segments, everything=st.booleans())
def test_normal_path_is_read_whatever_its_escapes(found, everything):
    """Segments come back as they were, percent-encoded more or less, raw target or none."""
    safe = "" if everything else "+@~!$&'()*,;="
    made = environ("/" + "/".join(quote(segment, safe=safe) for segment in found))
    assert read_target(made).segments == tuple(found)
    del made["RAW_URI"]
    assert read_target(made).segments == tuple(found)


@given(text=st.text(st.characters(max_codepoint=0x24F), max_size=12))
def test_quick_look_takes_nothing_that_the_model_refuses(text):
    """What is read of any PATH_INFO is made of normal segments alone."""
    made = environ("/")
    made["PATH_INFO"] = "/" + text.encode().decode("latin-1")
    del made["RAW_URI"]
    try:
        target = read_target(made)
    except InvalidPathError:
        return
    assert all(normal(segment) for segment in target.segments)


@pytest.mark.parametrize("bad", BAD_SEGMENTS)
@pytest.mark.parametrize("place", ["/{}", "/a/{}", "/{}/b", "/a/{}/b", "/t/{}/b"])
def test_other_spellings_are_refused(bad, place):
    """Whatever could be a second name of something is no path at all."""
    if (bad, place) == ("", "/{}"):
        place = "/{}/{}"
    with pytest.raises(InvalidPathError):
        read_target(environ(place.format(bad, bad)))


@pytest.mark.parametrize("raw", ["/a%2Fb", "/a//b", "/a/./b", "/a/x/../b", "/a/b/"])
def test_raw_target_betrays_what_the_server_tidied_up(raw):
    """A spelling that only the raw target shows is refused all the same."""
    made = environ(raw)
    made["PATH_INFO"] = "/a/b"
    with pytest.raises(InvalidPathError):
        read_target(made)


def test_rewritten_path_is_the_path():
    """A front application that rewrites PATH_INFO decides where the request goes."""
    made = environ("/de/pool/x")
    made["PATH_INFO"] = "/x"
    assert read_target(made).segments == ("x",)


@pytest.mark.parametrize("target", ["/pkgs/a/b", "/%70kgs/a/b"])
def test_mount_is_not_part_of_the_path(target):
    """The segments are those below the place where we are mounted."""
    assert read_target(environ(target, script="/pkgs")).segments == ("a", "b")


@pytest.mark.parametrize(
    ("target", "script"), [("/", ""), ("/pkgs", "/pkgs"), ("/pkgs/", "/pkgs"), ("/t/rpc-1/", "")]
)
def test_root_may_end_in_a_slash(target, script):
    """Only the root has the same meaning with and without a slash."""
    assert read_target(environ(target, script=script)).segments == ()


@pytest.mark.parametrize(
    ("target", "script"), [("/t/rpc-1/a/b", ""), ("/pkgs/t/rpc-1/a/b", "/pkgs")]
)
def test_token_in_front_is_taken_off(target, script):
    """A token before the path is no part of it, at the root and below a mount."""
    found = read_target(environ(target, script=script))
    assert (found.segments, found.token) == (("a", "b"), "rpc-1")
    assert "rpc-1" not in repr(found)


def test_absolute_target_names_its_host():
    """RFC 9112: the host of an absolute target goes before the Host field."""
    made = environ("/a")
    made["RAW_URI"] = "http://other.example:8080/a?x=//"
    found = read_target(made)
    assert (found.segments, found.authority) == (("a",), "other.example:8080")


@pytest.mark.parametrize("raw", ["*", "a", "server.example:443"])
def test_target_is_a_path(raw):
    """Other forms of a target are for proxies and servers, not for us."""
    made = environ("/a")
    made["RAW_URI"] = raw
    with pytest.raises(InvalidPathError):
        read_target(made)


def test_plus_stays():
    """Only in a query does a plus mean a space."""
    assert read_target(environ("/gtk+/c%2B%2B")).segments == ("gtk+", "c++")


@pytest.mark.parametrize(
    "path",
    [
        "/api/channels/main/files/",
        "/api/channels/main/packages/tide/files/",
        "/api/packages/search/",
        "/t/rpc-1/api/channels/search/",
    ],
)
def test_addresses_that_clients_of_quetz_end_with_a_slash(path):
    """They are the same without it; what is in between has one spelling all the same."""
    assert read_target(environ(path)) == read_target(environ(path[:-1]))
    for bad in (f"{path}/", path.replace("/api/", "/api//"), path.replace("/api/", "/api/./")):
        with pytest.raises(InvalidPathError):
            read_target(environ(bad))


def test_path_begins_with_a_slash():
    """What a server or a front application made of a path is not taken on trust."""
    made = environ("/a/b")
    made["PATH_INFO"] = "a/b"
    with pytest.raises(InvalidPathError):
        read_target(made)
