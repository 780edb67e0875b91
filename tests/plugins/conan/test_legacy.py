"""What a conan_server had for telling people apart: its users, its plugins, its logins."""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import jwt
import pytest
from argon2 import PasswordHasher
from conan_protocol import Client

import repocore
from repocore import (
    Action,
    Bearer,
    ConfigurationError,
    NotAuthenticatedError,
    Password,
    PluginError,
    Principal,
    Registry,
    Resource,
)
from repocore.config import PluginSettings, Secret, Settings
from repocore.plugins.conan.legacy import Reference, load_plugin

MAIN = "conan/main"
ZLIB = Resource("conan", "main", "zlib", "1.3@_/_")
SECRET = "short-secret-of-a-server"

AUTHENTICATOR = """
def get_class():
    return Mine()

class Mine(object):
    def valid_user(self, username, plain_password):
        if username == "crash":
            raise RuntimeError("no connection to 10.0.0.1 for " + plain_password)
        if username == "quit":
            raise SystemExit(4)
        return username == "foo" and plain_password == "bar"
"""
AUTHORIZER = """
from conan.internal.errors import AuthenticationException, ForbiddenException

class Mine:
    def check_read_conan(self, username, ref):
        if ref.name == "crash":
            raise RuntimeError("oops")
        if ref.name == "quit":
            raise SystemExit(4)
        if ref.user is not None and username is None:
            raise AuthenticationException("sign in")
        if str(ref) == "secret/1.0@u/c":
            raise ForbiddenException("no")

    def check_write_conan(self, username, ref):
        if username != "foo":
            raise ForbiddenException("no")

    def check_delete_conan(self, username, ref):
        raise ForbiddenException("nobody deletes")

    check_read_package = check_write_package = check_delete_package = check_write_conan

def get_class():
    return Mine()
"""

