"""How a model would fare in NATIX StreetVision: challenges made of a manifest's rows, judged.

Challenge images are written as a small data set of JPEG files with a manifest. So they go the
ordinary way through views, features and detector, an interrupted job goes on with the files that
are there, and every image can be looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from workzone.data.augmentation import RECIPE_VERSION
from workzone.data.challenge import LEVELS, challenge_image
from workzone.data.images import content_hash, decode
from workzone.data.manifest import Manifest, write_manifest
from workzone.decide.models import Model
from workzone.decide.threshold import HALF
from workzone.errors import ImageError, ManifestError
from workzone.features.store import FeatureStore
from workzone.files import writing
from workzone.parallel import map_ahead
from workzone.progress import bar
from workzone.report.challenge import ChallengeFigures, ChallengeReport
from workzone.report.metrics import MINIMUM_GROUPS, Figure, summarise
from workzone.run.evaluate import image_only_probabilities
from workzone.subnet.reward import expected_reward
from workzone.types import ImageRef, Sample
from workzone.views import sample_bytes

LEVEL = "level"
"""The column of the challenge's manifest, among a sample's ``extra``."""

_CONFIDENCE = 0.95


def write_challenge(manifest: Manifest, folder: Path, *, seed: int = 0) -> Manifest:
    """Make the challenge images of a manifest's labelled rows: each row once at every level.

    They keep label, group, source and split, and nothing else is known of them. A row without a
    group becomes a group of its own, so that its four images stay together. Files that are there
    already are taken as they are. Rows that cannot be read are left out.

    Args:
        manifest: whose rows; images must have content hashes.
        folder: gets ``manifest.parquet`` and JPEG files in a folder per level.
        seed: of what is drawn.

    Returns:
        The challenge's manifest, image by image, levels 0 to 3 of each.

    Raises:
        ManifestError: a row has no content hash, or no labelled row can be read.
        WorkzoneError: the folder cannot be written.
    """
    folder = folder / f"recipe-{RECIPE_VERSION}-seed-{seed}"
    labelled = [sample for sample in manifest if sample.label is not None]
    for sample in labelled:
        if sample.content_hash is None:
            raise ManifestError(
                f"sample {sample.id!r} has no content hash; import the data again, with hashes"
            )

    def make(sample: Sample) -> list[str] | None:
        try:
            return _write_images(sample, manifest.root, folder, seed)
        except ImageError:
            return None

    unique = {sample.content_hash: sample for sample in labelled}
    hashes: dict[str | None, list[str] | None] = {}
    with bar("making challenge images", len(unique)) as progress:
        for sample, of_levels in map_ahead(make, unique.values()):
            hashes[sample.content_hash] = of_levels
            progress.advance()
    made = [
        _challenge(sample, level, of_image)
        for sample in labelled
        for level, of_image in zip(LEVELS, hashes[sample.content_hash] or (), strict=False)
    ]
    if not made:
        raise ManifestError(
            f"no challenge image could be made: {len(manifest)} rows, {len(labelled)} of them "
            "labelled, none readable; give the manifest labels and images"
        )
    result = Manifest(made, folder)
    write_manifest(result, folder / "manifest.parquet")
    return result


def _write_images(sample: Sample, root: Path, folder: Path, seed: int) -> list[str]:
    """Write an image's challenges, those that are missing; the content hash of each."""
    files = [folder / _file(sample, level) for level in LEVELS]
    if not all(file.exists() for file in files):
        frame = decode(sample_bytes(sample, root), name=str(sample.image))
        for level, file in zip(LEVELS, files, strict=True):
            if not file.exists():
                identity = sample.content_hash or ""
                made = challenge_image(frame, identity=identity, seed=seed, level=level)
                with writing(file) as aside:
                    aside.write_bytes(made.jpeg)
    return [content_hash(file.read_bytes()) for file in files]


def _file(sample: Sample, level: int) -> str:
    return f"level-{level}/{sample.content_hash}.jpg"


def _challenge(sample: Sample, level: int, of_image: str) -> Sample:
    """The row of a challenge; ``of_image``: its own content hash."""
    return Sample(
        id=f"{sample.id} level {level}",
        image=ImageRef(_file(sample, level)),
        label=sample.label,
        group=sample.group or sample.id,
        source=sample.source,
        content_hash=of_image,
        split=sample.split,
        extra={LEVEL: str(level)},
    )


def judge_challenge(
    bundle: Model,
    challenge: Manifest,
    store: FeatureStore,
    *,
    seed: int = 0,
    resamples: int = 1000,
) -> ChallengeReport:
    """Figures and expected reward of a model on challenge images, by level and overall.

    Overall, all rows count alike: the subnet draws each level as often, and the challenge has each
    image once at every level. MCC, AUC and accuracy are of the rows as they are; the expected
    reward supposes, as the subnet does, that half the challenges show road work. It is not
    defined where a class has no rows.

    Args:
        bundle: the model.
        challenge: from :func:`write_challenge`.
        store: with the features of its images.
        seed: of the challenge images, for the report.
        resamples: of whole groups, for the intervals.
    """
    samples = list(challenge)
    probabilities = image_only_probabilities(bundle, store, samples)
    labels = np.array([sample.label for sample in samples])
    levels = np.array([int(sample.extra[LEVEL]) for sample in samples])
    groups = np.array([sample.group for sample in samples])

    def figures(level: int | None) -> ChallengeFigures:
        rows = np.flatnonzero(levels == level) if level is not None else np.arange(len(levels))
        judged = labels[rows], probabilities[rows], groups[rows].tolist()
        return ChallengeFigures(
            level=level,
            metrics=summarise(*judged, resamples=resamples, level=_CONFIDENCE),
            expected_reward=reward_figure(*judged, resamples=resamples),
        )

    return ChallengeReport(tuple(figures(level) for level in (*LEVELS, None)), seed)


def reward_figure(
    labels: npt.NDArray[np.integer],
    probabilities: npt.NDArray[np.floating],
    groups: Sequence[str],
    *,
    resamples: int,
) -> Figure:
    """The expected reward with its 95 % interval, by drawing whole groups with replacement.

    Args:
        labels: ``[B]``, 1 road work, 0 none.
        probabilities: ``[B]`` in 0..1.
        groups: ``[B]``.
        resamples: how many times groups are drawn.
    """
    is_work, right = labels == 1, (probabilities > HALF) == (labels == 1)
    names, group_of_row = np.unique(groups, return_inverse=True)
    counted = np.column_stack([right & is_work, is_work, right & ~is_work, ~is_work])
    by_group = np.zeros((len(names), 4))
    np.add.at(by_group, group_of_row, counted)
    value = float(_reward_of_counts(by_group.sum(axis=0)[None])[0])
    if not np.isfinite(value):
        return Figure(None)
    if len(names) < MINIMUM_GROUPS or not resamples:
        return Figure(value)
    share = np.full(len(names), 1 / len(names))
    drawn = np.random.default_rng(0).multinomial(len(names), share, size=resamples)
    values = _reward_of_counts(drawn @ by_group)
    defined = values[np.isfinite(values)]
    if not len(defined):
        return Figure(value, undefined_resamples=resamples)
    tail = (1 - _CONFIDENCE) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Figure(value, float(low), float(high), resamples - len(defined))


def _reward_of_counts(counts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """``[R, 4]`` (found, with road work, rightly passed, without) to expected rewards ``[R]``."""
    found, positives, passed, negatives = counts.T
    with np.errstate(invalid="ignore"):
        return expected_reward(found / positives, passed / negatives)  # 0 / 0 is NaN
