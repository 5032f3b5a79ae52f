"""Frames in their own shape, as the default model has them, beside the views that it had before.

    python benchmarks/layout.py -o benchmarks/results/layout.json

Leave one source out, three seeds, the recipe and the photographs that shipped weights may learn
from. *squares*: the whole frame padded to 512 x 512 px, and its left and right square, each read at
half its size too; as recorded in ``accuracy_squares.json``. *frame*: the frame in its own shape,
512 px on its shorter side and at most 896 on its longer, read at half its size too; as recorded in
``accuracy_frames.json``. What a photograph of 1280 x 720 costs the backbone is counted and, on one
core by ONNX Runtime, timed in turns.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from drawn_frames import drawn_frame
from record import write_record

from workzone.decide.bundle import read_bundle
from workzone.decide.bundle_json import shipped_bundle, shipped_program
from workzone.engine.choose import load_program
from workzone.engine.operations import photo_operations
from workzone.engine.program import Program
from workzone.model.presets import preset
from workzone.run.backbone import bundle_backbone
from workzone.views import ViewLayout, halved, preprocess

LAYOUTS = {
    "squares": ViewLayout(
        size=512, keep_aspect=True, tiles=0, squares=("left", "right"), halves=True
    ),
    "frame": preset("dense").layout,
}
RESULTS = Path(__file__).parent / "results"
RECORDED = {"squares": RESULTS / "accuracy_squares.json", "frame": RESULTS / "accuracy_frames.json"}
KINDS = ("512 px", "512 px alone", *(f"level {level}" for level in range(4)))
"""What was judged: photographs as they are, without halves, and as the subnet sends them."""
FOLDS = ("us", "web", "br", "mean")


def judged(record: Path) -> dict[str, Any]:
    """Figures by what was judged, with the intervals of their mean over the folds."""
    summary = json.loads(record.read_text())["results"]["summary"]["permitted"]
    return {
        kind: {
            fold: {figure: summary[kind][fold][figure] for figure in ("auc", "mcc")}
            for fold in FOLDS
        }
        | (
            {
                "interval of the mean": summary["intervals"][kind.replace("512 px", "as it is")][
                    "mean"
                ]
            }
            if kind != "512 px alone"
            else {}
        )
        for kind in KINDS
    }


def operations() -> dict[str, int]:
    """Of the backbone on a photograph of 1280 x 720, counted."""
    bundle = read_bundle(shipped_bundle())
    backbone, counted = bundle_backbone(bundle), {}
    for name, layout in LAYOUTS.items():
        views = tuple(range(layout.count))
        spec = dataclasses.replace(bundle.spec, layout=layout, grid_views=views)
        counted[name] = photo_operations(dataclasses.replace(bundle, spec=spec), backbone)
    return counted


def milliseconds(rounds: int) -> dict[str, float]:
    """Of one core, to read a photograph's views: medians over rounds in turns."""
    program = load_program(shipped_program(), engine="onnx", threads=1)
    views = {name: _read_apart(layout) for name, layout in LAYOUTS.items()}
    spent: dict[str, list[float]] = {name: [] for name in LAYOUTS}
    for number in range(rounds + 1):
        for name, of_photo in views.items():
            started = time.thread_time()
            _read(program, of_photo)
            if number:  # the first call allocates
                spent[name].append(1000 * (time.thread_time() - started))
    return {name: round(statistics.median(times), 1) for name, times in spent.items()}


def _read_apart(layout: ViewLayout) -> list[npt.NDArray[np.uint8]]:
    pixels = list(preprocess(drawn_frame(0), layout).pixels)
    return pixels + [halved(view) for view in pixels]


def _read(program: Program, views: list[npt.NDArray[np.uint8]]) -> None:
    for view in views:
        program.engine.run("reader", {"pixels": view[None]})


def main() -> None:
    """Compare and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    figures = {name: judged(record) for name, record in RECORDED.items()}
    counted, spent = operations(), milliseconds(options.rounds)
    results = {
        name: {
            "judged": figures[name],
            "operations of a photograph": counted[name],
            "core ms to read a photograph": spent[name],
        }
        for name in LAYOUTS
    }
    for name, row in results.items():
        print(name, row)
    write_record(options.output, results)


if __name__ == "__main__":
    main()
