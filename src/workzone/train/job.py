"""From a manifest to a bundle: which rows train, which validate, which are left alone."""

from __future__ import annotations

import dataclasses
import functools
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from workzone.backbones.adapters import require_peft
from workzone.backbones.base import Backbone
from workzone.data.manifest import Manifest
from workzone.data.split_proof import check_split, side_of
from workzone.data.weather import require_kornia
from workzone.decide.bundle import Bundle
from workzone.errors import TrainingError, UsageError, nearest
from workzone.features.extract import Extraction
from workzone.features.masks import mask_targets
from workzone.features.spec import FeatureSpec
from workzone.features.store import FeatureStore, level_name
from workzone.features.text import text_vectors
from workzone.features.text_model import load_sentence_model
from workzone.features.text_spec import clean
from workzone.model.kernels import log_attention_kernel
from workzone.model.make import make_detector
from workzone.model.metadata.config import refuse_leaking
from workzone.train.distillation import check_teacher, read_teacher, taught
from workzone.train.familiar import learned_familiarity
from workzone.train.feed.examples import Examples, Rows, copy_rows
from workzone.train.feed.pixels import PixelExamples
from workzone.train.feed.sampling import SamplingConfig, sampling_weights
from workzone.train.fit import Fit, fit
from workzone.train.keep.run_folder import RunFolder
from workzone.train.pixels import PixelDetector
from workzone.train.processes import Processes
from workzone.train.protection import check_classes, check_grid, imbalance_warning
from workzone.train.provenance import manifest_hash, provenance_of
from workzone.train.session import Session
from workzone.train.settings import TrainConfig
from workzone.types import Sample

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """A bundle and the fit it came from."""

    bundle: Bundle
    fit: Fit
    samples: list[Sample]  # those learned from; fit.validation_rows counts them
    left_out: int  # labelled rows whose image could not be read
    store: FeatureStore  # of their features
    folder: RunFolder | None = None  # of the run; to be finished once the bundle is written


def train(
    manifest: Manifest,
    backbone: Backbone,
    spec: FeatureSpec,
    store_folder: Path,
    config: TrainConfig,
    *,
    copies: int = 0,
    test_split: str = "test",
    run_folder: Path | None = None,
    restart: bool = False,
    services: Sequence[str] = (),
    together: Processes | None = None,
) -> Trained:
    """Train a detector; features that are missing are extracted first.

    With ``config.adapters`` or ``config.fine_tuning`` it is trained from pixels, together with the
    backbone; stored features then serve statistics alone. The bundle carries what the backbone has
    learned.

    With splits ``train`` and ``val``, ``val`` validates. With ``fold-0``, ``fold-1``, ... every
    fold but ``test_split`` validates in turn. Rows in ``not-fold-0``, say, are learned from unless
    ``fold-0`` validates or is ``test_split``. Rows of ``test_split``, and of any split of another
    name, are never looked at.

    Args:
        manifest: labelled and split.
        backbone: the one ``spec`` was made for.
        spec: of the features to learn from.
        store_folder: where feature stores lie.
        config: how to train.
        copies: augmented copies per training image, drawn at random beside the image itself; from
            pixels they are made anew in each epoch.
        test_split: the split to leave alone.
        run_folder: where the run is kept, so that it can go on after a stop; None: nowhere.
        restart: drop a run that was stopped in ``run_folder``.
        services: who else is told of steps and epochs, see `workzone.train.watch.services`.
        together: the processes that train; None: this one.

    Raises:
        MissingExtraError: training with adapters, and peft is not installed.
        TrainingError, UsageError: as :func:`prepare`; also a stop that was asked for.
    """
    together = together or Processes()
    with together.main_first():
        prepared = prepare(
            manifest, backbone, spec, store_folder, config, copies=copies, test_split=test_split
        )
        samples, examples, teacher = prepared.samples, prepared.examples, prepared.teacher
        session = begin_session(backbone, spec, config, together)
        if run_folder is not None:
            data = {
                "manifest": manifest_hash(samples),
                "rows": len(samples),
                "test_split": test_split,
                "features": spec.key(),
                "copies": copies,
                "teacher": teacher and teacher.identity(),
            }
            session.keep(run_folder, config, data, restart=restart, services=services)
        examples = prepared.taught(
            config, manifest.root, store_folder, together.device, session.folder
        )
    log_attention_kernel(config.detector, together.device)
    with session.open():
        result = fit(examples, prepared.validation_folds, config, session)
    warnings = list(prepared.warnings)
    weights: dict[str, torch.Tensor] = {}
    familiarity = None  # of features that are not those of what has learned there is none
    if not isinstance(result.detector, PixelDetector):
        familiarity = learned_familiarity(result.detector, examples)
    else:
        merged = result.detector.merged()
        result = dataclasses.replace(result, detector=merged.detector)
        spec = dataclasses.replace(spec, weight_hash=merged.backbone.weight_hash)
        weights = merged.weights
    spec = dataclasses.replace(spec, level_shapes=())  # predictions read none that are stored
    metadata = result.detector.config.metadata
    if config.detector.metadata is not None and metadata is None:
        warnings.append("Metadata: no row to learn from has any; the model sees the image alone.")
    vectors = examples.text_vectors
    seen_images = {s.content_hash for s in samples if s.content_hash}
    seen_groups = {s.group for s in samples if s.group}
    if teacher is not None:  # what it has seen has been learned from too
        seen_images |= teacher.training_images
        seen_groups |= teacher.training_groups
    bundle = Bundle(
        detector=result.detector,
        spec=spec,
        calibration=result.calibration,
        metadata_calibration=result.metadata_calibration,
        text_model=vectors.spec if vectors and metadata and metadata.text else None,
        test_time=config.test_time,
        familiarity=familiarity,
        conformal=result.conformal,
        backbone_weights=weights,
        backbone_licence=backbone.licence,
        provenance=provenance_of(samples, config, result, copies)
        | {"backbone_folder": backbone.source, "warnings": warnings}
        | ({} if teacher is None else {"teacher": teacher.identity()}),
        training_images=frozenset(seen_images),
        training_groups=frozenset(seen_groups),
    )
    return Trained(bundle, result, samples, prepared.left_out, prepared.store, session.folder)


