"""Sizes and times as people read them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from repocore.cli.amounts import day, minute, size


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        ((1 << 20) - 1, "1.0 MiB"),
        (5 << 40, "5.0 TiB"),
        (3 << 60, "3072.0 PiB"),
    ],
)
def test_sizes(count, text):
    """One decimal of the largest unit that leaves something before the point."""
    assert size(count) == text


def test_times():
    """A day, a minute, or nothing."""
    time = datetime(2026, 3, 1, 12, 5, 59, tzinfo=UTC)
    assert (day(time), minute(time), day(None)) == ("2026-03-01", "2026-03-01 12:05", "-")
