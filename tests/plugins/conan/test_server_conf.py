"""``server.conf``: every option of it, its variables, its rules, and what is wrong with one."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from repocore import Action, ConfigurationError, InvalidPathError, Principal, Resource
from repocore.model.decisions import decide
from repocore.plugins.conan.server_conf import pattern_fields, read_server_conf, rules_of

DEFAULT = """\
[server]
# a comment
jwt_secret: MnpuzsExftskYGOMgaTYDKfw
jwt_expire_minutes: 120

ssl_enabled: False
port: 9300
public_port:
host_name: localhost
store_adapter: disk
authorize_timeout: 1800
disk_storage_path: ./data
disk_authorize_timeout: 1800
updown_secret: NyiSWNWnwumTVpGpoANuyyhR

[write_permissions]
# "opencv/2.3.4@lasote/testing": default_user,default_user2

[read_permissions]
*/*@*/*: *

[users]
demo: demo
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "server.conf").write_text(DEFAULT, encoding="utf-8")
    return tmp_path


def change(home: Path, *pairs: tuple[str, str]) -> None:
    text = (home / "server.conf").read_text("utf-8")
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    (home / "server.conf").write_text(text, encoding="utf-8")


def problems(home: Path, **environ: str) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        read_server_conf(home, environ)
    return caught.value.problems


def test_default_file(home):
    """As the original writes it at its first start."""
    conf = read_server_conf(home, {})
    assert (conf.port, conf.public_url, conf.storage) == (9300, None, home / "data")
    assert (conf.jwt_secret, conf.updown_secret) == (
        "MnpuzsExftskYGOMgaTYDKfw",
        "NyiSWNWnwumTVpGpoANuyyhR",
    )
    assert (conf.jwt_expire, conf.authorize_timeout) == (
        timedelta(hours=2),
        timedelta(minutes=30),
    )
    assert conf.users == {"demo": "demo"}
    assert (conf.read, conf.write) == ((("*/*@*/*", "*"),), ())
    assert (conf.authenticator, conf.authorizer) == (None, None)
    assert "demo" not in repr(conf)


def test_what_is_not_used_is_said(home):
    """Once, with the line and the reason."""
    notes = read_server_conf(home, {}).notes
    assert [note.partition(":")[0] for note in notes if "not used any more" in note] == [
        "server.conf, line 10",
        "server.conf, line 13",
    ]


@pytest.mark.parametrize(
    ("variable", "text", "field", "value"),
    [
        ("CONAN_JWT_SECRET", "other", "jwt_secret", "other"),
        ("CONAN_JWT_EXPIRE_MINUTES", "0.5", "jwt_expire", timedelta(seconds=30)),
        ("CONAN_SERVER_PORT", "9301", "port", 9301),
        ("CONAN_UPDOWN_SECRET", "other", "updown_secret", "other"),
        ("CONAN_AUTHORIZE_TIMEOUT", "60", "authorize_timeout", timedelta(minutes=1)),
        ("CONAN_HOST_NAME", "packages.example", "public_url", "http://packages.example:9300"),
        ("CONAN_STORAGE_PATH", "/srv/conan", "storage", Path("/srv/conan")),
        ("CONAN_SERVER_USERS", "ann:a,bob:b c", "users", {"ann": "a", "bob": "b c"}),
    ],
)
def test_variable_goes_before_the_file(home, variable, text, field, value):
    """An empty one does not."""
    assert getattr(read_server_conf(home, {variable: text}), field) == value
    assert read_server_conf(home, {variable: ""}) == read_server_conf(home, {})


