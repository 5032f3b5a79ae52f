r"""What the shipped model takes for road work: its false alarms by kind.

    python benchmarks/false_alarms.py data more -o benchmarks/results/false_alarms.json

PHOTOS are folders with ``labels.csv`` (file, label, group, redistributable_weights). Judged are the
photographs without road work whose licence keeps them out of the weights, at 0.5, as ``workzone
predict`` does it. ``false_alarms.csv`` holds what is seen at the strongest cell of each that was
called road work, told by an AI model from the whole picture and the cell's surroundings, enlarged.
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from pathlib import Path

from false_alarms_table import table
from recipe import gather_folders
from record import write_record

import workzone
from workzone import progress

KINDS = Path(__file__).with_suffix(".csv")


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("runs/false-alarms"))
    options = parser.parse_args()
    progress.enabled = True
    options.work.mkdir(parents=True, exist_ok=True)
    real, allowed = gather_folders(options.photos, options.work)
    calm = [s for s in real if s.id not in allowed and s.label == 0]
    with KINDS.open(newline="", encoding="utf-8") as handle:
        kinds = {row["file"]: row["kind"] for row in csv.DictReader(handle)}
    predictor = workzone.load()
    scores = [p.probability for p in predictor.predict([s.image.path for s in calm])]
    called = [s for s, score in zip(calm, scores, strict=True) if score > 0.5]
    names = ["/".join(Path(s.image.path).parts[-2:]) for s in called]
    unknown = [name for name in names if name not in kinds]
    if unknown:
        print(f"not in {KINDS.name}: {', '.join(unknown)}")
    counts = Counter(kinds.get(name, "not looked at") for name in names)
    results = {
        "engine": f"{predictor.engine} {predictor.precision}",
        "photographs": len(calm),
        "called road work": len(called),
        "kinds": dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))),
    }
    write_record(options.output, results)
    print(table(results))


if __name__ == "__main__":
    main()
