"""Signing in through a directory, a real one: over TLS, with its groups, and while it is away."""

from __future__ import annotations

import contextlib
import shutil
import ssl
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from slapd import (
    BASE,
    GROUPS,
    NAMES,
    PEOPLE,
    SERVICE,
    SERVICE_PASSWORD,
    NoSlapdError,
    Slapd,
    sign,
    slapd,
)

import repocore
from repocore import (
    AuthenticatorError,
    Bearer,
    ConfigurationError,
    NotAuthenticatedError,
    Password,
    Principal,
    Registry,
    Settings,
    hookimpl,
)
from repocore.config import PluginSettings, dump_settings, load_settings
from repocore.plugins import ldap
from repocore.testing import authenticator_contract

pytestmark = pytest.mark.servers
pytest.importorskip("ldap3", reason="the extra ldap is not installed")


@pytest.fixture(scope="module")
def server() -> Iterator[Slapd]:
    try:
        with slapd() as running:
            yield running
    except NoSlapdError as problem:
        pytest.skip(str(problem))


@pytest.fixture
def plain() -> Iterator[Slapd]:
    """A server of this test, to stop; it takes passwords without TLS."""
    try:
        with slapd(encrypted=False) as running:
            yield running
    except NoSlapdError as problem:
        pytest.skip(str(problem))


def table(server: Slapd, **more: Any) -> dict[str, Any]:
    """``[plugins.ldap]`` for a server."""
    return {
        "urls": [server.tls_url],
        "ca_bundle": str(server.authority),
        "bind_dn": SERVICE,
        "bind_password": SERVICE_PASSWORD,
        "user_base": PEOPLE,
        **more,
    }


@contextlib.contextmanager
def opened(table: dict[str, Any], *plugins: object) -> Iterator[Registry]:
    folder = Path(tempfile.mkdtemp())
    settings = Settings(data=folder, plugins=PluginSettings(tables={"ldap": table}))
    try:
        with repocore.open_registry(settings=settings, plugins=plugins) as registry:
            yield registry
    finally:
        shutil.rmtree(folder)


def ask(registry: Registry, name: str, password: str) -> Principal | None:
    """What the plugin itself answers; the registry remembers for a minute, too."""
    return ldap.repocore_authenticate(registry, Password(name, password))


def signed_in(registry: Registry, name: str, password: str) -> Principal:
    found = ask(registry, name, password)
    assert found is not None
    return found


def problem(table: dict[str, Any]) -> str:
    """What is said at start about settings that are of no use."""
    with pytest.raises(ConfigurationError) as caught, opened(table):
        pass
    (said,) = caught.value.problems
    return said


# ------------------------------------------------------------------------------------ contract


@pytest.fixture(autouse=True)
def _server_of_the_contract(request: pytest.FixtureRequest) -> None:
    if request.cls is not None:
        CURRENT[:] = [request.getfixturevalue("server")]


CURRENT: list[Slapd] = []


@contextlib.contextmanager
def contract_registry():
    with opened(table(CURRENT[0])) as registry:
        yield registry, ldap


TestLdap = authenticator_contract(
    contract_registry,
    known=[Password(name, f"{name}-pw") for name in NAMES],
    wrong=[
        *(Password(name, "wrong") for name in NAMES),
        Password("alice", "alice-pw\0"),
        Password("alice", "\u00ad"),
        Password("alice", "\ud800"),
    ],
    unknown=[
        Password("nobody", "x"),
        Password("*", "x"),
        Password("alice)(uid=*", "alice-pw"),
        Password("a" * 10_000, "x"),
        Password("\ud800", "x"),
        Bearer("alice"),
    ],
)


# --------------------------------------------------------------------------------- who it is


@pytest.mark.parametrize("cached", ["60s", "0s"])
def test_an_empty_password_is_refused_before_anything_is_asked(server: Slapd, cached: str) -> None:
    """This directory answers it with success, for an anonymous visit; so would the next."""
    with opened(table(server, cache=cached)) as registry:
        signed_in(registry, "alice", "alice-pw")
        for password in ("", "\0", "\u00ad"):
            with pytest.raises(NotAuthenticatedError):
                ask(registry, "alice", password)


