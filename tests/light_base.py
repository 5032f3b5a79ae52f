"""A process in which nothing can be imported but the base install.

run("-m", "workzone", "predict", "street.jpg")
run("-c", "import workzone; ...")
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.metadata
import os
import re
import runpy
import subprocess
import sys
from importlib.machinery import PathFinder

from packaging.requirements import Requirement

BASE = "workzone"
HIDDEN = "LIGHT_BASE_HIDDEN"
"""Variable with the names of the hidden modules: to find them takes longer than a command."""


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


@functools.cache
def foreign_modules() -> set[str]:
    """Top-level modules that are installed and are not of the base install."""
    base = closure(BASE)
    return {
        module
        for module, owners in importlib.metadata.packages_distributions().items()
        if not {re.sub(r"[-_.]+", "-", owner).lower() for owner in owners} & base
    }


def run(*arguments: object, expect: int = 0) -> subprocess.CompletedProcess[str]:
    """Python's ``-m`` or ``-c``, and what follows it; it must end with the exit code ``expect``."""
    told = {"COLUMNS": "120", "NO_COLOR": "1", HIDDEN: " ".join(foreign_modules())}
    done = subprocess.run(
        [sys.executable, __file__, *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | told,
    )
    assert done.returncode == expect, done.stderr
    return done


class Hiding(importlib.abc.MetaPathFinder):
    """Finds modules on the path as ever, save those that are hidden."""

    def __init__(self, hidden: set[str]) -> None:
        self.hidden = hidden

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in self.hidden:
            return None
        return PathFinder.find_spec(name, path, target)


if __name__ == "__main__":
    hiding = Hiding(set(os.environ[HIDDEN].split()))
    sys.meta_path = [hiding if finder is PathFinder else finder for finder in sys.meta_path]
    kind, what, *arguments = sys.argv[1:]
    if kind == "-m":
        sys.argv = [what, *arguments]
        runpy.run_module(what, run_name="__main__")
    else:
        exec(what)
