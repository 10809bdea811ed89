"""Lets packages that take long to import load when they are first used.

A run has a hundred steps and most need pandas late or never; a step parses its options, or says
what is wrong with them, in a moment. The lazy loader of the standard library does not serve: it
loads a module as soon as a second `import` names it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any


def postpone(*packages: str) -> None:
    """Make `import` of these packages cost nothing until an attribute of them is asked for."""
    sys.meta_path.insert(0, _Finder(frozenset(packages) - sys.modules.keys()))


class _Postponed(ModuleType):
    """A package that is found but not executed; asking for anything in it executes it."""

    def __getattr__(self, name: str) -> Any:
        _execute(self)
        return getattr(self, name)


def _execute(module: ModuleType) -> None:
    module.__class__ = ModuleType
    module.__spec__.loader.exec_module(module)


class _Finder(MetaPathFinder):
    def __init__(self, packages: frozenset[str]) -> None:
        self.packages = packages

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        parent = sys.modules.get(fullname.partition(".")[0])
        if isinstance(parent, _Postponed):
            _execute(parent)  # a submodule needs its package
        if fullname not in self.packages:
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec is not None and spec.loader is not None:
            spec.loader = _PostponingLoader(spec.loader)
        return spec


class _PostponingLoader(Loader):
    def __init__(self, loader: Loader) -> None:
        self.loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__.loader = module.__loader__ = self.loader
        module.__class__ = _Postponed
