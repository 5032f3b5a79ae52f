"""Members weighed on rows that they have not learned from, and judged on rows left alone."""

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
from workzone.data.manifest import Manifest, read_manifest
from workzone.decide.calibration_fit import fit_calibration
from workzone.decide.conformal import fit_conformal
from workzone.decide.ensemble import Ensemble, check_ensemble_folder, make_ensemble
from workzone.decide.mixture import Mixture
from workzone.decide.mixture_fit import diversity, fit_mixture, log_loss, select_greedily
from workzone.decide.models import write_model
from workzone.files import write_text
from workzone.report.metrics import Figure, Metrics, summarise
from workzone.report.paired import paired_differences
from workzone.run.ensemble_members import (
    Members,
    read_members,
    train_members,
    unseen_rows,
)
from workzone.run.ensemble_plan import EnsemblePlan
from workzone.run.ensembles import extract_for
from workzone.run.evaluate import in_store
from workzone.run.stored_scores import member_probabilities

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
    """Make the members one, and write the ensemble and ``ensemble.json`` in it.

    Members that were trained before, by the same settings on the same rows, are taken as they are;
    one whose training was stopped goes on. The weights and the calibration are found on rows that
    members have not learned from: validation rows, each judged by models that had not seen it, or
    the held-out rows of bundles that are there. Test rows judge and decide nothing.

    Args:
        plan: of the ensemble.
        device: of backbones.
        say: is given a line after each step.

    Returns:
        The ensemble, and how it compares; None: there are no labelled test rows.

    Raises:
        BundleError: the output is a folder with something else in it, what is kept of a member is
            damaged, or a bundle cannot be read.
        TrainingError: there are no rows to find the weights on.
        UsageError: a member was trained with other settings before.
        WorkzoneError: as of training; see :func:`workzone.train.job.train`.
    """
    output = Path(plan.output).resolve()  # "." has no name to put another folder beside
    check_ensemble_folder(output)
    manifest = read_manifest(Path(plan.manifest))
    stores = Path(plan.store) if plan.store else Path(plan.manifest).parent / "features"
    if plan.bundles:
        members = read_members(plan, manifest, stores, device, say)
    else:
        work = output.with_name(f"{output.name}.members")
        members = train_members(plan, manifest, stores, work, device, say)
    ensemble, losses = _joined(plan, members)
    write_model(ensemble, output)
    for member, weight in zip(ensemble.members, ensemble.mixture.weights, strict=True):
        say(f"{member.name}: weight {weight:.2f}, log loss {losses[member.name]:.3f}")
    say(_doubts_told(ensemble))
    test = _test_rows(plan, ensemble, manifest, say)
    judged = _judged(ensemble, members, test, stores, losses)
    report = {"validation": ensemble.provenance["validation"], "test": judged and judged.to_json()}
    write_text(output / "ensemble.json", json.dumps(report, indent=2, allow_nan=False) + "\n")
    return ensemble, judged


def _joined(plan: EnsemblePlan, members: Members) -> tuple[Ensemble, dict[str, float]]:
    """The ensemble, and the log loss of each member on the rows that it was weighed on."""
    bundles, given, rows = members.bundles, members.probabilities, members.samples
    labels = np.array([sample.label for sample in rows])
    mixture = _weighed(plan, labels, given)
    mixed = mixture.apply(given)
    calibration, threshold = fit_calibration(
        labels, mixed, choose_cut=members.choose_cut, groups=[sample.group for sample in rows]
    )
    apart = np.sort(mixture.disagreement(given))
    rank = min(int(np.ceil((1 - ALARMS) * (len(apart) + 1))), len(apart)) - 1
    losses = {name: log_loss(labels, given[:, i]) for i, name in enumerate(bundles)}
    warnings = (w for b in bundles.values() for w in b.provenance.get("warnings", ()))
    provenance = {
        "workzone": workzone.__version__,
        "sources": sorted({s for b in bundles.values() for s in b.provenance.get("sources", ())}),
        "threshold": dataclasses.asdict(threshold),
        "validation": {
            "rows": len(rows),
            "log loss": losses | {"ensemble": log_loss(labels, mixed)},
            "diversity": diversity(labels, given, mixture).to_json(),
        },
        "warnings": list(dict.fromkeys(warnings)),
    }
    ensemble = make_ensemble(
        bundles,
        mixture,
        calibration,
        disagreement_cut=float(apart[rank]),
        conformal=fit_conformal(labels, mixed),
        provenance=provenance,
    )
    return ensemble, losses


def _weighed(plan: EnsemblePlan, labels: npt.NDArray[np.int64], given: Scores) -> Mixture:
    if plan.weigh == "fitted":
        return fit_mixture(labels, given, average=plan.average)
    if plan.weigh == "greedy":
        return select_greedily(labels, given, average=plan.average)
    count = given.shape[1]
    return Mixture(weights=(1 / count,) * count, average=plan.average)


def _doubts_told(ensemble: Ensemble) -> str:
    """What becomes of members' statistics and conformal sets, in one line."""
    note, sets = ensemble.doubt_note(), ensemble.conformal
    if not note:
        note = f"what is unlike training is told by {ensemble.lead.name}, which weighs most"
    own = "too few rows to say where both answers are likely enough"
    if sets is not None:
        own = f"both answers are likely by sets of the ensemble's own, of {sets.rows} rows"
    return f"doubts: {note}; {own}; members' own sets are not used"


def _test_rows(
    plan: EnsemblePlan, ensemble: Ensemble, manifest: Manifest, say: Callable[[str], None]
) -> Manifest:
    """Labelled test rows; of bundles that are there, those that none of them has seen."""
    rows = [s for s in manifest if s.split == plan.test and s.label is not None]
    test = manifest.with_samples(rows)
    if not plan.bundles:
        return test
    unseen = unseen_rows(ensemble, test)
    if len(unseen) < len(rows):
        say(f"test rows left out, as members have seen them: {len(rows) - len(unseen)}")
    return manifest.with_samples(unseen)


def _judged(
    ensemble: Ensemble,
    members: Members,
    test: Manifest,
    stores: Path,
    losses: Mapping[str, float],
) -> Judged | None:
    """Judge on test rows, if there are some."""
    if not len(test):
        return None
    store = extract_for(ensemble, list(members.backbones()), test, stores)
    samples = in_store(store, test)
    if not samples:
        return None
    given = member_probabilities(ensemble, store, samples)
    labels = np.array([sample.label for sample in samples])
    groups = [sample.group for sample in samples]
    mixed = ensemble.calibration.apply(ensemble.mixture.apply(given))
    names, best = list(losses), min(losses, key=losses.__getitem__)
    return Judged(
        rows=len(samples),
        metrics=summarise(labels, mixed, groups),
        members={
            name: summarise(labels, given[:, number], groups) for number, name in enumerate(names)
        },
        best=best,
        differences=paired_differences(labels, mixed, given[:, names.index(best)], groups),
    )