def test_the_name_is_what_the_directory_has(server: Slapd) -> None:
    """Directories take any case, rules do not."""
    with opened(table(server)) as registry:
        principal = signed_in(registry, "ALICE", "alice-pw")
    assert (principal.name, principal.via) == ("alice", "ldap")


def test_another_attribute_may_be_typed(server: Slapd) -> None:
    """Whoever signs in with an address is still the user of that name."""
    wanted = "(|(uid={name})(mail={name}))"
    mail = f"{b'alice'.hex()}@example.test"
    with opened(table(server, user_filter=wanted)) as registry:
        assert signed_in(registry, mail, "alice-pw").name == "alice"


def test_nobody_gets_past_an_account_by_another_spelling(server: Slapd) -> None:
    """The account of the directory's name is asked first, whatever was typed."""
    with opened(table(server)) as registry:
        registry.session(registry.admin()).accounts.add("alice", "account's")
        assert registry.connect(Password("ALICE", "account's")).principal.via == "password"
        with pytest.raises(NotAuthenticatedError):
            registry.connect(Password("Alice", "alice-pw"))


def test_a_name_that_the_directory_has_twice_is_refused(server: Slapd) -> None:
    """Nobody can say whose password it would be."""
    with (
        opened(table(server, user_base=BASE)) as registry,
        pytest.raises(NotAuthenticatedError, match="more than once"),
    ):
        ask(registry, "twin", "twin-pw")


def test_the_filter_leaves_people_out(server: Slapd) -> None:
    """Whom the directory marks as gone is as good as unknown."""
    wanted = "(&(uid={name})(!(employeeType=disabled)))"
    with opened(table(server)) as registry:
        assert signed_in(registry, "gone", "gone-pw").name == "gone"
    with opened(table(server, user_filter=wanted)) as registry:
        assert ask(registry, "gone", "gone-pw") is None


# ------------------------------------------------------------------------------------- groups

MEMBER_OF = {"member_of": "memberOf"}
LOOKED_UP = {"member_of": "", "group_base": GROUPS}


@pytest.mark.parametrize("way", [MEMBER_OF, LOOKED_UP, {**LOOKED_UP, **MEMBER_OF}])
@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("alice", {"admins", "developers"}),
        ("back\\slash", {"developers"}),
        ("o'hara", {"developers"}),
        ("star*", set()),
        ("Ümit", {"R,D"}),
    ],
)
def test_groups_come_either_way(
    server: Slapd, way: dict[str, str], name: str, groups: set[str]
) -> None:
    """From the user's entry, from a search for it, or both: the same names, unescaped."""
    with opened(table(server, **way)) as registry:
        assert signed_in(registry, name, f"{name}-pw").groups == groups


def test_groups_may_be_found_by_name(server: Slapd) -> None:
    """As where members are listed by their names alone."""
    more = {**LOOKED_UP, "group_filter": "(description={name})"}
    server.change(
        f"dn: cn=by-name,{GROUPS}\nobjectClass: groupOfNames\nmember: {SERVICE}\n"
        "description: o'hara\n"
    )
    with opened(table(server, **more)) as registry:
        assert signed_in(registry, "o'hara", "o'hara-pw").groups == {"by-name"}
        assert signed_in(registry, "star*", "star*-pw").groups == set()


def test_only_members_of_allowed_groups_sign_in(server: Slapd) -> None:
    """With the right password the others are told why; with a wrong one nothing."""
    with opened(table(server, allowed_groups=["admins", "others"])) as registry:
        assert signed_in(registry, "alice", "alice-pw").name == "alice"
        with pytest.raises(NotAuthenticatedError, match="none of the groups"):
            ask(registry, "bob", "bob-pw")
        with pytest.raises(NotAuthenticatedError, match="Wrong user or password"):
            ask(registry, "bob", "wrong")


