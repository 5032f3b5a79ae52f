"""Tables of the docs whose benchmark has no script of its own for them.

python benchmarks/page_tables.py
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results"
METHODS = {
    "logistic regression, whole frame": "logistic, global view",
    "logistic regression, maximum over 12 views": "logistic, maximum over 12 views",
    "logistic regression, both": "logistic, global + maximum",
    "the detector, all 12 views read": "detector, all 12 views read",
    "**the detector, 4 of 12 views read** (default)": "detector",
}
"""Rows of the table of photographs, with the record's names."""
LOOKS = {
    "one": "one look",
    "five, the surest one (`keep: 0.2`)": "keep 0.2",
    "five, the surest three (`keep: 0.5`)": "keep 0.5",
    "five, all (`keep: 1`)": "keep 1",
}


def over_seeds(protocol: dict[str, Any], name: str) -> float:
    """The mean of a figure."""
    return float(np.mean([seed[name] for seed in protocol["seeds"]]))


def photographs_table(results: dict[str, Any]) -> str:
    """In five folds and with sources left out, docs/judge/accuracy.md: AUC / MCC."""
    rows = []
    for shown, name in METHODS.items():
        method = results["methods"][name]
        folds = method["five folds"]
        first = f"{over_seeds(folds, 'auc'):.3f} / {over_seeds(folds, 'mcc'):.2f}"
        cells = [f"**{first}**" if shown.startswith("**") else first]
        for protocol in (method["five folds, collections joined"], *method["left out"].values()):
            cells.append(f"{over_seeds(protocol, 'auc'):.2f} / {over_seeds(protocol, 'mcc'):.2f}")
        rows.append(f"| {shown} | {' | '.join(cells)} |")
    return "\n".join(rows)


def looks_table(results: dict[str, Any]) -> str:
    """Several looks at an image, docs/judge/evaluation.md."""
    rows = []
    for shown, name in LOOKS.items():
        found = results["looks"][name]
        cells = []
        for figure in ("auc", "mcc"):
            cell = f"{found[figure]:.3f}"
            if "minus one look" in found:
                gained = found["minus one look"][figure]
                cell += f", {gained['value']:+.3f} [{gained['low']:+.3f}, {gained['high']:+.3f}]"
            cells.append(cell)
        rows.append(f"| {shown} | {' | '.join(cells)} | {found['log loss']:.3f} |")
    return "\n".join(rows)


def pipeline_tables(results: dict[str, Any]) -> str:
    """Speed, then what it costs in accuracy, docs/performance.md."""
    return f"{speed_table(results)}\n{gate_table(results)}"


def speed_table(results: dict[str, Any]) -> str:
    """A folder and a photograph."""
    rows = []
    for name, row in results["table"].items():
        ratios = results["ratios"][name]
        cells = [
            f"{row['images per second']:.1f}",
            f"{ratios['folder, times 53a51bb']:.1f}",
            f"{row['core ms per image']:.0f}",
            f"{row['photo, ms']:.0f}",
            f"{row['images per second, beside busy processes']:.1f}",
            f"{row['photo, ms, beside busy processes']:.0f}",
            f"{row['peak memory, MB']:.0f}",
        ]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def gate_table(results: dict[str, Any]) -> str:
    """What an engine and precision change in decisions."""
    rows = []
    for name, gate in results["gate"].items():
        if "failed" in gate:
            rows.append(f"| {name} | {gate['failed']} | | | |")
            continue
        cells = [
            f"{gate['flips']} of {gate['images']}",
            f"{gate['largest_difference']:.1g}",
            f"{gate['mcc']:.3f} for {gate['reference_mcc']:.3f}",
            f"{gate['calibration_error']:.3f} for {gate['reference_calibration_error']:.3f}",
        ]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def profile_table(results: dict[str, Any]) -> str:
    """Where the backbone's time goes, docs/performance.md."""
    rows = []
    for kind in ("stem", "pointwise", "depthwise", "other"):
        cells = [f"{100 * results['float32']['kinds'][kind]['share of operations']:.0f} %"]
        for precision in ("float32", "bfloat16"):
            row = results[precision]["kinds"][kind]
            cells += [f"{row['milliseconds']:.1f}"]
            cells += [f"{row['share of the matrix rate']:.2f}" if kind != "other" else ""]
        rows.append(f"| {kind} | {' | '.join(cells)} |")
    whole = [
        f"{results[precision]['milliseconds']:.1f} | "
        f"{results[precision]['share of the matrix rate']:.2f}"
        for precision in ("float32", "bfloat16")
    ]
    return "\n".join([*rows, f"| all | 100 % | {' | '.join(whole)} |"])


