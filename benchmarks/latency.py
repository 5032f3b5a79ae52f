"""How long one photograph takes: a JPEG of 1280 x 720 through a loaded Predictor.

    python benchmarks/latency.py -o benchmarks/results/latency.json

The dense detector of random weights (they change no time) is timed whole, from the file's bytes to
the decision, beside the one pass of the backbone that it needs, in turns. Medians over the rounds.
Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from drawn_frames import drawn_frame
from record import write_record

from workzone.backbones import load_backbone, run
from workzone.data.images import decode
from workzone.decide.bundle import Bundle
from workzone.decide.calibration import Calibration
from workzone.features.extract import make_spec
from workzone.features.spec import Precision
from workzone.model.detector import Detector
from workzone.model.presets import preset
from workzone.run.predictor import Predictor
from workzone.views import make_views

VARIANTS: tuple[tuple[int, Precision], ...] = (
    (1056, "float32"),
    (960, "float32"),
    (768, "float32"),
    (1056, "bfloat16"),
)
THREADS = (1, 2)


def milliseconds(work: Callable[[], object]) -> float:
    """Wall-clock time of one call."""
    started = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - started)


def dense_predictor(size: int, precision: Precision) -> Predictor:
    """The preset `dense` at some size, untrained."""
    entry, backbone = preset("dense"), load_backbone("lite0")
    layout = dataclasses.replace(entry.layout, size=size)
    spec = make_spec(
        backbone,
        layout=layout,
        pooling=entry.pooling,
        precision=precision,
        grid_views=(0,),
    )
    bundle = Bundle(Detector(entry.detector).eval(), spec, Calibration(), backbone.licence)
    return Predictor(bundle, backbone)


def measure(size: int, precision: Precision, rounds: int) -> dict[str, float]:
    """Medians, ms: the whole, its parts, and how many passes of the backbone it comes to."""
    predictor = dense_predictor(size, precision)
    layout, data = predictor.bundle.spec.layout, drawn_frame(0)
    frame = decode(data)
    pixels = make_views(frame, layout).pixels
    work: dict[str, Callable[[], object]] = {
        "whole": lambda: predictor.predict(data),
        "decode": lambda: decode(data),
        "view": lambda: make_views(frame, layout),
        "backbone": lambda: run(predictor.backbone, pixels, precision=precision),
    }
    for part in work.values():
        part()  # the first call allocates
    times = [{name: milliseconds(part) for name, part in work.items()} for _ in range(rounds)]
    medians = {name: statistics.median(t[name] for t in times) for name in work}
    figures = medians | {"passes": medians["whole"] / medians["backbone"]}
    return {name: round(value, 2) for name, value in figures.items()}


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    results = {}
    for threads in THREADS:
        torch.set_num_threads(threads)
        for size, precision in VARIANTS:
            name = f"{size} px, {precision}, {threads} thread{'s' * (threads > 1)}"
            results[name] = measure(size, precision, arguments.rounds)
            print(name, results[name], flush=True)
    write_record(arguments.output, results)


if __name__ == "__main__":
    main()
