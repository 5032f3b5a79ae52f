"""How far evaluation, on stored features, is from prediction: the default model on photographs.

    WORKZONE_PHOTOS=... python benchmarks/evaluation.py -o benchmarks/results/evaluation.json

The photographs are those of engines.py. `predict` runs the program that comes with the package by
ONNX Runtime; evaluation reads features that torch made, stored in 16 or in 32 bits.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from engines import COMPARED, evaluation, shipped_program
from left_out import left_out
from record import write_record

from workzone.data.manifest import Manifest
from workzone.decide.bundle import read_bundle
from workzone.decide.bundle_json import shipped_bundle
from workzone.features.spec import StoredType
from workzone.run.backbone import bundle_backbone

STORED: tuple[StoredType, ...] = ("float16", "float32")


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--count", type=int, default=COMPARED)
    options = parser.parse_args()
    bundle = read_bundle(shipped_bundle())
    backbone = bundle_backbone(bundle)
    photos = Path(os.environ["WORKZONE_PHOTOS"])
    manifest = Manifest(left_out(photos)[: options.count], photos)
    results: dict[str, Any] = {}
    for stored in STORED:
        results[stored] = evaluation(bundle, backbone, manifest, shipped_program(), stored)
        print(stored, results[stored], flush=True)
    write_record(options.output, results)


if __name__ == "__main__":
    main()