@pytest.mark.parametrize(
    ("host", "port", "secure", "url"),
    [
        ("packages.example", "", "False", "http://packages.example:9300"),
        ("packages.example", "80", "0", "http://packages.example"),
        ("packages.example", "443", "true", "https://packages.example"),
        ("packages.example", "8443", "1", "https://packages.example:8443"),
        ("localhost", "443", "True", "https://localhost"),
        ("localhost", "", "", None),
        ("", "", "False", None),
    ],
)
def test_public_url(home, host, port, secure, url):
    """What clients are told; of a name that is each client's own nothing is told."""
    change(
        home,
        ("host_name: localhost", f"host_name: {host}"),
        ("public_port:", f"public_port: {port}"),
        ("ssl_enabled: False", f"ssl_enabled: {secure}"),
    )
    assert read_server_conf(home, {}).public_url == url


def test_plugins_take_the_place_of_sections(home):
    """Users and permissions of the file are not used beside them, and that is said."""
    change(
        home,
        ("port: 9300", "port: 9300\ncustom_authenticator: mine\ncustom_authorizer: rules"),
    )
    for kind, name in (("authenticator", "mine"), ("authorizer", "rules")):
        (home / "plugins" / kind).mkdir(parents=True)
        (home / "plugins" / kind / f"{name}.py").write_text("", encoding="utf-8")
    conf = read_server_conf(home, {})
    assert conf.authenticator == home / "plugins" / "authenticator" / "mine.py"
    assert conf.authorizer == home / "plugins" / "authorizer" / "rules.py"
    assert (conf.users, conf.read, conf.write) == ({}, (), ())
    assert any("[users]" in note for note in conf.notes)
    assert any("[read_permissions]" in note for note in conf.notes)


def test_percent_is_doubled_in_the_file(home):
    """As ConfigParser has it; one alone is told with its line."""
    change(home, ("demo: demo", "demo: a%%b#c"))
    assert read_server_conf(home, {}).users["demo"] == "a%b#c"
    change(home, ("a%%b#c", "a%b"))
    assert problems(home) == ("server.conf, line 23: a % in a value is written %%",)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("port: 9300", "prot: 9300", "line 7: there is no option prot; did you mean port?"),
        ("port: 9300", "xyzzy: 1", "line 7: there is no option xyzzy; remove the line"),
        ("port: 9300", "port: nine", "line 7: port is no port: 'nine'"),
        ("port: 9300", "port: 70000", "line 7: port is no port: '70000'"),
        ("jwt_expire_minutes: 120", "jwt_expire_minutes: x", "line 4: jwt_expire_minutes is no"),
        ("jwt_expire_minutes: 120", "jwt_expire_minutes: nan", "line 4: jwt_expire_minutes is no"),
        ("jwt_secret: MnpuzsExftskYGOMgaTYDKfw", "jwt_secret:", "line 3: jwt_secret is missing"),
        ("host_name: localhost", "host_name: a/b", "line 9: host_name is no name"),
        ("port: 9300", "custom_authenticator: no", "line 7: there is no plugins/authenticator/no"),
        ("port: 9300", "custom_authorizer: ../x", "line 7: there is no plugins/authorizer/../x"),
        ("*/*@*/*: *", "zlib: *", "line 20: 'zlib' is no pattern"),
        ("*/*@*/*: *", "z lib/1.0: *", "line 20: 'z lib/1.0' is no pattern"),
        ("[users]", "[user]", "there is no section [user]; did you mean [users]?"),
        ("[read_permissions]", "[users2]", "the section [read_permissions] is missing"),
        ("demo: demo", "demo: demo\ndemo: x", "line 24: demo stands there twice"),
        ("demo: demo", "demo", "line 23: write option: value"),
        ("[server]\n", "", "line 2: a section such as [server] comes first"),
        ("[users]", "[server]", "line 22: [server] stands there twice"),
    ],
)
def test_problem_has_its_line(home, old, new, told):
    """One clear sentence each."""
    change(home, (old, new))
    assert any(told in problem for problem in problems(home)), problems(home)


def test_every_problem_at_once(home):
    """Nobody mends them one by one."""
    change(home, ("port: 9300", "port: x"), ("*/*@*/*: *", "zlib: *"))
    assert len(problems(home, CONAN_SERVER_USERS="ann")) == 3


