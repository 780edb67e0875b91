"""``repo`` and ``export``."""

from __future__ import annotations

import io

from repocore import open_registry

PATH = "zlib/1.3/_/_/4a1/export/conanfile.py"
MANIFEST = "zlib/1.3/_/_/4a1/export/conanmanifest.txt"


def test_repository_comes_changes_and_goes(house):
    """What is created is listed, shown, changed in part, and deleted."""
    house("repo", "create", "conan/two", "--quota", "1 GiB", "--private")
    shown = house.json("repo", "show", "conan/two")
    assert (shown["policy"]["quota"], shown["private"]) == (1 << 30, True)
    house("repo", "configure", "conan/two", "--description", "for two", "--quota", "none")
    shown = house.json("repo", "show", "conan/two")
    assert (shown["policy"]["quota"], shown["description"], shown["private"]) == (
        None,
        "for two",
        True,
    )
    assert "conan/two" in house("repo", "list").stdout
    house("repo", "delete", "conan/two", "--yes")
    assert [r["name"] for r in house.json("repo", "list")] == ["main", "main"]


def test_deleting_asks(house):
    """Without --yes and without a yes nothing is deleted."""
    house("repo", "delete", "conan/main", typed="n\n", status=1)
    assert len(house.json("repo", "list")) == 2


def test_errors_say_what_is_wrong(house):
    """A missing, a doubled and a misspelled repository each have their sentence and kind."""
    assert house.refused("repo", "show", "conan/gone")["kind"] == "RepositoryMissingError"
    assert house.refused("repo", "create", "conan/main")["kind"] == "AlreadyExistsError"
    assert "format/name" in house.refused("repo", "create", "main")["error"]
    assert "size" in house.refused("repo", "create", "conan/x", "--quota", "big", status=2)["error"]


def test_export_writes_the_tree(house, tmp_path):
    """Every visible file is found below the folder, under its path."""
    with open_registry(house.data) as registry:
        files = registry.session(registry.admin()).files
        files.put("conan/main", PATH, io.BytesIO(b"x = 1"))
        files.put("conan/main", MANIFEST, io.BytesIO(b"1\n"))
    told = house.json("export", "conan/main", str(tmp_path / "tree"))
    assert told == {"files": 2}
    assert (tmp_path / "tree" / PATH).read_bytes() == b"x = 1"
    assert "empty" in house.refused("export", "conan/main", str(tmp_path / "tree"))["error"]


def test_unknown_format_is_named_with_the_known(house):
    """A repository of a format that no plugin brings: which one, and what there is."""
    told = house.refused("repo", "create", "deb/main")
    assert told == {
        "error": "No plugin brings the format deb; there is conan, conda.",
        "kind": "PluginError",
    }


def test_options_of_a_channel_are_set_and_taken_away(house):
    """Each by its name, as TOML; what the format does not know is refused with its name."""
    given = ("--option", 'base_url="https://cdn.example/forge"', "--option", "notices=[]")
    house("repo", "create", "conda/forge", *given)
    shown = house.json("repo", "show", "conda/forge")
    assert shown["options"] == {"base_url": "https://cdn.example/forge", "notices": []}
    assert "https://cdn.example/forge" in house("repo", "show", "conda/forge").stdout
    house("repo", "configure", "conda/forge", "--option", "base_url=none")
    assert house.json("repo", "show", "conda/forge")["options"] == {"notices": []}
    told = house.refused("repo", "configure", "conda/forge", "--option", "bass_url=1")
    assert "bass_url" in told["error"]
    assert "base_url" in told["error"]


def test_an_option_that_is_no_toml_is_a_wrong_use(house):
    """What was meant as text is told to go in quotes."""
    told = house.refused("repo", "create", "conda/x", "--option", "base_url=abc", status=2)
    assert "quotes" in told["error"]


def test_a_conan_repository_has_no_options(house):
    """Nothing would read them."""
    told = house.refused("repo", "create", "conan/x", "--option", "a=1")
    assert told["error"] == "Repositories of the format conan have no options."


def test_a_limit_of_files_is_set_and_taken_away(house):
    """A number, or none."""
    house("repo", "create", "conan/three", "--max-files", "3")
    assert house.json("repo", "show", "conan/three")["policy"]["max_files"] == 3
    house("repo", "configure", "conan/three", "--max-files", "none")
    assert house.json("repo", "show", "conan/three")["policy"]["max_files"] is None
    assert house.refused("repo", "create", "conan/x", "--max-files", "-1", status=2)
