"""``[jobs]`` and ``[[schedule]]``: what is accepted, and when a schedule is due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from repocore.config import JobSettings, ScheduleSettings, dump_settings, load_settings
from repocore.errors import ConfigurationError

NOON = datetime(2024, 2, 28, 12, tzinfo=UTC)


def load(folder, text):
    (folder / "repocore.toml").write_text(text, encoding="utf-8")
    return load_settings(data=folder, environ={})


def test_every_setting_is_read(tmp_path):
    """Lengths of time, sizes and numbers, as everywhere."""
    text = """
        runner = "threads:2"
        [jobs]
        attempts = 2
        backoff = "1m"
        lease = "5m"
        interval = "2s"
        output = "2 MiB"
        keep = "7d"
    """
    settings = load(tmp_path, text)
    assert settings.runner == "threads:2"
    assert settings.jobs == JobSettings(
        attempts=2,
        backoff=timedelta(minutes=1),
        lease=timedelta(minutes=5),
        interval=timedelta(seconds=2),
        output=2 << 20,
        keep=timedelta(days=7),
    )


@pytest.mark.parametrize("key", ["attempts", "backoff", "lease", "interval", "output", "keep"])
def test_nothing_is_too_little(tmp_path, key):
    """None of them is 0."""
    with pytest.raises(ConfigurationError, match=rf"jobs\.{key}"):
        load(tmp_path, f"[jobs]\n{key} = 0\n")


def test_a_schedule_says_how_often_or_when(tmp_path):
    """By a length of time, or as cron does, in UTC."""
    text = """
        [[schedule]]
        job = "retention"
        every = "1d"
        [[schedule]]
        job = "check"
        cron = "30 3 * * sun"
        payload = { read_data = true }
        name = "weekly"
    """
    daily, weekly = load(tmp_path, text).schedule
    assert daily.following(NOON) == NOON + timedelta(days=1)
    assert (daily.known_as, weekly.known_as) == ("retention", "weekly")
    assert weekly.payload == {"read_data": True}
    assert weekly.following(NOON) == datetime(2024, 3, 3, 3, 30, tzinfo=UTC)
    elsewhere = NOON.astimezone(timezone(timedelta(hours=9)))
    assert weekly.following(elsewhere) == weekly.following(NOON)
    assert daily.rhythm != weekly.rhythm


def test_a_moment_of_cron_is_followed_by_another(tmp_path):
    """Strictly later, so that one moment is one job."""
    schedule = ScheduleSettings(job="gc", cron="0 12 * * *")
    assert schedule.following(NOON) == NOON + timedelta(days=1)


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("", "every or cron"),
        ('every = "1d"\ncron = "0 3 * * *"', "every or cron"),
        ('every = "0s"', "more than nothing"),
        ('cron = "daily"', "fields of cron"),
        ('cron = "61 * * * *"', "fields of cron"),
        ('cron = "0 0 30 2 *"', "fields of cron"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(tmp_path, lines, problem):
    """With its place, and what to write."""
    with pytest.raises(ConfigurationError, match=rf"schedule\[0\].*{problem}"):
        load(tmp_path, f'[[schedule]]\njob = "gc"\n{lines}\n')


def test_two_schedules_have_two_names(tmp_path):
    """Else one would hide the other."""
    text = '[[schedule]]\njob = "gc"\nevery = "1d"\n'
    with pytest.raises(ConfigurationError, match="two are known as gc"):
        load(tmp_path, text * 2)
    assert len(load(tmp_path, f'{text}{text}name = "other"\n').schedule) == 2


def test_what_is_written_is_read_again(tmp_path):
    """Schedules and jobs as TOML mean the same."""
    settings = load(
        tmp_path,
        '[jobs]\noutput = "3 MiB"\n[[schedule]]\njob = "gc"\nevery = "36h"\n'
        '[[schedule]]\njob = "check"\ncron = "0 * * * *"\npayload = { deep = [1, "x"] }\n',
    )
    file = tmp_path / "again.toml"
    file.write_text(dump_settings(settings), encoding="utf-8")
    again = load_settings(config=file, environ={})
    assert (again.schedule, again.jobs) == (settings.schedule, settings.jobs)
