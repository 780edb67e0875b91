"""Fills both sides with the same recipes: ours through the library, the peer through its tree."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import repocore
from benchmarks.recipes import Recipe, recipes
from benchmarks.servers import PASSWORD, USER, Workshop
from repocore.config import load_settings

__all__ = ["fill_ours", "fill_peer", "prepare_ours"]

ADDRESS = "conan/main"
SETTINGS = f"""\
[[repository]]
name = "main"
format = "conan"

[[rule]]
subject = "*"
actions = ["read"]
pattern = "{ADDRESS}/**"

[[rule]]
subject = "user:{USER}"
actions = ["read", "write", "overwrite", "delete"]
pattern = "{ADDRESS}/**"
"""


def prepare_ours(workshop: Workshop) -> None:
    """Writes our settings, with the permissions that the peer's have, and makes the user."""
    workshop.settings.write_text(SETTINGS)
    with _open(workshop) as registry:
        registry.session(registry.admin()).accounts.add(USER, PASSWORD)


def _open(workshop: Workshop) -> repocore.Registry:
    settings = load_settings(data=workshop.data, config=workshop.settings, environ={})
    return repocore.open_registry(settings=settings)


def fill_ours(workshop: Workshop, start: int, stop: int) -> None:
    """Puts recipes ``start`` to ``stop`` file by file, as an importer would: each put durable."""
    with _open(workshop) as registry, ThreadPoolExecutor(8) as pool:
        session = registry.session(registry.admin())

        def put(recipe: Recipe) -> None:
            for name, body in recipe.files.items():
                path = f"{recipe.reference}/{recipe.revision}/export/{name}"
                session.files.put(ADDRESS, path, io.BytesIO(body), length=len(body))

        for _ in pool.map(put, recipes(start, stop)):
            pass


def fill_peer(workshop: Workshop, start: int, stop: int) -> None:
    """Writes recipes ``start`` to ``stop`` into the peer's data folder, as it would itself."""
    for number, recipe in enumerate(recipes(start, stop), start):
        folder = workshop.peer_home / "data" / recipe.reference
        export = folder / recipe.revision / "export"
        export.mkdir(parents=True)
        for name, body in recipe.files.items():
            (export / name).write_bytes(body)
        _index(folder / "revisions.txt", recipe, 1_795_217_619 + number / 1000)


def _index(path: Path, recipe: Recipe, at: float) -> None:
    path.write_text(json.dumps({"revisions": [{"revision": recipe.revision, "time": at}]}))
