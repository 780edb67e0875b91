"""A server.conf as settings: in memory, and as a file that reads the same."""

from __future__ import annotations

import tomllib
from datetime import timedelta
from pathlib import Path

import pytest
from old_tree import CONF

import repocore
from repocore import Password
from repocore.config import Secret, load_settings, write_toml
from repocore.plugins.conan.conversion import settings_table
from repocore.plugins.conan.server_conf import read_server_conf


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "server.conf").write_text(CONF, encoding="utf-8")
    for kind in ("authenticator", "authorizer"):
        (tmp_path / "plugins" / kind).mkdir(parents=True)
        (tmp_path / "plugins" / kind / "mine.py").write_text("", encoding="utf-8")
    return tmp_path


def test_settings_of_a_server_conf(home, tmp_path):
    """All that it says is in force."""
    environ = {"CONAN_HOST_NAME": "packages.example", "CONAN_SSL_ENABLED": "True"}
    table = settings_table(read_server_conf(home, environ), hashed=False)
    settings = load_settings(data=tmp_path / "ours", environ={}, beneath=table)
    assert settings.web.root == "conan/main"
    assert settings.web.public_url == "https://packages.example:9300"
    assert settings.limits.login_lifetime == timedelta(hours=2)
    with repocore.open_registry(settings=settings) as registry:
        assert [r.address for r in registry.session(registry.admin()).repositories.list()] == [
            "conan/main"
        ]
        assert registry.authenticate(Password("demo", "de mo")).name == "demo"
        conan = registry.plugin_settings("conan")
        assert (conan.forbid, conan.url_lifetime) == (True, timedelta(minutes=30))
        assert isinstance(conan.jwt_secret, Secret)


def test_file_reads_the_same(home, tmp_path):
    """But for passwords, of which it has hashes."""
    conf = read_server_conf(home, {})
    text = write_toml(settings_table(conf, hashed=True))
    assert "de mo" not in text
    (tmp_path / "repocore.toml").write_text(text, encoding="utf-8")
    written = load_settings(data=tmp_path, environ={})
    said = load_settings(data=tmp_path, environ={}, beneath=settings_table(conf, hashed=False))
    assert (written.rule, written.web, written.limits) == (said.rule, said.web, said.limits)
    with repocore.open_registry(settings=written) as registry:
        assert registry.authenticate(Password("demo", "de mo")).name == "demo"


def test_file_and_environment_go_before_it(home, tmp_path):
    """What is written for repocore itself is the last word."""
    table = settings_table(read_server_conf(home, {}), hashed=False)
    (tmp_path / "repocore.toml").write_text('[limits]\nlogin_lifetime = "1h"\n', encoding="utf-8")
    environ = {"REPOCORE__WEB__PUBLIC_URL": "https://other.example"}
    settings = load_settings(data=tmp_path, environ=environ, beneath=table)
    assert settings.limits.login_lifetime == timedelta(hours=1)
    assert settings.web.public_url == "https://other.example"
    assert settings.web.root == "conan/main"
    assert "login_lifetime" in table["limits"]  # what was given is not changed


def test_plugins_are_named(home):
    """By their whole paths, and beside them neither users nor rules."""
    environ = {"CONAN_CUSTOM_AUTHENTICATOR": "mine", "CONAN_CUSTOM_AUTHORIZER": "mine"}
    table = settings_table(read_server_conf(home, environ), hashed=True)
    text = tomllib.loads(write_toml(table))
    assert text["plugins"]["conan"]["authenticator"] == str(home / "plugins/authenticator/mine.py")
    assert text["plugins"]["conan"]["authorizer"] == str(home / "plugins/authorizer/mine.py")
    assert "users" not in text["plugins"]["conan"]
    assert text["rule"] == []
