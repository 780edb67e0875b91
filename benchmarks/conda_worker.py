"""What is measured as a whole process: ``import FOLDER TREE`` and ``rebuild FOLDER CHANNEL``."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import repocore
from benchmarks.conda_packages import SUBDIR
from benchmarks.scale import peak_mebibytes
from benchmarks.servers import Workshop
from repocore.config import load_settings
from repocore.plugins.conda.channel_tree import ChannelTree
from repocore.plugins.conda.importing import import_channel
from repocore.registry import Session

_DOCUMENT = f"{SUBDIR}/repodata.json.zst"


def _import(session: Session, tree: str) -> None:
    session.repositories.create("conda/new")
    # As `repocore import channel --reindex` does it.
    report = import_channel(
        session,
        ChannelTree.at(Path(tree)),
        "conda/new",
        reindex=True,
        processes=os.cpu_count() or 1,
    )
    if report.skipped or not report.opened:
        raise RuntimeError(f"{report.skipped} of {report.packages}: {report.findings[:3]}")
    session.files.content("conda/new", _DOCUMENT).open(0, None).close()


def _rebuild(session: Session, channel: str) -> None:
    """Make the documents anew: an option says something that it did not say before."""
    address = f"conda/{channel}"
    session.repositories.configure(address, options={"notices": _notices()})
    start = time.perf_counter()
    session.files.content(address, _DOCUMENT).open(0, None).close()
    print(time.perf_counter() - start, peak_mebibytes())


def _notices() -> list[dict[str, str]]:
    return [
        {
            "id": str(time.time_ns()),
            "message": "Made anew.",
            "level": "info",
            "created_at": "2026-01-01T00:00:00Z",
            "expires_at": "2036-01-01T00:00:00Z",
        }
    ]


def main() -> None:
    kind, folder, rest = sys.argv[1:]
    workshop = Workshop(Path(folder))
    settings = load_settings(data=workshop.data, config=workshop.settings, environ={})
    with repocore.open_registry(settings=settings) as registry:
        session = registry.session(registry.admin())
        (_import if kind == "import" else _rebuild)(session, rest)


if __name__ == "__main__":
    main()
