"""Predictions along drives of drawn streets: frames alone, a moving median, and the chain.

    python benchmarks/drives.py --work runs/drives -o benchmarks/results/drives.json

Drives pass work zones of known extent, a frame each second, 210 of them; light and weather are
constant along one. The model that comes along scores every frame: drawn 448 pixels wide and seen
at 256 (of the shorter side), the same after they were reduced to 120 pixels of width as by a poor
camera, and drawn 1024 pixels wide and seen at the model's own 576. What is fitted is fitted on
drives of other seeds than those that judge, and what ships on the first two. The model has learned
from drawn streets, so frames as drawn are easier for it than photographs.

True segments are runs of frames labelled road work (as everywhere in drawn scenes: at least 0.06 %
of the frame is work zone), those less than four seconds apart joined: a lorry may hide a zone for a
moment. A found segment and a true one are a pair if they share a frame, or for "by half" if at
least half of the frames of both are shared; pairs are one to one, those that share most first.
Errors of starts and ends are those of pairs that share a frame. Intervals: 95 %, over drives.

"Joined": found segments are joined as the true ones. "Refitted": slope and constant of the frames'
log-odds are fitted on the drives of the other seeds (Platt), so that it is seen what neighbours
give beyond that. The median's window is the one that finds most segments by half there (F1).
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from record import write_record
from sklearn.linear_model import LogisticRegression

import workzone
from workzone import progress
from workzone.data.manifest import read_manifest, write_manifest
from workzone.data.pseudo_labels import read_scores
from workzone.decide.calibration import CLOSEST_TO_CERTAIN
from workzone.decide.calibration_error import calibration_error
from workzone.decide.drive import Chain, find_segments, smooth
from workzone.decide.drive_fit import LabelledDrive, fit_chain
from workzone.decide.log_odds import logit
from workzone.run.bulk import predict_many
from workzone.scenes.drive import write_drives

Floats = npt.NDArray[np.float64]
Spans = list[tuple[int, int]]  # first and last frame of segments
SETS = {"fitted": (100, 8), "judged": (200, 10)}  # seed and number of drives
SECONDS = 210
POOR_WIDTH, POOR_QUALITY = 120, 30
JOINED = 3  # frames between two runs that are one segment
WINDOWS = (3, 5, 7, 9, 11, 15)  # frames of the moving median
WITHIN = 2.0  # seconds
FIRST = 6  # frames of a segment
RESAMPLES = 2000


@dataclass(frozen=True)
class Picture:
    """How frames are drawn and seen."""

    width: int  # pixels
    height: int
    size: int | None  # pixels of the shorter side, as the model sees it; None: its own
    poor: bool = False


PICTURES = {
    "as drawn": Picture(448, 252, 256),
    "poor camera": Picture(448, 252, 256, poor=True),
    "as drawn, 1024 wide": Picture(1024, 576, None),
}
SHIPPED = ("as drawn", "poor camera")  # whose fitted drives the shipped chain is fitted on


def drawn(work: Path, name: str, picture: Picture) -> list[LabelledDrive]:
    """The drives of a set: drawn and scored where that was not done yet."""
    seed, count = SETS[name]
    folder = work / f"{name}-{picture.width}"
    if not (folder / "manifest.parquet").exists():
        write_drives(
            folder,
            count=count,
            seed=seed,
            seconds=SECONDS,
            width=picture.width,
            height=picture.height,
        )
    return scored(folder / "manifest.parquet", picture)


def scored(path: Path, picture: Picture) -> list[LabelledDrive]:
    """Labels and scores of the drives of a manifest."""
    manifest = read_manifest(path)
    if picture.poor:
        path = path.parent / "poor" / path.name
        for sample in manifest:
            target = path.parent / sample.image.path
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                with Image.open(manifest.root / sample.image.path) as image:
                    height = POOR_WIDTH * picture.height // picture.width
                    small = image.resize((POOR_WIDTH, height))
                    small.save(target, quality=POOR_QUALITY)
        hashless = [dataclasses.replace(sample, content_hash=None) for sample in manifest]
        write_manifest(manifest.with_samples(hashless), path)
    scores = path.with_name("scores.parquet")
    if not scores.exists():
        model = workzone.load()
        if picture.size is not None:
            model = model.described(model.description.with_view_size(picture.size))
        predict_many(model, path, scores)
    values = read_scores(scores)
    drives = []
    for _, samples in itertools.groupby(manifest, lambda sample: sample.group):
        rows = list(samples)
        start = rows[0].time
        drives.append(
            LabelledDrive(
                seconds=np.array([(row.time - start).total_seconds() for row in rows]),
                probabilities=np.array([values[row.id] for row in rows]),
                labels=np.array([float(row.label) for row in rows]),
            )
        )
    return drives


def runs(shown: npt.NDArray[np.bool_], joined: int = 0) -> Spans:
    """First and last frames of runs; those with at most ``joined`` frames between are one."""
    spans: Spans = []
    for row in np.flatnonzero(shown).tolist():
        if spans and row - spans[-1][1] <= joined + 1:
            spans[-1] = (spans[-1][0], row)
        else:
            spans.append((row, row))
    return spans


def pairs(found: Spans, true: Spans, *, by_half: bool) -> list[tuple[int, int]]:
    """Indices of found and true segments that belong together, one to one."""

    def shared(one: tuple[int, int], other: tuple[int, int]) -> float:
        both = min(one[1], other[1]) - max(one[0], other[0]) + 1
        either = max(one[1], other[1]) - min(one[0], other[0]) + 1
        return both / either

    ranked = sorted(
        ((shared(f, t), i, j) for i, f in enumerate(found) for j, t in enumerate(true)),
        reverse=True,
    )
    kept: list[tuple[int, int]] = []
    for share, i, j in ranked:
        taken = any(i == a or j == b for a, b in kept)
        if share > 0 and (share >= 0.5 or not by_half) and not taken:
            kept.append((i, j))
    return kept


@dataclass(frozen=True)
class Judged:
    """A drive as one way sees it."""

    labels: Floats
    smoothed: Floats
    seconds: Floats
    found: Spans

    def counts(self) -> dict[str, Any]:
        """What precision, recall and errors are made of."""
        true = runs(self.labels == 1, JOINED)
        touching = pairs(self.found, true, by_half=False)
        return {
            "found": len(self.found),
            "true": len(true),
            "touching": len(touching),
            "halves": len(pairs(self.found, true, by_half=True)),
            "start": [self._away(self.found[i][0], true[j][0]) for i, j in touching],
            "end": [self._away(self.found[i][1], true[j][1]) for i, j in touching],
        }

    def _away(self, row: int, other: int) -> float:
        return abs(float(self.seconds[row] - self.seconds[other]))


def figures(drives: Sequence[Judged], counts: Sequence[dict[str, Any]]) -> dict[str, float]:
    """The figures of some drives together."""
    total = {name: sum(one[name] for one in counts) for name in ("found", "true")}
    own: dict[str, float] = {}
    for name, key in (("", "touching"), (", by half", "halves")):
        matched = sum(one[key] for one in counts)
        own[f"precision{name}"] = matched / max(1, total["found"])
        own[f"recall{name}"] = matched / max(1, total["true"])
        own[f"F1{name}"] = 2 * matched / max(1, total["found"] + total["true"])
    for end in ("start", "end"):
        errors = np.array([error for one in counts for error in one[end]])
        if len(errors):
            own[f"{end}, median error, s"] = float(np.median(errors))
            own[f"{end}, within 2 s"] = float((errors <= WITHIN).mean())
    labels = np.concatenate([drive.labels for drive in drives])
    scores = np.concatenate([drive.smoothed for drive in drives])
    bounded = np.clip(scores, CLOSEST_TO_CERTAIN, 1 - CLOSEST_TO_CERTAIN)
    own["accuracy"] = float(((scores > 0.5) == (labels == 1)).mean())
    own["Brier score"] = float(((scores - labels) ** 2).mean())
    own["log loss"] = float(-np.log(np.where(labels == 1, bounded, 1 - bounded)).mean())
    own["ECE"] = calibration_error(labels.astype(np.int64), scores)
    return own


def median(values: Floats, window: int) -> Floats:
    """The median of each frame and its neighbours, as far as there are some."""
    half = window // 2
    padded = np.pad(values, half, constant_values=np.nan)
    return np.nanmedian(np.lib.stride_tricks.sliding_window_view(padded, window), axis=1)


Way = Callable[[LabelledDrive], tuple[Floats, Spans]]


def alone(drive: LabelledDrive) -> tuple[Floats, Spans]:
    """Frames as they are."""
    return drive.probabilities, runs(drive.probabilities > 0.5)


def alone_joined(drive: LabelledDrive) -> tuple[Floats, Spans]:
    """Frames as they are, and segments joined as the true ones are."""
    return drive.probabilities, runs(drive.probabilities > 0.5, JOINED)


def refitted(drives: Sequence[LabelledDrive]) -> Callable[[LabelledDrive], LabelledDrive]:
    """Drives whose frames have slope and constant of their log-odds fitted on others (Platt)."""
    labels = np.concatenate([drive.labels for drive in drives])
    model = LogisticRegression(C=np.inf).fit(_log_odds(*drives), labels)

    def refit(drive: LabelledDrive) -> LabelledDrive:
        probabilities = model.predict_proba(_log_odds(drive))[:, 1]
        return dataclasses.replace(drive, probabilities=probabilities)

    return refit


def _log_odds(*drives: LabelledDrive) -> Floats:
    return logit(np.concatenate([drive.probabilities for drive in drives]))[:, None]


def median_of(window: int) -> Way:
    """A moving median."""

    def way(drive: LabelledDrive) -> tuple[Floats, Spans]:
        smoothed = median(drive.probabilities, window)
        return smoothed, runs(smoothed > 0.5)

    return way


def chained(chain: Chain) -> Way:
    """Forward-backward."""

    def way(drive: LabelledDrive) -> tuple[Floats, Spans]:
        smoothed = smooth(drive.seconds, drive.probabilities, chain)
        found = find_segments(drive.seconds, drive.probabilities, smoothed, chain)
        return smoothed, [(one.first, one.last) for one in found]

    return way


def above_half(chain: Chain) -> Way:
    """Forward-backward, with segments that begin, too, with a frame above 0.5."""
    found = chained(chain)

    def way(drive: LabelledDrive) -> tuple[Floats, Spans]:
        smoothed, spans = found(drive)
        sure = np.flatnonzero(smoothed > 0.5)
        return smoothed, [(int(sure[np.searchsorted(sure, one)]), two) for one, two in spans]

    return way


def apply(way: Way, drives: Iterable[LabelledDrive]) -> list[Judged]:
    """Drives as a way sees them."""
    seen = []
    for drive in drives:
        smoothed, found = way(drive)
        seen.append(Judged(drive.labels, smoothed, drive.seconds, found))
    return seen


def overall(drives: Sequence[Judged]) -> dict[str, float]:
    """Figures of all of them."""
    return figures(drives, [drive.counts() for drive in drives])


def with_intervals(drives: Sequence[Judged], base: Sequence[Judged]) -> dict[str, Any]:
    """Figures, and their differences to those of ``base``, with intervals over drives."""
    own, other = ([drive.counts() for drive in one] for one in (drives, base))
    rng = np.random.default_rng(0)
    drawn_figures: list[dict[str, float]] = []
    differences: list[dict[str, float]] = []
    for _ in range(RESAMPLES):
        rows = rng.integers(len(drives), size=len(drives)).tolist()
        one = figures([drives[r] for r in rows], [own[r] for r in rows])
        two = figures([base[r] for r in rows], [other[r] for r in rows])
        drawn_figures.append(one)
        differences.append({name: one[name] - two[name] for name in one.keys() & two.keys()})

    def interval(rounds: list[dict[str, float]], name: str) -> list[float]:
        return np.quantile([r[name] for r in rounds if name in r], (0.025, 0.975)).tolist()

    first, second = overall(drives), overall(base)
    return {
        name: {
            "value": value,
            "interval": interval(drawn_figures, name),
            "more than frames alone": value - second[name],
            "interval of that": interval(differences, name),
        }
        for name, value in first.items()
    }


def missed(drives: Sequence[Judged]) -> list[int]:
    """Frames of the true segments that were not found, rising."""
    lengths = []
    for drive in drives:
        true = runs(drive.labels == 1, JOINED)
        met = {j for _, j in pairs(drive.found, true, by_half=False)}
        lengths += [last - first + 1 for j, (first, last) in enumerate(true) if j not in met]
    return sorted(lengths)


def at_first(drives: Sequence[Judged]) -> list[float]:
    """The median probability of the first, second, ... frame of true segments of that length."""
    spans = [(drive, span) for drive in drives for span in runs(drive.labels == 1, JOINED)]
    long = [one.smoothed[a : a + FIRST] for one, (a, b) in spans if b - a + 1 >= FIRST]
    return np.median(long, axis=0).tolist()


def best_window(drives: Sequence[LabelledDrive]) -> int:
    """The window whose segments are best on drives."""
    return max(WINDOWS, key=lambda w: overall(apply(median_of(w), drives))["F1, by half"])


def main() -> None:
    """Draw, score, fit and judge; write the record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--work", type=Path, required=True, help="folder for drives and scores")
    parser.add_argument("-o", "--output", type=Path, required=True)
    options = parser.parse_args()
    progress.enabled = True
    sets = {
        name: {kind: drawn(options.work, name, picture) for kind, picture in PICTURES.items()}
        for name in SETS
    }
    both = fit_chain([drive for kind in SHIPPED for drive in sets["fitted"][kind]])
    results: dict[str, Any] = {"shipped chain": dataclasses.asdict(both), "pictures": {}}
    for kind in PICTURES:
        fitted, judged = (sets[name][kind] for name in SETS)
        own, window = fit_chain(fitted), best_window(fitted)
        refit = refitted(fitted)
        again = best_window([refit(drive) for drive in fitted])
        base = apply(alone, judged)
        ways = {
            "frames alone": base,
            "frames alone, joined": apply(alone_joined, judged),
            "frames alone, refitted, joined": apply(alone_joined, map(refit, judged)),
            f"moving median of {window}": apply(median_of(window), judged),
            f"moving median of {again}, refitted": apply(median_of(again), map(refit, judged)),
            "shipped chain": apply(chained(both), judged),
            "shipped chain, starts at 0.5": apply(above_half(both), judged),
            "chain fitted on such pictures": apply(chained(own), judged),
        }
        results["pictures"][kind] = {
            "chain fitted on such pictures": dataclasses.asdict(own),
            "frames": sum(len(drive.labels) for drive in judged),
            "frames with road work": int(sum(drive.labels.sum() for drive in judged)),
            "true segments": sum(one.counts()["true"] for one in base),
            "median probability of first frames": at_first(base),
            "frames of segments that the shipped chain misses": missed(ways["shipped chain"]),
            "ways": {name: with_intervals(seen, base) for name, seen in ways.items()},
        }
    write_record(options.output, results)


if __name__ == "__main__":
    main()
