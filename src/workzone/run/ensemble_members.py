"""The members of an ensemble: trained one after the other, or models that are there already."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from workzone.backbones.base import Backbone
from workzone.backbones.registry import load_backbone
from workzone.config import differences
from workzone.data.manifest import Manifest
from workzone.decide.bundle import Bundle, read_bundle, write_bundle
from workzone.decide.calibration import Calibration
from workzone.decide.ensemble import Ensemble, make_ensemble
from workzone.decide.mixture import Mixture
from workzone.errors import BundleError, TrainingError, UsageError
from workzone.features.extract import make_spec
from workzone.files import write_text
from workzone.run.backbone import bundle_backbone
from workzone.run.ensemble_plan import EnsemblePlan, MemberPlan
from workzone.run.ensembles import backbones_of, extract_for
from workzone.run.evaluate import in_store
from workzone.run.stored_scores import member_probabilities
from workzone.train.job import train, without_idle_masks
from workzone.train.provenance import manifest_hash
from workzone.types import Sample
from workzone.views import ViewLayout

Scores = npt.NDArray[np.float64]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Members:
    """Models, and what each says of labelled rows that it has not learned from."""

    bundles: Mapping[str, Bundle]
    backbones: Callable[[], Sequence[Backbone]]  # gives one for each
    samples: Sequence[Sample]  # B rows
    probabilities: Scores  # calibrated [B, M]
    choose_cut: bool = True  # of the ensemble, on these rows


def train_members(
    plan: EnsemblePlan, manifest: Manifest, stores: Path, work: Path, device: str, say: Say
) -> Members:
    """Members trained by a plan, with validation rows, each judged by models that had not seen it.

    Args:
        plan: of the ensemble.
        manifest: its images.
        stores: where feature stores lie.
        work: where what is trained lies, or will.
        device: of backbones.
        say: is given a line after each member.

    Raises:
        TrainingError: members have no validation rows in common.
        UsageError: a member was trained with other settings before.
        BundleError: what is kept of a member is damaged.
    """
    bundles: dict[str, Bundle] = {}
    told: dict[str, dict[str, float]] = {}
    for name, member in plan.members.items():
        done = (work / name / "validation.json").is_file()
        told[name] = _trained(plan, name, member, manifest, stores, work / name, device)
        bundles[name] = read_bundle(work / name / "model")
        say(f"{name}: {'trained before' if done else 'trained'}, {len(told[name])} validation rows")
    samples = {sample.id: sample for sample in manifest}
    ids = sorted(set.intersection(*(set(of_member) for of_member in told.values())) & set(samples))
    if not ids:
        raise TrainingError("the members have no validation rows in common: train them anew")
    weights = [member.weights for member in plan.members.values()]
    return Members(
        bundles=bundles,
        backbones=lambda: trained_backbones(list(bundles.values()), weights, device),
        samples=[samples[row] for row in ids],
        probabilities=np.array([[of_member[row] for of_member in told.values()] for row in ids]),
        choose_cut=all(member.training.choose_cut for member in plan.members.values()),
    )


def trained_backbones(
    bundles: Sequence[Bundle], weights: Sequence[str | None], device: str
) -> list[Backbone]:
    """The backbone of each bundle, from the weights that it was trained with."""
    found: dict[str, Backbone] = {}
    for bundle, own in zip(bundles, weights, strict=True):
        key = bundle.spec.weight_hash
        if key not in found:
            found[key] = bundle_backbone(bundle, weights=own, device=device)
    return [found[bundle.spec.weight_hash] for bundle in bundles]


def read_members(
    plan: EnsemblePlan, manifest: Manifest, stores: Path, device: str, say: Say
) -> Members:
    """Bundles that are there, judged on the plan's held-out rows. Arguments: see `train_members`.

    Raises:
        TrainingError: no labelled row in that split that none of them has learned from.
        BundleError, BackboneError: one of them, or its weights, cannot be had.
        UsageError: no row in that split.
    """
    bundles = {name: read_bundle(Path(folder)) for name, folder in plan.bundles.items()}
    alike = Mixture(weights=(1 / len(bundles),) * len(bundles))
    ensemble = make_ensemble(bundles, alike, Calibration(), provenance={})
    rows = manifest.in_split(plan.held_out)
    unseen = unseen_rows(ensemble, rows)
    if not unseen:
        raise TrainingError(
            f"of the {len(rows)} rows of split {plan.held_out!r} none has a label and is of an "
            "image and group that no member has learned from or was validated on: the weights need "
            "such rows; name another split as held_out"
        )
    backbones = backbones_of(ensemble, weights=plan.weights, device=device)
    store = extract_for(ensemble, backbones, rows.with_samples(unseen), stores)
    samples = in_store(store, unseen)
    if not samples:
        raise TrainingError(f"no image of split {plan.held_out!r} could be read")
    say(
        f"{len(samples)} rows of split {plan.held_out!r} to weigh by; left out as seen before, "
        f"without a label or unreadable: {len(rows) - len(samples)}"
    )
    return Members(
        bundles=bundles,
        backbones=lambda: backbones,
        samples=samples,
        probabilities=member_probabilities(ensemble, store, samples),
    )


def unseen_rows(ensemble: Ensemble, rows: Manifest) -> list[Sample]:
    """Labelled rows of images and groups that no member learned from, or was validated on."""
    return [
        sample
        for sample in rows
        if sample.label is not None
        and sample.content_hash not in ensemble.training_images
        and (sample.group is None or sample.group not in ensemble.training_groups)
    ]


def _trained(
    plan: EnsemblePlan,
    name: str,
    member: MemberPlan,
    manifest: Manifest,
    stores: Path,
    folder: Path,
    device: str,
) -> dict[str, float]:
    """Train a member, unless that was done; its probabilities of validation rows, by id."""
    network = load_backbone(member.backbone, weights=member.weights)
    network.to(device)
    config = without_idle_masks(member.training, manifest, test_split=plan.test)
    layout = plan.layout or ViewLayout(size=network.default_size)
    spec = make_spec(
        network,
        layout=layout,
        pooling=plan.pooling,
        grid_views=config.detector.grid_views(layout),
    )
    asked = json.loads(
        json.dumps(
            {
                "training": dataclasses.asdict(config),
                "features": spec.key(),
                "copies": plan.copies,
                "test": plan.test,
                "manifest": manifest_hash(list(manifest)),
            }
        )
    )
    file = folder / "validation.json"
    if file.is_file():
        before, probabilities = _kept(file)
        changed = list(differences(before, asked))
        if changed:
            raise UsageError(
                f"member {name} was trained otherwise before ({'; '.join(changed[:3])}): delete "
                f"{folder}, or name another output"
            )
        return probabilities
    trained = train(
        *(manifest, network, spec, stores, config),
        copies=plan.copies,
        test_split=plan.test,
        run_folder=folder / "run",
    )
    write_bundle(trained.bundle, folder / "model")
    ids = [trained.samples[row].id for row in trained.fit.validation_rows]
    probabilities = dict(zip(ids, map(float, trained.fit.validation_probabilities), strict=True))
    write_text(file, json.dumps({"asked": asked, "probabilities": probabilities}) + "\n")
    if trained.folder is not None:
        trained.folder.finish()
    return probabilities


def _kept(file: Path) -> tuple[dict[str, Any], dict[str, float]]:
    """What a member was asked for when it was trained, and its probabilities by id.

    Raises:
        BundleError: the file is damaged.
    """
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
        before, probabilities = dict(held["asked"]), dict(held["probabilities"])
        if not all(0 <= value <= 1 for value in probabilities.values()):
            raise ValueError("a value is no probability")
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BundleError(
            f"{file} is damaged ({type(error).__name__}: {error}): delete {file.parent}, and the "
            "member is trained again"
        ) from error
    return before, probabilities
