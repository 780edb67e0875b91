"""``/api/v1/statistics``: numbers, for who manages what they are of."""

from __future__ import annotations


def test_numbers_are_of_what_one_manages(house) -> None:
    """Of a repository, and of all together."""
    house.recipe("zlib/1.3/_/_")
    house.admin.repositories.create("conda/other")
    told = house.value("statistics")
    assert [one["repository"] for one in told["repositories"]] == ["conan/main", "conda/other"]
    assert (told["total"]["repository"], told["total"]["files"]) == (None, 2)
    own = house.value("statistics", who="bob")
    assert [one["repository"] for one in own["repositories"]] == ["conan/main"]
    one = house.value("repositories/conan/main/statistics", who="bob")
    assert (one["recipes"], one["releases"], one["files"]) == (1, 1, 2)
    assert house.value("statistics", who="carl")["repositories"] == []
    assert house.send("repositories/conan/main/statistics", who="carl").status == 404
    for path in ("statistics", "repositories/conan/main/statistics"):
        assert house.send(path, who=None).status == 401
