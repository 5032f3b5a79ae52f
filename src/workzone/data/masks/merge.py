"""Several sources' word on one image as one: who is believed, and where nothing is known.

Class by class, the surest that looked for it is believed: masks drawn with the picture, then
people, then models.

* Drawn masks and people's outlines are the truth: where they show no object, there is none.
* A person's box wins over a model's mask and uses it: within the box the model's mask of that
  class is believed, cut to the box, if it fills a fifth of it (`GRAZED`); without one, the inside
  of the box is not known, and all around it is known to be empty. Where people drew outlines and
  others boxes, outlines count; boxes of those who outlined other objects are objects of their
  own. What is learned from takes the middle of a box for its object (`MIDDLE`).
* Where two people both outlined a class in an image, or both boxed it, and do not say the same,
  nobody can tell who is right: that is refused, with both names. It is for the user to choose one.
* What several models found is taken together.
* A class that nobody looked for is not known anywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PIL import Image

from workzone.data.masks import rle
from workzone.data.masks.objects import ImageMasks, Knowledge, MaskObject, MaskSource
from workzone.errors import ManifestError
from workzone.types import OBJECT_CLASSES


@dataclass(frozen=True, slots=True)
class ObjectMasks:
    """Masks of one upright frame, a channel per class of ``OBJECT_CLASSES``, ``[K, h, w]``.

    ``covered``: where objects are; ``unknown``: where nobody knows, and nothing is covered.
    """

    covered: npt.NDArray[np.bool_]
    unknown: npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class BelievedObjects:
    """What is believed of one class in an image.

    ``objects``: those whose masks are known; ``boxes``: of which only the box is; ``looked``:
    whether anybody looked for them.
    """

    objects: tuple[MaskObject, ...] = ()
    boxes: tuple[MaskObject, ...] = ()
    looked: bool = True


CERTAIN: tuple[Knowledge, ...] = ("drawn", "polygon", "box")
"""Knowledge that is not a model's, the surest first."""
_IN_WORDS = {"drawn": "drawn with the picture", "polygon": "people's outlines", "box": "boxes"}

MIDDLE = 0.6
"""Of a box's sides: the ellipse in its middle that teaches where its object is. What is closest to
learning from masks, of three ways to learn from boxes alone: docs/score/objects.md."""
GRAZED = 0.2
"""Of a box: what models found in less of it is a neighbour's."""

Said = Sequence[tuple[MaskSource, ImageMasks]]
"""What sources say of one image."""


def frame_size(said: Said) -> tuple[int, int]:
    """Height and width of the upright frame, in pixels.

    Raises:
        ManifestError: frames of different sizes.
    """
    sizes = {(masks.height, masks.width) for _, masks in said}
    if len(sizes) > 1:
        told = " and ".join(f"{width} x {height}" for height, width in sorted(sizes))
        raise ManifestError(
            f"masks of {said[0][1].id!r} are of frames of {told} pixels; make those of the wrong "
            "size again"
        )
    return sizes.pop()


def believed(name: str, said: Said) -> BelievedObjects:
    """What is believed of one class.

    Raises:
        ManifestError: frames of different sizes, or two who are believed alike.
    """
    height, width = frame_size(said)
    words: dict[str, list[tuple[MaskSource, list[MaskObject]]]] = {}
    for source, masks in said:
        if name in masks.looked:
            words.setdefault(source.knowledge, []).append((source, _of_class(name, masks)))
    guesses = [item for _, own in words.get("pseudo", []) for item in own]
    for knowledge in CERTAIN:
        if knowledge in words:
            (source, objects), *others = words[knowledge]
            for other, theirs in others:
                if not _alike(objects, theirs):
                    told = _rivalry(name, source, other)
                    raise ManifestError(f"masks of {said[0][1].id!r}: {told}")
            return _refined(objects, guesses, height, width)
    return BelievedObjects(tuple(guesses), looked="pseudo" in words)


def check_rivals(source: MaskSource, masks: ImageMasks, said: Said) -> None:
    """See that nobody who is believed as much as a source says otherwise of the same classes.

    Args:
        source: that is to be added.
        masks: what it says of an image.
        said: what others say of the image; a word of the source itself is replaced.

    Raises:
        ManifestError: somebody does; names both.
    """
    if source.knowledge not in CERTAIN:
        return
    for other, theirs in said:
        if other.key == source.key or other.knowledge != source.knowledge:
            continue
        contested = [
            name
            for name in theirs.looked
            if name in masks.looked and not _alike(_of_class(name, masks), _of_class(name, theirs))
        ]
        if contested:
            told = _rivalry(", ".join(contested), other, source)
            raise ManifestError(f"masks of {masks.id!r}: {told}")


def _of_class(name: str, masks: ImageMasks) -> list[MaskObject]:
    return [item for item in masks.objects if item.name == name]


def _alike(one: Sequence[MaskObject], other: Sequence[MaskObject]) -> bool:
    """Whether two say the same, as copies under two names do."""
    first, second = (
        sorted((item.counts, item.knowledge, item.crowd) for item in objects)
        for objects in (one, other)
    )
    return first == second


