"""Fills both sides with the same recipes: ours through the library, the peer through its tree."""

from __future__ import annotations

import contextlib
import io
import json
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import repocore
from benchmarks.recipes import Recipe, recipes
from benchmarks.servers import PASSWORD, USER, Workshop
from repocore.config import load_settings

__all__ = ["copy_ours", "fill_ours", "fill_peer", "prepare_ours"]

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


NAMED = {
    "partitions": ("name",),
    "releases": ("partition", "package", "package_key"),
    "files": ("path", "partition"),
}


def copy_ours(workshop: Workshop, start: int, stop: int) -> None:
    """Brings in recipes ``start`` to ``stop`` as rows: copies of the first name, under new names.

    A search reads rows only, and so one fsync does for all of them.
    """
    first, *_ = recipes(0, 1)
    names = [recipe.name for recipe in recipes(start, stop)][::2]
    with contextlib.closing(sqlite3.connect(workshop.data / "catalog.db", timeout=60)) as catalog:
        with catalog:
            for table, renamed in NAMED.items():
                _copy(catalog, table, renamed, first.name, names)
        catalog.execute("ANALYZE")


def _copy(
    catalog: sqlite3.Connection,
    table: str,
    renamed: Sequence[str],
    model: str,
    names: Sequence[str],
) -> None:
    found = [row[1] for row in catalog.execute(f"PRAGMA table_info({table})")]
    columns = [name for name in found if name != "id"]
    quoted = ", ".join(f'"{column}"' for column in columns)
    begins = f"substr({renamed[0]}, 1, {len(model) + 1}) = '{model}/'"
    models = catalog.execute(f"SELECT {quoted} FROM {table} WHERE {begins}").fetchall()
    at = [columns.index(name) for name in renamed]
    rows = (
        [value.replace(model, name) if i in at else value for i, value in enumerate(row)]
        for name in names
        for row in models
    )
    catalog.executemany(
        f"INSERT INTO {table} ({quoted}) VALUES ({', '.join('?' * len(columns))})", rows
    )


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
