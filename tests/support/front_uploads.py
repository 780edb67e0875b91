"""Recipes that tests publish through a front, without a client."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
from front_servers import MAIN, Front
from tests_manifest import manifest

CONANS = f"/{MAIN}/v2/conans"
REVISION = "84a1eb2b87e2981655358046c76b9d48"
RECIPE = b"<script>recipe</script>" + b"#" * 100_000
MIB = 1 << 20


@attrs.frozen
class Published:
    """A recipe that has been published, and the path of its largest file."""

    path: str
    content: bytes = RECIPE


def publish(front: Front, name: str, version: str = "1.0") -> Published:
    """Publish a recipe of two files."""
    files = f"{CONANS}/{name}/{version}/_/_/revisions/{REVISION}/files"
    assert front.put(f"{files}/conanfile.py", RECIPE).status == 200
    complete(front, files, "conanfile.py")
    return Published(f"{files}/conanfile.py")


def complete(front: Front, files: str, *names: str) -> None:
    """Say that a recipe is whole, so that it can be read."""
    names = tuple(dict.fromkeys(("conanfile.py", *names)))
    if len(names) > 1:
        assert front.put(f"{files}/conanfile.py", b"recipe").status == 200
    assert front.put(f"{files}/conanmanifest.txt", manifest(*names)).status == 200


def stream(size: int) -> Iterator[bytes]:
    """Bytes that are made as they are sent."""
    piece = bytes(range(256)) * 1024
    for start in range(0, size, len(piece)):
        yield piece[: min(len(piece), size - start)]
