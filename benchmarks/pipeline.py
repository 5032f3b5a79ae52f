"""How fast folders and single photographs are scored, beside an older version and a plain script.

    python benchmarks/pipeline.py --before PYTHON --images left_out.parquet
        -o benchmarks/results/pipeline.json

PYTHON is that of an environment with the version to compare with (53a51bb) and timm. Contenders run
in processes of their own, one at a time and in turns: a folder of 24 JPEGs of 1280 x 720, then
single photographs from their bytes, with the model that comes with each version at its default
size. Then both beside as many busy processes as there are cores. What computes in int8 is exported
first, and passes the gate on photographs that the model did not learn from (`--images`, see
left_out.py); its figures stand in the record, beside those of the model as it comes. On a machine
that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from drawn_frames import drawn_frame
from record import write_record

from workzone.cores import core_count
from workzone.decide.bundle_json import shipped_program
from workzone.engine.folder import read_exported
from workzone.run import bench
from workzone.run.images import encoded

HERE = Path(__file__).parent
IMAGES = 24
OLD, NAIVE, NAIVE_FRAME = "53a51bb", "plain script, views of 53a51bb", "plain script, same views"
PROGRAMS = {
    "onnx float32": ("onnx", "float32"),
    "openvino float32": ("openvino", "float32"),
    "openvino bfloat16": ("openvino", "bfloat16"),
}
"""That run the model as it comes with the package; its gate's figures stand in its folder."""
EXPORTS = {
    "onnx int8": ("onnx", "int8"),
    "openvino int8": ("openvino", "int8"),
    "openvino int8-bfloat16": ("openvino", "int8-bfloat16"),
}
"""That are exported for it."""


class Worker:
    """A contender's process."""

    def __init__(self, python: Path | str, folder: Path, *arguments: object) -> None:
        command = [str(python), str(HERE / "pipeline_worker.py"), str(folder)]
        self._process = subprocess.Popen(
            [*command, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def ask(self, what: str) -> dict[str, float]:
        """Have it score; its figures."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(what, file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"a contender ended: {self._process.args}")
        answer: dict[str, float] = json.loads(line)
        return answer

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


def measure(workers: dict[str, Worker], rounds: int) -> dict[str, dict[str, float | list[float]]]:
    """Medians over the rounds, with the quartiles of the folder's speed."""
    for worker in workers.values():  # first calls allocate and compile
        worker.ask("folder")
        worker.ask("photo")
    found: dict[str, list[dict[str, float]]] = {name: [] for name in workers}
    for _ in range(rounds):
        for name, worker in workers.items():
            found[name].append(worker.ask("folder") | worker.ask("photo"))
            print(name, {k: round(v, 1) for k, v in found[name][-1].items()}, flush=True)
    beside: dict[str, list[dict[str, float]]] = {name: [] for name in workers}
    with bench.busy():
        for _ in range(3):
            for name, worker in workers.items():
                beside[name].append(worker.ask("folder") | worker.ask("photo"))
    table: dict[str, dict[str, float | list[float]]] = {}
    for name, answers in found.items():
        medians = {key: statistics.median(answer[key] for answer in answers) for key in answers[0]}
        low, _, high = statistics.quantiles([a["images per second"] for a in answers], n=4)
        table[name] = {key: round(value, 2) for key, value in medians.items()} | {
            "images per second, quartiles": [round(low, 2), round(high, 2)]
        }
        for key in ("images per second", "photo, ms"):
            own = statistics.median(answer[key] for answer in beside[name])
            table[name][f"{key}, beside busy processes"] = round(own, 2)
    return table


def ratios(table: dict[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Of each contender, beside the older version and the plain script."""
    old, naive = table[OLD], table[NAIVE]
    return {
        name: {
            "folder, times 53a51bb": round(row["images per second"] / old["images per second"], 2),
            "folder, times the plain script": round(
                row["images per second"] / naive["images per second"], 2
            ),
            "photo, share of 53a51bb's": round(row["photo, ms"] / old["photo, ms"], 2),
            "photo beside busy processes, times its quiet time": round(
                row["photo, ms, beside busy processes"] / row["photo, ms"], 2
            ),
        }
        for name, row in table.items()
    }


def matrix_shares(table: dict[str, dict[str, Any]], operations: int) -> dict[str, Any]:
    """What the backbone reaches of the rate of matrix products, timed in the same run."""
    rates = {p: bench.matrix_rate(p) for p in ("float32", "bfloat16")}
    shares = {}
    for name, (_, precision) in PROGRAMS.items():
        rate = rates.get(precision)
        if rate is not None and name in table:
            shares[name] = round(operations * table[name]["images per second"] / rate, 3)
    return {
        "operations per photograph": operations,
        "matrix products, operations a second": rates,
        "share": shares,
    }


def exported(name: str, work: Path, images: Path | None, count: int) -> tuple[Path, dict[str, Any]]:
    """The default model for an engine and precision, and what the gate says of it."""
    engine, precision = EXPORTS[name]
    folder = work / name.replace(" ", "-")
    command = [sys.executable, "-m", "workzone", "export", "-o", folder, "--count", count]
    command += ["--engine", engine, "--precision", precision]
    if images is not None:
        command += ["--images", images]
    subprocess.run([str(word) for word in command], check=True, stdout=subprocess.DEVNULL)
    return folder, dict(read_exported(folder).gate or {})


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--before", type=Path, required=True, help="python of the older version")
    parser.add_argument("--images", type=Path, help="manifest for the gate of the exports")
    parser.add_argument("--count", type=int, default=440, help="images that the gate compares")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        folder = work / "images"
        folder.mkdir()
        for number in range(IMAGES):
            (folder / f"{number:03}.jpg").write_bytes(drawn_frame(number))
        program = shipped_program()
        shipped = read_exported(program)
        gates = {
            "onnx float32": dict(shipped.gate or {}),
            "openvino bfloat16": json.loads((program / "bundle.json").read_text())["program"][
                "faster"
            ],
        }
        folders = dict.fromkeys(PROGRAMS, program)
        for name in EXPORTS:
            try:
                folders[name], gates[name] = exported(name, work, options.images, options.count)
            except subprocess.CalledProcessError as error:
                gates[name] = {"failed": f"export ended with {error.returncode}"}
        workers = {
            OLD: Worker(options.before, folder, "workzone"),
            NAIVE: Worker(options.before, folder, "naive", "squares"),
            NAIVE_FRAME: Worker(options.before, folder, "naive", "frame"),
        } | {
            name: Worker(sys.executable, folder, "workzone", place, *(PROGRAMS | EXPORTS)[name])
            for name, place in folders.items()
        }
        try:
            table = measure(workers, options.rounds)
        finally:
            for worker in workers.values():
                worker.close()
        files = [encoded(file, file.name) for file in sorted(folder.iterdir())]
        image_side = bench.image_side(shipped.spec.layout, files)
    operations = shipped.operations
    assert operations is not None
    results = {
        "cores": core_count(),
        "images": IMAGES,
        "rounds": options.rounds,
        "table": table,
        "ratios": ratios(table),
        "image side, core ms": round(image_side, 2),
        "backbone": matrix_shares(table, operations),
        "gate": gates,
    }
    for name, row in results["ratios"].items():  # type: ignore[union-attr]
        print(name, row)
    write_record(options.output, results)


if __name__ == "__main__":
    main()