# --------------------------------------------------------------------------------- encryption


def test_start_tls_protects_passwords(server: Slapd) -> None:
    """This server takes none without."""
    with opened(table(server, urls=[server.url], start_tls=True)) as registry:
        assert signed_in(registry, "alice", "alice-pw").name == "alice"


def test_without_tls_the_directory_may_refuse_for_now(server: Slapd) -> None:
    """What it then says is no verdict on the password; the reason is for the log."""
    with (
        opened(table(server, urls=[server.url])) as registry,
        pytest.raises(AuthenticatorError) as caught,
    ):
        ask(registry, "alice", "alice-pw")
    assert "confidentiality" in str(caught.value.__cause__)
    assert "confidentiality" not in str(caught.value)


@pytest.mark.parametrize("start_tls", [False, True])
def test_another_authority_is_not_believed(server: Slapd, tmp_path: Path, *, start_tls) -> None:
    """No password goes to a server whose certificate somebody else has signed."""
    sign(tmp_path, "other", "unused")
    urls = [server.url if start_tls else server.tls_url]
    more = {"urls": urls, "start_tls": start_tls, "ca_bundle": str(tmp_path / "other.pem")}
    with opened(table(server, **more)) as registry, pytest.raises(AuthenticatorError) as caught:
        ask(registry, "alice", "alice-pw")
    assert "CERTIFICATE_VERIFY_FAILED" in str(caught.value.__cause__)


@pytest.mark.parametrize("start_tls", [False, True])
def test_the_host_has_to_be_the_certificates(server: Slapd, *, start_tls) -> None:
    """It is for 127.0.0.1, and localhost is another name."""
    url = server.url if start_tls else server.tls_url
    urls = [url.replace("127.0.0.1", "localhost")]
    with (
        opened(table(server, urls=urls, start_tls=start_tls)) as registry,
        pytest.raises(AuthenticatorError) as caught,
    ):
        ask(registry, "alice", "alice-pw")
    assert "localhost" in str(caught.value.__cause__)


def test_without_a_bundle_the_systems_authorities_count(server: Slapd) -> None:
    """And they have not signed this one."""
    more = table(server)
    del more["ca_bundle"]
    with opened(more) as registry, pytest.raises(AuthenticatorError):
        ask(registry, "alice", "alice-pw")
    assert ssl.create_default_context().check_hostname


# ------------------------------------------------------------------------- coming and going


def test_a_silent_directory_is_no_verdict(plain: Slapd) -> None:
    """Nobody is told that a password is wrong because nobody could ask."""
    with opened(table(plain, urls=[plain.url])) as registry:
        plain.stop()
        with pytest.raises(AuthenticatorError, match="does not answer just now"):
            registry.connect(Password("alice", "alice-pw"))


def test_kept_connections_survive_a_restart(plain: Slapd) -> None:
    """The pool notices that its connections have died, and opens others."""
    with opened(table(plain, urls=[plain.url], cache="0s")) as registry:
        signed_in(registry, "alice", "alice-pw")
        plain.stop()
        plain.start()
        assert signed_in(registry, "alice", "alice-pw").name == "alice"
        with pytest.raises(NotAuthenticatedError):
            ask(registry, "alice", "wrong")


def test_a_kept_connection_is_nobody_in_particular(server: Slapd) -> None:
    """Whoever was signed in over it last, people are looked up as `bind_dn`, and groups found."""
    with opened(table(server, pool=1, cache="0s", **LOOKED_UP)) as registry:
        for _ in range(2):
            with pytest.raises(NotAuthenticatedError):
                ask(registry, "alice", "wrong")
            assert signed_in(registry, "alice", "alice-pw").groups == {"admins", "developers"}
        sign_in = ldap._opened[registry]
        assert len(sign_in.directory._idle) == 1
        assert sign_in.directory._idle[0][0].password is None


