"""Search by words and filters, over all that one may read."""

from __future__ import annotations

import pytest
from channel_pool import package

from repocore.errors import RejectedError
from repocore.plugins.quetz.searching import Query


@pytest.fixture
def filled(quetz):
    for channel, private in (("main", False), ("edge", False), ("shut", True)):
        quetz.channel(channel, "mike", private=private, description=f"The {channel} one.")
        for subdir, name in (("noarch", "tide-1.0-0.conda"), ("linux-64", "tide-data-1.0-0.conda")):
            one = package(subdir, name, about={"summary": f"Of {name.rpartition('-1')[0]}"})
            assert quetz.upload(channel, one, "mike").status == 201
    return quetz


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("tide", ["tide@edge", "tide@main", "tide-data@edge", "tide-data@main"]),
        ("TIDE NOT data", ["tide@edge", "tide@main"]),
        ("data channel:main", ["tide-data@main"]),
        ("tide -channel:edge platform:noarch", ["tide@main"]),
        ("channel:main,edge -platform:noarch", ["tide-data@edge", "tide-data@main"]),
        ('summary:"of tide-data" channel:edge', ["tide-data@edge"]),
        ("channel:shut", []),
        ("colour:red channel:main NOT data", ["tide@main"]),
    ],
)
def test_packages_are_searched(filled, query, found) -> None:
    """Parts of names, alternatives in a filter, and what is unwanted."""
    told = filled.value(f"/api/packages/search/?q={query}".replace(" ", "%20"), who=None)
    assert [f"{one['name']}@{one['channel_name']}" for one in told] == found


def test_what_is_private_is_found_by_its_members(filled) -> None:
    """With the keys of a package and the channel's name."""
    [one] = filled.value("/api/packages/search?q=data%20channel:shut", who="mike")
    assert set(one) == {
        "name", "summary", "description", "url", "platforms", "current_version", "latest_change",
        "channel_name",
    }  # fmt: skip


def test_channels_are_searched(filled) -> None:
    """By name, description and whether they are private; three keys each."""
    told = filled.value("/api/channels/search?q=description:one", who=None)
    assert told == [
        {"name": name, "description": f"The {name} one.", "private": False}
        for name in ("edge", "main")
    ]
    assert [
        one["name"] for one in filled.value("/api/channels/search?q=private:true", who="mike")
    ] == ["shut"]
    assert [one["name"] for one in filled.value("/api/channels/search?q=NOT%20ed", who=None)] == [
        "main"
    ]


def test_what_cannot_be_searched_is_told(filled) -> None:
    """Nothing to look for, a quotation that does not end, far too much."""
    for path in ("packages", "channels"):
        assert filled.refused(f"/api/{path}/search")[0] == 422
    for text in ('"tide', "x" * 1001):
        with pytest.raises(RejectedError):
            Query.parse(text, ())