def _rivalry(names: str, first: MaskSource, second: MaskSource) -> str:
    return (
        f"{names}: by {first.teacher!r} and by {second.teacher!r}, both "
        f"{_IN_WORDS[first.knowledge]}, and only one can be believed; import the right one under "
        f"the other's --name, delete the other's folder in the store ({first.key}, {second.key}), "
        "or clear the masks column where it names the other"
    )


def _refined(
    objects: Sequence[MaskObject], guesses: Sequence[MaskObject], height: int, width: int
) -> BelievedObjects:
    """Boxes with what a model's masks show within them, in their stead."""
    outlined = [item for item in objects if item.knowledge != "box"]
    boxes = []
    for item in objects:
        if item.knowledge != "box":
            continue
        within = rle.joined([guess.counts for guess in guesses], height, width) if guesses else b""
        cut = rle.joined([item.counts, within], height, width, common=True) if within else b""
        if cut and rle.area(cut) >= GRAZED * rle.area(item.counts):
            outlined.append(replace(item, counts=cut))
        else:
            boxes.append(item)
    return BelievedObjects(tuple(outlined), tuple(boxes))


def in_words(objects: Iterable[MaskObject]) -> str:
    """Objects counted by class, as ``2 cone, sign``; regions of several are not counted."""
    counts: Counter[str] = Counter()
    regions = set()
    for item in objects:
        counts[item.name] += 1
        if item.crowd:
            regions.add(item.name)
    return ", ".join(
        name if name in regions else f"{counts[name]} {name}"
        for name in OBJECT_CLASSES
        if counts[name]
    )


def merge_masks(
    said: Said, height: int, width: int, *, least_middle: tuple[float, float] | None = None
) -> ObjectMasks:
    """The masks that are believed, in the size wanted.

    A pixel of a smaller size is covered where an object covers half of it; an object that covers
    half of none still leaves the pixel of its middle.

    Args:
        said: what sources say of one image, at least one of them.
        height: rows wanted.
        width: columns wanted.
        least_middle: the middle of a box without a mask, not of a crowd's, counts as covered (see
            `MIDDLE`), and is at least so many pixels high and wide, or all of a smaller box.

    Raises:
        ManifestError: frames of different sizes, or damaged masks.
    """
    frame = frame_size(said)
    covered = np.zeros((len(OBJECT_CLASSES), height, width), np.bool_)
    unknown = np.zeros_like(covered)
    for channel, name in enumerate(OBJECT_CLASSES):
        found = believed(name, said)
        try:
            covered[channel] = _drawn(found.objects, frame, (height, width))
            unknown[channel] = _drawn(found.boxes, frame, (height, width))
            if least_middle is not None:
                covered[channel] |= _middles(found.boxes, frame, (height, width), least_middle)
            unknown[channel] &= ~covered[channel]
        except ValueError as error:
            raise ManifestError(f"masks of {said[0][1].id!r}: {name}: {error}") from error
        if not found.looked:
            unknown[channel] = True
    return ObjectMasks(covered, unknown)


def _drawn(
    objects: Sequence[MaskObject], frame: tuple[int, int], size: tuple[int, int]
) -> npt.NDArray[np.bool_]:
    whole = rle.union([item.counts for item in objects], *frame)
    if frame == size or not objects:
        return whole if frame == size else np.zeros(size, np.bool_)
    image = Image.fromarray(whole.astype(np.uint8) * 255)
    shares = image.resize(size[::-1], Image.Resampling.BOX)
    drawn = np.asarray(shares) >= 128
    for item in objects:
        left, top, right, bottom = rle.bounds(item.counts, *frame)
        if right > left:  # it covers a pixel
            scale = size[0] / frame[0], size[1] / frame[1]
            y, x = (top + bottom) / 2 * scale[0], (left + right) / 2 * scale[1]
            rows = slice(int(top * scale[0]), int(bottom * scale[0]) + 1)
            columns = slice(int(left * scale[1]), int(right * scale[1]) + 1)
            if not drawn[rows, columns].any():
                drawn[min(int(y), size[0] - 1), min(int(x), size[1] - 1)] = True
    return drawn


def _middles(
    boxes: Sequence[MaskObject],
    frame: tuple[int, int],
    size: tuple[int, int],
    least: tuple[float, float],
) -> npt.NDArray[np.bool_]:
    """The ellipses in the middle of boxes, each at least one pixel; see `MIDDLE`."""
    drawn = np.zeros(size, np.bool_)
    for box in boxes:
        left, top, right, bottom = rle.bounds(box.counts, *frame)
        if box.crowd or right <= left:
            continue
        within, places = [], []
        for count, pixels, start, end, smallest in zip(
            size, frame, (top, left), (bottom, right), least, strict=True
        ):
            place, side = (start + end) / 2 * count / pixels, (end - start) * count / pixels
            reach = max(MIDDLE * side, min(side, smallest)) / 2
            within.append(((np.arange(count) + 0.5 - place) / reach) ** 2)
            places.append(min(int(place), count - 1))
        middle = within[0][:, None] + within[1][None] <= 1
        middle[tuple(places)] = True
        if rle.area(box.counts) < (bottom - top) * (right - left):  # a box that is an outline
            middle &= _drawn([box], frame, size)
        drawn |= middle
    return drawn