def test_folder_without_a_file(tmp_path):
    """The home of a conan_server has one."""
    with pytest.raises(ConfigurationError, match="home of a conan_server"):
        read_server_conf(tmp_path, {})
    (tmp_path / "server.conf").write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match="no UTF-8"):
        read_server_conf(tmp_path, {})


@pytest.mark.parametrize(
    ("pattern", "users", "told"),
    [
        ("p*/1.0@*/*", "ann", "matches nothing"),
        ("zlib/1.0@*/*", "ann bob", "'ann bob' is one name"),
        ("zlib/1.0@*/*", "ann, *", "as the first user only"),
    ],
)
def test_line_that_does_not_do_what_it_seems_to(home, pattern, users, told):
    """It is kept as it is, and said."""
    change(home, ("*/*@*/*: *", f"{pattern}: {users}"))
    [note] = [note for note in read_server_conf(home, {}).notes if told in note]
    assert note.startswith("server.conf, line 20: ")


# -------------------------------------------------------------------------------------- the rules


def may(lines, name, reference, action=Action.READ) -> bool:
    package, _, version = reference.partition("/")
    resource = Resource("conan", "main", package, version)
    read, write = (lines, ()) if action is Action.READ else ((), lines)
    return bool(decide(rules_of(read, write), Principal(name=name), action, resource))


@pytest.mark.parametrize(
    ("lines", "name", "reference", "allowed"),
    [
        ((("*/*@*/*", "*"),), None, "zlib/1.0@_/_", True),
        ((("*/*@*/*", "?"),), None, "zlib/1.0@_/_", False),
        ((("*/*@*/*", "?"),), "ann", "zlib/1.0@_/_", True),
        ((("*/*@*/*", "ann, *"),), None, "zlib/1.0@_/_", False),
        ((("*/*@*/*", "ann,bob"),), "bob", "zlib/1.0@u/c", True),
        ((("zlib/*@*/*", "ann"), ("*/*@*/*", "*")), "bob", "zlib/1.0@u/c", False),
        ((("zlib/*@*/*", "ann"), ("*/*@*/*", "*")), "bob", "png/1.0@u/c", True),
        ((("zlib/1.0", "*"),), None, "zlib/1.0@_/_", True),
        ((("zlib/1.0@", "*"),), None, "zlib/1.0@_/_", True),
        ((("zlib/1.0@_/_", "*"),), None, "zlib/1.0@_/_", True),
        ((("zlib/1.0@ann", "*"),), None, "zlib/1.0@ann/_", True),
        ((("zlib/1.0", "*"),), None, "zlib/1.0@u/c", False),
        ((("z*/*@*/*", "*"),), None, "zlib/1.0@_/_", False),
        ((), "ann", "zlib/1.0@_/_", False),
    ],
)
def test_lines_decide(lines, name, reference, allowed):
    """In their order, and the first whose pattern matches is the last word."""
    assert may(lines, name, reference) is allowed


def test_write_lines_let_write_and_delete():
    """And nothing else."""
    rules = rules_of((), (("*/*@*/*", "ann"),))
    ann, everything = Principal(name="ann"), Resource("conan", "main")
    actions = {action for action in Action if decide(rules, ann, action, everything)}
    assert actions == {Action.WRITE, Action.OVERWRITE, Action.DELETE}


def test_all_of_everything_is_the_whole_repository():
    """So that a listing need not be filtered."""
    assert [rule.pattern for rule in rules_of((("*/*@*/*", "*"),), ())] == ["conan/main/**"]


@given(st.text(max_size=30))
def test_any_text_is_a_pattern_or_refused(text):
    """With a sentence, and never otherwise."""
    told = ""
    try:
        fields = pattern_fields(text)
    except InvalidPathError as error:
        told = str(error)
    assert told or all(fields)
