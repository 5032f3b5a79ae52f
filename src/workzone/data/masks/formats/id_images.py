"""Images of ids as Cityscapes has them: ``*_labelIds.png`` and ``*_instanceIds.png``.

A pixel of the first is the number of its class; of the second the same, or of single objects the
number times 1,000 plus the object's (https://github.com/mcordts/cityscapesScripts). Which number is
which class is told by ``labels.json`` beside them: an object of names and numbers.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from PIL import Image

from workzone.data.masks import rle
from workzone.data.masks.formats.shapes import AnnotatedImage, Annotations, Shape
from workzone.data.masks.formats.text import read_json
from workzone.errors import ManifestError

_FILE = re.compile(r"(.+?)(?:_gt(?:Fine|Coarse))?_(labelIds|instanceIds)\.png$")
_OBJECTS = 1000
"""Ids from here on are of single objects."""
_CAMERA = "_leftImg8bit"


def read_id_images(path: Path) -> Annotations:
    """The images of ids below a folder; instances where both kinds are there.

    Raises:
        ManifestError: no such images, no table of names, or a file that is no image of ids.
    """
    if not path.is_dir():
        raise ManifestError(f"{path} is no folder of *_labelIds.png or *_instanceIds.png")
    names = _names(path / "labels.json")
    chosen: dict[str, Path] = {}
    for file in sorted(path.rglob("*.png"), key=lambda f: ("instanceIds" not in f.name, f)):
        match = _FILE.match(file.relative_to(path).as_posix())
        if match:
            chosen.setdefault(match[1], file)
    if not chosen:
        raise ManifestError(f"{path} holds no *_labelIds.png and no *_instanceIds.png")
    images = tuple(_image(file, name, names) for name, file in sorted(chosen.items()))
    return Annotations(path, images, tuple(names.values()))


def _names(path: Path) -> dict[int, str]:
    if not path.is_file():
        raise ManifestError(
            f'no {path}, which tells the classes of ids; write one such as {{"cone": 34}}'
        )
    table = read_json(path)
    if not isinstance(table, dict) or not all(
        isinstance(number, int) and not isinstance(number, bool) and 0 < number < _OBJECTS
        for number in table.values()
    ):
        raise ManifestError(f"{path} is no object of names and numbers from 1 to {_OBJECTS - 1}")
    if len(set(table.values())) < len(table):
        raise ManifestError(f"{path} gives one number to two names; give each its own")
    return {number: name for name, number in table.items()}


def _image(file: Path, name: str, names: dict[int, str]) -> AnnotatedImage:
    try:
        with Image.open(file) as image:
            if image.mode not in ("L", "P", "I", "I;16", "I;16B"):
                raise ManifestError(
                    f"{file} is no image of ids: it is of mode {image.mode}, not of one channel"
                )
            ids = np.asarray(image).astype(np.int64)
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ManifestError(f"{file} is not a readable image: {error}; fetch it again") from error
    shapes = []
    for number in np.unique(ids).tolist():
        single = number >= _OBJECTS
        category = names.get(number // _OBJECTS if single else number)
        if category is not None:
            shapes.append(Shape(category, counts=rle.encode(ids == number), crowd=not single))
    return AnnotatedImage(
        name.removesuffix(_CAMERA), str(file), (ids.shape[0], ids.shape[1]), tuple(shapes)
    )
