"""What the default model learns from, and how: the recipe that `accuracy.py` judges and ships."""

from __future__ import annotations

import csv
import dataclasses
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch
from boxes import with_boxes
from photographs import LEFT_OUT, ORDINARY, RELABELLED, family

from workzone import progress
from workzone.backbones.base import Backbone
from workzone.config import from_mapping
from workzone.data.augmentation import Augmentation
from workzone.data.importing import import_source
from workzone.data.manifest import Manifest, read_manifest, write_manifest
from workzone.features.extract import make_spec
from workzone.features.spec import FeatureSpec
from workzone.features.store import FeatureStore
from workzone.files import writing
from workzone.model.base import AnyDetector
from workzone.model.dense import DenseDetector
from workzone.model.inputs import DetectorInput
from workzone.model.make import make_detector
from workzone.model.presets import Preset
from workzone.scenes import write_scenes
from workzone.scenes.composites import write_composites
from workzone.scenes.rendered.compose import RenderedObjects
from workzone.scenes.rendered.faces import DrawnFaces
from workzone.scenes.rendered.library import CutoutLibrary
from workzone.scenes.roadsigns.compositor import SignObjects
from workzone.scenes.roadsigns.drawings import read_drawings
from workzone.train.feed.examples import Examples, Rows
from workzone.train.loop import train_detector
from workzone.train.session import Session
from workzone.train.settings import TrainConfig
from workzone.types import ImageRef, Sample

Floats = npt.NDArray[np.float64]
FOLDS = LEFT_OUT | ORDINARY
"""Sources left out, by how their groups' names begin."""
ALL_LEFT_OUT = tuple(start for starts in FOLDS.values() for start in starts)

COMPOSITES, RENDERED, SIGNS, SCENES, HELD_BACK = 600, 400, 800, 200, 600
"""Pictures that are made: of work zones in photographs, drawn and rendered, of signs in them, and
drawn as a whole; and of signs to judge on."""
PASTED = ("drawn", "rendered", "both", "all")
"""Which composites of work zones are learned from; the first three are equally many."""
CLOSE_UPS = ("kagan", "kroad", "sc-")
"""Thumbnails and pictures of single signs: no street to put anything into."""
MADE = {"composite": 0.5, "rendered": 0.5, "signs": 0.5, "scenes": 0.5}
"""What a picture that was made weighs, where a photograph weighs 1."""
BOTH, VIEWS, HALVES = ("", " alone", " halves alone")
"""What a size is judged by: all that the model has, views alone, or their halves alone."""


@dataclass(frozen=True, kw_only=True)
class Looks:
    """How a preset's models see images while they learn, and while they are judged."""

    copies: int  # of each image that is learned from
    augmentation: Augmentation
    sizes: tuple[int, ...]  # pixels of the shorter side
    sign_sizes: tuple[int, ...]  # of composites of signs
    sent_sizes: tuple[int, ...]  # of challenges
    own_size: int  # of them, the shipped model's
    calibrated_on: str = ""  # what the shipped model is: photographs, or "challenge "


FRAMES = Looks(
    copies=4,  # two mild ones and two challenges
    augmentation=Augmentation(recipe="varied"),
    sizes=(384, 512, 576, 768),
    sign_sizes=(512, 576, 768),
    sent_sizes=(384, 512, 576),
    own_size=576,
)
LOOKS = {
    "dense-224": Looks(
        copies=12,
        augmentation=Augmentation(recipe="challenge"),
        sizes=(288,),
        sign_sizes=(288,),
        sent_sizes=(288,),
        own_size=288,
        calibrated_on="challenge ",
    )
}
"""By preset, where not `FRAMES`."""


def absolute(sample: Sample, root: Path, **changes: Any) -> Sample:
    """The same row, to be read from anywhere."""
    image = ImageRef(path=str((root / sample.image.path).resolve()))
    masks = sample.masks and str((root / sample.masks).resolve())
    return dataclasses.replace(sample, image=image, masks=masks, **changes)


def collection(sample: Sample) -> str:
    """Of a photograph: its group without numbers."""
    name = family(sample.group or sample.id)
    return "".join(c for c in name.split("-")[0] if not c.isdigit()) or name


