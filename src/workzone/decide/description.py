"""A model but for its weights: how it sees, what its answers mean, its origin."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

from workzone.decide.calibration import Calibration
from workzone.decide.conformal import ConformalSets
from workzone.decide.familiarity import Familiarity, familiarity_json
from workzone.decide.test_time import TestTimeConfig
from workzone.errors import UsageError
from workzone.features.spec import FeatureSpec

if TYPE_CHECKING:
    from workzone.features.text_spec import TextSpec
    from workzone.model.config import DetectorConfig
    from workzone.model.metadata.config import MetadataConfig


MAX_SIDE = 2048
"""Pixels of a view that a model may be asked to see; more takes gigabytes."""


@dataclass(frozen=True, kw_only=True)
class Description:
    """Of a bundle with its weights, or of an exported program.

    Raises:
        UsageError: the parts do not fit: metadata without a calibration, another text model.
    """

    spec: FeatureSpec
    calibration: Calibration  # of probabilities given on the image alone
    backbone_licence: str
    provenance: Mapping[str, Any] = field(default_factory=dict)
    training_images: frozenset[str] = frozenset()  # content hashes
    training_groups: frozenset[str] = frozenset()
    metadata_calibration: Calibration | None = None  # of probabilities given with metadata
    text_model: TextSpec | None = None  # whose vectors the detector takes; None: it takes no text
    test_time: TestTimeConfig | None = None  # several looks at an image; None: one
    familiarity: Familiarity | None = None  # of the image alone; None: not known
    conformal: ConformalSets | None = None  # of one look at the image alone; None: not known

    def __post_init__(self) -> None:
        metadata = self.config.metadata
        if (metadata is None) != (self.metadata_calibration is None):
            raise UsageError(
                "a bundle has a metadata_calibration if, and only if, its detector takes metadata"
            )
        if self.test_time and self.test_time.choose == "familiar" and self.familiarity is None:
            raise UsageError(
                "test_time: choose=familiar needs statistics of what the model learned from; add "
                "them: workzone models familiarise BUNDLE --data MANIFEST"
            )
        familiar = self.test_time is not None and self.test_time.choose == "familiar"
        if familiar and metadata is not None and not self.config.dense:
            raise UsageError(
                "test_time: choose=familiar goes by the image alone, and what the last layer of "
                "this model sees has metadata in it: take the surest looks, or all"
            )
        spec = self.text_model
        asked = (0, "") if metadata is None else (metadata.text, metadata.text_key)
        has = (0, "") if spec is None else (spec.width, spec.key())
        if (asked[0] or has[0]) and asked != has:
            raise UsageError(
                f"its detector takes text vectors of width {asked[0]} and key "
                f"{asked[1] or 'none'}, its text_model gives width {has[0]} and key "
                f"{has[1] or 'none'}; name the text model that it was trained with"
            )

    @property
    def config(self) -> DetectorConfig:
        """Shape of the detector."""
        raise NotImplementedError

    def identity(self) -> str:
        """16 hex digits that change with anything that changes a probability."""
        raise NotImplementedError

    def doubt_identity(self) -> str:
        """16 hex digits that change with anything that makes an image doubtful."""
        facts = [familiarity_json(self.familiarity), *self._doubted_by()]
        return hashlib.blake2b(json.dumps(facts).encode(), digest_size=8).hexdigest()

    def _doubted_by(self) -> list[Any]:
        """What decides of doubts beside the familiarity, as plain values."""
        return [self.conformal and dataclasses.asdict(self.conformal)]

    @property
    def metadata(self) -> MetadataConfig | None:
        """What the detector takes beside the image; None: nothing."""
        return self.config.metadata

    @property
    def conformal_sets(self) -> ConformalSets | None:
        """Those that hold for what is run: none of several looks, as they were fitted on one."""
        return self.conformal if self.test_time is None else None

    def doubt_note(self) -> str:
        """What an asker for doubts is to be told of a model that knows too little; "": nothing."""
        notes = []
        if self.familiarity is None:
            notes.append(self._unfamiliar_note())
        if self.conformal is not None and self.conformal_sets is None:
            notes.append(
                "its conformal sets hold for one look at an image, so with several it is not told "
                "that both answers are likely enough: take one look (--tta 0) to be told"
            )
        return ". ".join(notes)

    def _unfamiliar_note(self) -> str:
        return (
            "this model has no statistics of what it learned from (or none for views of another "
            "--size than its own), so it cannot tell an image that is unlike all of it; pictures "
            "that show too little are found all the same. Add them: workzone models familiarise "
            "BUNDLE --data MANIFEST"
        )

    @property
    def views_read(self) -> int:
        """k, the views of an image that the backbone reads: all, where there is no glance."""
        return self.config.views_read(self.spec.layout.count)

    @property
    def grids_judged(self) -> Literal["none", "first", "all"]:
        """Whose patch grids the detector takes, but for the glance."""
        if self.config.needs_all_grids:
            return "all"
        return "first" if self.config.masks is not None else "none"

    def check_masks(self) -> None:
        """Make sure that masks can be asked for.

        Raises:
            UsageError: the model was trained without a mask head.
        """
        if self.config.masks is None:
            raise UsageError(
                "--masks: this model has no mask head; train one that has on images with masks: "
                "workzone train MANIFEST -o MODEL --preset masks"
            )

    @property
    def resizable(self) -> bool:
        """Whether views of any size can be judged, see :meth:`with_view_size`."""
        return self.config.dense and self.spec.backbone.startswith("lite")

    def with_test_time(self, copies: int | None, looks: str | None = None) -> Self:
        """The same that looks at ``copies`` augmented copies too; 0: none; None: as it is.

        Args:
            copies: beside the image itself.
            looks: which of them decide, see `TestTimeConfig.by`; None: as the model does.

        Raises:
            UsageError: more copies than there may be, or looks without copies or statistics.
        """
        if copies is None and self.test_time is not None:
            copies = self.test_time.copies
        if copies is None:
            if looks is not None:
                raise UsageError(f"looks {looks}: this model takes one look; ask for more (--tta)")
            return self
        if copies == 0:
            return dataclasses.replace(self, test_time=None)
        config = dataclasses.replace(self.test_time or TestTimeConfig(), copies=copies)
        return dataclasses.replace(self, test_time=config if looks is None else config.by(looks))

    def with_share(self, share: float | None) -> Self:
        """The same for images of which this share, in (0, 1), shows road work; None: as it is.

        Raises:
            UsageError: a share out of range.
        """
        if share is None:
            return self
        with_metadata = self.metadata_calibration
        return dataclasses.replace(
            self,
            calibration=self.calibration.at_share(share),
            metadata_calibration=with_metadata and with_metadata.at_share(share),
        )

    def with_view_size(self, size: int | None) -> Self:
        """The same that sees views of another side, in pixels; None: as it is.

        Smaller views are read faster, in larger ones smaller things are seen. Only a dense detector
        on an embedded backbone can do this: it judges cells, of which there may be any number.
        What is unlike training, and undecided, is told by bounds that hold for the model's own size
        alone: the result has none.

        Raises:
            UsageError: the model is not `resizable`, a size that is no multiple of a cell's, or
                looks that are weighed by how familiar they are.
        """
        layout, (rows, _) = self.spec.layout, self.spec.grid_size
        if size is None or size == layout.view_size:
            return self
        if not self.resizable:
            raise UsageError(
                f"--size: this model knows views of {layout.view_size} px and no others; dense "
                "models on an embedded backbone (workzone train --preset dense, and the one that "
                "comes with workzone) take any"
            )
        if size > MAX_SIDE:
            raise UsageError(f"--size {size}: views have at most {MAX_SIDE} px a side")
        cell = layout.size // rows
        multiple = 2 * cell if layout.halves else cell
        if layout.shorter:
            multiple = layout.step
        if size < multiple or size % multiple:
            lower = max(1, size // multiple) * multiple
            why = {cell: "the side of a cell", 2 * cell: "twice the side of a cell"}
            raise UsageError(
                f"--size {size} is no multiple of {multiple}, "
                f"{why.get(multiple, 'the step of its views')}: the nearest are {lower} and "
                f"{lower + multiple}"
            )
        if self.test_time is not None and self.test_time.choose == "familiar":
            raise UsageError(
                f"--size: this model weighs its looks by how familiar views of {layout.view_size} "
                "px are; take one look (--tta 0), or leave --size out"
            )
        layout = layout.with_view_size(size)
        grid_size = (layout.size // cell, layout.size // cell)
        spec = dataclasses.replace(self.spec, layout=layout, grid_size=grid_size)
        return dataclasses.replace(self, spec=spec, familiarity=None, conformal=None)
