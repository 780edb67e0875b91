"""What the settings say of those who let people in, and what they must not say."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from repocore.config import ProviderKind, Secret, load_settings
from repocore.errors import ConfigurationError

GITHUB = {"name": "hub", "kind": "github", "client_id": "c", "base_url": "https://hub.example"}
PLAIN = {
    "name": "own", "kind": "oauth2", "client_id": "c", "authorize_url": "https://x.example/a?b",
    "token_url": "https://x.example/t", "user_url": "https://x.example/u", "user_key": "login",
}  # fmt: skip


def load(tmp_path: Path, table: str):
    (tmp_path / "repocore.toml").write_text(table, encoding="utf-8")
    return load_settings(data=tmp_path, environ={"OAUTH_SECRET": "hush"})


def one(tmp_path: Path, **given: object):
    lines = []
    for key, value in given.items():
        if isinstance(value, dict):
            inner = ", ".join(f'{name} = "{word}"' for name, word in value.items())
            lines.append(f"{key} = {{ {inner} }}")
        elif isinstance(value, bool):
            lines.append(f"{key} = {str(value).lower()}")
        elif isinstance(value, list):
            lines.append(f"{key} = {value}")
        else:
            lines.append(f'{key} = "{value}"')
    return load(tmp_path, "\n".join(["[[provider]]", *lines])).provider[0]


def test_a_provider_is_read(tmp_path):
    """Each of its settings."""
    found = one(
        tmp_path,
        **GITHUB,
        title="The Hub",
        client_secret={"env": "OAUTH_SECRET"},
        client_auth="post",
        api_url="https://api.hub.example",
        scope="read:user",
        callback="https://packages.example/auth/hub/callback",
        username="login",
        groups={"core": "writers"},
        allowed_domains=["team.example"],
        organisations=["core"],
        create=False,
        link="email",
        ca_bundle="/etc/ssl/own.pem",
        proxy="http://proxy.example:3128",
        allow=["10.0.0.0/8"],
        insecure=False,
    )
    assert found.kind is ProviderKind.GITHUB
    assert found.client_secret == "hush"
    assert "hush" not in repr(found)
    assert found.groups == {"core": "writers"}
    assert isinstance(found.proxy, Secret)
    assert found.ca_bundle == Path("/etc/ssl/own.pem")
    assert (found.allowed_domains, found.organisations) == (("team.example",), ("core",))
    assert (found.create, found.link, found.allow) == (False, "email", ("10.0.0.0/8",))


def test_defaults_are_careful(tmp_path):
    """Nobody is linked by an address unless that is said."""
    found = one(tmp_path, **PLAIN, subject_key="id", groups_key="teams")
    assert (found.link, found.create, found.allow, found.insecure) == ("never", True, (), False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "Hub"}, "small letters"),
        ({"name": "login"}, "none of"),
        ({"name": "session"}, "none of"),
        ({"name": "header"}, "none of"),
        ({"kind": "gitea"}, "expected one of oidc"),
        ({"client_id": " "}, "expected some text"),
        ({"base_url": "hub.example"}, "expected a URL"),
        ({"base_url": "https://me@hub.example"}, "without a user"),
        ({"base_url": "https://hub.example/#x"}, "without a fragment"),
        ({"base_url": "https://hub.example/?x"}, "without a query"),
        ({"base_url": "http://hub.example"}, "unencrypted"),
        ({"base_url": "https://hub.example", "api_url": "http://hub.example"}, "unencrypted"),
        ({"client_auth": "jwt"}, "basic"),
        ({"link": "name"}, "never"),
        ({"groups": {"core": "a b"}}, "A name has"),
        ({"allowed_domains": ["@x"]}, "name of a domain"),
        ({"ca_bundle": "own.pem"}, "whole path"),
        ({"colour": "red"}, "no such setting"),
        ({"kind": "oidc"}, "wants `issuer`"),
        ({"kind": "google"}, "wants `issuer`"),
        ({"kind": "entra"}, "wants `issuer`"),
        ({"kind": "oauth2"}, "wants `authorize_url`"),
    ],
)
def test_mistakes_are_told(tmp_path, change, words):
    """With the place, and a sentence."""
    with pytest.raises(ConfigurationError) as caught:
        one(tmp_path, **{**GITHUB, **change})
    assert "provider[0]" in str(caught.value)
    assert words in str(caught.value)


def test_what_a_preset_needs_is_told(tmp_path):
    """There is no place that everybody means."""
    for kind in ("github", "gitlab", "jupyterhub"):
        with pytest.raises(ConfigurationError, match="wants `base_url`"):
            one(tmp_path, name="x", kind=kind, client_id="c")


def test_plain_http_stays_at_home(tmp_path):
    """On loopback, or where somebody says so."""
    assert one(tmp_path, **{**GITHUB, "base_url": "http://127.0.0.1:1"}).base_url
    assert one(tmp_path, **{**GITHUB, "base_url": "http://localhost:1"}).base_url
    assert one(tmp_path, **{**GITHUB, "base_url": "http://hub.example", "insecure": True}).insecure


def test_names_are_given_once(tmp_path):
    """Two of one name would be one place."""
    table = (
        '[[provider]]\nname = "x"\nkind = "oidc"\nclient_id = "c"\nissuer = "https://x.example"\n'
    )
    with pytest.raises(ConfigurationError, match="two have the same name"):
        load(tmp_path, table * 2)


def test_the_session_is_read(tmp_path):
    """Name, domain, lifetime, whether https only; nobody is a developer unless that is said."""
    assert load(tmp_path, "").session.dev_login is False
    text = (
        '[session]\ncookie = "pkg"\ndomain = "team.example"\nlifetime = "1h"\nsecure = true\n'
        "dev_login = true\n"
    )
    found = load(tmp_path, text).session
    assert (found.cookie, found.domain, found.secure) == ("pkg", "team.example", True)
    assert (found.lifetime, found.dev_login) == (timedelta(hours=1), True)


@pytest.mark.parametrize(
    "table",
    ['[session]\ncookie = "a b"', '[session]\ndomain = ".x"', '[session]\nlifetime = "0s"',
     '[web]\nuser_header = "X_Remote_User"', '[web]\ngroups_header = "a b"',
     '[web]\nemail_header = ""'],
)  # fmt: skip
def test_other_mistakes_are_told(tmp_path, table):
    """A field with an underscore is one that a proxy may let through from anybody."""
    with pytest.raises(ConfigurationError):
        load(tmp_path, table)


def test_the_fields_of_a_proxy(tmp_path):
    """Who, their groups and address, and whether they get an account."""
    found = load(
        tmp_path,
        '[web]\nuser_header = "X-Remote-User"\ngroups_header = "X-Groups"\n'
        'email_header = "X-Email"\nuser_create = true\n',
    ).web
    assert (found.user_header, found.groups_header) == ("X-Remote-User", "X-Groups")
    assert (found.email_header, found.user_create) == ("X-Email", True)
