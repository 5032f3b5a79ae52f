"""What `pip install workzone` takes, and `workzone predict street.jpg`, beside an older commit.

    python benchmarks/light_base.py -o benchmarks/results/light_base.json [--before COMMIT]

Builds a wheel of the working tree and one of the older commit, installs each with what it needs
into a fresh virtual environment, and runs the command in both by turns: seconds from start to end,
peak memory of the process, and bytes on disk.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from drawn_frames import drawn_frame
from record import write_record

ROOT = Path(__file__).parents[1]
UV = ROOT / ".tools" / "bin" / "uv"
SLOW_START = 1
"""Rounds that are not counted: the first run compiles and reads from the disk."""


def run(*command: object, cwd: Path = ROOT) -> str:
    """Run a command; what it wrote to standard output."""
    done = subprocess.run([str(c) for c in command], cwd=cwd, check=True, stdout=subprocess.PIPE)
    return done.stdout.decode()


def installed(name: str, source: Path, work: Path) -> Path:
    """A fresh environment with the wheel of a source tree; its folder."""
    run(UV, "build", "--quiet", "--wheel", "--out-dir", work / f"{name}-wheel", source)
    (wheel,) = (work / f"{name}-wheel").glob("*.whl")
    place = work / name
    run(UV, "venv", "--quiet", "--python", sys.executable, place)
    run(UV, "pip", "install", "--quiet", "--compile-bytecode", "--python", place, wheel)
    return place


def disk(place: Path) -> dict[str, Any]:
    """What lies in an environment: its size, packages, and the largest folders."""
    packages = next(place.glob("lib/python*/site-packages"))
    sizes = {
        entry.name: sum(f.lstat().st_size for f in entry.rglob("*") if not f.is_dir())
        if entry.is_dir()
        else entry.lstat().st_size
        for entry in packages.iterdir()
    }
    largest = sorted(sizes, key=lambda name: -sizes[name])[:6]
    return {
        "megabytes": round(sum(sizes.values()) / 1e6),
        "packages": len(list(packages.glob("*.dist-info"))),
        "largest, MB": {name: round(sizes[name] / 1e6) for name in largest},
    }


LAUNCHER = """
import json, os, resource, subprocess, sys, time
started = time.perf_counter()
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
seconds = time.perf_counter() - started
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3]))
"""
"""Runs a command from a small process: the memory of whoever starts a process counts as its own."""


def once(place: Path, photo: Path) -> tuple[float, float]:
    """Seconds and peak megabytes of one `workzone predict`."""
    command = (place / "bin" / "workzone", "predict", photo)
    seconds, memory = json.loads(run(sys.executable, "-I", "-c", LAUNCHER, *command))
    return seconds, memory


def probability(place: Path, photo: Path) -> float:
    """What it says of the photograph."""
    said = run(place / "bin" / "workzone", "predict", photo, "--json")
    return round(float(json.loads(said)["probability"]), 3)


def compare(before: str, rounds: int) -> dict[str, Any]:
    """Both environments, by turns."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        photo = work / "street.jpg"
        photo.write_bytes(drawn_frame(0))
        old = work / "source"
        old.mkdir()
        archive = subprocess.run(
            ["git", "archive", before], cwd=ROOT, check=True, stdout=subprocess.PIPE
        )
        subprocess.run(["tar", "-x", "-C", old], input=archive.stdout, check=True)
        places = {
            "now": installed("now", ROOT, work),
            f"commit {before}": installed("before", old, work),
        }
        spent: dict[str, list[tuple[float, float]]] = {name: [] for name in places}
        for number in range(SLOW_START + rounds):
            for name, place in places.items():
                result = once(place, photo)
                if number >= SLOW_START:
                    spent[name].append(result)
        results: dict[str, Any] = {}
        for name, place in places.items():
            seconds, memory = zip(*spent[name], strict=True)
            results[name] = disk(place) | {
                "seconds": round(statistics.median(seconds), 2),
                "seconds, fastest and slowest": _ends(seconds),
                "peak memory, MB": round(statistics.median(memory)),
                "probability": probability(place, photo),
            }
    return results | {"rounds": rounds}


def _ends(values: Sequence[float]) -> list[float]:
    return [round(min(values), 2), round(max(values), 2)]


def main() -> None:
    """Measure and write the record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--before", default="53a51bb", help="a commit to compare with")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    results = compare(arguments.before, arguments.rounds)
    for name, figures in results.items():
        print(name, figures)
    write_record(arguments.output, results)


if __name__ == "__main__":
    main()
