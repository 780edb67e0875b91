"""rattler-build, as its Python package: it builds recipes of the tests, and uploads what it built.

Each call is a process of its own: the package holds the interpreter's lock while it waits for a
server, which may be a thread of this process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

#: Where a recipe's text stands for this machine's Python.
PYTHON = sys.executable

_BUILD = """\
import json, sys
import rattler_build
asked = json.load(sys.stdin)
recipe = rattler_build.Stage0Recipe.from_yaml(asked["recipe"])
for variant in recipe.render():
    built = variant.run_build(
        output_dir=asked["folder"], channels=asked["channels"], package_format=asked["kind"]
    )
    print(json.dumps([str(path) for path in built.packages]))
"""
_UPLOAD = """\
import json, sys
import rattler_build
asked = json.load(sys.stdin)
upload = getattr(rattler_build, "upload_package_to_" + asked["form"])
upload(asked["files"], asked["url"], asked["channel"], **asked["options"])
"""


class BuilderFailedError(AssertionError):
    """A call that should have succeeded did not; the message is what it said."""


@attrs.frozen
class Builder:
    """Builds below a folder, which is its home too; `channels` are where dependencies are."""

    folder: Path
    channels: tuple[str, ...] = ()

    def build(self, recipe: str, *, kind: str = "conda") -> Path:
        """Build a recipe that makes one package; ``kind`` is ``conda`` or ``tar-bz2``."""
        output = self.folder / f"built-{sum(1 for _ in self.folder.glob('built-*'))}"
        words = {"recipe": recipe, "folder": str(output), "channels": self.channels, "kind": kind}
        (path,) = json.loads(self._run(_BUILD, words).splitlines()[-1])
        return Path(path)

    def upload(self, form: str, url: str, channel: str, *files: Path, **options: Any) -> None:
        """Upload in the form of ``quetz``, ``prefix`` or ``artifactory``."""
        words = {
            "form": form,
            "url": url,
            "channel": channel,
            "files": [str(file) for file in files],
            "options": options,
        }
        self._run(_UPLOAD, words)

    def refused(self, form: str, url: str, channel: str, *files: Path, **options: Any) -> str:
        """The same where it must fail; the last line of what it said."""
        try:
            self.upload(form, url, channel, *files, **options)
        except BuilderFailedError as problem:
            return str(problem).strip().splitlines()[-1]
        raise AssertionError("the upload should have been refused")

    def _run(self, program: str, words: dict[str, Any]) -> str:
        self.folder.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            [sys.executable, "-c", program],
            input=json.dumps(words),
            env=self._environment(),
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        if done.returncode:
            raise BuilderFailedError(done.stdout + done.stderr)
        return done.stdout

    def _environment(self) -> dict[str, str]:
        kept = {name: v for name, v in os.environ.items() if not leading_astray(name)}
        home = str(self.folder)
        return {**kept, "HOME": home, "XDG_CACHE_HOME": home, "RATTLER_CACHE_DIR": f"{home}/cache"}


def leading_astray(name: str) -> bool:
    """Whether a variable of this process would change what these programs do."""
    return name.startswith(("RATTLER_", "PREFIX_", "QUETZ_", "ARTIFACTORY_", "CONDA_")) or (
        name.lower().endswith("_proxy")
    )


def builder(folder: Path, *channels: str) -> Builder:
    """A builder; skips the test where rattler-build's package is not installed."""
    pytest.importorskip("rattler_build", reason="pip install py-rattler-build")
    return Builder(folder, channels)


def tide(version: str, level: str = "high", *, number: int = 0) -> str:
    """A recipe for this platform: a text, a link to it, a script with its prefix, run exports."""
    return f"""\
package:
  name: tide
  version: "{version}"
build:
  number: {number}
  script:
    - mkdir -p $PREFIX/share/tide $PREFIX/bin
    - echo {level} {version} > $PREFIX/share/tide/level.txt
    - ln -s level.txt $PREFIX/share/tide/now.txt
    - printf '#!/bin/sh\\ncat %s/share/tide/now.txt\\n' "$PREFIX" > $PREFIX/bin/tide
    - chmod +x $PREFIX/bin/tide
requirements:
  run_exports:
    - tide >={version},<2
about:
  license: MIT
  summary: The level of the water.
"""


#: As much of a Python as an installer asks for; it runs the one that runs the tests.
PYTHON_RECIPE = f"""\
package:
  name: python
  version: "3.12.0"
build:
  script:
    - mkdir -p $PREFIX/bin $PREFIX/lib/python3.12/site-packages
    - "printf '#!/bin/sh\\\\nPYTHONPATH=%s exec {PYTHON} \\"$@\\"\\\\n'
      $PREFIX/lib/python3.12/site-packages > $PREFIX/bin/python3.12"
    - chmod +x $PREFIX/bin/python3.12
    - ln -s python3.12 $PREFIX/bin/python
    - touch $PREFIX/lib/python3.12/site-packages/README.txt
"""
GAUGE_RECIPE = """\
package:
  name: gauge
  version: "1.0"
build:
  noarch: python
  script:
    - mkdir -p $SP_DIR
    - "printf 'def main():\\\\n    print(\\"the water is high\\")\\\\n' > $SP_DIR/gauge.py"
  python:
    entry_points:
      - gauge = gauge:main
requirements:
  host:
    - python
  run:
    - python
"""
#: Built against tide, whose run exports become its dependency.
HARBOUR_RECIPE = """\
package:
  name: harbour
  version: "1.0"
build:
  script:
    - mkdir -p $PREFIX/share
    - cp $PREFIX/share/tide/level.txt $PREFIX/share/harbour.txt
requirements:
  host:
    - tide
"""
