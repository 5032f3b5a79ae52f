"""Trainings of `decisions.py`, and what each model says: kept, so that a stopped run goes on."""

from __future__ import annotations

import dataclasses
import functools
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch
from decisions_material import BACKBONES, LOOKS, Material, collection_of
from photographs import LEFT_OUT, group_folds
from recipe import keep

from workzone import progress
from workzone.config import from_mapping, merged
from workzone.decide.familiarity import fit_familiarity
from workzone.features.store import FeatureStore
from workzone.model.base import AnyDetector
from workzone.model.config import DetectorConfig
from workzone.model.encoder.config import EncoderConfig
from workzone.model.inputs import DetectorInput
from workzone.model.make import make_detector
from workzone.model.views.config import PrunerConfig
from workzone.run.ensemble_plan import six_members
from workzone.train.feed.examples import Examples, Rows
from workzone.train.judging import predict_probabilities
from workzone.train.loop import train_detector
from workzone.train.session import Session
from workzone.train.settings import TrainConfig
from workzone.types import Sample

Floats = npt.NDArray[np.float64]
Scores = dict[str, npt.NDArray[Any]]

BASE = DetectorConfig(
    projection=64,
    pruner=PrunerConfig(keep=3),
    encoder=EncoderConfig(width=64, depth=2, heads=4, kv_heads=2, feed_forward=128),
    fusion="gated",
    head=(64, 32),
    dropout=0.1,
)
"""The reference's detector, an eighth as wide and half as deep."""
TRAINING: dict[str, Any] = {
    "optimizer": {"learning_rate": 1e-3, "weight_decay": 0.05},
    "schedule": {"name": "cosine", "warmup": 0.1},
    "sampling": {"class_balance": True},
    "classifier_penalty": 0.0,
    "batch": 64,
    "epochs": 12,
}
SEEDS = 3
"""Of the base member: the others of these are for an ensemble of seeds, and their soup."""
INNER_FOLDS = 2


@dataclass(frozen=True)
class Variant:
    """A member: what it stands on, and how it is trained."""

    name: str
    backbone: str
    config: TrainConfig


def variants() -> list[Variant]:
    """The six members, and further seeds of the base."""
    tree = merged(TRAINING, {"detector": dataclasses.asdict(BASE)})
    found = []
    for name, changes in six_members(BASE, BACKBONES[1]).items():
        own = dict(changes)
        backbone = own.pop("backbone", BACKBONES[0])
        found.append(
            Variant(name, backbone, from_mapping(TrainConfig, merged(tree, own), where=name))
        )
    base = found[0]
    return found + [
        Variant(f"base, seed {seed}", base.backbone, dataclasses.replace(base.config, seed=seed))
        for seed in range(1, SEEDS)
    ]


