"""Packages and versions: exact keys, the newest first, and nothing of what one may not read."""

from __future__ import annotations

import uuid

import pytest
from channel_pool import package

MAIN = "/api/channels/main"
PACKAGE = {
    "name", "summary", "description", "url", "platforms", "current_version", "latest_change",
}  # fmt: skip
VERSION = {
    "id", "channel_name", "package_name", "platform", "version", "build_string", "build_number",
    "filename", "info", "uploader", "time_created", "download_count",
}  # fmt: skip
ABOUT = {"summary": "Tides.", "description": "High and low.", "home": "http://tide.example"}


@pytest.fixture
def filled(quetz, zlib):
    """Three versions of a package in two formats and subdirs, and another package."""
    quetz.channel("main", "mike")
    for subdir, name in (
        ("noarch", "tide-1.9-0.tar.bz2"),
        ("noarch", "tide-1.10-0.conda"),
        ("linux-64", "tide-1.10-1.conda"),
    ):
        assert quetz.upload("main", package(subdir, name, about=ABOUT), "mike").status == 201
    assert quetz.upload("main", zlib, "mike").status == 201
    return quetz


def names(quetz, query: str = "", who: str | None = None) -> list[str]:
    return [one["name"] for one in quetz.value(f"{MAIN}/packages{query}", who=who)]


def test_packages_of_a_channel(filled) -> None:
    """Seven keys; the newest version of any platform and format is the current one."""
    tide, zlib = filled.value(f"{MAIN}/packages", who=None)
    assert set(tide) == set(zlib) == PACKAGE
    assert (tide["summary"], tide["description"]) == ("Tides.", "High and low.")
    assert tide["url"] == "http://tide.example"
    assert tide["platforms"] == ["linux-64", "noarch"]
    assert tide["current_version"] == "1.10"
    assert (
        tide["latest_change"] >= filled.value(f"{MAIN}/packages/tide/versions")[-1]["time_created"]
    )
    assert filled.value(f"{MAIN}/packages/tide", who=None) == tide


def test_packages_are_found_and_ordered(filled) -> None:
    """Counted once each, whatever the number of their files."""
    assert names(filled, "?q=TID") == ["tide"]
    assert names(filled, "?order_by=name:desc") == ["zlib", "tide"]
    assert names(filled, "?order_by=current_version:desc,name") == ["zlib", "tide"]
    assert names(filled, "?order_by=") == ["tide", "zlib"]
    assert filled.refused(f"{MAIN}/packages?order_by=colour")[0] == 422
    page = filled.value("/api/paginated/channels/main/packages?limit=1&skip=1")
    assert page["pagination"]["all_records_count"] == 2
    assert [one["name"] for one in page["result"]] == ["zlib"]


def test_versions_of_a_package(filled) -> None:
    """Twelve keys, the newest version first, whatever its format."""
    found = filled.value(f"{MAIN}/packages/tide/versions", who=None)
    assert all(set(one) == VERSION for one in found)
    assert [(one["version"], one["build_number"]) for one in found] == [
        ("1.10", 1), ("1.10", 0), ("1.9", 0),
    ]  # fmt: skip
    newest = found[0]
    assert newest["uploader"] == {"name": "mike", "avatar_url": ""}
    assert (newest["info"]["name"], newest["platform"]) == ("tide", "linux-64")
    assert len({uuid.UUID(one["id"]) for one in found}) == 3
    path = f"{MAIN}/packages/tide/versions/linux-64/tide-1.10-1.conda"
    assert filled.value(path, who=None) == newest
    assert filled.refused(path.replace("linux-64", "win-64"))[0] == 404
    page = filled.value("/api/paginated/channels/main/packages/tide/versions?limit=2")
    assert page["result"] == found[:2]
    moment = newest["time_created"]
    since = filled.value(f"{MAIN}/packages/tide/versions?time_created__ge={moment}", who=None)
    assert newest in since
    for query in ("time_created__ge=soon", "version_match_str=%3E1"):
        assert filled.refused(f"{MAIN}/packages/tide/versions?{query}")[0] == 422


def test_downloads_are_counted(filled) -> None:
    """Of files, also at the address of old."""
    for base in ("/conda/main", "/get/main"):
        assert filled.ask(f"{base}/noarch/tide-1.9-0.tar.bz2", who=None).status == 200
    counts = [one["download_count"] for one in filled.value(f"{MAIN}/packages/tide/versions")]
    assert counts == [0, 0, 2]


def test_a_version_is_deleted(filled) -> None:
    """By whoever may delete, by its own name, and once."""
    path = f"{MAIN}/packages/tide/versions/noarch/tide-1.9-0.tar.bz2"
    assert filled.refused(path, "DELETE")[0] == 403
    assert filled.refused(path, "DELETE", who=None)[0] == 401
    for wrong in (path.replace("tide/", "zlib/"), path.replace("1.9-0", "2-0"), f"{path}x"):
        assert filled.refused(wrong, "DELETE", who="mike")[0] == 404
    assert filled.value(path, "DELETE", who="mike") is None
    assert filled.refused(path, "DELETE", who="mike")[0] == 404


