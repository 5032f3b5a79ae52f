"""What every benchmark writes: its results with the command, the versions and the machine."""

from __future__ import annotations

import datetime
import json
import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

PACKAGES = (
    "workzone",
    "torch",
    "torchvision",
    "timm",
    "transformers",
    "scikit-learn",
    "pillow",
    "pyarrow",
    "onnxruntime",
    "openvino",
    "ray",
)


def processor() -> str:
    """The processor's name, as the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _without_folders(word: str) -> str:
    """An absolute path by its last name: where things lie on one machine is nobody's business."""
    return Path(word).name if Path(word).is_absolute() else word


def write_record(path: Path, results: dict[str, Any]) -> None:
    """Write results as JSON."""
    record = {
        "command": "python " + " ".join(_without_folders(word) for word in sys.argv),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "torch threads": torch.get_num_threads(),
        },
        "versions": {name: version(name) for name in PACKAGES}
        | {"python": platform.python_version()},
        "results": results,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    print(f"written: {path}")