def test_the_next_server_is_tried(server: Slapd) -> None:
    """Where the first does not answer."""
    with opened(table(server, urls=["ldaps://127.0.0.1:1", server.tls_url])) as registry:
        assert signed_in(registry, "alice", "alice-pw").name == "alice"


@pytest.mark.parametrize("more", [{"bind_password": "wrong"}, {"user_base": f"ou=no,{BASE}"}])
def test_a_wrong_setting_is_the_servers_fault(server: Slapd, more: dict[str, str]) -> None:
    """Not that of whoever signs in."""
    with opened(table(server, **more)) as registry, pytest.raises(AuthenticatorError) as caught:
        ask(registry, "alice", "alice-pw")
    assert "wrong" not in str(caught.value.__cause__)


def test_passwords_are_remembered_for_a_while_and_never_kept(plain: Slapd) -> None:
    """What was right is right for the time of `cache`, what was wrong is asked again."""
    with opened(table(plain, urls=[plain.url])) as registry:
        signed_in(registry, "alice", "alice-pw")
        with pytest.raises(NotAuthenticatedError):
            ask(registry, "alice", "newer")
        plain.set_password("alice", "newer")
        assert signed_in(registry, "alice", "alice-pw").name == "alice"
        assert signed_in(registry, "alice", "newer").name == "alice"
        known = ldap._opened[registry]._known
        assert len(known) == 2
        assert "alice-pw" not in repr(known)
        plain.stop()
        assert signed_in(registry, "alice", "newer").name == "alice"
        known.update({key: (found, 0.0) for key, (found, _) in known.items()})
        with pytest.raises(AuthenticatorError):
            ask(registry, "alice", "newer")


def test_without_a_cache_every_change_counts(plain: Slapd) -> None:
    """`cache = "0s"` remembers nothing."""
    with opened(table(plain, urls=[plain.url], cache="0s")) as registry:
        signed_in(registry, "alice", "alice-pw")
        plain.set_password("alice", "newer")
        with pytest.raises(NotAuthenticatedError):
            ask(registry, "alice", "alice-pw")


def test_the_pool_bounds_the_connections(server: Slapd) -> None:
    """Whoever finds no place in time is told to come again, and is not told that they are wrong."""
    with opened(table(server, pool=1, timeout="50ms")) as registry:
        directory = ldap._opened[registry].directory
        with directory._places, pytest.raises(AuthenticatorError, match="Too many"):
            ask(registry, "alice", "alice-pw")


# ---------------------------------------------------------------------------- several in a row


class Last:
    """Knows everybody whom nobody else knows."""

    @hookimpl(trylast=True)
    def repocore_authenticate(self, credentials):
        if isinstance(credentials, Password):
            return Principal(name=credentials.username, via="last")
        return None


def test_authenticators_are_asked_in_a_row(server: Slapd, tmp_path: Path) -> None:
    """Accounts, then files, then the directory, then others; a known name stops."""
    bcrypt = pytest.importorskip("bcrypt", reason="the extra htpasswd is not installed")
    users = tmp_path / "users"
    hashed = bcrypt.hashpw(b"file's", bcrypt.gensalt(4)).decode()
    users.write_text(f"bob:{hashed}\n", encoding="utf-8")
    tables = {"ldap": table(server), "htpasswd": {"file": str(users)}}
    settings = Settings(data=tmp_path, plugins=PluginSettings(tables=tables))
    with repocore.open_registry(settings=settings, plugins=[Last()]) as registry:
        registry.session(registry.admin()).accounts.add("alice", "account's")
        known = {"alice": "account's", "bob": "file's", "o'hara": "o'hara-pw", "zoe": "any"}
        via = [registry.connect(Password(*pair)).principal.via for pair in known.items()]
        assert via == ["password", "htpasswd", "ldap", "last"]
        for pair in {"alice": "alice-pw", "bob": "bob-pw", "o'hara": "any"}.items():
            with pytest.raises(NotAuthenticatedError, match="Wrong user or password"):
                registry.connect(Password(*pair))


