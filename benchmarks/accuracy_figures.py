"""The figures of `accuracy.py`: on sources left out, with intervals and calibrations."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from photographs import LEFT_OUT
from PIL import Image
from recipe import Floats
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import matthews_corrcoef, roc_auc_score

from workzone.data.challenge import LEVELS, Changes, apply_changes, draw_changes
from workzone.decide.calibration import Calibration
from workzone.decide.share import estimate_share
from workzone.decide.threshold import Threshold
from workzone.report.metrics import point_metrics
from workzone.subnet.challenge import LEVEL, reward_figure
from workzone.types import Sample

SETTING = "permitted"
"""What models learn from: photographs whose licence lets weights be passed on."""
CUT_FROM = "cut and slope: of models that had not seen the source of a photograph (accuracy.py)"
RESAMPLES = 500
OTHERS, EVERY = "of the other two folds", "of all three folds"
"""The photographs that a calibration is fitted on."""
AS_IT_IS, OF_LEVELS = "as it is", "mean of the levels"
FEWEST_PIXELS = 20


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
            means = {name: mean_of(values[kind, name]) for name in LEFT_OUT}
            for name, found in (means | {"mean": mean_of(list(means.values()))}).items():
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
        found[OF_LEVELS] = mean_of(each)
    return found


def calibration_of(runs: Sequence[dict[str, Any]], part: str = "") -> Calibration:
    """The likeliest cut and slope on sources left out, both classes alike.

    Args:
        runs: of the folds with both labels.
        part: "", photographs as they are, or "challenge ".
    """
    logits = np.concatenate([run[f"{part}logits"] for run in runs])
    labels = np.concatenate([run[f"{part}labels"] for run in runs])
    fitted = LogisticRegression(C=np.inf, class_weight="balanced").fit(logits[:, None], labels)
    slope, offset = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
    return Calibration(round(float(expit(-offset / slope)), 4), round(slope, 4))


def threshold_of(
    runs: Sequence[dict[str, Any]], calibration: Calibration, part: str = ""
) -> Threshold:
    """The cut of a calibration with the evidence for it; of ``part`` see `calibration_of`."""
    logits = np.concatenate([run[f"{part}logits"] for run in runs])
    labels = np.concatenate([run[f"{part}labels"] for run in runs])
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
        table.setdefault(share, {})[kind] = mean_of(rows)
    return table


def summary(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over models, of each fold and of the three that have both labels, by what was judged.

    Args:
        runs: as many of each fold.
    """
    three = [run for run in runs if run["left_out"] in LEFT_OUT]
    table: dict[str, Any] = {"intervals": intervals(three), "calibration": travelling(three)}
    for kind in three[0]["judged"]:
        rows = {
            name: mean_of([r["judged"][kind] for r in three if r["left_out"] == name])
            for name in LEFT_OUT
        }
        table[kind] = rows | {"mean": mean_of(list(rows.values()))}
    return {
        SETTING: table,
        "false alarms": false_alarms(runs),
        "signs": signs_found(runs),
        "by height": found_by_height(runs),
    }


def signs_found(runs: Sequence[dict[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Composites of signs, which no model learned from: means over the models of all folds.

    The ends of the intervals, which are of each model's pairs, are means too.
    """
    table: dict[str, dict[str, dict[str, Any]]] = {}
    for size, heights in runs[0]["signs"].items():
        for height, first in heights.items():
            if not first["pairs"]:
                continue
            rows = [run["signs"][size][height] for run in runs]
            ends = np.mean([row["interval"] for row in rows], axis=0)
            means = mean_of([{k: row[k] for k in ("auc", "found", "false alarms")} for row in rows])
            table.setdefault(size, {})[height] = {
                "pairs": first["pairs"],
                "interval": ends.round(4).tolist(),
            } | means
    return table


def found_by_height(runs: Sequence[dict[str, Any]]) -> dict[str, dict[str, dict[str, float]]]:
    """Photographs with road work of all sources left out, and how many are found: seeds' mean."""
    seeds = len(runs) / len({run["left_out"] for run in runs})
    table: dict[str, dict[str, dict[str, float]]] = {}
    for size, heights in runs[0]["by height"].items():
        for height in heights:
            rows = [run["by height"][size][height] for run in runs]
            table.setdefault(size, {})[height] = {
                name: round(sum(row[name] for row in rows) / seeds, 2) for name in rows[0]
            }
    return table


def false_alarms(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Photographs without road work that are called so at 0.5, of each source left out.

    A mean over seeds, as it comes and calibrated on the three folds that have both labels; with a
    95 % interval over groups.
    """
    cut = float(logit(calibration_of([r for r in runs if r["left_out"] in LEFT_OUT]).threshold))
    table: dict[str, Any] = {}
    for name in dict.fromkeys(run["left_out"] for run in runs):
        own = [run for run in runs if run["left_out"] == name]
        labels, groups = np.array(own[0]["labels"]), np.array(own[0]["groups"])
        logits = np.array([run["logits"] for run in own])[:, labels == 0]
        groups = groups[labels == 0]
        row: dict[str, Any] = {"photographs": int((labels == 0).sum())}
        for kind, at in (("at 0.5", 0.0), ("calibrated", cut)):
            row[kind] = share_of_groups((logits > at).mean(axis=0), groups)
        row["by size"] = {
            size: share_of_groups(
                (np.array([run["logits by size"][size] for run in own])[:, labels == 0] > 0).mean(
                    axis=0
                ),
                groups,
            )
            for size in own[0]["logits by size"]
        }
        table[name] = row
    return table


def share_of_groups(decided: npt.NDArray[Any], groups: npt.NDArray[np.str_]) -> dict[str, Any]:
    """The mean of decisions ``[n]``, with a 95 % interval over groups (None: of one group)."""
    random, names = np.random.default_rng(0), np.unique(groups)
    share = round(float(decided.mean()), 4)
    if len(names) == 1:
        return {"share": share, "interval": None}
    drawn = [
        np.concatenate([decided[groups == name] for name in random.choice(names, len(names))])
        for _ in range(RESAMPLES)
    ]
    ends = np.quantile([part.mean() for part in drawn], (0.025, 0.975))
    return {"share": share, "interval": ends.round(4).tolist()}


def mean_of(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """Of rows with the same figures."""
    return {name: round(math.fsum(row[name] for row in rows) / len(rows), 4) for name in rows[0]}
