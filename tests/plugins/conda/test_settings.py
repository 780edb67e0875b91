"""Settings of the plugin and options of a channel: every mistake is told, at once and in words."""

from __future__ import annotations

from datetime import timedelta

import pytest

from repocore.config import structure_table
from repocore.errors import ConfigurationError
from repocore.plugins.conda.settings import CondaSettings, channel_options

NOTICE = {"id": "1", "message": "Low water.", "created_at": "2026-11-20T12:00:00+00:00"}


def problems(options) -> str:
    with pytest.raises(ConfigurationError) as caught:
        channel_options(options)
    return "\n".join(caught.value.problems)


def test_settings_have_defaults():
    """A level that is quick, and no encoding that nobody asks for."""
    settings = CondaSettings()
    assert (settings.zstd_level, settings.bz2) == (3, False)


@pytest.mark.parametrize("level", [0, 20, -1])
def test_a_level_has_bounds(level):
    """Beyond them a reader would need memory that it may not have."""
    with pytest.raises(ConfigurationError, match="zstd_level: must be from 1 to 19"):
        structure_table("conda", CondaSettings, {"zstd_level": level})


def test_a_channel_need_not_say_anything():
    """Without options, packages are beside their index and no other channel goes with this one."""
    options = channel_options({})
    assert options.base_url_of("noarch") == ""
    assert options.channel_relations.document() == {}
    assert options.notices == ()


@pytest.mark.parametrize("base", ["https://cdn.example/c", "https://cdn.example/c/", "../../files"])
def test_a_base_url_ends_in_the_subdir(base):
    """Whether it has a slash at its end or not."""
    assert (
        channel_options({"base_url": base}).base_url_of("noarch") == f"{base.rstrip('/')}/noarch/"
    )


@pytest.mark.parametrize(
    "base",
    [
        "ftp://cdn.example",
        "https:///c",
        "//cdn.example/c",
        "https://me:secret@cdn.example/c",
        "https://cdn.example/c?x=1",
        "https://cdn.example/#c",
        "https://cdn.example/a b",
        "https://cdn.example/\n",
    ],
)
def test_a_base_url_is_one(base):
    """What clients cannot use, or everybody could read a password from, is refused."""
    told = problems({"base_url": base})
    assert "options.base_url: " in told
    assert "secret" not in told


@pytest.mark.parametrize("path", ["../other", "../..", "../../a/b", "../a.b-c_d"])
def test_relations_are_paths_that_leave_the_channel(path):
    """The form of CEP 42."""
    options = channel_options({"channel_relations": {"base": path}})
    assert options.channel_relations.document() == {"base": path}


@pytest.mark.parametrize(
    "path", ["other", "./other", "..", "../", "/other", "https://a.example", "../a//b", "../a b"]
)
def test_other_relations_are_refused(path):
    """A channel cannot send clients to wherever it likes."""
    assert "../other" in problems({"channel_relations": {"overrides": path}})


def test_a_channel_is_not_before_and_after_another():
    """Both relations to the same channel are an error for clients (CEP 42)."""
    relations = {"base": "../a", "overrides": "../a"}
    assert "the same channel" in problems({"channel_relations": relations})


def test_notices_are_as_clients_read_them():
    """Level and times as CEP 6 has them; what is not said is not there."""
    [notice] = channel_options({"notices": [NOTICE]}).notices
    assert notice.document() == {**NOTICE, "level": "info"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"level": "loud"}, "options.notices[0].level: expected one of info, warning, critical"),
        ({"created_at": "yesterday"}, "options.notices[0].created_at: expected a time"),
        ({"expires_at": "2026-11-20T12:00:00"}, "options.notices[0].expires_at: expected a time"),
        ({"message": " "}, "options.notices[0].message: expected some text"),
        ({"colour": "red"}, "options.notices[0].colour: there is no such setting"),
    ],
)
def test_a_notice_that_clients_cannot_read_is_refused(change, told):
    """Each mistake is told with its place."""
    assert told in problems({"notices": [{**NOTICE, **change}]})


def test_two_notices_are_told_apart():
    """Clients remember by its name what they have shown."""
    assert "two are called 1" in problems({"notices": [NOTICE, NOTICE]})


def test_all_mistakes_are_told():
    """One look is enough to mend them."""
    told = problems({"base_url": "x y", "index_versions": {"python": []}, "colour": "red"})
    assert all(key in told for key in ("base_url", "index_versions", "colour"))


def test_values_that_json_has_not_are_read_too():
    """Options that never were JSON are checked the same."""
    assert "options.base_url" in problems({"base_url": timedelta(1)})