# ------------------------------------------------------------------------------------ settings

NOWHERE = {"urls": ["ldaps://ldap.example"], "user_base": "dc=example"}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"urls": ["http://ldap.example"]}, "urls[0]: expected a URL such as ldaps://"),
        ({"urls": ["ldaps://ldap.example/dc=x"]}, "expected a URL such as ldaps://"),
        ({"urls": ["ldaps://"]}, "expected a URL such as ldaps://"),
        ({"urls": ["ldap://ldap.example"]}, "passwords would go to ldap.example unencrypted"),
        ({"urls": ["ldap://10.0.0.1", "ldaps://a.example"]}, "to 10.0.0.1 unencrypted"),
        ({"user_base": ""}, "`user_base` is missing"),
        ({"bind_dn": "cn=svc"}, "`bind_dn` wants a `bind_password`"),
        ({"user_filter": "(uid=alice)"}, "`user_filter` wants {name}"),
        ({"user_filter": "(uid={name}"}, "`user_filter` is no filter"),
        ({"user_filter": "uid={name}"}, "`user_filter` is no filter"),
        ({"group_base": "dc=x", "group_filter": "(cn=x)"}, "`group_filter` wants {dn} or {name}"),
        ({"group_filter": "((member={dn})"}, "`group_filter` is no filter"),
        ({"ca_bundle": "/none/here.pem"}, "`ca_bundle` here.pem is no readable file"),
        ({"ca_bundle": __file__}, "`ca_bundle` test_ldap.py is no readable file"),
        ({"timeout": "0s"}, "timeout: must be more than nothing"),
        ({"connect_timeout": 0}, "connect_timeout: must be more than nothing"),
        ({"pool": 0}, "pool: must be more than nothing"),
    ],
)
def test_settings_of_no_use_are_told_at_start(more: dict[str, Any], words: str) -> None:
    """In one sentence, before anybody signs in."""
    said = problem({**NOWHERE, **more})
    assert said.startswith("plugins.ldap")
    assert words in said


@pytest.mark.parametrize(
    "more",
    [
        {"urls": ["ldap://ldap.example"], "start_tls": True},
        {"urls": ["ldap://ldap.example"], "insecure": True},
        {"urls": ["ldap://localhost", "ldap://127.0.0.1:1389", "ldap://[::1]"]},
        {"urls": ["ldaps://[2001:db8::1]:636"]},
    ],
)
def test_a_directory_is_not_asked_before_it_is_needed(more: dict[str, Any]) -> None:
    """A server starts without it."""
    with opened({**NOWHERE, **more}) as registry:
        assert ldap._opened[registry].directory._idle == []


def test_a_table_without_urls_is_told_at_start() -> None:
    """Whoever writes the table wants the plugin."""
    assert problem({}) == "plugins.ldap.urls: is missing"


def test_the_password_is_a_secret(tmp_path: Path) -> None:
    """It may be kept in the environment, and is not printed."""
    (tmp_path / "repocore.toml").write_text(
        '[plugins.ldap]\nurls = ["ldaps://ldap.example"]\nuser_base = "dc=example"\n'
        'bind_dn = "cn=svc"\nbind_password = { env = "LDAP_PASSWORD" }\n',
        encoding="utf-8",
    )
    settings = load_settings(data=tmp_path, environ={"LDAP_PASSWORD": "hush-hush"})
    with repocore.open_registry(settings=settings) as registry:
        ours = registry.plugin_settings("ldap")
    assert ours.bind_password == "hush-hush"
    assert "hush-hush" not in repr(ours) + repr(settings) + dump_settings(settings)


def test_a_missing_package_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence is the command to type."""
    monkeypatch.delitem(sys.modules, "repocore.plugins.ldap.directory", raising=False)
    monkeypatch.setitem(sys.modules, "ldap3", None)
    assert problem(NOWHERE).endswith("pip install 'repocore[ldap]'")
