"""The data folder of a conan_server, as it would have written it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
from tests_manifest import manifest

INFO = b"[settings]\nos=Linux\n"
CONF = """\
[server]
jwt_secret: MnpuzsExftskYGOMgaTYDKfw
jwt_expire_minutes: 120
port: 9300
disk_storage_path: ./data
updown_secret: NyiSWNWnwumTVpGpoANuyyhR
[write_permissions]
*/*@*/*: demo
[read_permissions]
*/*@*/*: *
[users]
demo: de mo
"""


@attrs.frozen
class OldTree:
    """Writes revisions, whole or not."""

    root: Path

    def recipe(self, reference: str, rrev: str, time: Any = 1.5, *, index: bool = True) -> Path:
        """A recipe revision; the folder of the revision."""
        folder = self.root / reference / rrev
        write(folder / "export", {"conanfile.py": b"recipe " + rrev.encode()}, "conanfile.py")
        if index:
            self.index(folder.parent, rrev, time)
        return folder

    def package(
        self, reference: str, rrev: str, package_id: str, prev: str, time: Any = 2.5
    ) -> Path:
        """A package revision; its folder."""
        folder = self.root / reference / rrev / "package" / package_id / prev
        files = {"conan_package.tgz": b"binaries " + prev.encode(), "conaninfo.txt": INFO}
        write(folder, files, "lib/libz.a")
        self.index(folder.parent, prev, time)
        return folder

    def index(self, folder: Path, name: str, time: Any) -> None:
        """Add an entry to the index of a folder."""
        file = folder / "revisions.txt"
        entries = json.loads(file.read_text())["revisions"] if file.exists() else []
        entries.append({"revision": name, "time": time})
        file.write_text(json.dumps({"revisions": entries}))
        (folder / "revisions.txt.lock").touch()


def write(folder: Path, files: dict[str, bytes], *listed: str) -> None:
    """Files, and a manifest that lists some."""
    for name, content in {**files, "conanmanifest.txt": manifest(*listed)}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def snapshot(root: Path) -> dict[str, tuple[bytes, int, int]]:
    """What a tree is: the content, time and mode of every file."""
    return {
        path.relative_to(root).as_posix(): (
            path.read_bytes(),
            path.stat().st_mtime_ns,
            path.stat().st_mode,
        )
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
