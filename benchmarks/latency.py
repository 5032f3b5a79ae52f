"""How long one photograph takes: a JPEG of 1280 x 720 through a loaded Predictor, by size.

    python benchmarks/latency.py -o benchmarks/results/latency.json

The default model is timed whole, from the file's bytes to the decision, by the engines that run it,
in turns, at its own size of views and at a faster and a more careful one; and decoding and views
alone. Medians over the rounds. Then the command `workzone predict`, from its start to its end, as a
process of its own. Run it on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from drawn_frames import drawn_frame
from record import write_record

from workzone.data.images import decode_pixels
from workzone.decide.bundle import read_bundle
from workzone.decide.bundle_json import shipped_bundle, shipped_program
from workzone.engine.choose import load_program
from workzone.run.predictor import Predictor
from workzone.run.programs import bundle_program
from workzone.views import halved, make_views

SIZES = (384, 512, 576, 768)
ENGINES = (("onnx", "float32"), ("openvino", "bfloat16"))


def milliseconds(work: Callable[[], object]) -> float:
    """Wall-clock time of one call."""
    started = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - started)


def measure(size: int, rounds: int) -> dict[str, float]:
    """Medians, ms: the whole by each engine, and what stands before the backbone."""
    bundle = read_bundle(shipped_bundle()).with_view_size(size)
    layout, data = bundle.spec.layout, drawn_frame(0)
    frame = decode_pixels(data)
    views = make_views(frame, layout).pixels
    work: dict[str, Callable[[], object]] = {
        "decode": lambda: decode_pixels(data),
        "views": lambda: make_views(frame, layout),
        "halves": lambda: [halved(view) for view in views],
        "torch float32": functools.partial(Predictor(bundle_program(bundle)).predict, data),
    }
    for engine, precision in ENGINES:
        predictor = Predictor(load_program(shipped_program(), engine=engine, precision=precision))
        predictor = predictor.described(predictor.description.with_view_size(size))
        work[f"{engine} {precision}"] = functools.partial(predictor.predict, data)
    for part in work.values():
        part()  # the first call allocates
    times = [{name: milliseconds(part) for name, part in work.items()} for _ in range(rounds)]
    return {name: round(statistics.median(t[name] for t in times), 2) for name in work}


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
    for size in SIZES:
        results[f"{size} px"] = measure(size, arguments.rounds)
        print(size, results[f"{size} px"], flush=True)
    results["command, seconds"] = command(5)
    print(results["command, seconds"])
    write_record(arguments.output, results)


if __name__ == "__main__":
    main()
