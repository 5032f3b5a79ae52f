"""Boxes shown to a teacher as examples of a class in an image, or of what is none."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from workzone.data.images import read_bytes
from workzone.data.manifest import Manifest
from workzone.data.masks.fit import Frame, frame_of
from workzone.errors import ImageError, UsageError, nearest
from workzone.teach.findings import PixelBox, Window
from workzone.types import OBJECT_CLASSES, Sample

COLUMNS = ("id", "class", "left", "top", "right", "bottom", "kind")
KINDS = ("positive", "negative")


@dataclass(frozen=True, slots=True)
class Exemplar:
    """A box in pixels of the upright picture; ``positive``: it holds an object of the class."""

    name: str  # one of OBJECT_CLASSES
    box: PixelBox
    positive: bool = True


ByImage = Mapping[str, Sequence[Exemplar]]
"""By the image's id."""


def within(exemplars: Sequence[Exemplar], window: Window) -> list[Exemplar]:
    """Those whose middle lies in a window, cut to it, in its pixels."""
    left, top, right, bottom = window
    found = []
    for item in exemplars:
        x, y = (item.box[0] + item.box[2]) / 2, (item.box[1] + item.box[3]) / 2
        if left <= x < right and top <= y < bottom:
            box = (
                max(item.box[0], left) - left,
                max(item.box[1], top) - top,
                min(item.box[2], right) - left,
                min(item.box[3], bottom) - top,
            )
            found.append(Exemplar(item.name, box, item.positive))
    return found


def check_in_frames(exemplars: ByImage, manifest: Manifest) -> None:
    """See that boxes lie in their images, by the headers of these alone.

    An image that cannot be read is not judged: whoever looks at it says so.

    Raises:
        UsageError: some reach beyond theirs; names all of them.
    """
    outside = _outside(exemplars, manifest)
    if outside:
        raise UsageError("exemplars:\n  " + "\n  ".join(outside))


def _outside(exemplars: ByImage, manifest: Manifest) -> list[str]:
    found = []
    for sample in manifest:
        shown = exemplars.get(sample.id)
        frame = _frame(sample, manifest.root) if shown else None
        if frame is None:
            continue
        for item in shown or ():
            left, top, right, bottom = item.box
            if left < 0 or top < 0 or right > frame.width or bottom > frame.height:
                found.append(
                    f"{item.name} {item.box} is outside {sample.id!r} of {frame.width} x "
                    f"{frame.height}; boxes are left, top, right, bottom in upright pixels"
                )
    return found


def _frame(sample: Sample, root: Path) -> Frame | None:
    try:
        return frame_of(read_bytes(sample.image, root), str(sample.image))
    except ImageError:
        return None


def read_exemplars(path: Path, manifest: Manifest) -> ByImage:
    """The boxes of a CSV file with the columns `COLUMNS`.

    Args:
        path: the file; ``class`` is one of ``OBJECT_CLASSES``, ``kind`` one of `KINDS`, the others
            are pixels of the upright image.
        manifest: of the images that there are.

    Raises:
        UsageError: no such file, or mistakes in it, all of which are listed.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.DictReader(handle)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise UsageError(
                    f"{path} has no column {', '.join(missing)}; its first line must be "
                    f"{','.join(COLUMNS)}"
                )
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"cannot read the exemplars {path}: {error}") from error
    present = {sample.id for sample in manifest}
    found: dict[str, list[Exemplar]] = {}
    mistakes: list[str] = []
    for number, row in enumerate(rows, start=2):
        faults = _faults(row, present)
        if faults:
            mistakes.append(f"line {number}: {'; '.join(faults)}")
            continue
        left, top, right, bottom = (float(row[name]) for name in COLUMNS[2:6])
        box = (left, top, right, bottom)
        item = Exemplar(row["class"], box, row["kind"] == "positive")
        found.setdefault(row["id"], []).append(item)
    mistakes += _outside(found, manifest)
    if mistakes:
        raise UsageError(f"{path}:\n  " + "\n  ".join(mistakes))
    return found


def _faults(row: Mapping[str, str | None], ids: set[str]) -> list[str]:
    faults = []
    if row["id"] not in ids:
        faults.append(f"the manifest has no image {row['id']!r}; {_near(row['id'], ids)}")
    if row["class"] not in OBJECT_CLASSES:
        faults.append(f"class {row['class']!r}; {nearest(str(row['class']), OBJECT_CLASSES)}")
    if row["kind"] not in KINDS:
        faults.append(f"kind {row['kind']!r}; {nearest(str(row['kind']), KINDS)}")
    try:
        left, top, right, bottom = (float(row[name] or "") for name in COLUMNS[2:6])
        if not all(map(math.isfinite, (left, top, right, bottom))):
            raise ValueError
        if not (left < right and top < bottom):
            faults.append(f"no box: left {left}, right {right}, top {top}, bottom {bottom}")
    except ValueError:
        values = ",".join(str(row[name]) for name in COLUMNS[2:6])
        faults.append(f"{values} are no four numbers")
    return faults


def _near(value: str | None, ids: set[str]) -> str:
    return nearest(str(value), ids) if len(ids) <= 10 else "take ids from its column 'id'"
