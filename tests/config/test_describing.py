"""Settings in words, and as TOML without secrets."""

from __future__ import annotations

import tomllib
from datetime import timedelta
from pathlib import Path

import attrs
import pytest
from hypothesis import given, strategies as st

from repocore.config import (
    LimitSettings,
    PluginSettings,
    RepositorySettings,
    RuleSettings,
    Secret,
    Settings,
    WebSettings,
    describe_settings,
    dump_settings,
    load_settings,
)
from repocore.model import Action, Effect, Policy

# A hash of a password is not shown, wherever it stands.
TEXT = st.text(st.characters(codec="utf-8"), max_size=20).filter(lambda t: "$argon2" not in t)
SPANS = st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=900))
SETTINGS = st.builds(
    Settings,
    data=st.just(Path("/srv/house")),
    storage=st.sampled_from(["/srv/blobs", "memory://x"]),
    catalog=st.sampled_from(["sqlite:////srv/c.db", "postgresql://h/d"]),
    storage_options=st.dictionaries(st.sampled_from(["anon", "a b", ""]), TEXT | st.booleans()),
    repository=st.lists(
        st.builds(
            RepositorySettings,
            name=st.from_regex(r"[a-s][a-z0-9]{0,5}", fullmatch=True),
            format=st.sampled_from(["conan", "conda"]),
            description=TEXT,
            private=st.booleans(),
            policy=st.builds(
                Policy,
                overwrite=st.booleans(),
                quota=st.none() | st.integers(min_value=0, max_value=1 << 70),
            ),
        ),
        unique_by=lambda repository: (repository.format, repository.name),
        max_size=3,
    ).map(tuple),
    rule=st.builds(
        RuleSettings,
        subject=st.sampled_from(["*", "user:ann"]),
        actions=st.lists(st.sampled_from(Action), min_size=1, max_size=3).map(tuple),
        pattern=st.just("conan/*/**"),
        effect=st.sampled_from(Effect),
    ).map(lambda rule: (rule,)),
    web=st.builds(WebSettings, sendfile_prefix=TEXT, redirect_lifetime=SPANS),
    limits=st.builds(LimitSettings, max_body=st.integers(min_value=1), draft_lifetime=SPANS),
    plugins=st.builds(PluginSettings, disabled=st.lists(TEXT, max_size=2).map(tuple)),
)


@given(SETTINGS)
def test_what_is_written_is_read_again(tmp_path_factory, settings):
    """The TOML of settings without secrets means these settings."""
    file = tmp_path_factory.mktemp("settings") / "house.toml"
    file.write_text(dump_settings(settings), encoding="utf-8")
    assert load_settings(config=file, environ={}) == settings


@pytest.mark.parametrize(
    "changes",
    [
        {"catalog": Secret("postgresql://u:hush@h/d")},
        {"catalog": "postgresql://u:hush@h/d"},
        {"catalog": "postgresql://h/d?password=hush"},
        {"storage": Secret("s3://hush")},
        {"storage_options": {"secret": "hush", "deep": [{"api_key": "hush"}]}},
        {"plugins": PluginSettings(tables={"x": {"any": Secret("hush"), "password": "hush"}})},
    ],
)
def test_secrets_are_never_written(changes):
    """Neither what came from elsewhere, nor a password in a URL, nor what a name calls secret."""
    text = dump_settings(attrs.evolve(Settings(data=Path("/srv")), **changes))
    assert "hush" not in text
    assert "***" in text
    tomllib.loads(text)


def test_every_setting_is_described():
    """Each has a type and a meaning; those without a default are required."""
    described = describe_settings()
    assert [entry for entry in described if not entry.help.endswith(".") or not entry.type] == []
    keys = {entry.key: entry for entry in described}
    assert len(keys) == len(described)
    assert keys["limits.max_body"].default == '"64 GiB"'
    assert keys["repository[].name"].default is None
    assert keys["web.public_url"].default == ""
    assert keys["rule[].effect"].type == "allow | deny"
