"""The default model's recipe on sources it never saw, and the model that is shipped.

    python benchmarks/accuracy.py PHOTOS -o benchmarks/results/accuracy.json [--permitted]
        [--ship FOLDER]
    python benchmarks/accuracy.py PHOTOS -o benchmarks/results/accuracy_dense2.json --preset dense2

PHOTOS holds ``labels.csv`` (file, label, group, redistributable_weights) and ``boxes.csv`` (see
boxes.py). Leave one source out: trained on everything else, tested on one family of sources
(`LEFT_OUT` in photographs.py); with all rows, and with those alone whose licence lets weights
trained on them be passed on. Photographs with road work have boxes for masks. Composites
(drawn objects in photographs without road work, never in one of a source left out) and drawn scenes
are trained on too. The recipe is that of ``--preset dense`` or ``dense2``, and the cut is 0.5; what
a calibration on sources left out is worth is told beside it. Each model is judged on the
photographs as they are, with smaller and larger views, and as the subnet would send them. What was
done is not done again: a work folder is for one preset.

``--ship`` then trains on all rows that may be, and writes the bundle, calibrated on the sources
left out of the models with permitted photographs.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import functools
import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch
from boxes import with_boxes
from photographs import LEFT_OUT, family
from PIL import Image
from record import write_record
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import matthews_corrcoef, roc_auc_score

from workzone import progress
from workzone.backbones.base import Backbone
from workzone.backbones.registry import load_backbone
from workzone.config import from_mapping
from workzone.data.augmentation import Augmentation
from workzone.data.challenge import LEVELS, Changes, apply_changes, draw_changes
from workzone.data.importing import import_source
from workzone.data.manifest import Manifest, read_manifest, write_manifest
from workzone.decide.bundle import write_bundle
from workzone.decide.calibration import Calibration
from workzone.decide.share import estimate_share
from workzone.decide.threshold import Threshold
from workzone.features.extract import Extraction, make_spec
from workzone.features.spec import FeatureSpec
from workzone.features.store import FeatureStore
from workzone.model.base import AnyDetector
from workzone.model.dense import DenseDetector
from workzone.model.inputs import DetectorInput
from workzone.model.presets import Preset, preset
from workzone.report.metrics import point_metrics
from workzone.scenes import write_scenes
from workzone.scenes.composites import write_composites
from workzone.subnet.challenge import LEVEL, reward_figure, write_challenge
from workzone.train.feed.examples import Examples, Rows
from workzone.train.job import examples_of, train
from workzone.train.loop import train_detector
from workzone.train.session import Session
from workzone.train.settings import TrainConfig
from workzone.types import ImageRef, Sample

Floats = npt.NDArray[np.float64]
ALL_LEFT_OUT = tuple(start for starts in LEFT_OUT.values() for start in starts)

COMPOSITES, SCENES = 600, 200
CLOSE_UPS = ("kagan", "kroad", "sc-")
"""Thumbnails and pictures of single signs: no street to put anything into."""
MADE = {"composite": 0.5, "scenes": 0.5}
"""What a composite or a scene weighs, where a photograph weighs 1."""
SETTINGS = ("permitted", "all")
LEARNED = 512
"""Of the views that models learn from, in pixels a side."""
SIZES = (256, 384, LEARNED, 768)
"""Of those they are judged on."""
SCALES = BOTH, VIEWS, HALVES = ("", " alone", " halves alone")
"""What a size is judged by: views and their halves, or either."""
COPIES, AUGMENTATION = 6, Augmentation(recipe="varied")
"""Of each image that is learned from: three mild ones and three challenges."""
VALIDATION = ("us", "kroad")
"""Collections that are set apart in a first training of the shipped model, for its report."""
CUT_FROM = "cut and slope: of models that had not seen the source of a photograph (accuracy.py)"
RESAMPLES = 500
OTHERS, EVERY = "of the other two folds", "of all three folds"
"""The photographs that a calibration is fitted on."""
AS_IT_IS, OF_LEVELS = "as it is", "mean of the levels"
FEWEST_PIXELS = 20


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
        absolute(s, imported.root, source=collection(s), split=None, extra={}) for s in imported
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


def rows_of(
    samples: Sequence[Sample], allowed: set[str], setting: str, left_out: str
) -> tuple[list[Sample], list[Sample]]:
    """The photographs to learn from, and those of the source left out."""
    starts = LEFT_OUT[left_out]
    test = [s for s in samples if (s.group or "").startswith(starts)]
    known = [s for s in samples if not (s.group or "").startswith(starts)]
    return [s for s in known if setting == "all" or s.id in allowed], test


def gather(photos: Path, work: Path) -> tuple[list[Sample], set[str]]:
    """Photographs, composites and scenes; and the groups that shipped weights may learn from."""
    real, allowed = gather_photographs(photos, work)
    real = with_boxes(real, photos, work / "boxes")
    bases = [s for s in real if s.label == 0 and not (s.group or "").startswith(CLOSE_UPS)]
    groups = {s.group for s in real if s.id in allowed}
    mixed = groups & {s.group for s in real if s.id not in allowed}
    if mixed:
        raise SystemExit(f"groups with rows of both kinds: {sorted(map(str, mixed))[:5]}")
    drawn = read_manifest(write_scenes(work / "scenes", count=SCENES, seed=0))
    made = [absolute(s, drawn.root, source="scenes", extra={}) for s in drawn]
    # Few bases are of the permitted ones: they get as many composites of their own.
    for seed, (name, rows) in enumerate(
        {"composites": bases, "composites-permitted": [s for s in bases if s.id in allowed]}.items()
    ):
        write_manifest(Manifest(rows, work), work / f"{name}.parquet")
        pasted = read_manifest(
            write_composites(
                read_manifest(work / f"{name}.parquet"), work / name, count=COMPOSITES, seed=seed
            ).manifest
        )
        made += [absolute(s, pasted.root, source="composite", extra={}) for s in pasted]
    return [*real, *made], {str(group) for group in groups}


def is_made(sample: Sample) -> bool:
    """Whether it is no photograph."""
    return sample.source in MADE


def learned_from(samples: Sequence[Sample], groups: set[str] | None, left_out: str) -> Rows:
    """The rows that a model may see: composites have the groups of their photographs."""
    starts = LEFT_OUT[left_out]
    return np.array(
        [
            row
            for row, s in enumerate(samples)
            if not (s.group or "").startswith(starts)
            and (groups is None or s.source == "scenes" or s.group in groups)
        ]
    )


def settings(recipe: Preset, seed: int) -> TrainConfig:
    """Those of the preset, with drawn things at half weight."""
    tree = {**recipe.training, "seed": seed, "detector": dataclasses.asdict(recipe.detector)}
    tree["sampling"] = {**tree["sampling"], "source_weights": MADE}
    return from_mapping(TrainConfig, tree, where=recipe.name)


def learn(examples: Examples, rows: Rows, recipe: Preset, seed: int) -> AnyDetector:
    """The last training of `workzone train --preset NAME`: on all rows, without validation."""
    config = settings(recipe, seed)
    with progress.bar("training", config.epochs) as shown:
        stage = Session().stage("everything", config.run)
        return train_detector(examples, rows, config, shown, stage, validation=None).detector


def kept(file: Path, recipe: Preset, train_one: Callable[[], AnyDetector]) -> DenseDetector:
    """The detector of a file; trained and kept there if there is none."""
    if not file.exists():
        detector = train_one()
        file.parent.mkdir(exist_ok=True)
        safetensors.torch.save_file(detector.state_dict(), file)
    detector = DenseDetector(recipe.detector).eval()
    detector.load_state_dict(safetensors.torch.load_file(file))
    return detector


def logits(
    detector: DenseDetector, store: FeatureStore, test: Sequence[Sample]
) -> dict[str, Floats]:
    """Of road work, one per image: as the detector has it, and of either scale alone."""
    head = detector.cells
    parts: dict[str, list[Floats]] = {scale: [] for scale in SCALES}
    for part in torch.tensor([store.row(s.content_hash or "") for s in test]).split(64):
        given = DetectorInput(
            features=store.mapped("pooled")[part].float(),
            boxes=store.mapped("boxes")[part].float(),
            grid=store.grid(store.spec.grid_views)[part].float(),
            grid_size=store.spec.grid_size,
        )
        with torch.no_grad():
            output = detector.run(given)
        parts[BOTH].append((output.logits[:, 1] - output.logits[:, 0]).double().numpy())
        for scale, cells in ((VIEWS, output.cells), (HALVES, output.half_cells)):
            assert cells is not None
            strongest = head.strongest(cells.flatten(1)).values
            parts[scale].append(strongest.mean(dim=1).double().numpy())
    return {scale: np.concatenate(found) for scale, found in parts.items()}


def figures(test: Sequence[Sample], found: Floats) -> dict[str, float]:
    """AUC and MCC at 0.5."""
    return _figures(np.array([s.label for s in test]), found)


def _figures(labels: npt.NDArray[np.int64], found: Floats) -> dict[str, float]:
    return {
        "auc": float(roc_auc_score(labels, found)),
        "mcc": float(matthews_corrcoef(labels, found > 0)),
    }


def challenge_figures(challenge: Sequence[Sample], found: Floats) -> dict[str, Any]:
    """By level: AUC, MCC at 0.5, and the expected reward."""
    levels = np.array([int(s.extra[LEVEL]) for s in challenge])
    table = {}
    for level in sorted(set(levels)):
        rows = np.flatnonzero(levels == level)
        part = [challenge[row] for row in rows]
        labels, groups = np.array([s.label for s in part]), [s.group for s in part]
        reward = reward_figure(labels, expit(found[rows]), groups, resamples=0)
        table[f"level {level}"] = figures(part, found[rows]) | {"reward": reward.value}
    return table


def still_visible(samples: Sequence[Sample]) -> dict[str, float]:
    """By level: the share of composites with road work whose challenge still shows any of it.

    Their masks are exact, photographs have boxes. Any is `FEWEST_PIXELS` of the 224 x 224.
    """
    pasted = [s for s in samples if s.source == "composite" and s.label == 1 and s.masks]
    shares = {}
    for level in LEVELS:
        seen = []
        for sample in pasted:
            with Image.open(sample.masks) as mask:
                covered = np.array(mask) > 0
            frame = torch.from_numpy(covered).byte().mul(255).expand(3, -1, -1).contiguous()
            random = np.random.default_rng([level, len(seen)])
            height, width = covered.shape
            drawn = draw_changes(random, level=level, width=width, height=height)
            crop = Changes(
                level=level, top=drawn.top, left=drawn.left, side=drawn.side, angle=drawn.angle
            )
            seen.append(int((apply_changes(frame, crop)[0] > 127).sum()) >= FEWEST_PIXELS)
        shares[f"level {level}"] = round(float(np.mean(seen)), 3)
    return shares


def intervals(runs: Sequence[dict[str, Any]]) -> dict[str, dict[str, dict[str, list[float]]]]:
    """95 % intervals over groups, of the mean over seeds: by what was judged, and by fold.

    Of "as it is", each level of the challenge, and the mean of the levels; of each fold, and of the
    mean of the folds. Whole groups of each fold are drawn anew, the same for all of these.
    """
    kinds = [AS_IT_IS, *(f"level {level}" for level in LEVELS), OF_LEVELS]
    drawn: dict[tuple[str, str, str], list[float]] = {}
    random = np.random.default_rng(0)
    while min(map(len, drawn.values()), default=0) < RESAMPLES:
        values: dict[tuple[str, str], list[dict[str, float]]] = {}
        for name in LEFT_OUT:
            fold = [run for run in runs if run["left_out"] == name]
            names = np.unique(fold[0]["groups"])
            chosen = random.choice(names, len(names))
            for run in fold:
                own = _of_groups(run, chosen)
                if own is None:
                    break
                for kind, found in own.items():
                    values.setdefault((kind, name), []).append(found)
        if len(values) < len(LEFT_OUT) * len(kinds):
            continue  # a fold was left without one of the classes
        for kind in kinds:
            means = {name: _mean(values[kind, name]) for name in LEFT_OUT}
            for name, found in (means | {"mean": _mean(list(means.values()))}).items():
                for figure, value in found.items():
                    drawn.setdefault((kind, name, figure), []).append(value)
    table: dict[str, dict[str, dict[str, list[float]]]] = {kind: {} for kind in kinds}
    for (kind, name, figure), of_draws in drawn.items():
        ends = np.quantile(of_draws, (0.025, 0.975)).round(4).tolist()
        table[kind].setdefault(name, {})[figure] = ends
    return table


def _of_groups(
    run: dict[str, Any], chosen: npt.NDArray[np.str_]
) -> dict[str, dict[str, float]] | None:
    """Figures of a run on some groups, each as often as it was drawn; None: of one class alone."""
    found = {}
    for part in ("", "challenge "):
        groups = np.array(run[f"{part}groups"])
        rows = np.concatenate([np.flatnonzero(groups == group) for group in chosen])
        labels, logits = np.array(run[f"{part}labels"])[rows], np.array(run[f"{part}logits"])[rows]
        if not 0 < labels.sum() < len(labels):
            return None
        if not part:
            found[AS_IT_IS] = _figures(labels, logits)
            continue
        levels = np.array(run["levels"])[rows]
        each = [_figures(labels[levels == level], logits[levels == level]) for level in LEVELS]
        found |= {f"level {level}": one for level, one in zip(LEVELS, each, strict=True)}
        found[OF_LEVELS] = _mean(each)
    return found


def calibration_of(runs: Sequence[dict[str, Any]]) -> Calibration:
    """The likeliest cut and slope on photographs of sources left out, both classes alike."""
    logits = np.concatenate([run["logits"] for run in runs])
    labels = np.concatenate([run["labels"] for run in runs])
    fitted = LogisticRegression(C=np.inf, class_weight="balanced").fit(logits[:, None], labels)
    slope, offset = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
    return Calibration(round(float(expit(-offset / slope)), 4), round(slope, 4))


def threshold_of(runs: Sequence[dict[str, Any]], calibration: Calibration) -> Threshold:
    """The cut of a calibration with the evidence for it: photographs of sources left out."""
    logits = np.concatenate([run["logits"] for run in runs])
    labels = np.concatenate([run["labels"] for run in runs])
    value = calibration.threshold
    return Threshold(
        value=value,
        mcc_at_value=_figures(labels, logits - logit(value))["mcc"],
        mcc_at_half=_figures(labels, logits)["mcc"],
        rows=len(labels),
        positives=int(labels.sum()),
        guarded=False,
        reason=CUT_FROM,
    )


def _decided(calibration: Calibration, logits: Floats, *, estimated: bool) -> Floats:
    """Probabilities, for balanced classes or for the share that the images speak for."""
    probabilities = calibration.apply(expit(logits))
    if not estimated:
        return probabilities
    return calibration.at_share(estimate_share(probabilities)).apply(expit(logits))


def _named(known: str, estimated: bool) -> str:
    return f"{known}, share estimated" if estimated else known


def travelling(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What a calibration is worth on a source that it was not, or was, fitted on.

    With the share of road work taken as one half, and as estimated from a source's own photographs
    without their labels. MCC at 0.5 by fold, and its mean with a 95 % interval over groups;
    calibrations are kept.
    """
    everything = calibration_of(runs)
    fitted = {
        OTHERS: {
            name: calibration_of([run for run in runs if run["left_out"] != name])
            for name in LEFT_OUT
        },
        EVERY: dict.fromkeys(LEFT_OUT, everything),
    }
    table: dict[str, Any] = {
        "calibration": {
            "logit": round(float(logit(everything.threshold)), 4),
            "slope": everything.slope,
        }
    }
    for known, of_fold in fitted.items():
        for estimated in (False, True):
            mcc = functools.partial(_calibrated_mcc, of_fold=of_fold, estimated=estimated)
            table[_named(known, estimated)] = with_interval(runs, mcc)
        table[f"by level, {known}"] = _by_level(runs, of_fold)
    return table