def begin_session(
    backbone: Backbone, spec: FeatureSpec, config: TrainConfig, together: Processes | None = None
) -> Session:
    """A session that keeps nothing yet, with the detector that ``config`` asks for."""
    session = Session(
        processes=together or Processes(),
        make_detector=functools.partial(make_detector, backbone=spec.backbone),
    )
    if config.tuning is not None:
        session.make_detector = functools.partial(
            PixelDetector, backbone=backbone, spec=spec, tuning=config.tuning
        )
    return session


@dataclass(frozen=True)
class Prepared:
    """What there is to learn from, checked and extracted."""

    examples: Examples
    samples: list[Sample]  # one per row of the examples
    validation_folds: list[Rows]
    warnings: list[str]
    left_out: int  # labelled rows whose image could not be read
    store: FeatureStore  # of their features
    teacher: Bundle | None = None  # that is learned from

    def taught(
        self,
        config: TrainConfig,
        root: Path,
        store_folder: Path,
        device: torch.device,
        folder: RunFolder | None = None,
    ) -> Examples:
        """The examples, with a teacher's word on each image where there is a teacher."""
        if self.teacher is None or config.distill is None:
            return self.examples
        kept = None if folder is None else folder.teacher
        return taught(
            *(self.examples, self.teacher, config.distill, root, store_folder),
            device=device,
            kept=kept,
        )


def prepare(
    manifest: Manifest,
    backbone: Backbone,
    spec: FeatureSpec,
    store_folder: Path,
    config: TrainConfig,
    *,
    copies: int = 0,
    test_split: str = "test",
) -> Prepared:
    """Check what `train` is given, cheap checks first, and extract what is missing.

    Raises:
        TrainingError: no validation rows, one class only, a group in two splits, metadata that
            gives the label away and is not allowed by name, or a teacher that is none or has
            learned from test rows.
        UsageError: ``test_split`` is not in the manifest (only ``test`` itself may be missing, if
            there are no folds), or the detector needs a grid that ``spec`` has not.
    """
    splits = sorted({s.split for s in manifest if s.split})
    learning = {name for name in splits if name in ("train", "val") or _is_fold(name)}
    learning.discard(test_split)
    learning |= {name for name in splits if side_of(name) in learning}
    usable = [s for s in manifest if s.label is not None and s.split in learning]
    if test_split not in splits and (test_split != "test" or any(map(_is_fold, splits))):
        raise UsageError(
            f"no row is in the split {test_split!r} that is to be left alone; name one with "
            f"--test: {nearest(test_split, splits)}"
        )
    if not any(s.label is not None for s in manifest):
        raise TrainingError("no row has a label: nothing can be learned; import the labels too")
    if not usable:
        raise TrainingError(
            "the manifest has labels but no labelled row in a split to learn from: run "
            "`workzone data split`"
        )
    warnings = _check_splits(manifest, learning | {test_split})
    chosen = manifest.with_samples(usable)
    if config.detector.metadata is not None:
        warnings += refuse_leaking(chosen, config.detector.metadata)
    check_grid(config.detector, spec)
    if config.adapters is not None:
        require_peft()  # before anything long begins
    if config.weather.rain or config.weather.motion_blur:
        require_kornia()
    check_classes(usable, _validation_folds(usable))
    unbalanced = imbalance_warning(usable)
    if unbalanced is not None:
        logger.warning(unbalanced)
        warnings.append(unbalanced)
    test = [s for s in manifest if s.split == test_split]
    _say_sampling(usable, config, test)
    teacher = None
    if config.distill is not None:
        teacher = read_teacher(config.distill)
        validation = [usable[row] for fold in _validation_folds(usable) for row in fold]
        warnings += check_teacher(teacher, validation, test)
    stored_copies = 0 if config.from_pixels else copies
    store = Extraction(chosen, backbone, spec, store_folder, copies=stored_copies).run()
    samples = [s for s in usable if (s.content_hash, 0) in store.rows]
    if not samples:
        raise TrainingError(
            f"none of the {len(usable)} images to learn from can be read; `workzone extract` says "
            "why of each"
        )
    examples = examples_of(samples, manifest.root, store, config, copies=stored_copies)
    if config.from_pixels:
        examples = PixelExamples.of(examples, spec, manifest.root, copies=copies)
    left_out = len(usable) - len(samples)
    folds = _validation_folds(samples)
    return Prepared(examples, samples, folds, warnings, left_out, store, teacher)