class Trainer:
    """Trains and judges; scores lie in ``work / scores``, weights in ``work / detectors``."""

    def __init__(self, material: Material, work: Path) -> None:
        self.material, self.work = material, work
        self.labels = np.array([s.label for s in material.samples])
        self.photograph = np.array([s.source != "scenes" for s in material.samples])

    def rows(self, left_out: str) -> Rows:
        """What is learned from where a source is left out."""
        starts = LEFT_OUT[left_out]
        return np.array(
            [
                i
                for i, s in enumerate(self.material.samples)
                if not (s.group or "").startswith(starts)
            ]
        )

    def folds(self, rows: Rows) -> list[Rows]:
        """Rows of each validation fold; no collection is parted."""
        names = [collection_of(self.material.samples[row]) for row in rows]
        return [rows[fold] for fold in group_folds(self.labels[rows], names, INNER_FOLDS, 0)]

    def scores(self, variant: Variant, left_out: str, *, often: bool = False) -> Scores:
        """What models of a variant say where a source is left out; kept.

        By name: ``validation`` (row numbers) with ``raw validation``, ``raw test``, ``raw
        challenge``; with ``often``, ``looks ...`` and ``distances ...`` of those that are looked
        at several times.
        """
        name = f"{left_out}-{variant.name.replace(', ', '-').replace(' ', '')}"
        file = self.work / "scores" / f"{name}{'-often' * often}.npz"
        if file.exists():
            with np.load(file) as held:
                return dict(held)
        store, material = self.material.stores[variant.backbone], self.material
        examples = material.examples(variant.backbone)
        everything = self.rows(left_out)
        folds = self.folds(everything)
        found: dict[str, list[npt.NDArray[Any]]] = {}
        starts = LEFT_OUT[left_out]

        def own(samples: Sequence[Sample], outside: bool = False) -> list[Sample]:
            return [s for s in samples if (s.group or "").startswith(starts) != outside]

        chosen = {s.id for s in material.seen_often}
        for number, fold in enumerate([*folds, None]):
            rows = everything if fold is None else np.setdiff1d(everything, fold)
            place = self.work / "detectors" / f"{name}-{number}.safetensors"
            detector = self.detector(variant, examples, rows, place)
            judge = functools.partial(_raw, detector, store)
            if fold is not None:
                held = fold[self.photograph[fold]]
                samples = [material.samples[row] for row in held]
                _add(found, "validation", held)
                _add(found, "raw validation", judge(samples))
                parts = {"validation": [s for s in samples if s.id in chosen]}
                of_looks = [row for row in held if material.samples[row].id in chosen]
                _add(found, "looked at validation", np.array(of_looks, np.int64))
            else:
                _add(found, "raw test", judge(own(material.tested)))
                _add(found, "raw challenge", judge(own(material.challenge)))
                parts = {"test": own(material.seen_often), "challenge": own(material.sent_often)}
            if often:
                vectors = _vectors(detector, store, [material.samples[row] for row in rows])
                groups = [material.samples[row].group for row in rows]
                familiarity = fit_familiarity(vectors, self.labels[rows], groups)
                for part, samples in parts.items():
                    copies = range(1 + LOOKS)
                    looks = [judge(samples, copy=copy) for copy in copies]
                    apart = [
                        familiarity.score(_vectors(detector, store, samples, copy=copy))
                        for copy in copies
                    ]
                    _add(found, f"looks {part}", np.stack(looks, axis=-1))
                    _add(found, f"distances {part}", np.stack(apart, axis=-1))
        scores = {key: np.concatenate(parts) for key, parts in found.items()}
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, **scores)
        print(left_out, variant.name, "trained and judged", flush=True)
        return scores

    def soup(self, left_out: str) -> Scores:
        """The base's seeds as one: the mean of their weights, judged as the others are."""
        material, found = self.material, dict[str, list[npt.NDArray[Any]]]()
        store = material.stores[BACKBONES[0]]
        base = variants()[0]
        seeds = ["base", *(f"base-seed{seed}" for seed in range(1, SEEDS))]
        starts = LEFT_OUT[left_out]
        examples = material.examples(BACKBONES[0])
        everything = self.rows(left_out)
        for number, fold in enumerate([*self.folds(everything), None]):
            files = [
                self.work / "detectors" / f"{left_out}-{s}-{number}.safetensors" for s in seeds
            ]
            states = [safetensors.torch.load_file(file) for file in files]
            detector = make_detector(examples.sized(base.config.detector, everything)).eval()
            detector.load_state_dict(
                {
                    key: torch.stack([state[key].double() for state in states])
                    .mean(0)
                    .to(value.dtype)
                    for key, value in states[0].items()
                }
            )
            if fold is not None:
                held = fold[self.photograph[fold]]
                _add(found, "validation", held)
                samples = [material.samples[row] for row in held]
                _add(found, "raw validation", _raw(detector, store, samples))
            else:
                for part, all_of in (("test", material.tested), ("challenge", material.challenge)):
                    samples = [s for s in all_of if (s.group or "").startswith(starts)]
                    _add(found, f"raw {part}", _raw(detector, store, samples))
        return {key: np.concatenate(parts) for key, parts in found.items()}

    def detector(self, variant: Variant, examples: Examples, rows: Rows, file: Path) -> AnyDetector:
        """Trained on some rows, or read."""
        config = variant.config
        if file.exists():
            made = make_detector(examples.sized(config.detector, rows)).eval()
            made.load_state_dict(safetensors.torch.load_file(file))
            return made
        session = Session(make_detector=make_detector)
        stage = session.stage("everything", config.run)
        torch.manual_seed(zlib.crc32(file.name.encode()))
        with progress.bar("training", config.epochs) as shown:
            learned = train_detector(examples, rows, config, shown, stage, validation=None)
        keep(learned.detector, file)
        return learned.detector.eval()


def _add(found: dict[str, list[npt.NDArray[Any]]], key: str, values: npt.NDArray[Any]) -> None:
    found.setdefault(key, []).append(values)


def _inputs(store: FeatureStore, samples: Sequence[Sample], copy: int) -> DetectorInput:
    rows = [store.row(s.content_hash or "", copy) for s in samples]
    return DetectorInput(features=store.read("pooled", rows), boxes=store.read("boxes", rows))


def _raw(
    detector: AnyDetector, store: FeatureStore, samples: Sequence[Sample], *, copy: int = 0
) -> Floats:
    if not samples:
        return np.zeros(0)
    return predict_probabilities(detector, _inputs(store, samples, copy))


def _vectors(
    detector: AnyDetector, store: FeatureStore, samples: Sequence[Sample], *, copy: int = 0
) -> npt.NDArray[np.float32]:
    return detector.scene(_inputs(store, samples, copy)).numpy()
