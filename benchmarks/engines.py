"""The default model on other engines, beside torch, on photographs: the gate's figures, and times.

    WORKZONE_PHOTOS=... python benchmarks/engines.py -o benchmarks/results/engines.json

The folder holds ``labels.csv`` (``file, label``). Photographs are taken at even steps of the list;
the ranges of int8 are measured on others, once for each of its attempts (see
:mod:`workzone.engine.quantize`). Times are of one thread, all programs in turn on each of
``--timed`` photographs: the median, and in brackets the quartiles, which tell how noisy it was.
MCC here says only that both decide alike: the model learned from some of these pictures.
"""

from __future__ import annotations

import argparse
import csv
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from record import write_record

from workzone.decide.bundle import default_model, read_bundle
from workzone.engine.choose import load_program, make_engine
from workzone.engine.export import export, write_openvino
from workzone.engine.folder import read_exported
from workzone.engine.gate import GateImage, compare
from workzone.engine.program import Answer, Program, Seen
from workzone.engine.quantize import KEPT_FLOAT, quantise
from workzone.engine.torch_engine import torch_program
from workzone.errors import UsageError
from workzone.run.backbone import bundle_backbone
from workzone.run.gate_images import gate_images
from workzone.views import ViewLayout, preprocess

ENGINES = (("onnx", "float32"), ("openvino", "float32"), ("openvino", "bfloat16"))
MEASURED_ON = 48


class Remembered(Program):
    """A program that answers once for each image."""

    def __init__(self, program: Program) -> None:
        super().__init__(program.description, program.engine)
        self._answers: dict[int, Answer] = {}

    def run(self, images: Sequence[Seen]) -> list[Answer]:
        """What was answered before, or is now; images are known by identity."""
        new = [image for image in images if id(image) not in self._answers]
        self._answers |= zip(map(id, new), super().run(new), strict=True)
        return [self._answers[id(image)] for image in images]


def photographs(folder: Path, layout: ViewLayout, count: int, *, first: int = 0) -> list[GateImage]:
    """So many of the listed photographs, as views, from row ``first`` on."""
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    images = []
    for row in rows[first :: max(1, len(rows) // count)][:count]:
        places = (folder / row["file"], folder / "photos" / row["file"])
        file = next(place for place in places if place.exists())
        views = preprocess(file.read_bytes(), layout, name=row["file"])
        seen = Seen(views.pixels.numpy(), views.boxes)
        images.append(GateImage(row["file"], seen, int(row["label"])))
    return images


def programs(plain: Path, aside: Path, measured: list[GateImage]) -> dict[str, Program | str]:
    """Every program that this processor runs, by name; for the others why not."""
    found: dict[str, Program | str] = {}
    for engine, precision in ENGINES:
        try:
            found[f"{engine} {precision}"] = load_program(
                plain, engine=engine, precision=precision, threads=1
            )
        except UsageError as error:
            found[f"{engine} {precision}"] = str(error)
    exported = read_exported(plain)
    for kept in KEPT_FLOAT:
        reader = aside / f"reader-{kept}.onnx"
        quantise(plain / "reader.onnx", [i.seen.pixels for i in measured], reader, kept=kept)
        write_openvino(reader, reader.with_suffix(".xml"))
        for engine, suffix in (("onnx", ".onnx"), ("openvino", ".xml")):
            files = exported.graphs() | {"reader": reader.with_suffix(suffix)}
            made = make_engine(engine, files, precision="int8", threads=1)
            name = f"{engine} int8" + (f", {kept} at either end float32" if kept else "")
            found[name] = Program(exported, made)
    return found


def times(runs: dict[str, Program], images: list[GateImage]) -> dict[str, Any]:
    """Milliseconds per image: quartiles of each program."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for image in images:
        for name, program in runs.items():
            start = time.perf_counter()
            program.run([image.seen])
            taken[name].append(1000 * (time.perf_counter() - start))
    quartiles = {n: np.percentile(told, (25, 50, 75)).tolist() for n, told in taken.items()}
    return {
        name: {"median": round(median, 1), "quartiles": [round(low, 1), round(high, 1)]}
        for name, (low, median, high) in quartiles.items()
    }


def main() -> None:
    """Export once, compare every engine that this processor can run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--count", type=int, default=220)
    parser.add_argument("--timed", type=int, default=40)
    options = parser.parse_args()
    bundle = read_bundle(default_model())
    backbone = bundle_backbone(bundle)
    reference = Remembered(torch_program(bundle, backbone, precision="float32"))
    photos, layout = Path(os.environ["WORKZONE_PHOTOS"]), bundle.spec.layout
    images = photographs(photos, layout, options.count)
    names = {image.name for image in images}
    others = photographs(photos, layout, options.count, first=1)
    measured = [image for image in others if image.name not in names]
    measured = measured[:: max(1, len(measured) // MEASURED_ON)][:MEASURED_ON]
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "model"
        export(bundle, backbone, place, gate_images(bundle, None, count=8))
        found = programs(place, Path(folder), measured)
        runs = {name: program for name, program in found.items() if isinstance(program, Program)}
        timed = times(runs, images[: options.timed])
        sizes = {
            "float32": place / "reader.onnx",
            **{f"int8, {kept}": Path(folder) / f"reader-{kept}.onnx" for kept in KEPT_FLOAT},
        }
        results["bytes of the reader"] = {name: file.stat().st_size for name, file in sizes.items()}
        for name, program in found.items():
            if isinstance(program, str):
                results[name] = {"not measured": program}
                continue
            report = compare(program, reference, images)
            told = report.to_json() | {"failures": report.failures, "milliseconds": timed[name]}
            results[name] = {
                key: value for key, value in told.items() if key not in ("flipped", "furthest")
            }
            print(name, results[name], flush=True)
    write_record(options.output, results)


if __name__ == "__main__":
    main()
