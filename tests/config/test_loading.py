"""Where settings come from, and which word counts."""

from __future__ import annotations

import tomllib
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from repocore.config import load_settings, locate_settings
from repocore.errors import ConfigurationError


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def problems(data: Path, text: str = "", **environ: str) -> tuple[str, ...]:
    if text:
        (data / "repocore.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_settings(data=data, environ=environ)
    return caught.value.problems


def test_nothing_said_is_enough(tmp_path, monkeypatch):
    """Without a word there is a data folder below the current one, and defaults in it."""
    monkeypatch.chdir(tmp_path)
    settings = load_settings(environ={})
    assert settings.data == tmp_path / "repocore-data"
    assert (settings.storage, settings.catalog) == ("blobs", "sqlite:///catalog.db")
    assert not settings.data.exists()


def test_arguments_go_before_the_environment(tmp_path):
    """--data and --config win over REPOCORE_DATA and REPOCORE_CONFIG, which win over the file."""
    first, second = tmp_path / "first.toml", tmp_path / "second.toml"
    first.write_text('data = "there"\n[limits]\npage = 1\n', encoding="utf-8")
    second.write_text("[limits]\npage = 2\n", encoding="utf-8")
    environ = {"REPOCORE_CONFIG": str(second), "REPOCORE_DATA": str(tmp_path / "b")}
    settings = load_settings(data=tmp_path / "a", config=first, environ=environ)
    assert (settings.data, settings.limits.page) == (tmp_path / "a", 1)
    settings = load_settings(environ=environ)
    assert (settings.data, settings.limits.page) == (tmp_path / "b", 2)
    assert load_settings(config=first, environ={}).data == tmp_path / "there"


def test_file_of_the_data_folder_is_found(data):
    """repocore.toml in the data folder is read if it is there, and only then."""
    assert locate_settings(data=data, environ={}) is None
    (data / "repocore.toml").write_text("", encoding="utf-8")
    assert locate_settings(data=data, environ={}) == data / "repocore.toml"


def test_named_file_has_to_be_there(data):
    """A settings file that was named and is missing is an error, not an empty one."""
    with pytest.raises(ConfigurationError) as caught:
        load_settings(data=data, config=data / "gone.toml", environ={})
    assert "gone.toml" in caught.value.problems[0]


def test_paths_of_the_file_are_relative_to_it(tmp_path):
    """Storage, catalog and plugin files lie beside the settings file; URLs stay."""
    file = tmp_path / "etc" / "house.toml"
    file.parent.mkdir()
    file.write_text(
        'storage = "blobs"\ncatalog = "sqlite:///x/c.db"\n[plugins]\nfiles = ["p.py"]\n',
        encoding="utf-8",
    )
    settings = load_settings(data=tmp_path / "data", config=file, environ={})
    assert settings.storage == str(tmp_path / "etc" / "blobs")
    assert settings.catalog == f"sqlite:///{tmp_path}/etc/x/c.db"
    assert settings.plugins.files == (tmp_path / "etc" / "p.py",)
    file.write_text('storage = "memory://x"\ncatalog = "postgresql://h/d"\n', encoding="utf-8")
    settings = load_settings(data=tmp_path / "data", config=file, environ={})
    assert (settings.storage, settings.catalog) == ("memory://x", "postgresql://h/d")


def test_environment_overrides_the_file(data):
    """REPOCORE__SECTION__KEY is read as TOML where it is some, else as a text, and goes first."""
    (data / "repocore.toml").write_text("[limits]\npage = 1\nchunk = 5\n", encoding="utf-8")
    settings = load_settings(
        data=data,
        environ={
            "REPOCORE__LIMITS__PAGE": "7",
            "REPOCORE__LIMITS__MAX_BODY": "10 GiB",
            "REPOCORE__LIMITS__COUNT_INTERVAL": "5",
            "REPOCORE__WEB__PUBLIC_URL": "https://packages.example",
            "REPOCORE__WEB__TRUSTED_PROXIES": '["unix", "10.0.0.0/8"]',
            "REPOCORE__REPOSITORY": '[{ name = "main", format = "conan" }]',
            "REPOCORE_ADMIN_PASSWORD": "no setting",
        },
    )
    limits = settings.limits
    assert (limits.page, limits.chunk, limits.max_body) == (7, 5, 10 << 30)
    assert limits.count_interval == timedelta(seconds=5)
    assert settings.web.public_url == "https://packages.example"
    assert settings.web.trusted_proxies == ("unix", "10.0.0.0/8")
    assert settings.repository[0].name == "main"


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0")))
def test_environment_holds_any_text(tmp_path_factory, text):
    """Where a text is expected the variable is that text, unless it is a TOML string itself."""
    environ = {"REPOCORE__WEB__SENDFILE_PREFIX": text}
    try:
        read = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        read = {}
    value = read.get("value") if len(read) == 1 else None
    data = tmp_path_factory.getbasetemp()
    if isinstance(value, list | dict):
        with pytest.raises(ConfigurationError, match="sendfile_prefix"):
            load_settings(data=data, environ=environ)
        return
    prefix = load_settings(data=data, environ=environ).web.sendfile_prefix
    assert prefix == (value if isinstance(value, str) else text)


def test_every_problem_at_once(data):
    """Unknown keys, wrong kinds, impossible values and lost references are told together."""
    found = problems(
        data,
        """
        colour = 1
        catalog = { env = "NOBODY_SET_THIS" }
        [web]
        publc_url = "x"
        trusted_proxies = ["10.0.0.0/8", 5, "elsewhere"]
        sendfile = "nginx"
        root = "conda/forge"
        [[repository]]
        name = "t"
        format = "conan"
        policy = { quota = -1 }
        [[repository]]
        format = "conan"
        [[rule]]
        subject = "everyone"
        actions = ["read", "wrte"]
        pattern = "a//b"
        [limits]
        chunk = true
        page = 0
        [plugins]
        load = ["not a module"]
        [plugins.oauth]
        secret = { file = "gone" }
        """,
        REPOCORE__WEB__PUBLIC_URL="ftp://x",
        REPOCORE____X="1",
    )
    about = [problem.partition(": ")[0] for problem in found]
    assert sorted(about) == [
        "REPOCORE____X",
        "catalog",
        "colour",
        "limits.chunk",
        "limits.page",
        "plugins.load[0]",
        "plugins.oauth.secret",
        "repository[0].name",
        "repository[0].policy.quota",
        "repository[1].name",
        "rule[0].actions[1]",
        "rule[0].pattern",
        "rule[0].subject",
        "web.publc_url",
        "web.public_url",
        "web.root",
        "web.sendfile",
        "web.trusted_proxies[1]",
        "web.trusted_proxies[2]",
    ]
    assert any("did you mean public_url?" in problem for problem in found)
    assert any("did you mean write?" in problem for problem in found)


@pytest.mark.parametrize(
    ("name", "right"),
    [
        ("REPOCORE_LIMITS_PAGE", "REPOCORE__LIMITS__PAGE"),
        ("REPOCORE_STORGE", "REPOCORE__STORAGE"),
        ("REPOCORE_WEB_PUBLIC_URL", "REPOCORE__WEB__PUBLIC_URL"),
        ("REPOCORE_PORT_9300_TCP", None),
        ("REPOCORE_SERVICE_HOST", None),
        ("REPOCORE_DATA", None),
    ],
)
def test_underscore_that_is_missing_is_told(tmp_path, name, right):
    """A variable meant for us is not passed over; what a cluster sets for its services is."""
    environ = {name: str(tmp_path)}
    if right is None:
        load_settings(data=tmp_path, environ=environ)
    else:
        with pytest.raises(ConfigurationError, match=f"{name}: .* write {right}$"):
            load_settings(data=tmp_path, environ=environ)


def test_syntax_is_told_with_its_line(data):
    """What is no TOML is told with its line, and the environment's problems with it."""
    found = problems(data, "storage = 'a'\npage 5\n", REPOCORE__LIMITS__PAGE="0")
    assert "repocore.toml" in found[0]
    assert "line 2" in found[0]
    assert found[1].startswith("limits.page")


def test_bytes_that_are_no_text_are_told(data):
    """A file that is not UTF-8 is a problem like any other."""
    (data / "repocore.toml").write_bytes(b"storage = '\xff'")
    assert "repocore.toml" in problems(data)[0]


def test_a_value_is_no_table(data):
    """The environment cannot reach below something that is not a table."""
    assert "storage" in problems(data, "storage = 'a'", REPOCORE__STORAGE__X="1")[0]


def test_repository_stands_there_once(data):
    """Two repositories of one address are an error."""
    entry = '[[repository]]\nname = "main"\nformat = "conan"\n'
    assert problems(data, entry * 2) == ("repository[1]: conan/main stands there twice",)


def test_a_plugins_only_setting_may_be_a_file(data):
    """`[plugins.x] file = "…"` is a table with a setting; only values are taken from elsewhere."""
    (data / "repocore.toml").write_text('[plugins.x]\nfile = "users"\n', encoding="utf-8")
    assert load_settings(data=data, environ={}).plugins.tables == {"x": {"file": "users"}}


def test_references_are_followed_anywhere(data):
    """Wherever a text is expected it may be kept in the environment or in a file."""
    (data / "key").write_text("s3cret-of-a-file\n", encoding="utf-8")
    (data / "repocore.toml").write_text(
        'catalog = { env = "URL" }\nstorage_options = { k = { file = "key" } }\n'
        '[plugins.x]\nlist = [{ file = "key" }]\n',
        encoding="utf-8",
    )
    settings = load_settings(data=data, environ={"URL": "postgresql://u:pw@h/d"})
    assert settings.catalog == "postgresql://u:pw@h/d"
    assert settings.storage_options == {"k": "s3cret-of-a-file"}
    assert settings.plugins.tables["x"]["list"] == ["s3cret-of-a-file"]
    assert "s3cret" not in repr(settings)
    assert "pw@" not in repr(settings)
