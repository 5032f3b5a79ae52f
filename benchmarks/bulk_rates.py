"""How fast bulk scoring on Ray is beside the single pipeline, and how it grows with nodes.

Photographs, as squares of 224 pixels and as frames of 1,280 x 720, by the model that comes along:
`predict_many` in this process, then by actors of Ray on the same cores, in turn. The rate is that
from the first tenth of the results to the last; starting Ray, its actors and the model is given
apart. Then a stand-in model that sleeps 50 ms an image, on one node of two workers and on two.

    python benchmarks/bulk_rates.py ../shared/data/photos -o benchmarks/results/bulk_rates.json
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image
from record import write_record
from stand_in import StandIn

from workzone.cores import core_count
from workzone.run.bulk import predict_many
from workzone.run.model_choice import ModelChoice
from workzone.run.on_ray import Actors, RayScorer
from workzone.run.sources import find_images


class Timed:
    """A scorer that keeps when its results came."""

    def __init__(self, scorer: Any) -> None:
        self._scorer = scorer
        self.times: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._scorer, name)

    def score(self, *arguments: Any, **options: Any) -> Iterator[Any]:
        """As the scorer's."""
        for result in self._scorer.score(*arguments, **options):
            self.times.append(time.perf_counter())
            yield result


def run(scorer: Any, source: Path, folder: Path) -> dict[str, float]:
    """Score all; images a second between the first tenth and the end, and seconds before that."""
    timed = Timed(scorer)
    begin = time.perf_counter()
    predict_many(timed, source, folder / f"scores-{time.monotonic_ns()}")
    times, tenth = timed.times, max(1, len(timed.times) // 10)
    steady = (len(times) - tenth) / (times[-1] - times[tenth - 1])
    return {"rate": steady, "seconds": times[-1] - begin, "until_first": times[0] - begin}


def resized(photos: Path, folder: Path, side: tuple[int, int], images: int) -> Path:
    """Photographs cut to one shape and size, as JPEG of quality 85."""
    folder.mkdir()
    files = [path for path in sorted(photos.rglob("*")) if path.suffix.lower() in (".jpg", ".jpeg")]
    ready: list[bytes] = []
    for path in files[:100]:
        buffer = io.BytesIO()
        with Image.open(path) as image:
            image.convert("RGB").resize(side).save(buffer, "JPEG", quality=85)
        ready.append(buffer.getvalue())
    for number in range(images):
        (folder / f"{number:05}.jpg").write_bytes(ready[number % len(ready)])
    return folder


def beside(source: Path, folder: Path, rounds: int) -> dict[str, Any]:
    """The single pipeline and actors of Ray, in turn."""
    choice = ModelChoice()
    predictor = choice.load()
    single, actors = [], []
    for _ in range(rounds):
        single.append(run(predictor, source, folder))
        scorer = RayScorer(choice, predictor, Actors(), seconds_each=1 / single[-1]["rate"])
        actors.append(run(scorer, source, folder))
    ratios = [a["rate"] / s["rate"] for a, s in zip(actors, single, strict=True)]
    return {
        "images": len(find_images(source).images),
        "workers": core_count(),
        "single": single,
        "on_ray": actors,
        "ratio": {"each": ratios, "median": statistics.median(ratios)},
    }


def scaling(source: Path, folder: Path, rounds: int) -> dict[str, Any]:
    """A model that sleeps, on one and on two nodes of this machine."""
    from ray.cluster_utils import Cluster

    model = StandIn(seconds=0.05)
    rates: dict[int, list[float]] = {1: [], 2: []}
    node = {"num_cpus": 2, "object_store_memory": 200 << 20}
    for _ in range(rounds):
        for nodes, found in rates.items():
            cluster = Cluster(
                initialize_head=True,
                head_node_args={**node, "num_cpus": 0, "include_dashboard": False},
            )
            for _ in range(nodes):
                cluster.add_node(**node)
            actors = Actors(cluster.address, 2 * nodes, 2 * nodes)
            scorer = RayScorer(model, model, actors, seconds_each=0.05)
            found.append(run(scorer, source, folder)["rate"])
            cluster.shutdown()
    medians = {nodes: statistics.median(found) for nodes, found in rates.items()}
    return {
        "workers_a_node": 2,
        "seconds_slept": 0.05,
        "rates": {str(nodes): found for nodes, found in rates.items()},
        "times_two": medians[2] / medians[1],
    }


def main() -> None:
    """Measure, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--images", type=int, default=600)
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small = resized(args.photos, folder / "small", (224, 224), args.images)
        large = resized(args.photos, folder / "large", (1280, 720), args.images // 2)
        results["squares of 224"] = beside(small, folder, args.rounds)
        print("squares:", results["squares of 224"]["ratio"], flush=True)
        results["frames of 1280 x 720"] = beside(large, folder, args.rounds)
        print("frames:", results["frames of 1280 x 720"]["ratio"], flush=True)
        tiny = resized(args.photos, folder / "tiny", (32, 32), 4 * args.images)
        results["nodes"] = scaling(tiny, folder, args.rounds)
        print("nodes:", results["nodes"], flush=True)
    write_record(args.output, results)


if __name__ == "__main__":
    main()
