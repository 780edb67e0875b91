"""What people write for lengths of time, sizes and secrets."""

from __future__ import annotations

import pickle
from datetime import timedelta

import pytest
from hypothesis import given, strategies as st

from repocore.config.values import (
    Secret,
    parse_duration,
    parse_size,
    write_duration,
    write_size,
)


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=40_000)))
def test_duration_survives_its_spelling(span):
    """What is written for a length of time is read as the same one."""
    assert parse_duration(write_duration(span)) == span


@given(st.integers(min_value=0, max_value=1 << 80))
def test_size_survives_its_spelling(size):
    """What is written for a size is read as the same one, however large."""
    assert parse_size(write_size(size)) == size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30s", 30), ("1h 30m", 5400), ("24h", 86400), ("7d", 604800), ("250ms", 0.25), ("5", 5)],
)
def test_durations_that_people_write(text, seconds):
    """The usual spellings mean what they say."""
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("text", "size"),
    [("10 GiB", 10 << 30), ("1.5 kB", 1500), ("512B", 512), ("7", 7), ("2m", 2_000_000)],
)
def test_sizes_that_people_write(text, size):
    """Powers of 1024 have an i, powers of 1000 have none."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "soon", "-3s", "1x", "1e400", float("nan"), -1, 1e300])
def test_no_duration(text):
    """Anything else is refused, and so is what no clock can count."""
    with pytest.raises(ValueError, match="length of time"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["", "big", "-3", "1.5", "1 iB", "3 XB", -1])
def test_no_size(text):
    """Anything else is refused."""
    with pytest.raises(ValueError, match="size"):
        parse_size(text)


@given(st.text(min_size=4))
def test_secret_is_a_text_that_does_not_show(text):
    """A secret can be used as the text that it is, and its representation says nothing."""
    secret = Secret(text)
    assert secret == text
    assert repr(secret) == repr(pickle.loads(pickle.dumps(secret))) == "Secret('***')"
