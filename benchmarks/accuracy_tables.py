"""The tables of docs/judge/accuracy.md, docs/experiments/recipe.md and the README.

From what `accuracy.py`, `cut.py`, `peers.py` and `self_training.py` wrote:

python benchmarks/accuracy_tables.py
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results"
EARLIER = RESULTS / "accuracy_without_boxes.json"
"""Of the recipe before photographs had boxes and images six copies: of dense2 and self-training."""
FOLDS, ORDINARY = ("us", "web", "br"), ("fr", "mly")
SETTINGS = ("permitted", "all")
"""Of the earlier records; today's has the first alone."""
FIGURES = ("mcc", "brier", "ece", "reward")
LEVELS = ("level 0", "level 1", "level 2", "level 3")


def own_size(results: dict[str, Any]) -> str:
    """Of the views that the model judges by."""
    found: str = results.get("size", "512 px")  # earlier records do not say it
    return found


def pair(row: dict[str, float]) -> str:
    """AUC / MCC."""
    return f"{row['auc']:.2f} / {row['mcc']:.2f}"


def between(ends: dict[str, list[float]]) -> str:
    """Intervals of AUC / MCC."""
    (low, high), (least, most) = ends["auc"], ends["mcc"]
    return f"{low:.2f} to {high:.2f} / {least:.2f} to {most:.2f}"


def line(cells: Sequence[str]) -> str:
    """A row of a table."""
    return f"| {' | '.join(cells)} |"


def peers_table(results: dict[str, Any], peers: dict[str, Any], setting: str) -> str:
    """The recipe beside its peers, one setting."""
    rows = [line(["", *(f"*{fold}*" for fold in FOLDS), "mean"]), "|---|---|---|---|---|"]
    for name in dict.fromkeys(run["peer"] for run in peers["runs"]):
        found = {}
        for fold in FOLDS:
            runs = [
                run
                for run in peers["runs"]
                if (run["peer"], run["setting"], run["left_out"]) == (name, setting, fold)
            ]
            if not runs:
                break
            found[fold] = {k: float(np.mean([run[k] for run in runs])) for k in ("auc", "mcc")}
        if len(found) < len(FOLDS):  # not measured so far
            continue
        found["mean"] = {k: float(np.mean([found[f][k] for f in FOLDS])) for k in ("auc", "mcc")}
        rows.append(line([name, *map(pair, found.values())]))
    own = results["summary"][setting]
    recipe = own[own_size(results)]
    rows.append(line(["**the recipe**", *(pair(recipe[fold]) for fold in (*FOLDS, "mean"))]))
    ends = own["intervals"]["as it is"]
    rows.append(line(["95 % interval", *(between(ends[fold]) for fold in (*FOLDS, "mean"))]))
    return "\n".join(rows)


def readme_table(results: dict[str, Any], peers: dict[str, Any]) -> str:
    """The shipped model's recipe beside its peers."""
    rows = peers_table(results, peers, "permitted")
    return rows.replace("the recipe", "dense detector, as shipped")


def cut_table(results: dict[str, Any]) -> str:
    """What calibration does on sources that it was, and was not, fitted on."""
    rows = [line(["", "MCC, mean of the folds"]), "|---|---|"]
    own = results["summary"]["permitted"]
    low, high = own["intervals"]["as it is"]["mean"]["mcc"]
    plain = f"{own[own_size(results)]['mean']['mcc']:.2f} ({low:.2f} to {high:.2f})"
    rows.append(line(["as it comes, at 0.5", plain]))
    for known in ("of the other two folds", "of all three folds"):
        for more in ("", ", share estimated"):
            found = own["calibration"][known + more]
            low, high = found["interval"]
            cell = f"{found['mean']:.2f} ({low:.2f} to {high:.2f})"
            rows.append(line([f"calibrated on photographs {known}{more}", cell]))
    return "\n".join(rows)


