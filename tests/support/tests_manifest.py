"""Conan manifests for tests."""

from __future__ import annotations

MD5 = "d41d8cd98f00b204e9800998ecf8427e"


def manifest(*paths: str) -> bytes:
    """A manifest that lists these paths."""
    return "\n".join(["1700000000", *(f"{path}: {MD5}" for path in paths)]).encode() + b"\n"
