"""YOLO's labels: a text file an image, a line an object, all in fractions of the frame.

``class x y width height`` is a box by its centre, ``class x1 y1 x2 y2 x3 y3 ...`` an outline; a
box may end with a model's confidence. What a tracker saved ends with the track's id, after the
confidence if there is one, an outline's too: where any line ends with a whole number of 2 or more,
all lines are read so, and the id is left out.

Names of classes are in ``data.yaml`` (``names``, a list or a table by number) or in
``classes.txt``, one a line. Label files lie in folders ``labels``, beside ``images``; an empty one
says that there is nothing, a missing one says nothing
(https://docs.ultralytics.com/datasets/segment/, https://docs.ultralytics.com/datasets/detect/).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import yaml

from workzone.data.masks.formats.shapes import AnnotatedImage, Annotations, Shape
from workzone.data.masks.formats.text import read_text
from workzone.errors import ManifestError

NAMES = ("data.yaml", "data.yml", "classes.txt", "obj.names")
_BOX, _SCORED_BOX, _TRIANGLE = 4, 5, 6  # numbers of a box, and with a confidence
_BEYOND = 0.01
"""Of the frame, by which corners may lie outside through rounding."""


def read_yolo(path: Path) -> Annotations:
    """The labels below a folder, or beside a ``data.yaml`` or ``classes.txt``.

    Raises:
        ManifestError: no names, no labels, or a line that is none.
    """
    folder, names = _names(path)
    files = sorted(
        file
        for file in folder.rglob("*.txt")
        if "labels" in file.relative_to(folder).parts[:-1] or file.parent == folder
        if file.name not in (*NAMES, "train.txt", "val.txt", "test.txt")
    )
    if not files:
        raise ManifestError(f"{folder} holds no label files (labels/*.txt); name another folder")
    lines = {file: _lines(file) for file in files}
    tracked = any(_ends_with_id(line) for own in lines.values() for _, line in own)
    images = tuple(_image(file, folder, own, names, tracked) for file, own in lines.items())
    return Annotations(path, images, tuple(dict.fromkeys(names.values())))


def _names(path: Path) -> tuple[Path, Mapping[int, str]]:
    folder, files = path, [path / name for name in NAMES]
    if path.is_file():
        folder, files = path.parent, [path]
    found = next((file for file in files if file.is_file()), None)
    if found is None:
        raise ManifestError(
            f"{path} has no data.yaml and no classes.txt, which name the classes of YOLO labels; "
            "add one, a name a line"
        )
    text = read_text(found)
    if found.suffix not in (".yaml", ".yml"):
        return folder, dict(enumerate(line.strip() for line in text.splitlines() if line.strip()))
    try:
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ManifestError(f"{found} is no YAML: {error}") from error
    names = data.get("names") if isinstance(data, dict) else None
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not all(str(key).isdecimal() for key in names):
        raise ManifestError(f"{found} has no names of classes; add `names: [cone, ...]`")
    return folder, {int(key): str(name) for key, name in names.items()}


def _lines(file: Path) -> list[tuple[int, list[str]]]:
    """Lines that are not empty, as words, with their numbers."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"{file} cannot be read: {error}; export it again") from error
    return [(number, line.split()) for number, line in enumerate(lines, 1) if line.strip()]


def _ends_with_id(words: list[str]) -> bool:
    """Whether a line has the id of a track behind fractions of the frame."""
    if len(words) <= 1 + _BOX or not words[-1].isdecimal() or int(words[-1]) <= 1:
        return False
    try:
        return all(-_BEYOND <= float(word) <= 1 + _BEYOND for word in words[1:-1])
    except ValueError:
        return False


def _image(
    file: Path,
    folder: Path,
    lines: list[tuple[int, list[str]]],
    names: Mapping[int, str],
    tracked: bool,
) -> AnnotatedImage:
    shapes, wrong = [], []
    for number, words in lines:
        try:
            shapes.append(_shape(words, names, tracked))
        except ValueError as error:
            wrong.append((None, f"{file} line {number}: {error}"))
    parts = [part for part in file.relative_to(folder).with_suffix("").parts if part != "labels"]
    return AnnotatedImage("/".join(parts), str(file), None, tuple(shapes), tuple(wrong))


def _shape(words: list[str], names: Mapping[int, str], tracked: bool) -> Shape:
    if not words[0].isdecimal() or int(words[0]) not in names:
        raise ValueError(f"class {words[0]!r} is none of 0 to {max(names, default=0)}")
    category = names[int(words[0])]
    values = [float(word) for word in words[1:]]
    if not all(map(math.isfinite, values)):
        raise ValueError("not all its numbers are finite")
    values, score = _without_tail(words, values, tracked)
    if score is not None and not 0 <= score <= 1:
        raise ValueError(f"confidence {score} is not within 0..1")
    corners = values
    if len(values) == _BOX:
        x, y, width, height = values
        corners = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
        if width < 0 or height < 0:
            raise ValueError("a box has no negative width or height")
    elif len(values) < _TRIANGLE or len(values) % 2:
        raise ValueError(
            f"{len(values)} numbers after the class; a box has 4, an outline three pairs or more"
        )
    if not all(-_BEYOND <= value <= 1 + _BEYOND for value in corners):
        raise ValueError("numbers are not fractions of the frame, 0..1")
    if len(values) == _BOX:
        box = (corners[0], corners[1], corners[2], corners[3])
        return Shape(category, box=box, score=score, fractions=True)
    outline = np.array(values).reshape(-1, 2)
    return Shape(category, (outline,), score=score, fractions=True)


def _without_tail(
    words: list[str], values: list[float], tracked: bool
) -> tuple[list[float], float | None]:
    """The numbers of the shape, and the confidence behind them, if any.

    Raises:
        ValueError: what the last numbers are cannot be told.
    """
    if tracked:
        if not words[-1].isdecimal():
            raise ValueError(
                f"it ends with {words[-1]} and not with the id of a track, as other lines do; "
                "import tracks and other labels apart"
            )
        values = values[:-1]
        has_score = len(values) % 2 == 1
    else:
        has_score = len(values) == _SCORED_BOX
        if len(values) == _TRIANGLE and words[-1] == "1":
            raise ValueError(
                "it may be a triangle, or a box with a confidence and the id 1 of a track; write "
                "the triangle's 1 as 1.0, or leave the id out"
            )
    return (values[:-1], values[-1]) if has_score else (values, None)
