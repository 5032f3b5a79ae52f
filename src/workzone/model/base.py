"""What a detector is to the rest of the package, whatever it judges."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping

import torch
from torch import nn

from workzone.model.config import DetectorConfig
from workzone.model.inputs import DetectorInput
from workzone.types import DetectorOutput


class AnyDetector(nn.Module, ABC):
    """What every detector can do; what it needs stored is told by its `DetectorConfig`.

    A class, not a protocol: optimizers, checkpoints and compilation take modules. Kinds of
    detectors are made by `workzone.model.make.make_detector`.
    """

    config: DetectorConfig

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return next(self.parameters()).device

    @abstractmethod
    def run(self, given: DetectorInput) -> DetectorOutput:
        """Classify.

        Raises:
            UsageError: something that it needs is not given.
        """

    @abstractmethod
    def choose_views(self, given: DetectorInput) -> DetectorInput:
        """Leave the views that are worth reading: ``config.views_read`` of them.

        Raises:
            UsageError: there is a choice to make, but nothing to make it by.
        """

    @abstractmethod
    def fit(
        self,
        parts: Callable[[], Iterable[DetectorInput]],
        labels: torch.Tensor,
        *,
        least: float = 0.0,
    ) -> None:
        """Take what is computed from training images, not learned, before training starts.

        Args:
            parts: of the training images, read one after the other, as often as it is called.
            labels: of all of them ``[n]``, 0 or 1.
            least: features are scaled by this share of the median one's spread at least.

        Raises:
            TrainingError: one class only, or a number that is not finite.
        """

    @abstractmethod
    def scene(self, given: DetectorInput) -> torch.Tensor:
        """What an image as a whole looks like ``[B, D']``, without gradient; see `Answer.scene`.

        By it an image is told that is unlike training: what the last layer sees, or, where that is
        a few cells of the image, what the backbone says of all of them, see `scene_vector`.
        """

    def rates(self) -> Mapping[str, float]:
        """Learning rates of weights by name, as shares of the whole, which all others have."""
        return {}

    @abstractmethod
    def penalty(self, *, classifier: float, attention: float) -> torch.Tensor:
        """L2 on weights, a scalar: ``classifier`` times that on the last layer's, ``attention``
        times that on those that weigh views, where there are any."""

    @abstractmethod
    def view_shares(self, given: DetectorInput, *, views: int) -> torch.Tensor:
        """Each view's share of what argues for road work, among those that are read.

        Args:
            given: ``B`` images; of all views :meth:`choose_views` chooses here.
            views: V of the layout; ``given.view_ids`` count them.

        Returns:
            ``[B, V]``, without gradient, zero for views that are not read; rows sum to 1.
        """
