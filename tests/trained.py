"""What a small trained model that many tests share was made from; `conftest.py` makes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from workzone.data.manifest import Manifest
from workzone.views import ViewLayout

LAYOUT = ViewLayout(size=96, tiles=2, overlap=0.0, squares=())
"""The whole frame and its four quarters: small, and precise enough to say where."""


@dataclass(frozen=True)
class Tiny:
    """A trained bundle with all it was made from."""

    root: Path
    manifest: Manifest  # 60 images in train, val and test; road work is an orange blob
    manifest_path: Path
    bundle: Path
    store: Path  # folder of feature stores
