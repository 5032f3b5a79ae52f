"""What a stored feature depends on, and the key made of it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Literal, cast

from workzone.config import from_mapping
from workzone.data.augmentation import RECIPE_VERSION, Augmentation
from workzone.errors import UsageError
from workzone.views import PREPROCESSING_VERSION, ViewLayout

Precision = Literal["float32", "bfloat16"]
StoredType = Literal["float16", "bfloat16", "float32"]


@dataclass(frozen=True)
class LevelShape:
    """A level of the backbone, see `Backbone.level_widths`, and the shape of a view's map."""

    level: int
    width: int
    rows: int
    columns: int


@dataclass(frozen=True, kw_only=True)
class FeatureSpec:
    """Everything that changes a feature. Two stores agree if and only if their specs are equal.

    Features are made by torch alone, whatever engine a model runs on later: it is no field.
    """

    backbone: str  # canonical name
    weight_hash: str  # of the backbone's parameters and buffers
    width: int  # D, after pooling
    mean: tuple[float, ...]  # of the normalisation, per channel, 0..1
    std: tuple[float, ...]
    pooling: str  # how a grid becomes a vector, see workzone.backbones.base
    layout: ViewLayout = dataclasses.field(default_factory=ViewLayout)
    precision: Precision = "float32"  # in which the backbone computes
    stored_type: StoredType = "float16"  # in which features lie on disk
    grid_views: tuple[int, ...] = ()  # views whose patch grid is stored too
    grid_size: tuple[int, int] = (0, 0)  # rows and columns of such a grid
    grid_width: int = 0  # D of a grid cell
    level_shapes: tuple[LevelShape, ...] = ()  # maps of the first view stored too, by level
    augmentation: Augmentation = dataclasses.field(default_factory=Augmentation)
    preprocessing: int = PREPROCESSING_VERSION

    def __post_init__(self) -> None:
        for view in self.grid_views:
            if not 0 <= view < self.layout.count:
                raise UsageError(
                    f"grid of view {view} asked for; the layout has views 0 to "
                    f"{self.layout.count - 1}"
                )

    @property
    def levels(self) -> tuple[int, ...]:
        """The levels of which maps are stored."""
        return tuple(shape.level for shape in self.level_shapes)

    @property
    def grid_cells(self) -> int:
        """Cells stored of a view: N, and N / 4 of its half where there is one."""
        rows, columns = self.grid_size
        cells = rows * columns
        return cells + cells // 4 if self.layout.halves else cells

    def to_json(self) -> dict[str, Any]:
        """The spec as plain values.

        The recipe `mild` is left out, no levels are, and what a layout has not: an aspect ratio
        that is kept, halves, frames in their own shape. Nothing else was possible when the first
        stores were made, and they keep their keys.
        """
        values = cast(dict[str, Any], json.loads(json.dumps(dataclasses.asdict(self))))
        for name in ("keep_aspect", "halves"):
            if not values["layout"][name]:
                del values["layout"][name]
        if not self.layout.shorter:
            del values["layout"]["shorter"], values["layout"]["step"]
        if self.augmentation.recipe == "mild":
            del values["augmentation"]["recipe"]
        if not self.level_shapes:
            del values["level_shapes"]
        return values

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> FeatureSpec:
        """The spec of plain values, checked field by field."""
        return from_mapping(cls, value, where="spec")

    def key(self) -> str:
        """16 hex digits that change with anything that changes a feature."""
        values = self.to_json()
        if self.augmentation.recipe in ("challenge", "varied"):
            values["challenge"] = RECIPE_VERSION
        text = json.dumps(values, sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
