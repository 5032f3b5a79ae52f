"""The default model's recipe on sources it never saw, and the model that is shipped.

    python benchmarks/accuracy.py data more --signs package -o benchmarks/results/accuracy.json
        [--cutouts FOLDER] [--ship FOLDER]

PHOTOS are folders with ``labels.csv`` (file, label, group, redistributable_weights) and
``boxes.csv`` (see boxes.py); ``--signs`` names the drawings of traffic signs (docs/signs.md).
Leave one source out: trained on everything else whose licence lets weights be passed on, tested on
one family of sources (`FOLDS` in recipe.py: three with both labels, which a record needs, two for
false alarms).
Photographs with road work have boxes for masks. Composites (drawn work zones, and signs, in
photographs without road work, never in one of a source left out; drawn or rendered, ``--pasted``)
and drawn scenes are trained on too. The recipe is that of ``--preset dense``, and the cut is 0.5;
what a calibration on sources left out is worth is told beside it. Each model is judged on the
photographs as they are, with smaller and larger views, as the subnet would send them, on composites
of signs that nothing was learned from, and by the height of the largest object. What was done is
not done again, and jobs of other ``--folds`` may share a work folder, which is for one preset.
Beside the models of each seed, the one whose weights are their mean is judged, on signs and by
smaller and larger views too: it is what ships.

``--ship`` then trains on all rows that may be, averages, and writes the bundle, calibrated on the
three folds.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

from accuracy_figures import (
    calibration_of,
    challenge_figures,
    figures,
    still_visible,
    summary,
    threshold_of,
)
from filelock import FileLock
from journal import append, bind, read_journal
from object_sizes import box_heights, recall_table, sign_groups, sign_heights, sign_table
from photographs import LEFT_OUT
from recipe import (
    ALL_LEFT_OUT,
    BOTH,
    FOLDS,
    HALVES,
    PASTED,
    Floats,
    absolute,
    average_of,
    gather,
    held_back_signs,
    is_made,
    keep,
    learn,
    learned_from,
    logits,
    looks_of,
    settings,
    spec_of,
)
from record import write_record

from workzone import progress
from workzone.backbones.registry import load_backbone
from workzone.data.manifest import Manifest
from workzone.decide.average import average
from workzone.decide.bundle import read_bundle, write_bundle
from workzone.features.extract import Extraction
from workzone.features.store import FeatureStore
from workzone.model.base import AnyDetector
from workzone.model.dense import DenseDetector
from workzone.model.presets import Preset, preset
from workzone.subnet.challenge import LEVEL, write_challenge
from workzone.train.feed.examples import Rows
from workzone.train.job import examples_of, train
from workzone.train.settings import PrecisionName
from workzone.types import Sample

VALIDATION = ("us", "kroad")
"""Collections that are set apart in a first training of the shipped model, for its report."""


IN_RECORD = ("seed", "left_out", "rows", "judged", "challenge by size", "signs", "by height")
"""What the record holds of each run."""
AVERAGE = "average"
"""In place of a seed: the model whose weights are the mean of those of all seeds."""


class Material:
    """All that the models of a preset learn from and are judged on, with its features."""

    def __init__(self, recipe: Preset, options: argparse.Namespace, work: Path) -> None:
        self.recipe, self.work = recipe, work
        looks, backbone = looks_of(recipe), load_backbone(recipe.backbone)
        bind(
            work,
            {
                "preset": recipe.name,
                "precision": recipe.training["precision"],
                "features": spec_of(recipe, backbone, recipe.layout.view_size).key(),
            },
        )

        def stored(rows: Sequence[Sample], size: int, copies: int = 0) -> FeatureStore:
            spec = spec_of(recipe, backbone, size)
            job = Extraction(
                Manifest(list(rows), work), backbone, spec, work / "features", copies=copies
            )
            store = job.run()
            for name, reason in job.failed(store).items():
                raise SystemExit(f"{name} cannot be read: {reason}")
            return store

        everything, self.groups = gather(options.photos, options.signs, options.cutouts, work)
        photographs = [s for s in everything if not is_made(s)]
        self.tested = [s for s in photographs if (s.group or "").startswith(ALL_LEFT_OUT)]
        self.samples = [s for s in everything if s.source == "scenes" or s.group in self.groups]
        others = [s for s in photographs if s.group not in self.groups]
        twins = held_back_signs(others, options.signs, work)
        self.signs = [absolute(s, twins.root) for s in twins]
        three = Manifest([s for s in self.tested if of_three(s)], work)
        sent = write_challenge(three, work / "challenge")
        self.challenge = [absolute(s, sent.root) for s in sent]
        self.pairs = sign_heights(twins), sign_groups(twins)
        self.boxes = box_heights(self.tested, options.photos)
        self.of_tested = {size: stored(self.tested, size) for size in looks.sizes}
        self.of_signs = {size: stored(self.signs, size) for size in looks.sign_sizes}
        self.of_challenge = {size: stored(self.challenge, size) for size in looks.sent_sizes}
        self.learned = examples_of(
            self.samples,
            work,
            stored(self.samples, recipe.layout.view_size, looks.copies),
            settings(recipe, 0),
            copies=looks.copies,
        )

    def learn(self, rows: Rows, seed: int) -> AnyDetector:
        """A model of some rows."""
        return learn(self.learned, rows, self.recipe, settings(self.recipe, seed))

    def judge(self, detector: DenseDetector, name: str, *, everything: bool) -> dict[str, Any]:
        """What a model that learned without a source is worth on it.

        Args:
            detector: the model.
            name: of the source.
            everything: judge by smaller and larger views too, and on signs.
        """
        own_size = looks_of(self.recipe).own_size

        def judged(
            stores: dict[int, FeatureStore], rows: Sequence[Sample]
        ) -> dict[int, dict[str, Floats]]:
            return {
                size: logits(detector, store, rows)
                for size, store in stores.items()
                if everything or size == own_size
            }

        test = [s for s in self.tested if (s.group or "").startswith(FOLDS[name])]
        found = judged(self.of_tested, test)
        of_signs = judged(self.of_signs, self.signs) if everything else {}

        def heights(part: Floats) -> dict[str, dict[str, Any]]:
            return recall_table(
                self.boxes, dict(zip((s.id for s in test), map(float, part), strict=True))
            )

        row: dict[str, Any] = {
            "labels": [s.label for s in test],
            "groups": [s.group for s in test],
            "logits": rounded(found[own_size][BOTH]),
            "logits by size": by_size(found, rounded),
            "signs": by_size(of_signs, functools.partial(sign_table, *self.pairs)),
            "by height": by_size(found, heights),
        }
        if name not in LEFT_OUT:
            return row
        sent = [s for s in self.challenge if (s.group or "").startswith(FOLDS[name])]
        of_sent = judged(self.of_challenge, sent)
        by_views = by_size(found, functools.partial(figures, test))
        return row | {
            "judged": by_views | challenge_figures(sent, of_sent[own_size][BOTH]),
            "levels": [int(s.extra[LEVEL]) for s in sent],
            "challenge labels": [s.label for s in sent],
            "challenge groups": [s.group for s in sent],
            "challenge logits": rounded(of_sent[own_size][BOTH]),
            "challenge by size": by_size(of_sent, functools.partial(challenge_figures, sent)),
        }


def ship(material: Material, seeds: int, folder: Path, runs: Sequence[dict[str, Any]]) -> None:
    """Train on all that may be, average, and write the bundle.

    Args:
        material: what is learned from.
        seeds: how many models are averaged.
        folder: of the bundle.
        runs: on sources left out, whose calibration it takes.
    """
    recipe, work = material.recipe, material.work
    held = {s.group for s in material.samples if s.source in VALIDATION}

    def side(sample: Sample) -> str:
        if is_made(sample) and sample.group in held:
            return "not-val"
        return "val" if sample.source in VALIDATION else "train"

    rows = [dataclasses.replace(s, split=side(s)) for s in material.samples]
    backbone, looks = load_backbone(recipe.backbone), looks_of(recipe)
    manifest, spec = Manifest(rows, work), spec_of(recipe, backbone, recipe.layout.view_size)
    bundles = {}
    for seed in range(seeds):
        place, config = work / "shipped" / str(seed), settings(recipe, seed)
        if not place.exists():
            store = work / "features"
            trained = train(manifest, backbone, spec, store, config, copies=looks.copies)
            write_bundle(trained.bundle, place)
        bundles[f"seed {seed}"] = read_bundle(place)
    bundle = average(bundles) if seeds > 1 else bundles["seed 0"]
    bundle = bundle.with_view_size(looks.own_size)
    three = [run for run in runs if run["left_out"] in LEFT_OUT]
    part = looks.calibrated_on
    calibration = calibration_of(three, part)
    cut = dataclasses.asdict(threshold_of(three, calibration, part))
    provenance = bundle.provenance | {"threshold": cut, "rows": len(rows), "warnings": []}
    bundle = dataclasses.replace(bundle, calibration=calibration, provenance=provenance)
    write_bundle(bundle, folder)
    print(bundle.calibration, f"{len(rows)} rows")


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--signs", type=Path, required=True, help="drawings, see docs/signs.md")
    parser.add_argument("--work", type=Path, help="default: runs/accuracy-PRESET")
    parser.add_argument(
        "--cutouts", type=Path, default=Path("runs/cutouts"), help="where rendered things are kept"
    )
    parser.add_argument(
        "--pasted", choices=PASTED, default="all", help="which composites are learned from"
    )
    parser.add_argument(
        "--folds", nargs="+", choices=FOLDS, default=tuple(FOLDS), help="sources to leave out"
    )
    parser.add_argument("--seeds", type=int, default=3, help="models of each fold")
    parser.add_argument("--preset", default="dense", help="a dense one")
    parser.add_argument(
        "--precision",
        choices=get_args(PrecisionName),
        default="float32",
        help="that models learn in; bfloat16 takes a third of the time where the processor has it",
    )
    parser.add_argument("--ship", type=Path, help="folder for the model that is shipped")
    options = parser.parse_args()
    progress.enabled = True
    work: Path = options.work or Path(f"runs/accuracy-{options.preset}")
    work.mkdir(parents=True, exist_ok=True)
    recipe = preset(options.preset)
    training = {**recipe.training, "precision": options.precision}
    recipe = dataclasses.replace(recipe, training=training)
    if options.ship and options.pasted != "all":
        parser.error("--ship is for --pasted all")
    with FileLock(work / ".material.lock"):  # another job waits until all is made and extracted
        material = Material(recipe, options, work)
    journal = work / "accuracy.jsonl"
    for seed in [*range(options.seeds), AVERAGE]:
        for name in options.folds:
            key = {"seed": seed, "left_out": name, "pasted": options.pasted}
            if seed == AVERAGE:
                key["seeds"] = options.seeds
            if any(key.items() <= row.items() for row in read_journal(journal)):
                continue
            rows = learned_from(material.samples, material.groups, name, options.pasted)
            files = [
                work / "detectors" / f"{name}-{options.pasted}-{own}.safetensors"
                for own in (range(options.seeds) if seed == AVERAGE else [seed])
            ]
            if seed != AVERAGE and not files[0].exists():
                keep(material.learn(rows, seed), files[0])
            detector = average_of(files, recipe)
            row = key | {"rows": len(rows)}
            row |= material.judge(detector, name, everything=seed == AVERAGE)
            append(journal, row)
            print(key, row.get("judged"), row["signs"], flush=True)
    done = [row for row in read_journal(journal) if row["pasted"] == options.pasted]
    single = [row for row in done if row["seed"] in range(options.seeds)]
    averages = [row for row in done if row.get("seeds") == options.seeds]
    missing = set(LEFT_OUT) - {row["left_out"] for row in averages}
    if missing:
        print(f"no record yet: {', '.join(sorted(missing))} still to be left out")
        return
    if options.ship:
        ship(material, options.seeds, options.ship, averages)
    brief = [{name: run[name] for name in IN_RECORD if name in run} for run in single + averages]
    table = summary(averages) | {"still visible": still_visible(material.samples)}
    results = {"size": f"{looks_of(recipe).own_size} px", "summary": table}
    write_record(options.output, results | {"single seeds": summary(single), "runs": brief})


def rounded(values: Floats) -> list[float]:
    """Logits, for the record."""
    return [float(value) for value in values.round(4)]


def by_size(found: dict[int, dict[str, Floats]], judge: Callable[[Floats], Any]) -> dict[str, Any]:
    """What is judged of the logits of each size of views, and of each scale."""
    return {
        f"{size} px{scale}": judge(part)
        for size, parts in found.items()
        for scale, part in parts.items()
        if scale != HALVES
    }


def of_three(sample: Sample) -> bool:
    """Whether its source has photographs of both labels."""
    return (sample.group or "").startswith(tuple(x for part in LEFT_OUT.values() for x in part))


if __name__ == "__main__":
    main()
