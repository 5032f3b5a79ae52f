"""Memory and time of a folder of 20,000 images: neither may grow with what is behind.

    python benchmarks/memory_curve.py -o benchmarks/results/memory_curve.json

Twelve drawn JPEGs of 1280 x 720, under 20,000 names, through `predict_many` with the model that
comes with workzone on the engine that it is given unasked: resident memory and images scored, every
few seconds.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from drawn_frames import drawn_frame
from record import write_record

import workzone
from workzone.run.bulk import predict_many

DIFFERENT = 12
POINTS = 40
"""Of the curve that is recorded."""


def resident() -> float:
    """Megabytes of this process that lie in memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--engine")
    parser.add_argument("--precision")
    options = parser.parse_args()
    before = resident()
    predictor = workzone.load(engine=options.engine, precision=options.precision)
    curve: list[tuple[float, int, float]] = []  # seconds, images, megabytes
    finished = threading.Event()
    with tempfile.TemporaryDirectory() as place:
        folder, output = Path(place) / "frames", Path(place) / "scores.jsonl"
        folder.mkdir()
        journal = output.with_name(f".{output.name}.journal")
        originals = [folder / f"{number:06}.jpg" for number in range(DIFFERENT)]
        for number, original in enumerate(originals):
            original.write_bytes(drawn_frame(number))
        for number in range(DIFFERENT, options.images):
            (folder / f"{number:06}.jpg").hardlink_to(originals[number % DIFFERENT])
        started = time.perf_counter()

        def watch() -> None:
            while not finished.wait(2.0):
                if journal.exists():
                    with journal.open("rb") as lines:
                        done = sum(1 for _ in lines) - 1
                    curve.append((time.perf_counter() - started, max(0, done), resident()))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            summary = predict_many(predictor, folder, output)
        finally:
            finished.set()
            watcher.join()
    seconds = time.perf_counter() - started
    assert summary.scored == options.images
    engine = predictor.program.engine
    name = f"{engine.name} {engine.precision}"
    _write(options.output, curve, seconds, options.images, name, before)


def _write(
    output: Path,
    curve: list[tuple[float, int, float]],
    seconds: float,
    images: int,
    engine: str,
    before: float,
) -> None:
    times, done, memory = (np.array(column, dtype=float) for column in zip(*curve, strict=True))
    later = done > images / 10  # what is allocated once is there by then
    growth = np.polyfit(done[later] / 1000, memory[later], 1)[0]
    chosen = np.linspace(0, len(curve) - 1, min(POINTS, len(curve))).astype(int)
    halves = [times[done <= images / 2][-1], times[-1] - times[done <= images / 2][-1]]
    results = {
        "engine": engine,
        "images": images,
        "images per second": round(images / seconds, 2),
        "seconds, first and second half": [round(float(half), 1) for half in halves],
        "peak memory, MB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3),
        "this script before a model is loaded, MB": round(before),
        "growth, MB per 1000 images": round(float(growth), 3),
        "curve": [
            {
                "seconds": round(float(times[point])),
                "images": int(done[point]),
                "MB": round(float(memory[point])),
            }
            for point in chosen
        ],
    }
    print({key: value for key, value in results.items() if key != "curve"})
    write_record(output, results)


if __name__ == "__main__":
    main()
