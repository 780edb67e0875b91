"""Run by the peer's interpreter: what conda-index keeps of packages that it has opened.

Standard input has a line for each package: its file name, modification time, size, and the record
as JSON.  The rows are those that its own ``store`` writes.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator

from conda_index.index.sqlitecache import CondaIndexCache

_SQL = {
    "index_json": "INSERT INTO index_json (path, index_json) VALUES (?, ?)",
    "post_install": "INSERT INTO post_install (path, post_install) VALUES (?, ?)",
    "stat": (
        "INSERT INTO stat (stage, path, mtime, size, sha256, md5) VALUES ('indexed', ?, ?, ?, ?, ?)"
    ),
}
_POST_INSTALL = json.dumps(
    dict.fromkeys(
        (
            "binary_prefix",
            "text_prefix",
            "activate.d",
            "deactivate.d",
            "pre_link",
            "post_link",
            "pre_unlink",
        ),
        False,
    ),
    separators=(",", ":"),
)


def _chunks() -> Iterator[list[tuple[str, float, int, str]]]:
    while lines := list(itertools.islice(sys.stdin, 5000)):
        yield [(row[0], row[1], row[2], row[3]) for row in map(json.loads, lines)]


def main() -> None:
    root, subdir = sys.argv[1:]
    with CondaIndexCache(root, subdir) as cache, cache.db as db:
        for rows in _chunks():
            db.executemany(_SQL["index_json"], [(row[0], row[3]) for row in rows])
            db.executemany(_SQL["post_install"], [(row[0], _POST_INSTALL) for row in rows])
            db.executemany(_SQL["stat"], [_stat(*row) for row in rows])


def _stat(name: str, mtime: float, size: int, text: str) -> tuple[str, float, int, str, str]:
    record = json.loads(text)
    return name, mtime, size, record["sha256"], record["md5"]


if __name__ == "__main__":
    main()
