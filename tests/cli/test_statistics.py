"""``stats``."""

from __future__ import annotations

import io

from repocore import open_registry

BASE = "zlib/1.3/_/_/r1/export"


def test_stats_count_what_is_there(house):
    """A line for each repository and one for all; one repository alone where it is named."""
    house("repo", "create", "conan/two")
    with open_registry(house.data) as registry:
        files = registry.session(registry.admin()).files
        files.put("conan/main", f"{BASE}/conanfile.py", io.BytesIO(b"x" * 2048))
        files.put("conan/main", f"{BASE}/conanmanifest.txt", io.BytesIO(b"1\n"))
        files.open("conan/main", f"{BASE}/conanfile.py").close()
    report = house.json("stats")
    main = report["repositories"][0]
    assert (main["recipes"], main["files"], main["bytes"], main["downloads"]) == (1, 2, 2050, 1)
    assert report["total"]["files"] == 2
    text = house("stats").stdout.splitlines()
    assert [line.split()[0] for line in text] == [
        "REPOSITORY",
        "conan/main",
        "conan/two",
        "conda/main",
        "together",
    ]
    assert "2.0 KiB" in text[1]
    assert len(house("stats", "conan/two").stdout.splitlines()) == 2
    assert house.refused("stats", "conan/no")["kind"] == "RepositoryMissingError"