def gather_photographs(photos: Path, work: Path) -> tuple[list[Sample], set[str]]:
    """The photographs, and the ids of those that shipped weights may learn from."""
    summary = import_source(str(photos / "labels.csv"), work / "photographs.parquet")
    imported = read_manifest(summary.manifest)
    real = [
        absolute(
            s,
            imported.root,
            source=collection(s),
            split=None,
            extra={},
            label=RELABELLED.get(s.id, s.label),
        )
        for s in imported
    ]
    with (photos / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    permitted = {r["file"] for r in rows if r["redistributable_weights"] == "yes"}
    allowed = {
        s.id
        for s in real
        if Path(s.image.path).relative_to(photos.resolve()).as_posix() in permitted
    }
    return real, allowed


def gather_folders(photos: Sequence[Path], work: Path) -> tuple[list[Sample], set[str]]:
    """Those of several folders, with boxes where they show road work."""
    real: list[Sample] = []
    allowed: set[str] = set()
    for folder in photos:
        inside = work / folder.name
        inside.mkdir(parents=True, exist_ok=True)
        found, permitted = gather_photographs(folder, inside)
        real += with_boxes(found, folder, inside / "boxes")
        allowed |= permitted
    return real, allowed


def gather(
    photos: Sequence[Path], signs: Path, cutouts: Path, work: Path
) -> tuple[list[Sample], set[str]]:
    """Photographs, composites, signs, scenes; and the groups that shipped weights may learn from.

    All that is made has its streets from photographs of those groups.
    """
    real, allowed = gather_folders(photos, work)
    groups = groups_of(real, allowed)
    made = scenes(work)
    bases = streets([s for s in real if s.id in allowed], work / "streets.parquet")
    drawings = read_drawings(signs, part="learned")
    rendered = RenderedObjects(CutoutLibrary(cutouts, DrawnFaces(drawings)))
    for seed, (name, source, count, compositor) in enumerate(
        (
            ("composites", "composite", COMPOSITES, None),
            ("signs", "signs", SIGNS, SignObjects(drawings)),
            ("rendered", "rendered", RENDERED, rendered),
        ),
        start=1,
    ):
        made += paste(bases, work / name, source, count=count, seed=seed, compositor=compositor)
    return [*real, *made], groups


def groups_of(real: Sequence[Sample], allowed: set[str]) -> set[str]:
    """The groups that shipped weights may learn from; none has photographs of both kinds."""
    groups = {str(s.group) for s in real if s.id in allowed}
    mixed = groups & {str(s.group) for s in real if s.id not in allowed}
    if mixed:
        raise SystemExit(f"groups with rows of both kinds: {sorted(mixed)[:5]}")
    return groups


def scenes(work: Path) -> list[Sample]:
    """Those that are learned from."""
    drawn = read_manifest(write_scenes(work / "scenes", count=SCENES, seed=0))
    return [absolute(s, drawn.root, source="scenes", extra={}) for s in drawn]


def paste(bases: Manifest, folder: Path, source: str, **options: Any) -> list[Sample]:
    """Composites, see `write_composites`, as rows of a source."""
    written = read_manifest(write_composites(bases, folder, **options).manifest)
    return [absolute(s, folder, source=source, extra={}) for s in written]


def streets(samples: Sequence[Sample], path: Path) -> Manifest:
    """Photographs to put things into: without road work, and not too near."""
    rows = [s for s in samples if s.label == 0 and not (s.group or "").startswith(CLOSE_UPS)]
    write_manifest(Manifest(rows, path.parent), path)
    return read_manifest(path)


def held_back_signs(samples: Sequence[Sample], signs: Path, work: Path) -> Manifest:
    """Composites of signs to judge on: streets and drawings that no model learns from.

    Args:
        samples: photographs that no model learns from.
        signs: the drawings, see docs/signs.md.
        work: folder to write to.
    """
    others = streets(samples, work / "streets-held-back.parquet")
    objects = SignObjects(read_drawings(signs, part="held-back"))
    made = write_composites(
        others, work / "signs-held-back", count=HELD_BACK, seed=11, compositor=objects
    )
    return read_manifest(made.manifest)


def is_made(sample: Sample) -> bool:
    """Whether it is no photograph."""
    return sample.source in MADE


def learned_from(
    samples: Sequence[Sample], groups: set[str], left_out: str, pasted: str = "all"
) -> Rows:
    """The rows that a model may see: composites have the groups of their photographs.

    Args:
        samples: all that `gather` found.
        groups: that shipped weights may learn from.
        left_out: one of `FOLDS`.
        pasted: one of `PASTED`.
    """
    known = {
        row: s
        for row, s in enumerate(samples)
        if not (s.group or "").startswith(FOLDS[left_out])
        and (s.source == "scenes" or s.group in groups)
    }
    kinds = {"drawn": "composite", "rendered": "rendered"}
    of_kind = {
        kind: [row for row, s in known.items() if s.source == kind] for kind in kinds.values()
    }
    chosen = [row for row, s in known.items() if s.source not in of_kind]
    alike = min(map(len, of_kind.values()))
    for name, kind in kinds.items():
        shares = {name: alike, "both": alike // 2, "all": len(of_kind[kind])}
        chosen += of_kind[kind][: shares.get(pasted, 0)]
    return np.array(sorted(chosen))


def settings(recipe: Preset, seed: int) -> TrainConfig:
    """Those of the preset, with drawn things at half weight."""
    tree = {**recipe.training, "seed": seed, "detector": dataclasses.asdict(recipe.detector)}
    tree["sampling"] = {**tree["sampling"], "source_weights": MADE}
    return from_mapping(TrainConfig, tree, where=recipe.name)


def learn(examples: Examples, rows: Rows, recipe: Preset, config: TrainConfig) -> AnyDetector:
    """The last training of `workzone train --preset NAME`: on all rows, without validation."""
    with progress.bar("training", config.epochs) as shown:
        session = Session(make_detector=functools.partial(make_detector, backbone=recipe.backbone))
        stage = session.stage("everything", config.run)
        return train_detector(examples, rows, config, shown, stage, validation=None).detector


def keep(detector: AnyDetector, file: Path) -> None:
    """Write its weights, for `average_of`."""
    file.parent.mkdir(exist_ok=True)
    with writing(file) as written:
        safetensors.torch.save_file(detector.state_dict(), written)


def average_of(files: Sequence[Path], recipe: Preset) -> DenseDetector:
    """The detector whose weights are the mean of those of one or more files."""
    states = [safetensors.torch.load_file(file) for file in files]
    detector = DenseDetector(recipe.detector).eval()
    detector.load_state_dict(
        {name: torch.stack([state[name] for state in states]).mean(dim=0) for name in states[0]}
    )
    return detector


def logits(
    detector: DenseDetector, store: FeatureStore, test: Sequence[Sample]
) -> dict[str, Floats]:
    """Of road work, one per image: as the detector has it, and of either scale where it has two."""
    head = detector.cells
    parts: dict[str, list[Floats]] = {}
    for part in torch.tensor([store.row(s.content_hash or "") for s in test]).split(64):
        given = DetectorInput(
            features=store.mapped("pooled")[part].float(),
            boxes=store.mapped("boxes")[part].float(),
            grid=store.grid(store.spec.grid_views)[part].float(),
            grid_size=store.spec.grid_size,
        )
        with torch.no_grad():
            output = detector.run(given)
        found = {BOTH: output.logits[:, 1] - output.logits[:, 0]}
        for scale, cells in ((VIEWS, output.cells), (HALVES, output.half_cells)):
            if cells is not None and output.half_cells is not None:
                found[scale] = head.strongest(cells.flatten(1)).values.mean(dim=1)
        for scale, values in found.items():
            parts.setdefault(scale, []).append(values.double().numpy())
    return {scale: np.concatenate(found) for scale, found in parts.items()}


def looks_of(recipe: Preset) -> Looks:
    """See `Looks`."""
    return LOOKS.get(recipe.name, FRAMES)


def spec_of(recipe: Preset, backbone: Backbone, size: int) -> FeatureSpec:
    """Of the features, with views of ``size`` pixels."""
    layout = recipe.layout.with_view_size(size)
    views = recipe.detector.grid_views(layout)
    return make_spec(
        backbone,
        layout=layout,
        pooling=recipe.pooling,
        grid_views=views,
        augmentation=looks_of(recipe).augmentation,
    )
