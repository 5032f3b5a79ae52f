"""Ray as it is imported here: one of its settings is read only then."""

from __future__ import annotations

import importlib
import os
from typing import Any

from workzone.errors import MissingExtraError


def import_ray(part: str, feature: str) -> Any:
    """The module `ray`, one of its parts imported with it.

    Below `uv run`, Ray would send the working folder to its workers and let uv make them
    environments of their own, in which no extra is installed: with ``--no-sync`` none ever starts.
    Its setting ``RAY_ENABLE_UV_RUN_RUNTIME_ENV`` is therefore 0, where the environment has none.

    Args:
        part: such as ``data``.
        feature: what needs it, for the error.

    Raises:
        MissingExtraError: Ray is not installed.
    """
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    try:
        importlib.import_module(f"ray.{part}")
        return importlib.import_module("ray")
    except ImportError as error:
        raise MissingExtraError("ray", "ray", feature) from error