def memory_table(results: dict[str, Any]) -> str:
    """Memory over a long folder, docs/performance.md."""
    wanted = (0.05, 0.25, 0.5, 0.75, 1.0)
    curve = results["curve"]
    rows = []
    for share in wanted:
        point = min(curve, key=lambda p: abs(p["images"] - share * results["images"]))
        rows.append(f"| {point['images']:,} | {point['seconds']:,} | {point['MB']} |")
    return "\n".join(rows)


def latency_table(results: dict[str, Any]) -> str:
    """One photograph, docs/performance.md, in milliseconds."""
    engines = ("onnx float32", "openvino bfloat16", "torch float32")
    parts = (*engines, "decode", "views", "halves")
    return "\n".join(
        f"| {name} | {' | '.join(f'{row[part]:.0f}' for part in parts)} |"
        for name, row in results.items()
        if isinstance(row, dict)
    )


def tokens_table(results: dict[str, Any]) -> str:
    """Linear beside softmax attention, docs/understand/pruning.md."""
    return "\n".join(
        f"| {row['tokens']:,} | {1e3 * row['softmax seconds']:,.1f} "
        f"| {1e3 * row['linear seconds']:,.1f} | {row['softmax / linear']:.2f} |"
        for row in results["rows"]
    )


def views_table(results: dict[str, Any]) -> str:
    """Bytes to views, docs/performance.md, in milliseconds."""
    names = {
        "a frame (decoding)": "package: decode",
        "views, from a decoded frame": "package: views",
        "**views**": "package: bytes to views",
        "normalised float32 views": "package: bytes to normalised floats",
        "the same by a plain script that opens the image for each view (Pillow, numpy)": (
            "plain: decoded for each view"
        ),
        "the same by a plain script that opens it once": "plain: decoded once",
    }
    rows = []
    for shown, name in names.items():
        figure = f"{results['median core milliseconds'][name]:.1f}"
        rows.append(f"| {shown} | {f'**{figure}**' if '**' in shown else figure} |")
    return "\n".join(rows)


def extraction_table(results: dict[str, Any]) -> str:
    """Extraction, docs/performance.md."""
    return "\n".join(
        f"| {shown} | {results[f'{name}, core milliseconds per image']:.0f} "
        f"| {results[f'{name}, images per second']:.2f} |"
        for shown, name in (("`workzone extract`", "package"), ("plain script", "plain script"))
    )


def layout_table(results: dict[str, Any]) -> str:
    """Frames in their own shape beside three squares, docs/experiments/recipe.md."""
    columns = ("squares", "frame")
    kinds = {"photographs as they are": "512 px", "the same, without halves": "512 px alone"}
    rows = []
    for shown, kind in (kinds | {f"level {n}": f"level {n}" for n in range(4)}).items():
        cells = []
        for name in columns:
            found = results[name]["judged"][kind]
            cell = f"{found['mean']['auc']:.3f} / {found['mean']['mcc']:.2f}"
            if "interval of the mean" in found:
                low, high = found["interval of the mean"]["mcc"]
                cell += f" ({low:.2f} to {high:.2f})"
            cells.append(cell)
        rows.append(f"| {shown} | {' | '.join(cells)} |")
    cost = [
        f"{results[name]['operations of a photograph'] / 1e9:.1f} GFLOP, "
        f"{results[name]['core ms to read a photograph']:.0f} ms"
        for name in columns
    ]
    rows.append(f"| to read 1280 x 720 px, one core | {' | '.join(cost)} |")
    return "\n".join(rows)


