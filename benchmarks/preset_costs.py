"""Count what every preset costs, and write it down for `workzone models`.

    python benchmarks/preset_costs.py

writes src/workzone/model/costs.json. Run it when a preset, a detector or a backbone changes: a test
counts again and compares.
"""

import dataclasses
import json
from pathlib import Path

from workzone.model.cost import preset_cost
from workzone.model.presets import PRESETS

FILE = Path(__file__).parents[1] / "src" / "workzone" / "model" / "costs.json"


def main() -> None:
    """Count and write."""
    costs = {name: dataclasses.asdict(preset_cost(entry)) for name, entry in PRESETS.items()}
    FILE.write_text(json.dumps(costs, indent=1) + "\n")
    print(f"{len(costs)} presets: {FILE}")


if __name__ == "__main__":
    main()