Open = Callable[..., Registry]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Open a registry with these keys of ``[plugins.conan]``."""
    with ExitStack() as stack:

        def make(**table: object) -> Registry:
            plugins = PluginSettings(tables={"conan": table})
            settings = Settings(data=tmp_path / "data", plugins=plugins)
            registry = stack.enter_context(repocore.open_registry(settings=settings))
            registry.session(registry.admin()).repositories.create(MAIN)
            return registry

        yield make


def file(tmp_path: Path, text: str, name: str = "mine.py") -> str:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return str(path)


# ------------------------------------------------------------------------------------- the users


def test_users_of_the_table(opened):
    """They sign in with their passwords; whom the table does not know the next is asked about."""
    registry = opened(users={"demo": Secret("de mo")})
    registry.session(registry.admin()).accounts.add("ann", "right")
    principal = registry.authenticate(Password("demo", "de mo"))
    assert (principal.name, principal.via) == ("demo", "conan_server")
    assert registry.authenticate(Password("ann", "right")).via == "password"
    for name, password in (("demo", "demo"), ("demo", ""), ("ann", "de mo"), ("bob", "x")):
        with pytest.raises(NotAuthenticatedError):
            registry.authenticate(Password(name, password))


def test_hashes_in_the_table(opened):
    """As `config convert` writes them; what is neither hash nor secret is refused."""
    registry = opened(users={"demo": PasswordHasher().hash("demo")})
    assert registry.authenticate(Password("demo", "demo")).name == "demo"
    with pytest.raises(NotAuthenticatedError):
        registry.authenticate(Password("demo", "other"))
    with pytest.raises(ConfigurationError, match="password of bob stands there in the clear"):
        opened(users={"bob": "plain"})
    with pytest.raises(ConfigurationError, match="expected a table"):
        opened(users="bob")


def test_user_of_the_table_logs_in(opened):
    """And the login that they get is one of ours."""
    registry = opened(users={"demo": Secret("demo")})
    credentials = Password("demo", "demo")
    client = Client(registry, registry.connect(credentials), MAIN, credentials)
    token = client.get("/v2/users/authenticate").text
    assert registry.connect(Bearer(token)).principal.name == "demo"


# ------------------------------------------------------------------------------- the old logins

pytestmark = pytest.mark.filterwarnings("ignore:The HMAC key")


def signed(secret: str = SECRET, **claims: object) -> Bearer:
    return Bearer(jwt.encode(claims, secret, algorithm="HS256"))


def test_logins_of_the_old_server(opened):
    """They stay valid for Conan repositories, until they expire, their user or the secret goes."""
    registry = opened(users={"demo": Secret("demo")}, jwt_secret=SECRET)
    later = int(time.time()) + 60
    principal = registry.authenticate(signed(user="demo", exp=later))
    assert (principal.name, principal.expires) == ("demo", float(later))
    registry.session(registry.admin()).accounts.add_rule(
        repocore.Rule(subject="user:demo", actions=frozenset(Action), pattern="**")
    )
    session = registry.session(principal)
    assert session.allowed(Action.WRITE, ZLIB)
    assert not session.allowed(Action.READ, Resource("conda", "main"))
    for claims in (
        {"user": "demo", "exp": 1},
        {"user": "bob", "exp": later},
        {"user": "", "exp": later},
        {"user": "demo", "exp": later, "sub": "admin"},
        {"user": "demo"},
    ):
        with pytest.raises(NotAuthenticatedError):
            registry.authenticate(signed(**claims))
    with pytest.raises(NotAuthenticatedError):
        registry.authenticate(signed("another secret", user="demo", exp=later))


def test_no_old_login_without_its_secret(opened):
    """Nobody signs with an empty one."""
    registry = opened(users={"demo": Secret("demo")})
    for secret in (SECRET, "x"):
        with pytest.raises(NotAuthenticatedError):
            registry.authenticate(signed(secret, user="demo", exp=int(time.time()) + 60))


def test_no_algorithm_but_one(opened):
    """What says that it needs no signature has none."""
    registry = opened(users={"demo": Secret("demo")}, jwt_secret=SECRET)
    claims = {"user": "demo", "exp": int(time.time()) + 60}
    none = jwt.encode(claims, None, algorithm="none")
    longer = jwt.encode(claims, SECRET, algorithm="HS512")
    for token in (none, longer, "a.b.c"):
        with pytest.raises(NotAuthenticatedError):
            registry.authenticate(Bearer(token))


# ------------------------------------------------------------------------------------- plugins


def test_authenticator_plugin(opened, tmp_path, caplog):
    """Yes lets in; no asks the next; a plugin that fails lets nobody in."""
    registry = opened(authenticator=file(tmp_path, AUTHENTICATOR))
    registry.session(registry.admin()).accounts.add("ann", "right")
    assert registry.authenticate(Password("foo", "bar")).name == "foo"
    assert registry.authenticate(Password("ann", "right")).name == "ann"
    for name in ("foo", "bob"):
        with pytest.raises(NotAuthenticatedError):
            registry.authenticate(Password(name, "wrong"))
    for name in ("crash", "quit"):
        with pytest.raises(NotAuthenticatedError) as caught:
            registry.authenticate(Password(name, "hush"))
        assert "10.0.0.1" not in str(caught.value)
    assert "mine.py, line 8: RuntimeError" in caplog.text
    assert "hush" not in caplog.text
    assert "Traceback" not in caplog.text


def test_authorizer_plugin(opened, tmp_path):
    """It decides about references, and its failures deny."""
    registry = opened(authorizer=file(tmp_path, AUTHORIZER))
    foo = registry.session(Principal(name="foo"))
    nobody = registry.session(Principal(name=None))
    of_user = Resource("conan", "main", "zlib", "1.3@u/c")
    assert nobody.allowed(Action.READ, ZLIB)
    assert not nobody.allowed(Action.READ, of_user)
    assert foo.allowed(Action.READ, of_user)
    assert not foo.allowed(Action.READ, Resource("conan", "main", "secret", "1.0@u/c"))
    for name in ("crash", "quit"):
        assert not foo.allowed(Action.READ, Resource("conan", "main", name, "1.0@_/_"))
    assert foo.allowed(Action.WRITE, ZLIB)
    assert not nobody.allowed(Action.WRITE, ZLIB)
    assert not foo.allowed(Action.DELETE, ZLIB)
    assert not foo.allowed(Action.ADMIN, ZLIB)


def test_authorizer_plugin_filters_lists(opened, tmp_path):
    """Search shows what it lets read."""
    registry = opened(authorizer=file(tmp_path, AUTHORIZER))
    client = Client(registry, registry.session(registry.admin()))
    client.recipe("r1")
    client.recipe("r1", "zlib/1.3/u/c")
    client.recipe("r1", "secret/1.0/u/c")
    search = "/v2/conans/search?q=*"
    assert client.as_(Principal(name=None)).get(search).json["results"] == ["zlib/1.3"]
    found = client.as_(Principal(name="foo")).get(search).json["results"]
    assert found == ["zlib/1.3", "zlib/1.3@u/c"]


def test_authorizer_plugin_is_asked_anew(opened, tmp_path):
    """What it looks at may change without us."""
    switch = tmp_path / "open"
    condition = f"import os\n        if not os.path.exists({str(switch)!r}):"
    text = AUTHORIZER.replace('if ref.name == "crash":', condition)
    registry = opened(authorizer=file(tmp_path, text))
    session = registry.session(Principal(name="foo"))
    assert not session.allowed(Action.READ, ZLIB)
    switch.touch()
    assert session.allowed(Action.READ, ZLIB)
    switch.unlink()
    assert not session.allowed(Action.READ, ZLIB)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import nothing_of_that_name", "mine.py, line 1: ModuleNotFoundError"),
        ("x = 1\ndef get_class(:", "mine.py, line 2: SyntaxError"),
        ("def get_class():\n    return 1 / 0", "mine.py, line 2: ZeroDivisionError"),
        ("x = 1", "mine.py: AttributeError"),
        ("import sys\nsys.exit(3)", "mine.py, line 2: SystemExit"),
        ("def get_class():\n    return object()", "what get_class() returns has no method"),
    ],
)
def test_plugin_that_does_not_load_is_told(opened, tmp_path, text, told):
    """At the start, with its line, and not at the first login."""
    with pytest.raises(PluginError) as caught:
        opened(authenticator=file(tmp_path, text))
    assert told in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_plugin_that_is_not_there(opened, tmp_path):
    """Is told with the key that names it."""
    with pytest.raises(ConfigurationError, match=r"check plugins\.conan\.authorizer"):
        opened(authorizer=str(tmp_path / "none.py"))


@pytest.mark.parametrize("module", ["conans.errors", "conan.internal.errors"])
def test_plugin_imports_exceptions_of_conan(tmp_path, monkeypatch, module):
    """Also where conan is not installed; nothing of that stays behind."""
    real = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name, *rest: None if name in {"conan", "conans"} else real(name, *rest),
    )
    for name in [name for name in sys.modules if name.partition(".")[0] in {"conan", "conans"}]:
        monkeypatch.delitem(sys.modules, name)
    text = AUTHORIZER.replace("conan.internal.errors", module)
    plugin = load_plugin(Path(file(tmp_path, text)), "authorizer")
    with pytest.raises(Exception, match="nobody deletes") as caught:
        plugin.check_delete_conan("foo", Reference("zlib", "1.3"))
    assert type(caught.value).__name__ == "ForbiddenException"
    assert not [name for name in sys.modules if name.partition(".")[0] in {"conan", "conans"}]


def test_class_for_an_object(tmp_path):
    """A get_class() that does what it says is taken, too."""
    text = AUTHENTICATOR.replace("return Mine()", "return Mine")
    assert load_plugin(Path(file(tmp_path, text)), "authenticator").valid_user("foo", "bar")


def test_reference_is_what_plugins_expect():
    """Its fields by name and place, and its text."""
    whole = Reference("zlib", "1.3", "u", "c")
    assert (str(whole), whole.username, whole[0]) == ("zlib/1.3@u/c", "u", "zlib")
    assert str(Reference("zlib", "1.3")) == "zlib/1.3"
    assert str(Reference("zlib", "1.3", "u")) == "zlib/1.3@u"


# ------------------------------------------------------------------------------------- settings


@pytest.mark.parametrize(("forbid", "status"), [(False, 404), (True, 403)])
def test_hidden_or_forbidden(opened, forbid, status):
    """What somebody signed in may not read: not there, or forbidden whether it is there or not."""
    registry = opened(forbid=forbid)
    client = Client(registry, registry.session(registry.admin()))
    client.recipe("r1")
    stranger = client.as_(Principal(name="stranger"))
    for reference in ("zlib/1.3/_/_", "none/1.0/_/_"):
        assert stranger.get(f"/v2/conans/{reference}/latest").status == status


def test_lifetime_of_urls_is_checked(opened):
    """It is more than nothing."""
    with pytest.raises(ConfigurationError, match="url_lifetime: must be more than nothing"):
        opened(url_lifetime="0s")
    registry = opened(url_lifetime="60s", updown_secret="x")
    assert registry.plugin_settings("conan").url_lifetime == timedelta(minutes=1)
