"""The source tree as the house tests see it: modules by dotted name, and their parsed text."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import attrs

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src"
TESTS = ROOT / "tests"


@attrs.frozen
class Module:
    """One file of the tree."""

    path: Path

    @property
    def parts(self) -> tuple[str, ...]:
        """The dotted name in pieces; a package goes by the name of its folder."""
        parts = self.path.relative_to(SOURCE).with_suffix("").parts
        return parts[:-1] if parts[-1] == "__init__" else parts

    @property
    def name(self) -> str:
        """The name by which it is imported."""
        return ".".join(self.parts)

    @property
    def is_package(self) -> bool:
        """Whether it is the front page of a folder."""
        return self.path.name == "__init__.py"

    @property
    def is_revision(self) -> bool:
        """Whether Alembic loads it by its path, or runs it: nobody imports it by name."""
        return "migrations" in self.parts

    def parse(self) -> ast.Module:
        """Its syntax tree."""
        return ast.parse(self.path.read_text(encoding="utf-8"), str(self.path))


def modules() -> list[Module]:
    """Every module of every package, in the order of their paths."""
    return [Module(path) for path in sorted(SOURCE.rglob("*.py"))]


def functions(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Name and length in lines of every function and method, however deep."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1
