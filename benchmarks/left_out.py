"""The photographs that the shipped weights did not learn from, as a manifest: for gates.

    python benchmarks/left_out.py PHOTOS -o left_out.parquet

PHOTOS holds ``labels.csv`` (``file, label, redistributable_weights``).
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from workzone.data.images import content_hash
from workzone.data.manifest import Manifest, write_manifest
from workzone.types import ImageRef, Sample


def left_out(folder: Path) -> list[Sample]:
    """Those whose licence keeps them out of shipped weights, in the order of the list."""
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as handle:
        rows = [r for r in csv.DictReader(handle) if r["redistributable_weights"] != "yes"]
    samples = []
    for row in rows:
        path = (folder / row["file"]).resolve()
        digest = content_hash(path.read_bytes())
        image = ImageRef(str(path))
        samples.append(Sample(row["file"], image, label=int(row["label"]), content_hash=digest))
    return samples


def main() -> None:
    """Write the manifest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    samples = left_out(options.photos)
    write_manifest(Manifest(samples, options.output.parent), options.output)
    print(f"{len(samples)} photographs: {options.output}")


if __name__ == "__main__":
    main()
