"""Members trained one after the other, weighed on validation rows, judged on rows left alone."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import workzone
from workzone.backbones.base import Backbone
from workzone.backbones.registry import load_backbone
from workzone.config import differences
from workzone.data.manifest import Manifest, read_manifest
from workzone.decide.bundle import Bundle, read_bundle, write_bundle
from workzone.decide.calibration_fit import fit_calibration
from workzone.decide.ensemble import Ensemble, make_ensemble
from workzone.decide.mixture import Mixture
from workzone.decide.mixture_fit import diversity, fit_mixture, log_loss, select_greedily
from workzone.decide.models import bundles_of, write_model
from workzone.errors import TrainingError, UsageError
from workzone.features.extract import make_spec
from workzone.files import write_text
from workzone.report.metrics import Figure, Metrics, summarise
from workzone.report.paired import paired_differences
from workzone.run.backbone import bundle_backbone
from workzone.run.ensemble_plan import EnsemblePlan, MemberPlan
from workzone.run.ensembles import extract_for
from workzone.run.evaluate import in_store
from workzone.run.stored_scores import member_probabilities
from workzone.train.job import train, without_idle_masks
from workzone.train.provenance import manifest_hash
from workzone.views import ViewLayout

Scores = npt.NDArray[np.float64]

ALARMS = 0.05
"""Share of validation rows whose members disagree beyond the cut."""


@dataclass(frozen=True)
class Judged:
    """The ensemble beside its best member, on rows that neither learned from."""

    rows: int
    metrics: Metrics  # of the ensemble
    members: Mapping[str, Metrics]
    best: str  # the member with the lowest log loss on validation rows
    differences: Mapping[str, Figure]  # figures of the ensemble less those of that member

    def sentence(self) -> str:
        """Whether the ensemble beats its best member."""
        found = self.differences["mcc"]
        ours, theirs = (m.figures["mcc"].value for m in (self.metrics, self.members[self.best]))
        if found.value is None or ours is None or theirs is None:
            return f"{self.rows} test rows hold one class alone: nothing can be said of MCC"
        told = (
            f"MCC {ours:.3f} on {self.rows} test rows, the best member's ({self.best}) {theirs:.3f}"
        )
        if found.low is None or found.high is None:
            return f"{told}: too few groups to say whether that is more than chance"
        interval = f"{found.value:+.3f}, 95 % interval {found.low:+.3f} to {found.high:+.3f}"
        if found.low > 0:
            return f"{told}: the ensemble beats it ({interval})"
        if found.high < 0:
            return f"{told}: the ensemble is worse ({interval})"
        return f"{told}: the ensemble does not beat it beyond chance ({interval})"

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {
            "rows": self.rows,
            "ensemble": self.metrics.to_json(),
            "members": {name: metrics.to_json() for name, metrics in self.members.items()},
            "best": self.best,
            "differences": {n: dataclasses.asdict(f) for n, f in self.differences.items()},
            "sentence": self.sentence(),
        }


def build_ensemble(
    plan: EnsemblePlan, *, device: str = "cpu", say: Callable[[str], None]
) -> tuple[Ensemble, Judged | None]:
    """Train what is not trained yet, and write the ensemble and ``ensemble.json`` in it.

    Members that were trained before, by the same settings on the same rows, are taken as they are;
    one whose training was stopped goes on. The weights and the calibration are found on validation
    rows, each judged by models that had not seen it; test rows judge and decide nothing.

    Args:
        plan: of the ensemble.
        device: of backbones.
        say: is given a line after each step.

    Returns:
        The ensemble, and how it compares; None: there are no labelled test rows.

    Raises:
        TrainingError: members have no validation rows in common.
        UsageError: a member was trained with other settings before.
        WorkzoneError: as of training; see :func:`workzone.train.job.train`.
    """
    manifest, output = read_manifest(Path(plan.manifest)), Path(plan.output)
    stores = Path(plan.store) if plan.store else Path(plan.manifest).parent / "features"
    work = output.with_name(f"{output.name}.members")
    bundles: dict[str, Bundle] = {}
    told: dict[str, dict[str, float]] = {}
    for name, member in plan.members.items():
        done = (work / name / "validation.json").is_file()
        told[name] = _trained(plan, name, member, manifest, stores, work / name, device)
        bundles[name] = read_bundle(work / name / "model")
        say(f"{name}: {'trained before' if done else 'trained'}, {len(told[name])} validation rows")
    ids = sorted(set.intersection(*(set(of_member) for of_member in told.values())))
    if not ids:
        raise TrainingError("the members have no validation rows in common: train them anew")
    samples = {sample.id: sample for sample in manifest}
    labels = np.array([samples[row].label for row in ids])
    given = np.array([[of_member[row] for of_member in told.values()] for row in ids])
    mixture = _weighed(plan, labels, given)
    mixed = mixture.apply(given)
    calibration, threshold = fit_calibration(
        labels,
        mixed,
        choose_cut=all(member.training.choose_cut for member in plan.members.values()),
        groups=[samples[row].group for row in ids],
    )
    apart = np.sort(mixture.disagreement(given))
    rank = min(int(np.ceil((1 - ALARMS) * (len(apart) + 1))), len(apart)) - 1
    losses = {name: log_loss(labels, given[:, i]) for i, name in enumerate(bundles)}
    validation = {
        "rows": len(ids),
        "log loss": losses | {"ensemble": log_loss(labels, mixed)},
        "diversity": diversity(labels, given, mixture).to_json(),
    }
    sources = {source for b in bundles.values() for source in b.provenance.get("sources", ())}
    ensemble = make_ensemble(
        bundles,
        mixture,
        calibration,
        disagreement_cut=float(apart[rank]),
        provenance={
            "workzone": workzone.__version__,
            "sources": sorted(sources),
            "threshold": dataclasses.asdict(threshold),
            "validation": validation,
            "warnings": list(
                dict.fromkeys(w for b in bundles.values() for w in b.provenance.get("warnings", ()))
            ),
        },
    )
    write_model(ensemble, output)
    for name, weight in zip(bundles, mixture.weights, strict=True):
        say(f"{name}: weight {weight:.2f}, log loss {losses[name]:.3f}")
    judged = _judged(plan, ensemble, manifest, stores, min(losses, key=losses.__getitem__), device)
    report = {"validation": validation, "test": judged and judged.to_json()}
    write_text(output / "ensemble.json", json.dumps(report, indent=2, allow_nan=False) + "\n")
    return ensemble, judged


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
        held = json.loads(file.read_text(encoding="utf-8"))
        changed = list(differences(held["asked"], asked))
        if changed:
            raise UsageError(
                f"member {name} was trained otherwise before ({'; '.join(changed[:3])}): delete "
                f"{folder}, or name another output"
            )
        return dict(held["probabilities"])
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


def _weighed(plan: EnsemblePlan, labels: npt.NDArray[np.int64], given: Scores) -> Mixture:
    if plan.weigh == "fitted":
        return fit_mixture(labels, given, average=plan.average)
    if plan.weigh == "greedy":
        return select_greedily(labels, given, average=plan.average)
    count = given.shape[1]
    return Mixture(weights=(1 / count,) * count, average=plan.average)


def _backbones(plan: EnsemblePlan, ensemble: Ensemble, device: str) -> list[Backbone]:
    """Of each member, from the weights that it was trained with."""
    found: dict[str, Backbone] = {}
    for bundle, member in zip(bundles_of(ensemble), plan.members.values(), strict=True):
        key = bundle.spec.weight_hash
        if key not in found:
            found[key] = bundle_backbone(bundle, weights=member.weights, device=device)
    return [found[bundle.spec.weight_hash] for bundle in bundles_of(ensemble)]


def _judged(
    plan: EnsemblePlan, ensemble: Ensemble, manifest: Manifest, stores: Path, best: str, device: str
) -> Judged | None:
    """Judge on labelled test rows, if there are some."""
    test = manifest.in_split(plan.test)
    test = test.with_samples([sample for sample in test if sample.label is not None])
    if not len(test):
        return None
    store = extract_for(ensemble, _backbones(plan, ensemble, device), test, stores)
    samples = in_store(store, test)
    if not samples:
        return None
    members = member_probabilities(ensemble, store, samples)
    labels = np.array([sample.label for sample in samples])
    groups = [sample.group for sample in samples]
    mixed = ensemble.calibration.apply(ensemble.mixture.apply(members))
    names = [member.name for member in ensemble.members]
    return Judged(
        rows=len(samples),
        metrics=summarise(labels, mixed, groups),
        members={
            name: summarise(labels, members[:, number], groups) for number, name in enumerate(names)
        },
        best=best,
        differences=paired_differences(labels, mixed, members[:, names.index(best)], groups),
    )
