"""A detector that learns from pixels, together with its backbone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Self

import torch

from workzone.backbones.adapters import AdapterConfig, adapt, adapter_layers, merge
from workzone.backbones.base import Backbone, pool
from workzone.backbones.fine_tuning import FineTuneConfig, freeze, learning_rates, unfreeze
from workzone.features.reading import halved, in_square, with_halves
from workzone.features.spec import FeatureSpec
from workzone.model.base import AnyDetector
from workzone.model.config import DetectorConfig
from workzone.model.inputs import DetectorInput
from workzone.model.make import make_detector
from workzone.train.feed.pixels import PixelInput
from workzone.types import BackboneOutput, DetectorOutput

VIEWS_AT_ONCE = 64
"""Views that the backbone is given at a time: bounds memory where no gradient is asked for."""

LEAST_SPREAD = 0.1
"""Of the median feature's spread: the least that a feature is scaled by."""


class Merged(NamedTuple):
    """What training from pixels comes to."""

    detector: AnyDetector  # of features, in evaluation mode
    backbone: Backbone  # plain, with what was learned in its weights
    weights: dict[str, torch.Tensor]  # those of the backbone that were learned


class PixelDetector(AnyDetector):
    """A detector of any kind with a backbone that learns too, by adapters or by its own weights.

    Given stored features it does as any detector. Its state is that of the detector and of what
    learns in the backbone: frozen weights are left out, and taken from the one it is made with.
    """

    def __init__(
        self,
        config: DetectorConfig,
        backbone: Backbone,
        spec: FeatureSpec,
        tuning: AdapterConfig | FineTuneConfig,
    ) -> None:
        """Have a backbone, as yet as it was published, learn.

        Args:
            config: of the detector; its initial weights are those of a detector without backbone.
            backbone: that of ``spec``; it stays as it is, its frozen weights are shared.
            spec: how its features are made.
            tuning: which of its weights learn, and how.

        Raises:
            MissingExtraError: adapters, and peft is not installed.
            BackboneError: nothing in it can learn.
        """
        super().__init__()
        self.config = config
        self.detector = make_detector(config, backbone=spec.backbone)
        self.tuning = tuning
        if isinstance(tuning, AdapterConfig):
            self.backbone = adapt(backbone, tuning)
        else:
            self.backbone = unfreeze(backbone, tuning)
        self.spec = spec
        self.register_state_dict_post_hook(_without_frozen)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_post_hook(_frozen_not_missing)  # type: ignore[no-untyped-call]

    def fit(
        self,
        parts: Callable[[], Iterable[DetectorInput]],
        labels: torch.Tensor,
        *,
        least: float = LEAST_SPREAD,
    ) -> None:
        """From stored features.

        Those that hardly differ between images are not blown up to the size of the others: once
        the backbone moves, they would drown them.
        """
        self.detector.fit(parts, labels, least=least)

    def train(self, mode: bool = True) -> Self:
        """Switch the adapters' dropout too; the rest of the backbone stays in evaluation mode."""
        super().train(mode)
        for layer in adapter_layers(self.backbone).values():
            layer.train(mode)
        return self

    def run(self, given: DetectorInput) -> DetectorOutput:
        """Classify; pixels are read by the backbone first, see :meth:`read`."""
        return self.detector.run(self._stored(given))

    def scene(self, given: DetectorInput) -> torch.Tensor:
        """Of the detector, given stored features."""
        return self.detector.scene(given)

    def choose_views(self, given: DetectorInput) -> DetectorInput:
        """As the detector does; pixels are read first."""
        return self.detector.choose_views(self._stored(given))

    def rates(self) -> Mapping[str, float]:
        """Of a backbone whose own weights learn; adapters have the whole learning rate."""
        if isinstance(self.tuning, AdapterConfig):
            return {}
        rates = learning_rates(self.backbone, self.tuning)
        return {f"backbone.model.{name}": rate for name, rate in rates.items()}

    def penalty(self, *, classifier: float, attention: float) -> torch.Tensor:
        """Of the detector."""
        return self.detector.penalty(classifier=classifier, attention=attention)

    def view_shares(self, given: DetectorInput, *, views: int) -> torch.Tensor:
        """Of the detector; pixels are read first."""
        return self.detector.view_shares(self._stored(given), views=views)

    def _stored(self, given: DetectorInput) -> DetectorInput:
        return self.read(given) if isinstance(given, PixelInput) else given

    def read(self, given: PixelInput) -> DetectorInput:
        """Run the backbone on the views that are worth it: all, where there is no glance.

        The whole frame is read first; its grid, without gradient, chooses the others. The features
        of views that are not read are 0; the detector, choosing likewise, leaves them out.
        """
        boxes = given.boxes
        assert boxes is not None
        images, views = given.pixels.shape[:2]
        values = {f.name: getattr(given, f.name) for f in dataclasses.fields(DetectorInput)}
        if self.config.views_read(views) == views:
            output = self._all_views(given.pixels, boxes)
            grid = output.grid.unflatten(0, (images, views))
            values["features"] = pool(output, self.spec.pooling).unflatten(0, (images, views))
            values["grid"] = grid if self.config.needs_all_grids else grid[:, 0]
            values["levels"] = {
                level: maps.unflatten(0, (images, views))[:, 0]
                for level, maps in output.levels.items()
            } or None
        else:
            output = self._tokens(given.pixels[:, 0])
            whole_frame = {"grid": output.grid.detach(), "grid_size": output.grid_size}
            kept = self.detector.choose_views(
                DetectorInput(**values | whole_frame | {"view_ids": None})
            ).view_ids
            assert kept is not None
            read = [pool(output, self.spec.pooling)[:, None]]
            if kept.shape[1] > 1:  # the whole frame is the first of them
                chosen = kept[:, 1:].to(given.pixels.device)[:, :, None, None, None]
                others = given.pixels.take_along_dim(chosen, dim=1)
                pooled = pool(self._tokens(others.flatten(0, 1)), self.spec.pooling)
                read.append(pooled.unflatten(0, (images, -1)))
            features = torch.cat(read, dim=1)
            places = kept[..., None].expand_as(features)
            blank = features.new_zeros(images, views, features.shape[-1])
            values["features"] = blank.scatter(1, places, features)
            values["grid"] = output.grid
            values["levels"] = output.levels or None
        return DetectorInput(**values | {"grid_size": output.grid_size})

    def _all_views(self, pixels: torch.Tensor, boxes: torch.Tensor) -> BackboneOutput:
        """Tokens ``[B * V, ...]``; frames in their own shape one by one, without what is around."""
        layout = self.spec.layout
        if not layout.shorter:
            return self._with_halves(pixels.flatten(0, 1))
        outputs = []
        for image, (box,) in zip(pixels, boxes.tolist(), strict=True):
            columns, rows = (round(layout.size / reach) for reach in box[2:])
            output = self._with_halves(image[:, :, :rows, :columns])
            outputs.append(in_square(output, self.spec.grid_size[0]))
        return BackboneOutput(
            None,
            torch.cat([output.grid for output in outputs]),
            outputs[0].grid_size,
            {n: torch.cat([output.levels[n] for output in outputs]) for n in self.config.levels},
        )

    def _with_halves(self, pixels: torch.Tensor) -> BackboneOutput:
        output = self._tokens(pixels)
        if self.spec.layout.halves and not self.training:  # cells are learned without
            output = with_halves(output, self._tokens(halved(pixels)))
        return output

    def _tokens(self, pixels: torch.Tensor) -> BackboneOutput:
        """Of views ``[M, 3, h, w]``, in the precision of the stored features.

        In training that is a matter of the surroundings too: weights are kept in float32 anyway.
        """
        device, own = self.backbone.device, self.detector.device
        mixed = self.training and torch.is_autocast_enabled(device.type)
        lower = self.spec.precision == "bfloat16" or mixed
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=lower):
            parts = [
                self.backbone(part.to(device), self.config.levels)
                for part in pixels.split(VIEWS_AT_ONCE)
            ]
        classes = [part.cls.float().to(own) for part in parts if part.cls is not None]
        return BackboneOutput(
            cls=torch.cat(classes) if classes else None,
            grid=torch.cat([part.grid.float().to(own) for part in parts]),
            grid_size=parts[0].grid_size,
            levels={
                level: torch.cat([part.levels[level].float().to(own) for part in parts])
                for level in self.config.levels
            },
        )

    def merged(self) -> Merged:
        """Part detector and backbone, what was learned being in its weights; this one is spent."""
        part = merge if isinstance(self.tuning, AdapterConfig) else freeze
        weights = part(self.backbone)
        return Merged(self.detector.eval(), self.backbone, weights)


def _frozen(module: PixelDetector, prefix: str) -> set[str]:
    """Names in the state of what belongs to the backbone and does not learn."""
    learning = {name for name, value in module.backbone.named_parameters() if value.requires_grad}
    state = module.backbone.state_dict()
    return {f"{prefix}backbone.{name}" for name in state.keys() - learning}


def _without_frozen(
    module: Any, state: dict[str, torch.Tensor], prefix: str, _: Mapping[str, Any]
) -> None:
    for name in _frozen(module, prefix):
        state.pop(name, None)


def _frozen_not_missing(module: Any, keys: Any) -> None:
    frozen = _frozen(module, "")
    keys.missing_keys[:] = [name for name in keys.missing_keys if name not in frozen]