def _is_fold(split: str) -> bool:
    return split.startswith("fold-")


def _check_splits(manifest: Manifest, splits: set[str]) -> list[str]:
    """What is wrong with the splits and may be trained on all the same: places on both sides.

    Raises:
        TrainingError: a group or an image is on both sides.
    """
    proof = check_split(manifest.with_samples([s for s in manifest if s.split in splits]))
    if proof.shared_groups or proof.shared_hashes:
        shared = (*proof.shared_groups, *proof.shared_hashes)
        raise TrainingError(
            f"the splits leak: {'; '.join(proof.problems)} ({shared[0]!r} for one). "
            "What validation says would be too good: split again with `workzone data split`."
        )
    return [f"Splits: {problem}." for problem in proof.problems]


def _say_sampling(samples: list[Sample], config: TrainConfig, test_samples: list[Sample]) -> None:
    """Log what the sampling weights come to, before anything long begins.

    Raises:
        TrainingError: the target region was taken from test rows.
    """
    if config.sampling == SamplingConfig():
        return
    config.sampling.check_sources(samples)
    told = sampling_weights(samples, config.sampling, test_samples=test_samples).describe()
    logger.info("sampling: %s", "; ".join(f"{what} {was} -> {now}" for what, was, now in told))


def _validation_folds(samples: list[Sample]) -> list[Rows]:
    names = sorted({s.split for s in samples if s.split is not None})
    validating = [name for name in names if name == "val" or _is_fold(name)]
    return [
        np.array([row for row, s in enumerate(samples) if s.split == name]) for name in validating
    ]


def without_idle_masks(
    config: TrainConfig, manifest: Manifest, *, test_split: str = "test"
) -> TrainConfig:
    """The same without the mask head where no row outside ``test_split`` has masks to teach it.

    A head that tells the classifier what it sees is kept: the labels teach it too.
    """
    detector = config.detector
    if (
        detector.masks is None
        or detector.mask_evidence
        or any(s.masks for s in manifest if s.split != test_split)
    ):
        return config
    return dataclasses.replace(config, detector=dataclasses.replace(detector, masks=None))


def examples_of(
    samples: list[Sample],
    root: Path,
    store: FeatureStore,
    config: TrainConfig,
    *,
    copies: int = 0,
) -> Examples:
    """All that a detector is to learn from; features stay on disk.

    Args:
        samples: labelled; the store holds them all.
        root: of the references to their masks.
        store: of their features; vectors of texts lie beside it.
        config: of the detector.
        copies: augmented copies of each in the store.
    """
    spec, metadata = store.spec, config.detector.metadata
    views = config.detector.grid_views(spec.layout)
    shape = config.detector.target_size(spec.grid_size, spec.layout.size)
    texts = [s.text for s in samples] if metadata is not None and metadata.text else []
    vectors = None
    if any(clean(text) for text in texts):
        vectors = text_vectors(
            texts, store.folder.parent / "text", load_sentence_model(config.text_model)
        )
    targets = None
    if shape is not None:
        targets = mask_targets(samples, root, shape, augmentation=spec.augmentation, copies=copies)
    return Examples(
        labels=torch.tensor([s.label for s in samples], dtype=torch.int64),
        rows=copy_rows(store, samples, targets, copies=copies),
        features=store.mapped("pooled"),
        boxes=store.mapped("boxes"),
        grid=store.grid(views) if views else None,
        grid_size=spec.grid_size,
        levels={n: store.mapped(level_name(n)) for n in config.detector.levels} or None,
        view_size=spec.layout.size,
        masks=targets,
        samples=samples,
        text_vectors=vectors,
    )