def shift_table(results: dict[str, Any], setting: str) -> str:
    """As images are cut and distorted: MCC, Brier score, calibration error, expected reward."""
    rows = [
        line(
            [
                "MCC / Brier / ECE / reward",
                "fitted on the other two folds",
                "on all three, as shipped",
            ]
        ),
        "|---|---|---|",
    ]
    own = results["summary"][setting]["calibration"]
    for kind in ("as it is", *LEVELS):
        cells = []
        for known in ("of the other two folds", "of all three folds"):
            found = own[f"by level, {known}"]["one half"][kind]
            cells.append(" / ".join(f"{found[name]:.2f}" for name in FIGURES))
        rows.append(line([kind, *cells]))
    return "\n".join(rows)


def sizes_table(results: dict[str, Any]) -> str:
    """Smaller and larger views; with their halves, and either alone."""
    rows = [
        line(["views", *(f"*{fold}*" for fold in FOLDS), "mean"]),
        "|---|---|---|---|---|",
    ]
    own = results["summary"]["permitted"]
    for name in own:
        if " px" in name:
            rows.append(line([name, *(pair(own[name][fold]) for fold in (*FOLDS, "mean"))]))
    return "\n".join(rows)


def intervals_table(results: dict[str, Any], setting: str) -> str:
    """MCC with its interval, by source and by level, of one setting."""
    own = results["summary"][setting]
    rows = [line(["MCC", *(f"*{fold}*" for fold in FOLDS), "mean"]), "|---|---|---|---|---|"]
    for name, ends in own["intervals"].items():
        cells = []
        for fold in (*FOLDS, "mean"):
            kind = own_size(results) if name == "as it is" else name
            levels = LEVELS if name == "mean of the levels" else [kind]
            mcc = float(np.mean([own[level][fold]["mcc"] for level in levels]))
            low, high = ends[fold]["mcc"]
            cells.append(f"{mcc:.2f} ({low:.2f} to {high:.2f})")
        rows.append(line([name, *cells]))
    return "\n".join(rows)


def challenge_table(results: dict[str, Any]) -> str:
    """As the subnet sends images."""
    names = ("as it is", *LEVELS)
    rows = [line(["", *names, "mean of the levels"]), "|---|---|---|---|---|---|---|"]
    own = results["summary"]["permitted"]
    for fold in (*FOLDS, "mean"):
        found = [own[name][fold] for name in LEVELS]
        mean = {k: float(np.mean([row[k] for row in found])) for k in ("auc", "mcc")}
        cells = [pair(own[own_size(results)][fold]), *map(pair, found), pair(mean)]
        rows.append(line([fold if fold == "mean" else f"*{fold}*", *cells]))
    rewards = [own[name]["mean"]["reward"] for name in LEVELS]
    cells = [f"{value:.2f}" for value in (*rewards, float(np.mean(rewards)))]
    rows.append(line(["expected reward", "", *cells]))
    seen = [results["summary"]["still visible"][name] for name in LEVELS]
    cells = [f"{100 * value:.0f} %" for value in (*seen, float(np.mean(seen)))]
    rows.append(line(["road work still in the picture", "100 %", *cells]))
    return "\n".join(rows)


