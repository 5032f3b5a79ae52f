"""What one process does with the default model, without HTTP: the yardstick of serving.py.

    python benchmarks/serving_engine.py

Prints JSON, by kind of image: the engine's own time of one image with all cores, from bytes to
result; the throughput of the pipeline over a folder's worth of images, a stream per core; and that
of batches of 8 which all cores compute together.
"""

from __future__ import annotations

import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from serving_images import KINDS, images

import workzone
from workzone.engine.program import Seen
from workzone.run.images import Encoded
from workzone.run.pipeline import Pipeline
from workzone.views import preprocess

ROUNDS = 2
ALONE = 40
FOLDER = 24
BATCH = 8


def main() -> None:
    """Measure and print."""
    predictor = workzone.load()
    program = predictor.program
    pipeline = Pipeline(program)
    layout = program.description.spec.layout

    def seen(data: bytes) -> Seen:
        views = preprocess(data, layout)
        return Seen(views.pixels, views.boxes)

    def streams(files: list[bytes]) -> None:
        inputs = [(str(number), data) for number, data in enumerate(files)]
        for _ in pipeline.run(inputs, lambda data: Encoded(data, "image")):
            pass

    def batches(files: list[bytes], threads: ThreadPoolExecutor) -> None:
        program.engine.views_at_once = BATCH  # type: ignore[misc]
        try:
            for start in range(0, len(files), BATCH):
                program.run(list(threads.map(seen, files[start : start + BATCH])))
        finally:
            program.engine.views_at_once = 1  # type: ignore[misc]

    found: dict[str, Any] = {"engine": f"{predictor.engine} {predictor.precision}"}
    with ThreadPoolExecutor(program.engine.streams) as threads:
        for kind in KINDS:
            files = images(kind, FOLDER)
            predictor.predict(files[0])
            streams(files[:4])
            rows = []
            for _ in range(ROUNDS):
                alone = []
                for data in (files * ALONE)[:ALONE]:
                    begin = time.perf_counter()
                    predictor.predict(data)
                    alone.append(1000 * (time.perf_counter() - begin))
                begin, work = time.perf_counter(), time.process_time()
                streams(files)
                middle, worked = time.perf_counter(), time.process_time()
                batches(files, threads)
                end, done = time.perf_counter(), time.process_time()
                walls = (statistics.median(alone), middle - begin, end - middle)
                rows.append((*walls, worked - work, done - worked))
            ms, by_streams, by_batches, *processor = (
                statistics.median(column) for column in zip(*rows, strict=True)
            )
            found[kind] = {
                "alone, ms": round(ms, 1),
                "streams, images/s": round(FOLDER / by_streams, 2),
                "batches, images/s": round(FOLDER / by_batches, 2),
                "streams, processor ms an image": round(1000 * processor[0] / FOLDER, 2),
                "batches, processor ms an image": round(1000 * processor[1] / FOLDER, 2),
            }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
