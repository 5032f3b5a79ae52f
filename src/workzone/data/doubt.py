"""Likely label errors: images whose label and whose evidence disagree, the most doubtful first.

Evidence is what masks show (the surest object of any class; a person's or a drawn one is certain)
and, where scores are given, what a model says of the whole image; of both, the mean. Scores should
be of a model that has not learned from the labels in question. The doubt of label 0 is the
evidence for road work, that of label 1 what is left of it.
"""

from __future__ import annotations

import csv
import io
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from workzone.data.manifest import Manifest
from workzone.data.masks.merge import believed, in_words
from workzone.data.masks.objects import MaskObject
from workzone.data.masks.references import read_said
from workzone.data.quarantine import QuarantineEntry
from workzone.data.sheet import WORDS, Cell, check_sheet, draw_sheet
from workzone.errors import ManifestError, StoreError, UsageError
from workzone.files import write_text
from workzone.progress import track
from workzone.types import OBJECT_CLASSES, Sample

LEAST = 0.5
"""Doubt from which an image is listed."""


@dataclass(frozen=True, slots=True)
class MaskEvidence:
    """What masks show of an image: the surest object's score, 0..1, and all objects."""

    score: float
    objects: tuple[MaskObject, ...]

    def __str__(self) -> str:
        """As ``2 cone, 1 sign (0.93)``, or ``nothing found``."""
        told = in_words(self.objects)
        return f"{told} ({self.score:.2f})" if told else "nothing found"


@dataclass(frozen=True, slots=True)
class Doubt:
    """An image whose label is in doubt; all numbers are within 0..1."""

    sample: Sample
    doubt: float
    masks: MaskEvidence | None  # None: nobody looked for objects of all classes, or none is there
    score: float | None  # a model's probability of road work

    @property
    def reason(self) -> str:
        """What the label says, and what the evidence."""
        told = [] if self.masks is None else [str(self.masks)]
        if self.score is not None:
            told.append(f"score {self.score:.2f}")
        return f"label {self.sample.label}, {'; '.join(told)}"


@dataclass(frozen=True, slots=True)
class Doubts:
    """Labelled images by falling doubt; ``unreadable``: those whose masks could not be weighed."""

    ranked: list[Doubt]
    unreadable: list[QuarantineEntry]


def find_doubts(
    manifest: Manifest,
    scores: Mapping[str, float] | None = None,
    *,
    masks: bool = True,
    least: float = LEAST,
) -> Doubts:
    """Labelled images by falling doubt, from ``least`` on.

    An image whose masks cannot be read is weighed by its score, if it has one, else left out.

    Args:
        manifest: labels, and references to masks.
        scores: probability of road work by id; of some images, or of none.
        masks: whether they count.
        least: 0 lists every labelled image that has evidence.

    Raises:
        UsageError: a number out of range, scores of other images, or no evidence at all.
        ManifestError: no evidence but masks that cannot be read.
    """
    scores = scores or {}
    if not 0 <= least <= 1:
        raise UsageError(f"least is {least}; give a doubt from 0 to 1")
    for name, value in scores.items():
        if not 0 <= value <= 1:
            raise UsageError(f"{name!r}: probability {value}; it must be a number in 0..1")
    labelled = [sample for sample in manifest if sample.label is not None]
    if scores and not any(sample.id in scores for sample in labelled):
        raise UsageError(
            "not one score is of a labelled row; score the manifest itself "
            "(workzone predict MANIFEST -o SCORES)"
        )
    found: list[Doubt] = []
    unreadable: list[QuarantineEntry] = []
    evident = 0
    for sample in track(labelled, "weighing evidence"):
        score, seen = scores.get(sample.id), None
        try:
            seen = mask_evidence(sample, manifest.root) if masks else None
        except (ManifestError, StoreError) as error:
            unreadable.append(_unreadable(sample, str(error), scored=score is not None))
        signs = [
            value for value in (None if seen is None else seen.score, score) if value is not None
        ]
        if not signs:
            continue
        evident += 1
        evidence = math.fsum(signs) / len(signs)
        doubt = evidence if sample.label == 0 else 1 - evidence
        if doubt >= least:
            found.append(Doubt(sample, doubt, seen, score))
    if not evident and unreadable:
        raise ManifestError(
            f"no labelled row has evidence: masks of {len(unreadable)} cannot be read, the first "
            f"of {unreadable[0].id!r}: {unreadable[0].reason}"
        )
    if not evident:
        raise UsageError(
            "no labelled row has evidence; add masks (`workzone masks`, `workzone data masks "
            "import`) or give scores (`workzone predict MANIFEST -o SCORES`)"
        )
    ranked = sorted(found, key=lambda doubt: (-doubt.doubt, doubt.sample.id))
    return Doubts(ranked, unreadable)


def _unreadable(sample: Sample, reason: str, *, scored: bool) -> QuarantineEntry:
    action: Literal["field cleared", "row left out"] = "field cleared" if scored else "row left out"
    return QuarantineEntry(sample.id, str(sample.image), action, "masks-unreadable", reason)


def mask_evidence(sample: Sample, root: Path) -> MaskEvidence | None:
    """What a sample's masks show; None: no masks, or nothing in them and not all was looked for.

    Raises:
        ManifestError, StoreError: masks that cannot be read.
    """
    if sample.masks is None:
        return None
    said = read_said(sample.masks, root)
    objects: list[MaskObject] = []
    looked = True
    for name in OBJECT_CLASSES:
        one = believed(name, said)
        looked &= one.looked
        objects += (*one.objects, *one.boxes)
    if not objects and not looked:
        return None
    surest = max((1.0 if item.score is None else item.score for item in objects), default=0.0)
    return MaskEvidence(surest, tuple(objects))


def write_doubts(doubts: list[Doubt], output: Path) -> None:
    """Write a CSV table, the most doubtful first.

    Raises:
        UsageError: another suffix.
    """
    if output.suffix != ".csv":
        raise UsageError(f"doubts are written as a .csv file, got {str(output)!r}")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["rank", "id", "image", "label", "doubt", "score", "masks", *OBJECT_CLASSES])
    for rank, one in enumerate(doubts, 1):
        found = Counter(item.name for item in one.masks.objects) if one.masks else None
        counts = ["" if found is None else found[name] for name in OBJECT_CLASSES]
        seen = "" if one.masks is None else f"{one.masks.score:.4f}"
        score = "" if one.score is None else f"{one.score:.4f}"
        sample = one.sample
        row = [rank, sample.id, str(sample.image), sample.label, f"{one.doubt:.4f}", score, seen]
        writer.writerow([*row, *counts])
    write_text(output, text.getvalue())


def draw_doubts(
    doubts: list[Doubt], root: Path, output: Path, *, columns: int = 4, rows: int = 6
) -> Path:
    """Write a sheet of the most doubtful, with their masks.

    Raises:
        UsageError: nothing to show, or another suffix than .png.
    """
    if not doubts:
        raise UsageError("no label is in doubt: there is no sheet to draw")
    check_sheet(output, columns * rows)
    cells = [
        Cell(
            one.sample,
            f"{WORDS[one.sample.label]}? {one.doubt:.2f}",
            f"{one.sample.id}: {one.reason}",
        )
        for one in doubts[: columns * rows]
    ]
    return draw_sheet(cells, root, output, columns=columns, masks=True)
