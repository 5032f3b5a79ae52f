"""The default model on other engines, and by evaluation, beside torch: the gate's figures.

    WORKZONE_PHOTOS=... python benchmarks/engines.py -o benchmarks/results/engines.json

The folder holds ``labels.csv``, see left_out.py. Compared are the first ``--count`` of the
photographs that the model did not learn from, as `workzone export` does; the ranges of int8 are
measured on the rest of them, once for each of its attempts (see :mod:`workzone.engine.quantize`).
Evaluation reads features that torch made and stored in 16 bits. How fast each is: ``pipeline.py``.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from left_out import left_out
from record import write_record

from workzone.backbones.base import Backbone
from workzone.data.manifest import Manifest
from workzone.decide.bundle import Bundle, read_bundle
from workzone.decide.bundle_json import shipped_bundle, shipped_program
from workzone.decide.threshold import HALF
from workzone.engine.choose import load_program, make_engine
from workzone.engine.export import export, write_openvino
from workzone.engine.folder import read_exported
from workzone.engine.gate import GateImage, compare
from workzone.engine.program import Answer, Program, Seen
from workzone.engine.quantize import KEPT_FLOAT, given_to_reader, quantise
from workzone.engine.torch_engine import torch_program
from workzone.errors import UsageError, WorkzoneError
from workzone.features.extract import Extraction
from workzone.features.spec import StoredType
from workzone.run.backbone import bundle_backbone
from workzone.run.evaluate import image_only_probabilities
from workzone.run.gate_images import gate_images
from workzone.run.predictor import Predictor
from workzone.views import ViewLayout, preprocess, sample_bytes

ENGINES = (("onnx", "float32"), ("openvino", "float32"), ("openvino", "bfloat16"))
INT8_FORMS = (("onnx", "int8"), ("openvino", "int8"), ("openvino", "int8-bfloat16"))
COMPARED, MEASURED_ON = 440, 48


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


def photographs(manifest: Manifest, layout: ViewLayout) -> list[GateImage]:
    """The same as views."""
    images = []
    for sample in manifest:
        views = preprocess(sample_bytes(sample, manifest.root), layout)
        images.append(GateImage(sample.id, Seen(views.pixels, views.boxes), sample.label))
    return images


def float32_program() -> Program:
    """The program that comes with the package, in 32 bits."""
    return load_program(shipped_program(), engine="onnx", precision="float32")


def evaluation(
    bundle: Bundle,
    backbone: Backbone,
    manifest: Manifest,
    program: Program,
    stored: StoredType = "float16",
) -> dict[str, Any]:
    """How far evaluation on stored features is from prediction by the program."""
    spec = dataclasses.replace(bundle.spec, stored_type=stored)
    bundle = dataclasses.replace(bundle, spec=spec)
    with tempfile.TemporaryDirectory() as folder:
        store = Extraction(manifest, backbone, spec, Path(folder)).run()
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
    views = given_to_reader([image.seen for image in measured], exported.spec.layout)
    for kept in KEPT_FLOAT:
        reader = _file(aside, kept)
        quantise(plain / "reader.onnx", views, reader, kept=kept)
        write_openvino(reader, reader.with_suffix(".xml"))
        for engine, precision in INT8_FORMS:
            suffix = ".onnx" if engine == "onnx" else ".xml"
            files = exported.graphs() | {"reader": reader.with_suffix(suffix)}
            name = f"{engine} {precision}{in_floats(kept)}"
            try:
                made = make_engine(engine, files, precision=precision, threads=1)
                found[name] = Program(exported, made)
            except WorkzoneError as error:
                found[name] = str(error)
    return found


def in_floats(kept: tuple[int, int]) -> str:
    """What of a reader's weights is not int8, for people."""
    first, last = kept
    if first == last:
        return f", {first} at either end in floats" if first else ""
    return f", the first {first} in floats"


def _file(folder: Path, kept: tuple[int, int]) -> Path:
    return folder / f"reader-{kept[0]}-{kept[1]}.onnx"


def main() -> None:
    """Export once, compare every engine that this processor can run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--count", type=int, default=COMPARED)
    options = parser.parse_args()
    bundle = read_bundle(shipped_bundle())
    backbone = bundle_backbone(bundle)
    reference = Remembered(torch_program(bundle, backbone, precision="float32"))
    photos, layout = Path(os.environ["WORKZONE_PHOTOS"]), bundle.spec.layout
    samples = left_out(photos)
    manifest = Manifest(samples[: options.count], photos)
    images = photographs(manifest, layout)
    others = samples[options.count :][:MEASURED_ON]
    measured = photographs(Manifest(others, photos), layout)
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "model"
        export(bundle, backbone, place, gate_images(bundle, None, count=8))
        found = programs(place, Path(folder), measured)
        sizes = {
            "float32": place / "reader.onnx",
            **{f"int8{in_floats(kept)}": _file(Path(folder), kept) for kept in KEPT_FLOAT},
        }
        results["bytes of the reader"] = {name: file.stat().st_size for name, file in sizes.items()}
        for name, program in found.items():
            if isinstance(program, str):
                results[name] = {"not measured": program}
                continue
            report = compare(program, reference, images)
            told = report.to_json() | {"failures": report.failures}
            results[name] = {
                key: value for key, value in told.items() if key not in ("flipped", "furthest")
            }
            print(name, results[name], flush=True)
    name = "evaluate, beside the program that comes with the package"
    results[name] = evaluation(bundle, backbone, manifest, float32_program())
    print(name, results[name])
    write_record(options.output, results)


if __name__ == "__main__":
    main()