def larger_table(larger: dict[str, Any]) -> str:
    """What the larger embedded backbone does, beside the default one: MCC, with intervals."""
    default = json.loads(EARLIER.read_text())["results"]
    columns = [
        (f"`{name}`, {setting}", results["summary"][setting])
        for setting in SETTINGS
        for name, results in (("dense", default), ("dense2", larger))
    ]
    rows = [line(["MCC", *(name for name, _ in columns)]), "|---|---|---|---|---|"]

    def add(name: str, figure: Callable[[dict[str, Any]], tuple[float, list[float]]]) -> None:
        cells = []
        for _, own in columns:
            mcc, (low, high) = figure(own)
            cells.append(f"{mcc:.2f} ({low:.2f} to {high:.2f})")
        rows.append(line([name, *cells]))

    for fold in (*FOLDS, "mean"):
        shown = fold if fold == "mean" else f"*{fold}*"
        add(
            f"as it is, {shown}",
            lambda own, fold=fold: (
                own["512 px"][fold]["mcc"],
                own["intervals"]["as it is"][fold]["mcc"],
            ),
        )
    for level in LEVELS:
        add(
            f"{level}, mean",
            lambda own, level=level: (
                own[level]["mean"]["mcc"],
                own["intervals"][level]["mean"]["mcc"],
            ),
        )
    for fold in (*FOLDS, "mean"):
        add(
            "mean of the levels, " + (fold if fold == "mean" else f"*{fold}*"),
            lambda own, fold=fold: (
                float(np.mean([own[level][fold]["mcc"] for level in LEVELS])),
                own["intervals"]["mean of the levels"][fold]["mcc"],
            ),
        )
    others, every = "of the other two folds", "of all three folds"
    for known in (f"{others}, share estimated", f"{every}, share estimated"):
        add(
            f"as it is, calibrated on photographs {known}",
            lambda own, known=known: (
                own["calibration"][known]["mean"],
                own["calibration"][known]["interval"],
            ),
        )
    for known in (others, every):
        add(
            f"as it is, calibrated on photographs {known}",
            lambda own, known=known: (
                own["calibration"][known]["mean"],
                own["calibration"][known]["interval"],
            ),
        )
        cells = []
        for _, own in columns:
            found = own["calibration"][f"by level, {known}"]["one half"]
            cells.append(f"{np.mean([found[level]['mcc'] for level in LEVELS]):.2f}")
        rows.append(line([f"mean of the levels, calibrated on photographs {known}", *cells]))
    return "\n".join(rows)


def percent(share: float) -> str:
    """With one digit."""
    return f"{100 * share:.1f} %"


def share_cell(found: dict[str, Any]) -> str:
    """A share with its interval, where it is of more than one group."""
    if found["interval"] is None:
        return f"{percent(found['share'])} (one group)"
    low, high = found["interval"]
    return f"{percent(found['share'])} ({percent(low)} to {percent(high)})"


def alarms_table(results: dict[str, Any]) -> str:
    """Photographs without road work that are called so, of every source left out."""
    found = results["summary"]["false alarms"]
    sizes = [size for size in next(iter(found.values()))["by size"] if size.endswith(" px")]
    heads = ["left out", "photographs without road work", *sizes, "as calibrated"]
    rows = [line(heads), "|" + "---|" * len(heads)]
    for name, own in found.items():
        cells = [share_cell(own["by size"][size]) for size in sizes]
        rows.append(
            line([f"*{name}*", str(own["photographs"]), *cells, share_cell(own["calibrated"])])
        )
    return "\n".join(rows)


def signs_table(results: dict[str, Any]) -> str:
    """Road-work signs against other signs in their places, by height."""
    own = results["summary"]["signs"]
    sizes = [size for size in own if size.endswith(" px") or size.endswith(" alone")]
    size = own_size(results)
    last = f"called road work, {size}: these, the others"
    rows = [line(["height of the sign", "pairs", *sizes, last]), "|" + "---|" * (len(sizes) + 3)]
    for height, first in own[sizes[0]].items():
        cells = []
        for name in sizes:
            low, high = own[name][height]["interval"]
            cells.append(f"{own[name][height]['auc']:.2f} ({low:.2f} to {high:.2f})")
        shares = [percent(own[size][height][name]) for name in ("found", "false alarms")]
        rows.append(line([height, str(first["pairs"]), *cells, ", ".join(shares)]))
    return "\n".join(rows)


def heights_table(results: dict[str, Any]) -> str:
    """Photographs with road work that are found, by the height of the largest object."""
    own = results["summary"]["by height"]
    sizes = [size for size in own if size.endswith(" px")]
    rows = [
        line(["height of the largest object", "photographs", *sizes]),
        "|" + "---|" * (len(sizes) + 2),
    ]
    for height, first in own[sizes[0]].items():
        cells = [f"{own[size][height]['found']:.1f}" for size in sizes]
        rows.append(line([height, f"{first['photographs']:.0f}", *cells]))
    return "\n".join(rows)


