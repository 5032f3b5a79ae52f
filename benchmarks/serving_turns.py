"""One client of the service in turns with the engine itself: a request, an image, a request, ...

    python benchmarks/serving_turns.py

Prints JSON, by kind of image. What else the machine does meets both alike, and there are enough of
both for a 99th percentile.
"""

from __future__ import annotations

import http.client
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

from serving_images import DISTINCT, KINDS, images
from serving_service import free_port, serving

import workzone

TURNS = 500
FIRST = 10  # that are not counted


def main() -> None:
    """Measure and print."""
    predictor = workzone.load()
    port = free_port()
    found: dict[str, Any] = {}
    with serving("workzone serve", port, None):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

        def ask(data: bytes) -> None:
            connection.request("POST", "/v1/predict", data, {"Content-Type": "image/jpeg"})
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            answer.read()

        for kind in KINDS:
            files = images(kind, DISTINCT)
            alone: list[float] = []
            served: list[float] = []
            for turn in range(FIRST + TURNS):
                data = files[turn % len(files)]
                alone.append(milliseconds(predictor.predict, data))
                served.append(milliseconds(ask, data))
            found[kind] = {
                "turns": TURNS,
                "engine": percentiles(alone[FIRST:]),
                "one client": percentiles(served[FIRST:]),
            }
    print(json.dumps(found))


def milliseconds(work: Callable[[bytes], Any], data: bytes) -> float:
    """How long it takes."""
    begin = time.perf_counter()
    work(data)
    return 1000 * (time.perf_counter() - begin)


def percentiles(values: list[float]) -> dict[str, float]:
    """The median and the 99th percentile, in milliseconds."""
    tail = statistics.quantiles(values, n=100, method="inclusive")[98]
    return {"p50": round(statistics.median(values), 1), "p99": round(tail, 1)}


if __name__ == "__main__":
    main()
