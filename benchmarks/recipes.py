"""The recipes that both sides are filled with, and the requests about them."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs

from benchmarks.load import Call, head

__all__ = ["Recipe", "body_calls", "recipes", "small_calls"]

CONANFILE = b"""from conan import ConanFile


class Recipe(ConanFile):
    name = "NAME"
    version = "VERSION"
    license = "MIT"
    description = "A library among many."
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False], "fPIC": [True, False]}
    default_options = {"shared": False, "fPIC": True}

    def requirements(self):
        self.requires("zlib/[>=1.2.11 <2]")

    def package_info(self):
        self.cpp_info.libs = ["NAME"]
"""


@attrs.frozen
class Recipe:
    """One recipe revision without packages."""

    name: str
    version: str

    @property
    def revision(self) -> str:
        """32 hexadecimal digits, as the real client makes them."""
        return hashlib.md5(f"{self.name}/{self.version}".encode()).hexdigest()

    @property
    def reference(self) -> str:
        """Its part of a path, in URLs as in the peer's tree."""
        return f"{self.name}/{self.version}/_/_"

    @property
    def files(self) -> dict[str, bytes]:
        """The two files that every recipe has, in the order of their upload."""
        text = CONANFILE.replace(b"NAME", self.name.encode())
        text = text.replace(b"VERSION", self.version.encode())
        return {"conanfile.py": text, "conanmanifest.txt": self.manifest({"conanfile.py": text})}

    @staticmethod
    def manifest(files: Mapping[str, bytes]) -> bytes:
        """A time, and a line a file."""
        lines = [f"{name}: {hashlib.md5(body).hexdigest()}" for name, body in files.items()]
        return "\n".join(["1795217619", *lines, ""]).encode()

    def target(self, base: str, name: str) -> str:
        """The URL path of one of its files."""
        return f"{base}/v2/conans/{self.reference}/revisions/{self.revision}/files/{name}"


def recipes(start: int, stop: int) -> Iterator[Recipe]:
    """Yields recipes by number: two versions a name, names that share their beginnings."""
    for number in range(start, stop):
        yield Recipe(f"library-{number // 2:05d}", f"1.{number % 2}.0")


def _put(target: str, size: int, sha1: str, token: str | None) -> bytes:
    headers = {"X-Checksum-Sha1": sha1}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return head("PUT", target, length=size, headers=headers)


def small_calls(base: str, token: str | None, prefix: str) -> Iterator[Call]:
    """Yields uploads of whole new recipes for ever; a connection sends both files of its recipe."""
    for number in itertools.count():
        recipe = Recipe(f"{prefix}-{number}", "1.0")
        call = None
        for name, body in reversed(recipe.files.items()):
            sha1 = hashlib.sha1(body).hexdigest()
            opening = _put(recipe.target(base, name), len(body), sha1, token)
            call = Call(opening=opening + body, then=call)
        if call:
            yield call


def body_calls(
    base: str, token: str | None, prefix: str, body: Path, count: int, *, whole: bool = False
) -> Iterator[Call]:
    """Yields ``count`` uploads of bodies that differ in their last bytes only.

    So no two are alike, and yet their sums cost the client nothing while the clock runs.  When
    ``whole``, the files that make the revision visible follow each.
    """
    state = _sha1(body)
    size = body.stat().st_size
    for number in range(count):
        recipe = Recipe(f"{prefix}-{number}", "1.0")
        tail = f"{prefix} {number}".rjust(64).encode()
        sha1 = state.copy()
        sha1.update(tail)
        target = recipe.target(base, "conan_sources.tgz")
        opening = _put(target, size + len(tail), sha1.hexdigest(), token)
        yield Call(opening=opening, file=body, size=size, tail=tail)
        if whole:
            yield from _publish(recipe, base, token)


_STATES: dict[Path, hashlib._Hash] = {}


def _sha1(body: Path) -> hashlib._Hash:
    if body not in _STATES:
        with body.open("rb") as stream:
            _STATES[body] = hashlib.file_digest(stream, "sha1")
    return _STATES[body]


def _publish(recipe: Recipe, base: str, token: str | None) -> Iterator[Call]:
    text = recipe.files["conanfile.py"]
    manifest = Recipe.manifest({"conanfile.py": text, "export_source/source.c": b""})
    for name, content in {"conanfile.py": text, "conanmanifest.txt": manifest}.items():
        sha1 = hashlib.sha1(content).hexdigest()
        opening = _put(recipe.target(base, name), len(content), sha1, token)
        yield Call(opening=opening + content)
