"""What the default miner would earn: asked as a validator asks, and by `evaluate --challenge`.

On the photographs that no part of the model learned from, 500 challenges over the real wires are
answered by a miner of one and of two processes; then the same rows are judged at every level
without any wire. The two rewards are of the same model on the same photographs, drawn and
distorted by chance each for itself: their intervals must meet.

    python benchmarks/mining_rewards.py ../shared/data -o benchmarks/results/mining_rewards.json
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from left_out import left_out
from record import write_record

from workzone.data.manifest import Manifest, write_manifest
from workzone.subnet.miner import SQUARE_SIZE


def workzone(*words: str | Path) -> Any:
    """What a command prints as JSON."""
    command = [sys.executable, "-m", "workzone", *map(str, words), "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def challenged(manifest: Path, folder: Path, *, workers: int, count: int) -> dict[str, Any]:
    """The figures of a miner that is started for it."""
    words = ("--engine", "onnx", "--count", str(count), "--workers", str(workers))
    said = workzone("challenge", manifest, "-o", folder / f"challenges-{workers}", *words)
    (miner,) = said["miners"]
    names = ("mean_reward", "expected_reward", "mcc", "accuracy", "milliseconds")
    figures = {name: miner[name] for name in names}
    return figures | {"unanswered": miner["unanswered"], "refusals": miner["refusals"]}


def main() -> None:
    """Ask, judge, compare, and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = folder / "left_out.parquet"
        samples = left_out(args.photos)
        write_manifest(Manifest(samples, folder), manifest)
        miners = {
            f"{workers} processes": challenged(manifest, folder, workers=workers, count=args.count)
            for workers in (1, 2)
        }
        print(json.dumps(miners, indent=2), flush=True)
        size = ("--size", str(SQUARE_SIZE))
        judged = workzone("evaluate", manifest, "--challenge", *size, "-o", folder / "evaluation")
    results = {
        "photographs": len(samples),
        "with road work": sum(sample.label == 1 for sample in samples),
        "challenges": args.count,
        "size": SQUARE_SIZE,
        "miners": miners,
        "evaluate --challenge": judged["challenge"],
    }
    write_record(args.output, results)


if __name__ == "__main__":
    main()
