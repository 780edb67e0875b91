"""How the documentation is built."""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

project = "repocore"
author = "the repocore authors"
copyright = f"2026, {author}"  # noqa: A001 - Sphinx reads this name
release = version_of("repocore")
version = release

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.doctest", "sphinx.ext.napoleon"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
suppress_warnings = ["config.cache"]

nitpicky = True
autodoc_typehints = "description"
autodoc_member_order = "bysource"

html_theme = "furo"
html_title = f"repocore {release}"

sys.path.insert(0, str(Path(__file__).parent))


def setup(app: Any) -> None:
    """Make the generated pages of the reference first."""
    generated = importlib.import_module("generated")
    app.connect("builder-inited", generated.write_pages)