def _calibrated_mcc(
    run: dict[str, Any],
    rows: npt.NDArray[np.int64],
    *,
    of_fold: dict[str, Calibration],
    estimated: bool,
) -> float:
    """At 0.5, of some rows of a run."""
    labels, found = np.array(run["labels"])[rows], np.array(run["logits"])[rows]
    told = _decided(of_fold[run["left_out"]], found, estimated=estimated)
    return float(matthews_corrcoef(labels, told > 0.5))


def with_interval(
    runs: Sequence[dict[str, Any]],
    figure: Callable[[dict[str, Any], npt.NDArray[np.int64]], float],
) -> dict[str, Any]:
    """Of some rows of each run: by fold, their mean, and its interval over groups."""
    random = np.random.default_rng(0)

    def folds(rows_of: Callable[[str], npt.NDArray[np.int64]]) -> dict[str, float]:
        rows = {name: rows_of(name) for name in LEFT_OUT}
        return {
            name: float(np.mean([figure(r, rows[name]) for r in runs if r["left_out"] == name]))
            for name in LEFT_OUT
        }

    first = {name: next(run for run in runs if run["left_out"] == name) for name in LEFT_OUT}

    def drawn(name: str) -> npt.NDArray[np.int64]:
        groups, labels = np.array(first[name]["groups"]), np.array(first[name]["labels"])
        names = np.unique(groups)
        while True:
            chosen = random.choice(names, len(names))
            rows = np.concatenate([np.flatnonzero(groups == group) for group in chosen])
            if 0 < labels[rows].sum() < len(rows):
                return rows

    found = folds(lambda name: np.arange(len(first[name]["labels"])))
    means = [float(np.mean(list(folds(drawn).values()))) for _ in range(RESAMPLES)]
    return {name: round(value, 4) for name, value in found.items()} | {
        "mean": round(float(np.mean(list(found.values()))), 4),
        "interval": np.quantile(means, (0.025, 0.975)).round(4).tolist(),
    }