def self_training_table(results: dict[str, Any]) -> str:
    """MCC before and after a source's own photographs were learned from without labels."""
    seeds = {run["seed"] for run in results["runs"]}
    recorded = json.loads(EARLIER.read_text())["results"]["runs"]
    before = [r for r in recorded if r["setting"] == "permitted" and r["seed"] in seeds]
    rows = [
        line(["MCC at 0.5, before -> after", *(f"*{fold}*" for fold in FOLDS), "mean"]),
        "|---|---|---|---|---|",
    ]
    for judged_on, own in results["summary"].items():
        for kind in ("as it is", *LEVELS):
            name = "512 px" if kind == "as it is" else kind
            then = {
                fold: float(
                    np.mean([r["judged"][name]["mcc"] for r in before if r["left_out"] == fold])
                )
                for fold in FOLDS
            }
            then["mean"] = float(np.mean(list(then.values())))
            cells = [f"{then[f]:.2f} -> {own[kind][f]['mcc']:.2f}" for f in (*FOLDS, "mean")]
            rows.append(line([f"{judged_on}, {kind}", *cells]))
        gained = own["gained, MCC at 0.5"]
        low, high = gained["interval"]
        cells = [
            *(f"{gained[f]:+.2f}" for f in FOLDS),
            f"{gained['mean']:+.2f} [{low:+.2f}, {high:+.2f}]",
        ]
        rows.append(line([f"{judged_on}, gained as it is", *cells]))
    return "\n".join(rows)


def ways_table(ways: dict[str, Any]) -> str:
    """What decides beside the logit, of `cut.py`."""
    rows = [
        line(["", *(f"*{fold}*" for fold in FOLDS), "mean", *(f"alarms, *{x}*" for x in ORDINARY)]),
        "|---|---|---|---|---|---|---|",
    ]
    for name, own in ways.items():
        mcc = own["mcc"]
        low, high = mcc["interval"]
        cells = [
            *(f"{mcc[fold]:.2f}" for fold in FOLDS),
            f"{mcc['mean']:.2f} ({low:.2f} to {high:.2f})",
        ]
        for fold in ORDINARY:
            cells.append(share_cell(own[f"false alarms, {fold}"]))
        rows.append(line([name, *cells]))
    return "\n".join(rows)


def sent_sizes_table(results: dict[str, Any]) -> str:
    """Smaller and larger views of images as the subnet sends them: MCC / reward, by level."""
    rows = [line(["views", *LEVELS, "mean of the levels"]), "|---|---|---|---|---|---|"]
    runs = [
        run["challenge by size"]
        for run in results["runs"]
        if run["seed"] == "average" and "challenge by size" in run
    ]
    for size in runs[0]:
        found = [
            [float(np.mean([run[size][level][name] for run in runs])) for name in ("mcc", "reward")]
            for level in LEVELS
        ]
        found.append([float(value) for value in np.mean(found, axis=0)])
        rows.append(line([size, *(f"{mcc:.2f} / {reward:.2f}" for mcc, reward in found)]))
    return "\n".join(rows)


def record(name: str) -> dict[str, Any]:
    """The results of a record."""
    found: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())["results"]
    return found


def tables(results: dict[str, Any]) -> str:
    """All of them."""
    parts = [
        peers_table(results, record("peers"), "permitted"),
        alarms_table(results),
        signs_table(results),
        heights_table(results),
        sizes_table(results),
        challenge_table(results),
        sent_sizes_table(results),
        intervals_table(results, "permitted"),
        cut_table(results),
        shift_table(results, "permitted"),
        ways_table(record("cut")),
    ]
    return "\n\n".join(parts)


if __name__ == "__main__":
    print(tables(record("accuracy")))
