"""The most memory that an import takes of a parquet file with a single row group.

    python benchmarks/parquet_memory.py -o benchmarks/results/parquet_memory.json

Files are made for the purpose, in the layouts that pandas and polars write by default, and one
without compression. Each is imported by a process of its own, whose peak the system tells.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

ROW = 200_000  # bytes: a photograph of 720p
DISTINCT = 1024  # rows: pyarrow parts pages every so many
LAYOUTS: dict[str, dict[str, Any]] = {
    "snappy, dictionary (pandas)": {"compression": "snappy"},
    "zstd (polars)": {"compression": "zstd", "use_dictionary": False},
    "uncompressed": {"compression": "none", "use_dictionary": False},
}


def pictures() -> pa.Array:
    """JPEG files, made as long as photographs by bytes behind their end, which do not compress."""
    buffer = io.BytesIO()
    Image.effect_noise((64, 64), 60).convert("RGB").save(buffer, "JPEG")
    random = np.random.default_rng(0)
    start = buffer.getvalue()
    return pa.array([start + random.bytes(ROW - len(start)) for _ in range(DISTINCT)])


def write(path: Path, size: int, options: dict[str, Any]) -> int:
    """Write one row group of about ``size`` bytes; returns the number of rows."""
    repeats = max(1, round(size / (ROW * DISTINCT)))
    rows = repeats * DISTINCT
    image = pa.chunked_array([pictures()] * repeats)  # one copy of the bytes in memory
    table = pa.table({"image": image, "label": pa.array(np.arange(rows) % 2)})
    pq.write_table(table, path, row_group_size=rows, **options)
    assert pq.read_metadata(path).num_row_groups == 1
    return rows


def measure(path: Path, folder: Path) -> dict[str, float]:
    """Import a file; peak memory and time of the process."""
    command = [sys.executable, "-m", "workzone", "data", "import", str(path)]
    command += ["-o", str(folder / "manifest.parquet"), "--json"]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"the import of {path.name} failed")
    unit = 1 if sys.platform == "darwin" else 1024
    return {
        "peak megabytes": usage.ru_maxrss * unit / 1e6,
        "seconds": time.perf_counter() - start,
    }


def run(size: int) -> dict[str, Any]:
    """Measure all layouts."""
    layouts: dict[str, Any] = {}
    for name, options in LAYOUTS.items():
        with tempfile.TemporaryDirectory() as place:
            path = Path(place) / "one.parquet"
            # In a process of its own: a child's peak counts what its parent held at the start.
            made = subprocess.run(
                [sys.executable, __file__, "--write", str(path), json.dumps([size, options])],
                check=True,
                capture_output=True,
            )
            layouts[name] = {
                "rows": int(made.stdout),
                "file megabytes": path.stat().st_size / 1e6,
                **measure(path, Path(place)),
            }
        print(f"{name}: {layouts[name]}")
    return {"megabytes of the row group": size / 1e6, "layouts": layouts}


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, help="JSON file to write")
    parser.add_argument("--megabytes", type=float, default=2000)
    parser.add_argument("--write", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        size, layout = json.loads(options.write[1])
        print(write(Path(options.write[0]), size, layout))
        return
    if options.output is None:
        parser.error("-o is needed")
    results = run(int(options.megabytes * 1e6))
    from record import write_record  # only now: it loads torch

    write_record(options.output, results)


if __name__ == "__main__":
    main()