def _by_level(runs: Sequence[dict[str, Any]], of_fold: dict[str, Calibration]) -> dict[str, Any]:
    """MCC at 0.5, Brier score, calibration error and reward, as it is and by the challenge's level.

    Means over folds and seeds, with the share of road work taken as one half and as estimated from
    the images of a fold and level.
    """
    values: dict[tuple[str, str], list[dict[str, float]]] = {}
    for run in runs:
        levels = np.array(run["levels"])
        parts = ("labels", "logits", "groups")
        judged = {AS_IT_IS: [np.array(run[name]) for name in parts]}
        for level in LEVELS:
            judged[f"level {level}"] = [
                np.array(run[f"challenge {name}"])[levels == level] for name in parts
            ]
        for kind, (labels, logits, groups) in judged.items():
            for share, estimated in (("one half", False), ("estimated", True)):
                told = _decided(of_fold[run["left_out"]], logits, estimated=estimated)
                found = point_metrics(labels, told)
                row = {name: float(found[name] or 0) for name in ("mcc", "brier", "ece")}
                row["reward"] = reward_figure(labels, told, groups.tolist(), resamples=0).value
                values.setdefault((share, kind), []).append(row)
    table: dict[str, Any] = {}
    for (share, kind), rows in values.items():
        table.setdefault(share, {})[kind] = _mean(rows)
    return table


