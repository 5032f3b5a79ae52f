"""How long one photograph takes: a JPEG of 1280 x 720 through a loaded Predictor.

    python benchmarks/latency.py -o benchmarks/results/latency.json

The default model, run by ONNX Runtime, is timed whole, from the file's bytes to the decision,
beside what it consists of and beside torch, in turns, at its own size of views and at the faster
and the more careful ones. Medians over the rounds. Then the command `workzone predict`, from its
start to its end, as a process of its own. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from drawn_frames import drawn_frame
from record import write_record

from workzone.data.images import decode_pixels
from workzone.decide.bundle import read_bundle
from workzone.decide.bundle_json import default_model, default_program
from workzone.engine.choose import load_program
from workzone.run.predictor import Predictor
from workzone.run.programs import bundle_program
from workzone.views import halved, make_views

SIZES = (384, 512, 768)
THREADS = (1, 2)


def milliseconds(work: Callable[[], object]) -> float:
    """Wall-clock time of one call."""
    started = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - started)


def measure(size: int, threads: int, rounds: int) -> dict[str, float]:
    """Medians, ms: the whole, its parts, and how many passes of the backbone it comes to."""
    torch.set_num_threads(threads)
    program = load_program(default_program(), threads=threads)
    predictor = Predictor(program)
    predictor = predictor.described(predictor.description.with_view_size(size))
    bundle = read_bundle(default_model()).with_view_size(size)
    by_torch = Predictor(bundle_program(bundle))
    layout, data = bundle.spec.layout, drawn_frame(0)
    frame = decode_pixels(data)
    views = make_views(frame, layout).pixels

    halves = [halved(view) for view in views] if layout.halves else []

    def read() -> None:
        for view in (*views, *halves):
            program.engine.run("reader", {"pixels": view[None]})

    work: dict[str, Callable[[], object]] = {
        "whole": lambda: predictor.predict(data),
        "whole, by torch": lambda: by_torch.predict(data),
        "decode": lambda: decode_pixels(data),
        "views": lambda: make_views(frame, layout),
        "backbone": read,
    }
    for part in work.values():
        part()  # the first call allocates
    times = [{name: milliseconds(part) for name, part in work.items()} for _ in range(rounds)]
    medians = {name: statistics.median(t[name] for t in times) for name in work}
    figures = medians | {"passes": medians["whole"] / medians["backbone"]}
    return {name: round(value, 2) for name, value in figures.items()}


def command(rounds: int) -> float:
    """Seconds from the start of `workzone predict` to its end: the median."""
    with tempfile.TemporaryDirectory() as folder:
        photo = Path(folder) / "street.jpg"
        photo.write_bytes(drawn_frame(0))
        call = [sys.executable, "-m", "workzone", "predict", str(photo)]
        times = [
            milliseconds(lambda: subprocess.run(call, check=True, capture_output=True))
            for _ in range(rounds)
        ]
    return round(statistics.median(times) / 1000, 2)


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    results: dict[str, object] = {}
    for threads in THREADS:
        for size in SIZES:
            name = f"{size} px, {threads} thread{'s' * (threads > 1)}"
            results[name] = measure(size, threads, arguments.rounds)
            print(name, results[name], flush=True)
    results["command, seconds"] = command(5)
    print(results["command, seconds"])
    write_record(arguments.output, results)


if __name__ == "__main__":
    main()
