"""The default model on other engines, and by evaluation, beside torch: the gate's figures.

    WORKZONE_PHOTOS=... python benchmarks/engines.py -o benchmarks/results/engines.json

The folder holds ``labels.csv`` (``file, label``). Photographs are taken at even steps of the list.
MCC here says only that both decide alike: the model learned from some of these pictures. Evaluation
reads features that torch made and stored in 16 bits.
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from record import write_record

from workzone.backbones.base import Backbone
from workzone.data.images import content_hash
from workzone.data.manifest import Manifest
from workzone.decide.bundle import Bundle, read_bundle
from workzone.decide.bundle_json import default_model
from workzone.decide.threshold import HALF
from workzone.engine.choose import load_program
from workzone.engine.export import export
from workzone.engine.gate import GateImage, compare
from workzone.engine.program import Program, Seen
from workzone.engine.torch_engine import torch_program
from workzone.errors import UsageError
from workzone.features.extract import Extraction
from workzone.run.backbone import bundle_backbone
from workzone.run.evaluate import image_only_probabilities
from workzone.run.gate_images import gate_images
from workzone.run.predictor import Predictor
from workzone.run.programs import open_program
from workzone.types import ImageRef, Sample
from workzone.views import ViewLayout, preprocess, sample_bytes

ENGINES = (("onnx", "float32"), ("openvino", "float32"), ("openvino", "bfloat16"))


def listed(folder: Path, count: int) -> Manifest:
    """So many of the listed photographs."""
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    samples = []
    for row in rows[:: max(1, len(rows) // count)][:count]:
        digest = content_hash((folder / row["file"]).read_bytes())
        label = int(row["label"])
        samples.append(Sample(row["file"], ImageRef(row["file"]), label=label, content_hash=digest))
    return Manifest(samples, folder)


def photographs(manifest: Manifest, layout: ViewLayout) -> list[GateImage]:
    """The same as views."""
    images = []
    for sample in manifest:
        views = preprocess(sample_bytes(sample, manifest.root), layout)
        images.append(GateImage(sample.id, Seen(views.pixels, views.boxes), sample.label))
    return images


def evaluation(
    bundle: Bundle, backbone: Backbone, manifest: Manifest, program: Program
) -> dict[str, Any]:
    """How far evaluation on stored features is from prediction by the program."""
    with tempfile.TemporaryDirectory() as folder:
        store = Extraction(manifest, backbone, bundle.spec, Path(folder)).run()
        evaluated = image_only_probabilities(bundle, store, list(manifest))
    files = [manifest.root / sample.image.path for sample in manifest]
    predicted = np.array([p.probability for p in Predictor(program).predict(files)])
    difference = np.abs(evaluated - predicted)
    return {
        "images": len(files),
        "largest_difference": float(difference.max()),
        "mean_difference": float(difference.mean()),
        "flips": int(((evaluated > HALF) != (predicted > HALF)).sum()),
    }


def main() -> None:
    """Export once, compare every engine that this processor can run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--count", type=int, default=220)
    options = parser.parse_args()
    bundle = read_bundle(default_model())
    backbone = bundle_backbone(bundle)
    reference = torch_program(bundle, backbone, precision="float32")
    manifest = listed(Path(os.environ["WORKZONE_PHOTOS"]), options.count)
    images = photographs(manifest, bundle.spec.layout)
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "model"
        export(bundle, backbone, place, gate_images(bundle, None, count=8))
        for engine, precision in ENGINES:
            try:
                program = load_program(place, engine=engine, precision=precision)
            except UsageError as error:
                results[f"{engine} {precision}"] = {"not measured": str(error)}
                continue
            report = compare(program, reference, images)
            told = report.to_json() | {"failures": report.failures}
            results[f"{engine} {precision}"] = {
                name: value for name, value in told.items() if name not in ("flipped", "furthest")
            }
            print(engine, precision, results[f"{engine} {precision}"], flush=True)
    name = "evaluate, beside the program that comes with the package"
    results[name] = evaluation(bundle, backbone, manifest, open_program(None))
    print(name, results[name])
    write_record(options.output, results)


if __name__ == "__main__":
    main()
