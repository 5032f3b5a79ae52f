"""How many processor cores this process may use."""

from __future__ import annotations

import math
import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Of a Linux container: microseconds of processor time it may take, of so many (cgroup v2)."""


def core_count() -> int:
    """Those that the process is bound to, a container's share, or OMP_NUM_THREADS, if it is less.

    What libraries take by themselves is every core of the machine, also in a container that may
    use two of them.
    """
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    limits = [count, _container_share(), _asked_for()]
    return max(1, min(limit for limit in limits if limit is not None))


def _container_share() -> int | None:
    try:
        quota, period = _QUOTA.read_text(encoding="ascii").split()
        return math.ceil(int(quota) / int(period))
    except (OSError, ValueError, ZeroDivisionError):  # no container, or "max": no limit
        return None


def _asked_for() -> int | None:
    """The variable that torch and others take their number of threads from."""
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    return int(asked) if asked.isdecimal() and int(asked) > 0 else None
