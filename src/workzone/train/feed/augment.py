"""Augmentation of a batch of stored features: hidden views, mixed images, softer targets.

Everything random about an image depends on (seed, epoch, the image's id) alone, and its partner for
mixing also on which images are in the batch: neither the order in the batch, nor loader workers,
nor what was drawn before changes anything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch

from workzone.errors import UsageError
from workzone.model.inputs import DetectorInput

_RANGES = {
    "view_dropout": (0.0, 1.0),
    "mixup": (0.0, 100.0),
    "cutmix": (0.0, 100.0),
    "label_smoothing": (0.0, 0.99),
    "focal": (0.0, 10.0),
}
"""What each setting may be, ends included."""


@dataclass(frozen=True)
class AugmentConfig:
    """How a batch is augmented; all off by default.

    Raises:
        UsageError: a value out of its range.
    """

    view_dropout: float = 0.0  # probability that a view is hidden; the first never is
    mixup: float = 0.0  # alpha of the Beta distribution of shares (Zhang 2018); 0: off
    cutmix: float = 0.0  # the same for views of another image (Yun 2019); 0: off
    label_smoothing: float = 0.0  # share of the target that is spread over both classes
    focal: float = 0.0  # gamma of the focal loss (Lin 2017); 0: cross-entropy

    def __post_init__(self) -> None:
        wrong = [
            f"{field.name}={value}, allowed: {low} to {high}"
            for field in fields(self)
            for value, (low, high) in [(getattr(self, field.name), _RANGES[field.name])]
            if not low <= value <= high  # NaN is in no range
        ]
        if wrong:
            raise UsageError(f"augment: {'; '.join(wrong)}")


def augment_batch(
    given: DetectorInput,
    targets: torch.Tensor,
    *,
    config: AugmentConfig,
    ids: Sequence[str],
    seed: int,
    epoch: int,
) -> tuple[DetectorInput, torch.Tensor]:
    """Mix images, then hide views.

    Every image is mixed with one partner, by a share drawn from Beta(alpha, alpha) and taken as
    0.5 or more, so that an image stays more itself than its partner: its boxes, grids and metadata
    are left as they are, and masks stay true. Mixup averages features view by view; cutmix takes
    that share of the views, drawn anew per image, the first one always, and the others from the
    partner. Targets follow, those of cutmix by the share of views. With both on, each image is
    mixed by one of them, either equally likely.

    Args:
        given: ``B`` images.
        targets: float ``[B, 2]``, shares of the classes, rows sum to 1.
        config: what to do; what is off leaves everything bit for bit as it is.
        ids: ``B`` names of the images.
        seed: of the training.
        epoch: its number.

    Returns:
        The same with other ``features`` and ``view_mask``, and the targets ``[B, 2]``.
    """
    if not (config.view_dropout or config.mixup or config.cutmix):
        return given, targets
    draws = [_random(seed, epoch, name) for name in ids]
    order = np.array([random.random() for random in draws])
    if config.mixup or config.cutmix:
        given, targets = _mixed(given, targets, config, draws, _partners(order))
    if config.view_dropout:
        given = _with_hidden_views(given, config.view_dropout, draws)
    return given, targets


def _random(seed: int, epoch: int, name: str) -> np.random.Generator:
    digest = hashlib.blake2b(f"augment/{seed}/{epoch}/{name}".encode(), digest_size=8).digest()
    return np.random.default_rng(int.from_bytes(digest, "little"))


def _partners(order: np.ndarray) -> torch.Tensor:
    """``[B]``: the next image in a ring sorted by each image's own random number."""
    ring = np.argsort(order, kind="stable")
    partners = np.empty_like(ring)
    partners[ring] = np.roll(ring, -1)
    return torch.from_numpy(partners)


def _mixed(
    given: DetectorInput,
    targets: torch.Tensor,
    config: AugmentConfig,
    draws: Sequence[np.random.Generator],
    partners: torch.Tensor,
) -> tuple[DetectorInput, torch.Tensor]:
    count, views, _ = given.features.shape
    kept = np.ones(count)  # share of the image itself in its features
    taken = np.zeros((count, views), np.bool_)  # views that come from the partner
    for image, random in enumerate(draws):
        mixes = bool(config.mixup) and not (config.cutmix and random.random() < 0.5)
        alpha = config.mixup if mixes else config.cutmix
        share = random.beta(alpha, alpha)
        share = max(share, 1 - share)
        if mixes:
            kept[image] = share
        else:
            others = random.permutation(views - 1) + 1
            taken[image, others[: round((1 - share) * views)]] = True
    device = given.features.device
    partners, cut = partners.to(device), torch.from_numpy(taken).to(device)
    weight = torch.from_numpy(kept).to(device, given.features.dtype)[:, None, None]
    features = weight * given.features + (1 - weight) * given.features[partners]
    features = torch.where(cut[..., None], given.features[partners], features)
    mask = given.view_mask
    if mask is not None:
        mask = torch.where(cut, mask[partners], mask)
    own = torch.from_numpy(kept - taken.mean(axis=1)).to(targets)[:, None]
    targets = own * targets + (1 - own) * targets[partners]
    return replace(given, features=features, view_mask=mask), targets


def _with_hidden_views(
    given: DetectorInput, probability: float, draws: Sequence[np.random.Generator]
) -> DetectorInput:
    views = given.features.shape[1]
    kept = np.stack([random.random(views) >= probability for random in draws])
    mask = torch.from_numpy(kept).to(given.features.device)
    first = torch.zeros(len(given), dtype=torch.int64, device=mask.device)
    if given.view_mask is not None:
        first = given.view_mask.int().argmax(dim=1)  # the first that exists
        mask = mask & given.view_mask
    mask = mask.scatter(1, first[:, None], value=True)
    return replace(given, view_mask=mask)
