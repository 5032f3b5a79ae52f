"""A model is told what it learned from, so that it can tell what is unlike all of that."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np

from workzone.data.manifest import Manifest
from workzone.decide.bundle_json import read_json
from workzone.decide.familiarity import (
    FILE,
    RATE,
    Familiarity,
    familiarity_json,
    fit_familiarity,
    write_familiarity,
)
from workzone.errors import ImageError, ManifestError
from workzone.files import replacing_folder, write_text
from workzone.progress import track
from workzone.run.images import Encoded, encoded
from workzone.run.predictor import Predictor
from workzone.types import Sample
from workzone.views import sample_bytes


def familiarity_of(predictor: Predictor, manifest: Manifest, *, rate: float = RATE) -> Familiarity:
    """Statistics of images as a model sees them; those that cannot be read are passed over.

    Args:
        predictor: the model.
        manifest: what it learned from: the labelled rows of split ``train``, or all labelled ones
            of a manifest without that split.
        rate: share of images like these that may be taken for unlike, in (0, 1).

    Raises:
        ManifestError: no labelled row that can be read.
        UsageError: too few rows or groups.
        BundleError: the model gave a vector that is not finite.
    """
    labelled = [s for s in manifest if s.label is not None]
    rows = [s for s in labelled if s.split == "train"] or labelled

    def load(sample: Sample) -> Encoded:
        return encoded(sample_bytes(sample, manifest.root), sample.id)

    vectors, kept = [], []
    answers = predictor.answers([(s.id, s) for s in rows], load)
    for sample, answer in zip(
        rows, track(answers, "looking at what it learned from", total=len(rows)), strict=True
    ):
        if not isinstance(answer, ImageError):
            vectors.append(answer.scene)
            kept.append(sample)
    if not kept:
        raise ManifestError(
            f"no image to learn distances from: {len(labelled)} rows of {len(manifest)} have a "
            "label, and none could be read"
        )
    labels = np.array([s.label for s in kept])
    groups, parts = [s.group for s in kept], predictor.description.config.scene_parts
    return fit_familiarity(np.stack(vectors), labels, groups, parts=parts, rate=rate)


def add_familiarity(folder: Path, familiarity: Familiarity) -> None:
    """Give the model in a folder, of any kind, its statistics; older ones are replaced.

    Raises:
        BundleError: it was made by a later version.
        WorkzoneError: the folder cannot be written.
    """
    folder = folder.resolve()
    held = read_json(folder) | {"familiarity": familiarity_json(familiarity)}
    with replacing_folder(folder) as aside:
        for path in folder.iterdir():
            if path.is_dir():  # members of an ensemble
                shutil.copytree(path, aside / path.name)
            elif path.name not in (FILE, "bundle.json"):
                shutil.copy2(path, aside / path.name)
        write_familiarity(familiarity, aside)
        write_text(aside / "bundle.json", json.dumps(held, indent=2, allow_nan=False) + "\n")