def test_a_package_is_deleted_with_all_its_files(filled) -> None:
    """Also what was withdrawn; others stay, whatever their names begin with."""
    other = package("noarch", "tide-data-1.0-0.conda")
    assert filled.upload("main", other, "mike").status == 201
    filled.admin.releases.yank("conda/main", "noarch", "tide-1.9-0.tar.bz2")
    assert filled.refused(f"{MAIN}/packages/tide", "DELETE")[0] == 403
    assert filled.value(f"{MAIN}/packages/tide", "DELETE", who="mike") is None
    assert names(filled) == ["tide-data", "zlib"]
    assert filled.ask("/get/main/noarch/tide-1.9-0.tar.bz2", who=None).status == 404
    assert filled.refused(f"{MAIN}/packages/tide", "DELETE", who="mike")[0] == 404


def test_a_package_is_ones_own_before_it_comes(filled) -> None:
    """Its maker owns it; one that is there conflicts."""
    assert filled.value(f"{MAIN}/packages", "POST", {"name": "wave"}, "mike") is None
    assert {"name": "wave", "channel_name": "main", "role": "owner"} in filled.value(
        "/api/users/mike/packages", who="mike"
    )
    assert filled.refused(f"{MAIN}/packages", "POST", {"name": "tide"}, "mike")[0] == 409
    for name in ("Wave", "", None, "a/b"):
        assert filled.refused(f"{MAIN}/packages", "POST", {"name": name}, "mike")[0] == 422
    assert filled.refused(f"{MAIN}/packages", "POST", {"name": "x"})[0] == 403


def test_packages_are_copied(filled) -> None:
    """One file, or all of a subdir, by whoever may read there and write here."""
    filled.channel("edge", "mike")
    copy = "/api/channels/edge/packages/copy?source_channel=main&source_package=tide"
    assert (
        filled.value(f"{copy}&subdir=noarch&filename=tide-1.9-0.tar.bz2", "POST", who="mike")
        is None
    )
    files = "/api/channels/edge/packages/tide/versions"
    assert [one["filename"] for one in filled.value(files)] == ["tide-1.9-0.tar.bz2"]
    filled.value(f"{copy}&subdir=linux-64", "POST", who="mike")
    assert len(filled.value(files)) == 2
    for wrong in (
        copy.replace("=tide", "=none"),
        copy.replace("=main", "=none"),
        f"{copy}&subdir=win-64",
    ):
        assert filled.refused(wrong, "POST", who="mike")[0] == 404
    assert filled.refused(copy.partition("?")[0], "POST", who="mike")[0] == 422
    assert filled.refused(copy, "POST")[0] == 403


def test_a_private_channel_gives_nothing_to_a_copy(filled) -> None:
    """It is not there for whoever may not read it."""
    filled.channel("shut", "mike", private=True)
    filled.channel("mine", "mara")
    filled.value("/api/users/nora/role", "PUT", {"role": "member"})
    filled.channel("noras", "nora")
    copy = "/api/channels/noras/packages/copy?source_package=tide&source_channel="
    told = [filled.refused(f"{copy}{name}", "POST") for name in ("shut", "gone")]
    assert told == [(404, "Channel shut not found"), (404, "Channel gone not found")]


def test_nothing_of_a_private_channel_is_shown(filled) -> None:
    """Neither its packages, nor the versions, nor the numbers, nor who asked too early."""
    filled.value(f"{MAIN}", "PATCH", {"private": True}, "mike")
    for path in (
        f"{MAIN}/packages",
        "/api/paginated/channels/main/packages",
        f"{MAIN}/packages/tide",
        f"{MAIN}/packages/tide/versions",
        f"{MAIN}/packages/tide/versions/noarch/tide-1.9-0.tar.bz2",
        "/metrics/channels/main",
        "/metrics/channels/main/packages/tide/versions/noarch/tide-1.9-0.tar.bz2",
    ):
        for who in ("nora", None):
            assert filled.refused(path, who=who) == (404, "Channel main not found")
    for path in ("noarch/repodata.json", "noarch/tide-1.9-0.tar.bz2", "nothing"):
        assert (
            filled.ask(f"/get/main/{path}", who=None).text == "There is nothing at this address.\n"
        )


def test_the_old_address_leads_to_the_page(filled) -> None:
    """Of a channel that one may see; else there is nothing."""
    answer = filled.ask("/get/main", who=None)
    assert (answer.status, answer.headers["location"]) == (307, "http://server.example/conda/main")
    assert filled.ask("/get/nothing", who=None).status == 404
    filled.admin.repositories.configure("conda/main", private=True)
    assert filled.ask("/get/main", who=None).status == 404


def test_old_addresses_give_the_same(filled) -> None:
    """Bytes, validators and ranges, with a token in the address, too."""
    for path in ("noarch/repodata.json", "noarch/tide-1.9-0.tar.bz2"):
        old, new = (filled.ask(f"/{base}/main/{path}", who=None) for base in ("get", "conda"))
        assert (old.status, old.body, old.headers["etag"]) == (200, new.body, new.headers["etag"])
        part = filled.ask(f"/get/main/{path}", who=None, HTTP_RANGE="bytes=1-3")
        assert (part.status, part.body) == (206, old.body[1:4])
        known = filled.ask(f"/get/main/{path}", who=None, HTTP_IF_NONE_MATCH=old.headers["etag"])
        assert known.status == 304
        head = filled.ask(f"/get/main/{path}", "HEAD", who=None)
        assert (head.status, head.headers["content-length"]) == (200, str(len(old.body)))
    filled.value(f"{MAIN}", "PATCH", {"private": True}, "mike")
    secret = filled.value("/api/api-keys", "POST", {"description": "", "roles": []}, "mike")["key"]
    assert filled.ask(f"/t/{secret}/get/main/noarch/repodata.json", who=None).status == 200
