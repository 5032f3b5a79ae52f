"""Whether bulk scoring loses or doubles an image while workers, a node and the driver are killed.

100,000 tiny images in 100 tars, one in a hundred of them damaged, on a Ray cluster of two nodes on
this machine. At random moments one of three things is killed by SIGKILL: a worker process, the
second node (started anew), the driver (whose command is then run again). Afterwards every id must
be there once, damaged ones in the quarantine, and a rerun must do nothing.

    python benchmarks/bulk_chaos.py -o benchmarks/results/bulk_chaos.json
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq
from PIL import Image
from record import write_record

DRIVER = """
import sys
from pathlib import Path
from stand_in import StandIn
from workzone.run.bulk import predict_many
from workzone.run.on_ray import Actors, RayScorer
from workzone.run.sources import find_images

tars, output, address = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
model = StandIn(seconds=float(sys.argv[4]))
found = find_images(sorted(tars.glob("*.tar")))
scorer = RayScorer(model, model, Actors(address, 2, 2), seconds_each=0.01)
summary = predict_many(scorer, found, output, part_rows=10_000)
print(summary.scored, summary.quarantined, summary.resumed, flush=True)
"""


def make_tars(folder: Path, images: int, tars: int, seed: int) -> set[str]:
    """Tiny images in tars; the ids of damaged ones."""
    rng = np.random.default_rng(seed)
    files = []
    for _ in range(200):
        buffer = io.BytesIO()
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)).save(buffer, "JPEG")
        files.append(buffer.getvalue())
    bad = set(rng.choice(images, images // 100, replace=False).tolist())
    damaged = set()
    each = images // tars
    for number in range(tars):
        path = folder / f"shard-{number:04}.tar"
        with tarfile.open(path, "w") as archive:
            for row in range(number * each, (number + 1) * each):
                data = files[row % len(files)]
                if row in bad:
                    data = data[: len(data) // 3]
                    damaged.add(f"{path.as_posix()}/{row:07}.jpg")
                info = tarfile.TarInfo(f"{row:07}.jpg")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return damaged


class Machine:
    """Two Ray nodes on this machine."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        head = {"num_cpus": 2, "object_store_memory": 200 << 20, "include_dashboard": False}
        self.cluster = Cluster(initialize_head=True, head_node_args=head)
        self.second = self._add()

    def _add(self) -> Any:
        return self.cluster.add_node(num_cpus=2, object_store_memory=200 << 20)

    def kill_node(self) -> None:
        """The second node, without warning; another one takes its place."""
        self.cluster.remove_node(self.second, allow_graceful=False)
        self.second = self._add()

    def kill_worker(self, rng: random.Random) -> bool:
        """One of the processes that judge, if there is one."""
        workers = [p for p in psutil.process_iter(["cmdline"]) if _is_worker(p)]
        if not workers:
            return False
        rng.choice(workers).kill()
        return True


def _is_worker(process: psutil.Process) -> bool:
    command = process.info["cmdline"] or [""]
    return command[0].startswith("ray::") and "Judge" in command[0]


def main() -> None:
    """Run it and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--kills", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sleep", type=float, default=0.004, help="seconds for each image")
    parser.add_argument("--between", type=float, default=6.0, help="seconds between kills")
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    rng = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        damaged = make_tars(work, args.images, max(1, args.images // 1000), args.seed)
        outcome = run(work, damaged, rng, args)
    write_record(args.output, outcome)
    print(json.dumps(outcome, indent=2))


def run(work: Path, damaged: set[str], rng: random.Random, args: argparse.Namespace) -> Any:
    """Kill until enough was killed, then let it finish and look."""
    # Of the nodes, too: their workers import the stand-in.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    machine = Machine()
    output = work / "scores"
    command = [sys.executable, "-c", DRIVER, str(work), str(output), machine.cluster.address]
    command.append(str(args.sleep))
    kills: Counter[str] = Counter()
    memory: list[int] = []
    begin = time.monotonic()
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    due = time.monotonic() + 30
    while driver.poll() is None:
        time.sleep(0.5)
        memory.append(_memory(driver.pid))
        if kills.total() >= args.kills or time.monotonic() < due:
            continue
        what = rng.choice(["worker", "worker", "node", "driver"])
        if what == "worker" and not machine.kill_worker(rng):
            continue
        if what == "node":
            machine.kill_node()
        if what == "driver":
            driver.send_signal(signal.SIGKILL)
            driver.wait()
            driver = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        kills[what] += 1
        print(f"{time.monotonic() - begin:.0f} s: killed {dict(kills)}", flush=True)
        due = time.monotonic() + args.between * rng.uniform(0.5, 1.5)
        if what == "driver":
            due += 12  # so that it comes to work
    seconds = time.monotonic() - begin
    said = driver.stdout.read().strip().splitlines()[-1] if driver.stdout else ""
    before = {p.name: p.stat().st_mtime_ns for p in output.glob("part-*")}
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    after = {p.name: p.stat().st_mtime_ns for p in output.glob("part-*")}
    ids = pq.read_table(output, columns=["id"])["id"].to_pylist()
    ledger = [json.loads(line) for line in (output / "_ledger.jsonl").open()][1:]
    listed = [record["id"] for record in ledger if "bad" in record]
    machine.cluster.shutdown()
    third = max(1, len(memory) // 3)
    return {
        "images": args.images,
        "kills": dict(kills),
        "seconds": round(seconds),
        "first_run_said": said,
        "rerun_said": again.stdout.strip().splitlines()[-1],
        "rerun_changed_nothing": before == after,
        "rows": len(ids),
        "distinct": len(set(ids)),
        "doubled": len(ids) - len(set(ids)),
        "lost": args.images - len(set(ids)) - len(set(listed)),
        "quarantined": len(listed),
        "quarantine_is_right": sorted(listed) == sorted(damaged),
        "parts": len(before),
        "driver_megabytes": {
            "middle_third_most": max(memory[third : 2 * third], default=0) >> 20,
            "last_third_most": max(memory[2 * third :], default=0) >> 20,
        },
    }


def _memory(process: int) -> int:
    try:
        return int(psutil.Process(process).memory_info().rss)
    except psutil.Error:
        return 0


if __name__ == "__main__":
    main()
