"""The default model on other engines, beside torch, on photographs: the gate's figures.

    WORKZONE_PHOTOS=... python benchmarks/engines.py -o benchmarks/results/engines.json

The folder holds ``labels.csv`` (``file, label``). Photographs are taken at even steps of the list.
MCC here says only that both decide alike: the model learned from some of these pictures.
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
from pathlib import Path

from record import write_record

from workzone.decide.bundle import default_model, read_bundle
from workzone.engine.choose import load_program
from workzone.engine.export import export
from workzone.engine.gate import GateImage, compare
from workzone.engine.program import Seen
from workzone.engine.torch_engine import torch_program
from workzone.errors import UsageError
from workzone.run.backbone import bundle_backbone
from workzone.run.gate_images import gate_images
from workzone.views import ViewLayout, preprocess

ENGINES = (("onnx", "float32"), ("openvino", "float32"), ("openvino", "bfloat16"))


def photographs(folder: Path, layout: ViewLayout, count: int) -> list[GateImage]:
    """So many of the listed photographs, as views."""
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    images = []
    for row in rows[:: max(1, len(rows) // count)][:count]:
        places = (folder / row["file"], folder / "photos" / row["file"])
        file = next(place for place in places if place.exists())
        views = preprocess(file.read_bytes(), layout, name=row["file"])
        images.append(GateImage(row["file"], Seen(views.pixels, views.boxes), int(row["label"])))
    return images


def main() -> None:
    """Export once, compare every engine that this processor can run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--count", type=int, default=220)
    options = parser.parse_args()
    bundle = read_bundle(default_model())
    backbone = bundle_backbone(bundle)
    reference = torch_program(bundle, backbone, precision="float32")
    images = photographs(Path(os.environ["WORKZONE_PHOTOS"]), bundle.spec.layout, options.count)
    results = {}
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
    write_record(options.output, results)


if __name__ == "__main__":
    main()
