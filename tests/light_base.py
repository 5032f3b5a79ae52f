"""Run in a process of its own: nothing can be imported but the base install.

python light_base.py -m workzone predict street.jpg
python light_base.py -c "import workzone; ..."
"""

from __future__ import annotations

import importlib.abc
import importlib.metadata
import re
import runpy
import sys
from importlib.machinery import PathFinder

from packaging.requirements import Requirement

BASE = "workzone"


def closure(name: str) -> set[str]:
    """Names of what a distribution needs, itself included, without its extras."""
    found: set[str] = set()
    todo = [name]
    while todo:
        current = re.sub(r"[-_.]+", "-", todo.pop()).lower()
        if current in found:
            continue
        found.add(current)
        for line in importlib.metadata.requires(current) or []:
            wanted = Requirement(line)
            if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
                todo.append(wanted.name)
    return found


def foreign_modules() -> set[str]:
    """Top-level modules that are installed and are not of the base install."""
    base = closure(BASE)
    return {
        module
        for module, owners in importlib.metadata.packages_distributions().items()
        if not {re.sub(r"[-_.]+", "-", owner).lower() for owner in owners} & base
    }


class Hiding(importlib.abc.MetaPathFinder):
    """Finds modules on the path as ever, save those that are hidden."""

    def __init__(self, hidden: set[str]) -> None:
        self.hidden = hidden

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.hidden:
            return None
        return PathFinder.find_spec(name, path, target)


if __name__ == "__main__":
    hiding = Hiding(foreign_modules())
    sys.meta_path = [hiding if finder is PathFinder else finder for finder in sys.meta_path]
    kind, what, *arguments = sys.argv[1:]
    if kind == "-m":
        sys.argv = [what, *arguments]
        runpy.run_module(what, run_name="__main__")
    else:
        exec(what)
