r"""How small a thing the shipped model still finds, by the size of its views.

    python benchmarks/small_things.py data more --signs package \
        -o benchmarks/results/small_things.json

PHOTOS are folders with ``labels.csv`` (file, label, group, redistributable_weights), ``--signs``
names the drawings of traffic signs (docs/signs.md). Judged are the photographs whose licence keeps
them out of the weights, as they are and with things put into those without road work: a road-work
sign beside another in the same place (by drawings that no model learns from, at places of another
lot than those of accuracy.py), and work zones, drawn and rendered, beside ordinary things alone. By
the height of the tallest thing that is road work, in pixels of the picture; intervals over groups
of photographs.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from accuracy_figures import figures, share_of_groups
from object_sizes import HEIGHTS, named, sign_groups, sign_heights, sign_table, tallest
from recipe import BOTH, Floats, absolute, gather_folders, logits, spec_of, streets
from record import write_record
from small_things_table import tables

from workzone import progress
from workzone.backbones.registry import load_backbone
from workzone.data.manifest import Manifest, read_manifest
from workzone.decide.bundle import read_bundle
from workzone.decide.bundle_json import shipped_bundle
from workzone.features.extract import Extraction
from workzone.model.presets import preset
from workzone.scenes.composites import write_composites
from workzone.scenes.compositor import Compositor
from workzone.scenes.rendered.compose import RenderedObjects
from workzone.scenes.rendered.faces import DrawnFaces
from workzone.scenes.rendered.library import CutoutLibrary
from workzone.scenes.roadsigns.compositor import SignObjects
from workzone.scenes.roadsigns.drawings import read_drawings

SIZES = (576, 768, 1024)
"""Pixels of the shorter side; the first is the model's own."""
SIGNS, DRAWN, RENDERED = 800, 400, 240
"""Pictures that are made; of signs each second shows road work, of the others about half."""
RECIPE = preset("dense")


def share(flags: npt.NDArray[np.bool_], groups: npt.NDArray[np.str_]) -> dict[str, Any]:
    """How many are true, see `share_of_groups`."""
    return {"pictures": len(flags)} | (share_of_groups(flags, groups) if len(flags) else {})


def zone_table(made: Manifest, found: Floats) -> dict[str, Any]:
    """Work zones that are called so at 0.5, by height, and ordinary things that are."""
    heights, labels = tallest(made), np.array([s.label for s in made])
    groups = np.array([str(s.group) for s in made])
    table = {}
    for low, high in HEIGHTS:
        rows = np.flatnonzero((labels == 1) & (heights >= low) & (heights < high))
        table[named(low, high)] = share(found[rows] > 0, groups[rows])
    rows = np.flatnonzero(labels == 0)
    return table | {"ordinary things": share(found[rows] > 0, groups[rows])}


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--signs", type=Path, required=True, help="drawings, see docs/signs.md")
    parser.add_argument("--work", type=Path, default=Path("runs/small-things"))
    parser.add_argument(
        "--cutouts", type=Path, default=Path("runs/cutouts"), help="where rendered things are kept"
    )
    options = parser.parse_args()
    progress.enabled = True
    work: Path = options.work
    work.mkdir(parents=True, exist_ok=True)
    real, allowed = gather_folders(options.photos, work)
    others = [s for s in real if s.id not in allowed]
    bases = streets(others, work / "streets.parquet")
    drawings = read_drawings(options.signs, part="held-back")

    def made(name: str, count: int, seed: int, compositor: Compositor | None) -> Manifest:
        written = write_composites(
            bases, work / name, count=count, seed=seed, compositor=compositor
        )
        return read_manifest(written.manifest)

    rendered = RenderedObjects(CutoutLibrary(options.cutouts, DrawnFaces(drawings)))
    pictures = {
        "signs": made("signs", SIGNS, 12, SignObjects(drawings)),
        "drawn": made("drawn", DRAWN, 14, None),
        "rendered": made("rendered", RENDERED, 15, rendered),
        "photographs": Manifest(others, work),
    }
    backbone, bundle = load_backbone(RECIPE.backbone), read_bundle(shipped_bundle())
    results: dict[str, Any] = {"photographs": len(others)}
    for size in SIZES:
        found = {}
        for name, manifest in pictures.items():
            rows = [absolute(s, manifest.root) for s in manifest]
            spec = spec_of(RECIPE, backbone, size)
            store = Extraction(Manifest(rows, work), backbone, spec, work / "features").run()
            found[name] = logits(bundle.detector, store, rows)[BOTH]
        twins, calm = pictures["signs"], np.array([s.label == 0 for s in others])
        groups = np.array([str(s.group) for s in others])
        results[f"{size} px"] = {
            "signs": sign_table(sign_heights(twins), sign_groups(twins), found["signs"]),
            "drawn": zone_table(pictures["drawn"], found["drawn"]),
            "rendered": zone_table(pictures["rendered"], found["rendered"]),
            "photographs": figures(others, found["photographs"])
            | {"false alarms": share(found["photographs"][calm] > 0, groups[calm])},
        }
    write_record(options.output, results)
    print(tables(results))


if __name__ == "__main__":
    main()
