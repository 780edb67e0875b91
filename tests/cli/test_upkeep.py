"""``init``, ``check``, ``gc``, ``config`` and ``plugins``."""

from __future__ import annotations

import io
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from repocore import Password, open_registry
from repocore.cli.group import root
from repocore.config import load_settings
from repocore.errors import ConfigurationError
from repocore_web import metrics

PATH = "zlib/1.3/_/_/4a1/export/"


def test_init_shows_the_password_once(program):
    """The first call makes an administrator, later calls say that it is there."""
    made = program.json("init")
    with open_registry(program.data) as registry:
        password = made["administrator"]["password"]
        assert registry.authenticate(Password("admin", password)).name == "admin"
    again = program("init").stdout
    assert password not in again
    assert "there already" in again


def test_check_says_by_its_status(house):
    """A stored object that has gone makes the status 1 and is told."""
    with open_registry(house.data) as registry:
        files = registry.session(registry.admin()).files
        files.put("conan/main", PATH + "conanfile.py", io.BytesIO(b"x = 1"))
        files.put("conan/main", PATH + "conanmanifest.txt", io.BytesIO(b"1\n"))
    assert house.json("check", "--read-data")["ok"]
    assert house.json("check", "--read-data", "100%")["read"] == 2
    assert house.json("check", "--read-data=50%")["read"] + house.json("check")["read"] <= 2
    assert "as in 5%" in house.refused("check", "--read-data=half")["error"]
    stored = [path for path in (house.data / "blobs" / "sha256").rglob("*") if path.is_file()]
    stored[0].unlink()
    told = house("check", "--json", status=1)
    assert '"ok": false' in told.stdout
    assert "missing" in house("check", status=1).stdout


def test_gc_takes_unfinished_uploads(house):
    """Nothing within the grace period, all of it with --now."""
    with open_registry(house.data) as registry:
        session = registry.session(registry.admin())
        session.files.put("conan/main", PATH + "conanfile.py", io.BytesIO(b"x = 1"))
    assert house.json("gc")["drafts"] == 0
    assert house.json("gc", "--now")["drafts"] == 1


def test_config_show_can_be_read_again(house, tmp_path):
    """What it prints are settings, and none of them is a secret."""
    (house.data / "repocore.toml").write_text(
        '[limits]\npage = 5\n[storage_options]\n[web]\npublic_url = "https://packages.example"\n',
        encoding="utf-8",
    )
    file = tmp_path / "again.toml"
    file.write_text(house("config", "show").stdout, encoding="utf-8")
    assert load_settings(config=file, environ={}).limits.page == 5
    assert house.json("config", "show")["limits"]["page"] == 5


def test_config_show_keeps_secrets(house, monkeypatch):
    """A password in the address of the database is not printed."""
    monkeypatch.setenv("REPOCORE__CATALOG", "postgresql://user:hush@127.0.0.1/d")
    shown = house("config", "show").stdout
    assert "hush" not in shown
    assert tomllib.loads(shown)["catalog"] == "postgresql://user:***@127.0.0.1/d"


BOUND = """
[[account]]
name = "olga"
groups = ["crew"]
[[binding]]
subject = "user:%s"
role = "%s"
pattern = "conan/main/**"
"""


def test_config_check_changes_nothing(program):
    """Settings are tried before there is anything, and the folder is left as it was."""
    program.data.mkdir()
    file = program.data / "repocore.toml"
    file.write_text(BOUND % ("olga", "viewer"), encoding="utf-8")
    [warning] = program.json("config", "check")["warnings"]
    assert warning == "binding[0].pattern: there is no repository conan/main."
    assert [*program.data.iterdir()] == [file]
    file.write_text(BOUND % ("olga", "admiral"), encoding="utf-8")
    told = program("config", "check", status=1).stderr
    assert "binding[0].role: there is no role admiral" in told


def test_config_check_tries_the_application(house, monkeypatch):
    """What only a server would find is found before it is one."""
    (house.data / "repocore.toml").write_text("[web]\nmetrics = true\n", encoding="utf-8")
    assert house.json("config", "check")["ok"]

    def missing():
        raise ConfigurationError("pip install it")

    monkeypatch.setattr(metrics, "_package", missing)
    assert house.refused("config", "check")["error"] == "pip install it"


def test_config_check_asks_the_catalog(house):
    """Of names that the settings have not; accounts of the settings are not made by it."""
    file = house.data / "repocore.toml"
    file.write_text(BOUND % ("admin", "viewer"), encoding="utf-8")
    assert house.json("config", "check") == {"ok": True, "warnings": []}
    (house.data / "repocore.toml").write_text('catalog = "postgresql://app@127.0.0.1:1/none"\n')
    assert "check `catalog` in the settings" in house.refused("config", "check")["error"]
    file.write_text(BOUND % ("nobody", "viewer"), encoding="utf-8")
    assert (
        "WARNING: binding[0].subject: there is no account nobody" in house("config", "check").stderr
    )
    file.unlink()
    assert [account["name"] for account in house.json("user", "list")] == ["admin"]


def test_read_only(house):
    """Commands that change something say why they do not; others work."""
    (house.data / "repocore.toml").write_text("read_only = true\n", encoding="utf-8")
    for words in (("repo", "create", "conan/new"), ("gc", "--now"), ("token", "create", "admin")):
        assert house.refused(*words)["kind"] == "ReadOnlyError"
    assert house.json("check")["ok"]


def test_config_path(program, monkeypatch):
    """It says which folder and which file count, without making either."""
    assert program.json("config", "path") == {"data": str(program.data), "config": None}
    assert not program.data.exists()
    monkeypatch.setenv("REPOCORE_CONFIG", str(program.data / "other.toml"))
    assert program.json("config", "path")["config"].endswith("other.toml")


def test_every_problem_of_the_settings_is_told(program):
    """A command with bad settings ends with all of them, and no traceback."""
    program.data.mkdir()
    (program.data / "repocore.toml").write_text("pge = 1\n[limits]\npage = 0\n", encoding="utf-8")
    told = program("repo", "list", status=1).stderr
    assert "pge" in told
    assert "limits.page" in told
    assert "Traceback" not in told


def test_plugins_are_listed_with_their_hooks(house, monkeypatch):
    """Each plugin with what it answers, and those that are disabled."""
    told = house.json("plugins")
    hooks = {plugin["name"]: plugin["hooks"] for plugin in told["plugins"]}
    assert "repocore_formats" in hooks["repocore.plugins.conan"]
    monkeypatch.setenv("REPOCORE__PLUGINS__DISABLED", '["repocore.plugins.tokens"]')
    assert house.json("plugins")["disabled"] == ["repocore.plugins.tokens"]


@pytest.mark.parametrize("name", ["REPOCORE_DATA", "--data"])
def test_data_folder_is_named_either_way(tmp_path, monkeypatch, name):
    """REPOCORE_DATA and --data mean the same for every command, before or after its name."""
    folder = str(tmp_path / "here")
    words = ["config", "path"]
    if name == "REPOCORE_DATA":
        monkeypatch.setenv(name, folder)
        assert folder in CliRunner().invoke(root, words).stdout
    else:
        assert folder in CliRunner().invoke(root, [*words, name, folder]).stdout
        assert folder in CliRunner().invoke(root, [name, folder, *words]).stdout


def test_default_data_folder(tmp_path, monkeypatch):
    """Without a word it is ./repocore-data."""
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(root, ["config", "path"])
    assert str(Path(tmp_path, "repocore-data")) in done.stdout
