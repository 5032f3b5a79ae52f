"""Challenges drawn as a validator draws them: label, kind of picture, row and level by chance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from workzone.data.challenge import LEVELS, challenge_image
from workzone.data.images import decode
from workzone.data.manifest import Manifest
from workzone.errors import ImageError, ManifestError
from workzone.parallel import map_ahead
from workzone.types import Sample
from workzone.views import sample_bytes

SYNTHETIC_SHARE = 0.5
"""Of the subnet's challenges: a quarter painted into photographs, a quarter from words alone."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge."""

    jpeg: bytes
    label: int
    level: int
    group: str
    made: bool  # from a made picture, not a photograph


@dataclass(frozen=True, slots=True)
class _Draw:
    number: int
    sample: Sample
    manifest: Manifest
    level: int
    made: bool


def draw_challenges(
    photographs: Manifest,
    made: Manifest | None = None,
    *,
    count: int,
    share: float = SYNTHETIC_SHARE,
    seed: int = 0,
) -> Iterator[Challenge]:
    """Challenges, one after the other; those whose image cannot be read are left out.

    Half of them show road work, and each level is as likely. Within a label all rows are.

    Args:
        photographs: whose labelled rows are drawn from.
        made: drawn scenes or composites, in place of the subnet's generated images; None: none.
        count: how many.
        share: of challenges from ``made``, 0..1.
        seed: of all that is drawn.

    Raises:
        ManifestError: a class has no rows.
    """
    random = np.random.default_rng(seed)
    rows = {False: _by_label(photographs), True: _by_label(made) if made is not None else None}
    draws: list[_Draw] = []
    for number in range(count):
        label, level = int(random.integers(2)), int(random.choice(LEVELS))
        from_made = bool(random.random() < share) and rows[True] is not None
        choice = rows[from_made]
        assert choice is not None
        sample = choice[label][int(random.integers(len(choice[label])))]
        manifest = made if from_made and made is not None else photographs
        draws.append(_Draw(number, sample, manifest, level, from_made))

    def make(draw: _Draw) -> Challenge | None:
        try:
            data = sample_bytes(draw.sample, draw.manifest.root)
            frame = decode(data, name=str(draw.sample.image))
        except ImageError:
            return None
        identity = f"{draw.sample.content_hash or draw.sample.id} {draw.number}"
        image = challenge_image(frame, identity=identity, seed=seed, level=draw.level)
        group = draw.sample.group or draw.sample.id
        return Challenge(image.jpeg, draw.sample.label or 0, draw.level, group, draw.made)

    for _, challenge in map_ahead(make, draws):
        if challenge is not None:
            yield challenge


def _by_label(manifest: Manifest) -> Sequence[list[Sample]]:
    """Rows without road work, and with."""
    rows = [[s for s in manifest if s.label == label] for label in (0, 1)]
    for label, found in enumerate(rows):
        if not found:
            raise ManifestError(
                f"{manifest.root}: no row with label {label}; a validator draws both classes"
            )
    return rows
