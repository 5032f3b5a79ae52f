"""What is known of the objects in an image, and from whom."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from workzone.data.masks import rle
from workzone.data.masks.rle import BoxXYXY
from workzone.errors import ManifestError, UsageError, nearest
from workzone.types import OBJECT_CLASSES

Knowledge = Literal["drawn", "polygon", "box", "pseudo"]

KNOWLEDGE: tuple[Knowledge, ...] = ("drawn", "polygon", "box", "pseudo")
"""Where a mask comes from, the surest first: drawn with the picture; outlined by a person; boxed by
a person, the mask being the filled box; made by a model."""


def as_knowledge(word: str) -> Knowledge:
    """A kind of knowledge by its name.

    Raises:
        UsageError: another word.
    """
    for one in KNOWLEDGE:
        if word == one:
            return one
    raise UsageError(f"knowledge {word!r} is unknown; {nearest(word, KNOWLEDGE)}")


def weakest(several: Iterable[Knowledge]) -> Knowledge:
    """The least sure of some kinds of knowledge, at least one."""
    return max(several, key=KNOWLEDGE.index)


@dataclass(frozen=True, slots=True)
class MaskSource:
    """Who says where objects are; its `key` covers all of it.

    ``knowledge``: how; people who outline may box single objects. ``teacher``: a model, a data set
    or a program, with ``version``; ``prompts``: what a teacher was asked, by class; ``settings``:
    what else changes the masks (thresholds, tiles).
    """

    knowledge: Knowledge
    teacher: str
    version: str = ""
    prompts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    settings: Mapping[str, str | float | int | bool | None] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As it is written beside the masks."""
        prompts = {name: list(phrases) for name, phrases in self.prompts.items()}
        return {**asdict(self), "prompts": prompts, "settings": dict(self.settings)}

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """The source that `to_json` wrote.

        Raises:
            ValueError: data of another form.
        """
        try:
            prompts = {name: tuple(phrases) for name, phrases in data["prompts"].items()}
            source = cls(**{**data, "prompts": prompts})
            if source.knowledge not in KNOWLEDGE:
                raise ValueError(f"knowledge {source.knowledge!r} is none of {KNOWLEDGE}")
            if not isinstance(source.teacher, str) or not isinstance(source.version, str):
                raise ValueError("teacher and version are texts")
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"it describes no source of masks: {error}") from error
        return source

    @property
    def key(self) -> str:
        """16 hexadecimal digits that differ where anything in it does."""
        text = json.dumps(self.to_json(), sort_keys=True, ensure_ascii=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class MaskObject:
    """One object, or with ``crowd`` a region of several that are not told apart.

    ``counts``: its mask, see `workzone.data.masks.rle`; ``box``: pixels of the upright frame.
    """

    name: str  # one of OBJECT_CLASSES
    knowledge: Knowledge
    counts: bytes
    box: BoxXYXY
    score: float | None = None  # 0..1 of a model; None: a person's, or drawn
    crowd: bool = False
    category: str | None = None  # what the source calls it

    @classmethod
    def from_mask(
        cls,
        name: str,
        knowledge: Knowledge,
        mask: npt.NDArray[np.bool_],
        *,
        box: BoxXYXY | None = None,
        score: float | None = None,
        crowd: bool = False,
        category: str | None = None,
    ) -> Self:
        """An object of a mask bool ``[h, w]``; its box is that of the mask where none is given."""
        counts = rle.encode(mask)
        box = rle.bounds(counts, *mask.shape) if box is None else box
        return cls(name, knowledge, counts, box, score, crowd, category)


@dataclass(frozen=True, slots=True)
class ImageMasks:
    """What a source says of one image.

    ``looked``: the classes that it looked for, each with the presence in the image that a model
    gave it (0..1), or None; of a class that is not among them, nothing is known. A class that is,
    and has no object, is not in the image.
    """

    id: str
    height: int  # of the upright frame
    width: int
    looked: Mapping[str, float | None]
    objects: tuple[MaskObject, ...] = ()

    def check(self) -> None:
        """See that it is whole.

        Raises:
            ManifestError: all that is wrong with it, and of which image.
        """
        wrong = list(self._wrong())
        if wrong:
            raise ManifestError(f"masks of {self.id!r}: {'; '.join(wrong)}")

    def _wrong(self) -> list[str]:
        wrong = []
        if not self.id:
            wrong.append("they have no id")
        if min(self.height, self.width) < 1:
            wrong.append(f"a frame of {self.width} x {self.height} pixels")
        for name in dict.fromkeys([*self.looked, *(item.name for item in self.objects)]):
            if name not in OBJECT_CLASSES:
                wrong.append(f"class {name!r} is unknown; {nearest(name, OBJECT_CLASSES)}")
        for number, item in enumerate(self.objects):
            fault = self._fault(item)
            if fault:
                wrong.append(f"object {number} ({item.name}): {fault}")
        return wrong

    def _fault(self, item: MaskObject) -> str | None:
        if item.name not in self.looked:
            return "its class is not among those looked for"
        if item.knowledge not in KNOWLEDGE:
            return f"knowledge {item.knowledge!r}; {nearest(item.knowledge, KNOWLEDGE)}"
        if item.score is not None and not 0 <= item.score <= 1:
            return f"score {item.score} is not within 0..1"
        if (
            not np.isfinite(item.box).all()
            or item.box[2] < item.box[0]
            or item.box[3] < item.box[1]
        ):
            return f"{item.box} is no box of left, top, right, bottom"
        try:
            rle.check(item.counts, self.height, self.width)
        except ValueError as error:
            return str(error)
        return None


def looked_for(names: Sequence[str]) -> dict[str, float | None]:
    """Classes that were looked for, without a presence.

    Raises:
        UsageError: an unknown class.
    """
    for name in names:
        if name not in OBJECT_CLASSES:
            raise UsageError(f"class {name!r} is unknown; {nearest(name, OBJECT_CLASSES)}")
    return dict.fromkeys(names)
