"""What is public says so: in __all__, and to type checkers."""

from __future__ import annotations

import ast
import importlib

import pytest
from source_tree import SOURCE, Module, modules

PRIVATE_FILES = {"__main__.py"}


def importable() -> list[Module]:
    return [m for m in modules() if not m.is_revision and m.path.name not in PRIVATE_FILES]


def every_module():
    return pytest.mark.parametrize("module", importable(), ids=lambda module: module.name)


@every_module()
def test_module_lists_its_public_names(module):
    """Every name in __all__ is there, once."""
    names = list(importlib.import_module(module.name).__all__)
    assert len(names) == len(set(names))
    assert [name for name in names if not hasattr(importlib.import_module(module.name), name)] == []


@every_module()
def test_public_definitions_are_listed(module):
    """A class or function without an underscore is public, and so stands in __all__."""
    listed = set(importlib.import_module(module.name).__all__)
    defined = {
        node.name
        for node in module.parse().body
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_")
    }
    assert defined - listed == set()


@pytest.mark.parametrize("package", sorted(path.name for path in SOURCE.iterdir() if path.is_dir()))
def test_package_is_typed(package):
    """A type checker of somebody else uses our annotations."""
    assert (SOURCE / package / "py.typed").is_file()
