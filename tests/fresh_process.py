"""Processes to kill: fresh ones, without this process's threads, that need no import of torch."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from typing import Any

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(["workzone.features.extract", "workzone.backbones.lite"])


def start(function: Callable[..., None], *arguments: Any) -> multiprocessing.Process:
    """Run a module's function in a process of its own; the caller joins or kills it."""
    process = _context.Process(target=function, args=arguments)
    process.start()
    return process


def event() -> Any:
    """A flag that both sides see."""
    return _context.Event()