def summary(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over seeds, of each fold and of all, by what was judged."""
    table: dict[str, Any] = {}
    for setting in SETTINGS:
        own = [run for run in runs if run["setting"] == setting]
        if not own:
            continue
        table[setting] = {"intervals": intervals(own), "calibration": travelling(own)}
        for kind in own[0]["judged"]:
            rows = {
                name: _mean([r["judged"][kind] for r in own if r["left_out"] == name])
                for name in LEFT_OUT
            }
            table[setting][kind] = rows | {"mean": _mean(list(rows.values()))}
    return table


def _mean(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: round(math.fsum(row[name] for row in rows) / len(rows), 4) for name in rows[0]}


def ship(
    samples: list[Sample],
    groups: set[str],
    recipe: Preset,
    work: Path,
    folder: Path,
    runs: Sequence[dict[str, Any]],
) -> None:
    """Train on all that may be, and write the bundle with the calibration of sources left out."""
    known = [s for s in samples if s.source == "scenes" or s.group in groups]
    held = {s.group for s in known if s.source in VALIDATION}

    def side(sample: Sample) -> str:
        if sample.source == "composite" and sample.group in held:
            return "not-val"
        return "val" if sample.source in VALIDATION else "train"

    rows = [dataclasses.replace(s, split=side(s)) for s in known]
    backbone = load_backbone(recipe.backbone)
    manifest, spec = Manifest(rows, work), spec_of(recipe, backbone, LEARNED)
    config = settings(recipe, 0)
    trained = train(manifest, backbone, spec, work / "features", config, copies=COPIES)
    calibration = calibration_of(runs)
    cut = dataclasses.asdict(threshold_of(runs, calibration))
    bundle = dataclasses.replace(
        trained.bundle,
        calibration=calibration,
        provenance=trained.bundle.provenance | {"threshold": cut},
    )
    write_bundle(bundle, folder)
    print(bundle.calibration, f"{len(rows)} rows")


def spec_of(recipe: Preset, backbone: Backbone, size: int) -> FeatureSpec:
    """Of the features, with views of ``size`` pixels."""
    layout = recipe.layout.with_view_size(size)
    views = recipe.detector.grid_views(layout)
    return make_spec(
        backbone,
        layout=layout,
        pooling=recipe.pooling,
        grid_views=views,
        augmentation=AUGMENTATION,
    )


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--work", type=Path, help="default: runs/accuracy-PRESET")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--preset", default="dense")
    parser.add_argument("--permitted", action="store_true", help="and no other models")
    parser.add_argument("--ship", type=Path, help="folder for the model that is shipped")
    options = parser.parse_args()
    progress.enabled = True
    work: Path = options.work or Path(f"runs/accuracy-{options.preset}")
    work.mkdir(parents=True, exist_ok=True)
    samples, groups = gather(options.photos, work)
    recipe = preset(options.preset)
    backbone = load_backbone(recipe.backbone)

    def stored(rows: Manifest, size: int, copies: int = 0) -> FeatureStore:
        spec = spec_of(recipe, backbone, size)
        return Extraction(rows, backbone, spec, work / "features", copies=copies).run()

    tested = [s for s in samples if not is_made(s) and (s.group or "").startswith(ALL_LEFT_OUT)]
    challenge = write_challenge(Manifest(tested, work), work / "challenge")
    wanted_settings = SETTINGS
    if options.permitted:
        wanted_settings = SETTINGS[:1]
        samples = [s for s in samples if s.source == "scenes" or s.group in groups]
    stores = {size: stored(Manifest(tested, work), size) for size in SIZES}
    of_challenge = stored(challenge, LEARNED)
    stores[LEARNED] = stored(Manifest(samples, work), LEARNED, COPIES)
    learned = examples_of(samples, work, stores[LEARNED], settings(recipe, 0), copies=COPIES)
    journal = work / "accuracy.jsonl"
    done = [json.loads(x) for x in journal.read_text().splitlines()] if journal.exists() else []
    for seed in range(options.seeds):
        for setting in wanted_settings:
            for name in LEFT_OUT:
                key = {"seed": seed, "setting": setting, "left_out": name}
                if any(key.items() <= row.items() for row in done):
                    continue
                rows = learned_from(samples, groups if setting == "permitted" else None, name)
                file = work / "detectors" / f"{setting}-{name}-{seed}.safetensors"
                train_one = functools.partial(learn, learned, rows, recipe, seed)
                detector = kept(file, recipe, train_one)
                test = [s for s in tested if (s.group or "").startswith(LEFT_OUT[name])]
                sent = [s for s in challenge if (s.group or "").startswith(LEFT_OUT[name])]
                found = {size: logits(detector, stores[size], test) for size in SIZES}
                judged = {
                    f"{size} px{scale}": figures(test, found[size][scale])
                    for size in SIZES
                    for scale in SCALES
                }
                of_sent = logits(detector, of_challenge, sent)[BOTH]
                judged |= challenge_figures(sent, of_sent)
                row = key | {
                    "rows": len(rows),
                    "judged": judged,
                    "labels": [s.label for s in test],
                    "groups": [s.group for s in test],
                    "logits": found[LEARNED][BOTH].round(4).tolist(),
                    "levels": [int(s.extra[LEVEL]) for s in sent],
                    "challenge labels": [s.label for s in sent],
                    "challenge groups": [s.group for s in sent],
                    "challenge logits": of_sent.round(4).tolist(),
                }
                done.append(row)
                with journal.open("a") as lines:
                    lines.write(json.dumps(row) + "\n")
                print(key, judged, flush=True)
    brief = [{k: run[k] for k in ("seed", "setting", "left_out", "rows", "judged")} for run in done]
    if options.ship:
        permitted = [run for run in done if run["setting"] == "permitted"]
        ship(samples, groups, recipe, work, options.ship, permitted)
    table = summary(done) | {"still visible": still_visible(samples)}
    write_record(options.output, {"summary": table, "runs": brief})


if __name__ == "__main__":
    main()