def quantisation_table(results: dict[str, Any]) -> str:
    """Weights of vision transformers in fewer bits, docs/score/engines.md."""
    rows = []
    for backbone, found in results["backbones"].items():
        for plain, half in zip(found[::2], found[1::2], strict=True):  # float32, bfloat16
            milliseconds, cosines = (
                " | ".join(f"{row[figure]:{form}}" for row in (plain, half))
                for figure, form in (
                    ("core milliseconds per image", ",.0f"),
                    ("cosine, least", ".4f"),
                )
            )
            rows.append(
                f"| {backbone} | {plain['weights']} | {plain['megabytes']:.0f} | {milliseconds} "
                f"| {cosines} |"
            )
    return "\n".join(rows)


WAYS = {
    "maximum probability": "maximum probability (peer)",
    "scene, together": "**three together** (shipped)",
    "scene, mahalanobis": "Mahalanobis",
    "scene, relative": "relative Mahalanobis",
    "scene, neighbours": "nearest neighbours",
    "scene, neighbours, lower part": "nearest neighbours, lower third",
    "penultimate, together": "penultimate, two together",
}
"""Columns of the table of what is unlike training, by the record's names."""


def unlike_table(results: dict[str, Any]) -> str:
    """AUROC by set, and what is found and falsely so, docs/judge/unsure.md."""
    table, rows = results["table"], []
    for name in (*table["scene, together"]["auroc"],):
        cells = [f"{table[way]['auroc'][name]:.2f}" for way in WAYS]
        found = f"{table['scene, together']['found'][name]:.0%}"
        quality = table["both, as shipped"]["found"].get(name)
        both = "" if quality is None else f"{quality:.0%}"
        pictures = results["pictures"].get(name, "")
        rows.append(f"| {name} | {pictures} | {' | '.join(cells)} | {found} | {both} |")
    alarms = [
        f"{table[way]['false alarms']:.1%}" if "false alarms" in table[way] else "" for way in WAYS
    ]
    both = f"{table['both, as shipped']['false alarms']:.1%}"
    last = f"| streets called so | {results['streets']} | {' | '.join(alarms)} |  | {both} |"
    return "\n".join([*rows, last])


def coverage_table(results: dict[str, Any]) -> str:
    """Mistakes, accuracy and MCC by coverage, docs/judge/unsure.md."""
    rows = []
    for order, parts in results["coverage"].items():
        for part in reversed(parts):
            rows.append(
                f"| {order} | {part['coverage']:.0%} | {part['mistakes']} of {part['decided']} | "
                f"{1 - part['accuracy']:.1%} | {part['mcc']:.2f} |"
            )
    return "\n".join(rows)


def faults_table(results: dict[str, Any]) -> str:
    """What is told to be wrong with pictures, docs/judge/unsure.md."""
    faults, rows = ("black", "over-exposed", "blurred", "covered", "dirty"), []
    for name, counts in results["quality"].items():
        cells = [str(counts.get(fault, 0)) for fault in (*faults, "none")]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows)


def unsure_tables(results: dict[str, Any]) -> str:
    """All of the page's."""
    tables = (unlike_table, faults_table, coverage_table)
    return "\n".join(table(results) for table in tables)


TABLES = {
    "photographs": photographs_table,
    "test_time": looks_table,
    "pipeline": pipeline_tables,
    "backbone_profile": profile_table,
    "memory_curve": memory_table,
    "latency": latency_table,
    "linear_attention": tokens_table,
    "images": views_table,
    "extraction": extraction_table,
    "layout": layout_table,
    "quantisation": quantisation_table,
    "unsure_newest": unlike_table,
    "unsure": unsure_tables,
}
"""By the record that each is made from."""


if __name__ == "__main__":
    for record, table in TABLES.items():
        print(table(json.loads((RESULTS / f"{record}.json").read_text())["results"]), end="\n\n")
