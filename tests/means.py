"""The benchmarks' stand-in model, which takes the mean of the pixels."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

from stand_in import StandIn as Mean

__all__ = ["Mean"]
