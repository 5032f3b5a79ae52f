"""What a start of the program waits for: imports are most of its time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from PIL import Image

COMMAND = """
import sys
from workzone.cli import main
try:
    main()
finally:
    print("imported:", *sys.modules)
"""

SLOW = {
    "httpx",
    "matplotlib",
    "scipy",
    "sklearn",
    "sympy",
    "timm",
    "torch._dynamo",
    "torchvision",
    "transformers",
}
"""Each takes an eighth of a second to three seconds."""


def imported(*arguments: object, folder: Path) -> set[str]:
    """Names of the modules that a command has imported at its end."""
    result = subprocess.run(
        [sys.executable, "-c", COMMAND, *map(str, arguments)],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return set(result.stdout.rpartition("imported:")[2].split())


def test_the_help_waits_for_no_torch(tmp_path: Path) -> None:
    modules = imported("--help", folder=tmp_path)
    assert "workzone.cli.predict" in modules
    assert modules & (SLOW | {"torch"}) == set()


def test_a_prediction_imports_what_it_needs(tmp_path: Path) -> None:
    """With the model that is shipped."""
    Image.new("RGB", (64, 48)).save(tmp_path / "street.jpg")
    modules = imported("predict", "street.jpg", "--json", folder=tmp_path)
    assert "workzone.engine.onnx_engine" in modules
    assert modules & (SLOW | {"torch", "pyarrow"}) == set()


def test_a_bundle_imports_torch_and_little_else(tmp_path: Path) -> None:
    Image.new("RGB", (64, 48)).save(tmp_path / "street.jpg")
    modules = imported("predict", "street.jpg", "--engine", "torch", folder=tmp_path)
    assert "workzone.backbones.lite" in modules
    assert modules & SLOW == set()
