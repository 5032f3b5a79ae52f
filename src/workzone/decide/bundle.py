"""A bundle: the folder that holds all a decision needs.

::

    bundle.json           configuration, feature spec, text model, calibrations, provenance
    detector.safetensors  the detector's weights
    backbone.safetensors  the backbone's weights that were learned, of training from pixels alone
    familiarity.npz       how like them an image is, of bundles that know
    training.json         content hashes and groups of the images it learned from
    NOTICE.txt            licences of the parts

Nothing in it is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

from workzone.decide.bundle_json import (
    describe,
    is_program,
    notice,
    parse_description,
    plain,
    read_json,
    training_json,
)
from workzone.decide.description import Description
from workzone.decide.ensemble import MEMBERS, is_ensemble
from workzone.decide.familiarity import familiarity_json, write_familiarity
from workzone.errors import BundleError
from workzone.files import replacing_folder, write_text, writing
from workzone.model.base import AnyDetector
from workzone.model.config import DetectorConfig
from workzone.model.make import make_detector

_NAMES = ("bundle.json", "detector.safetensors", "training.json")
"""What every bundle has, and needs."""
_FILES = {"weights": _NAMES[1], "training": _NAMES[2], "backbone": "backbone.safetensors"}
"""The files that bundle.json has a hash of."""


@dataclass(frozen=True, kw_only=True)
class Bundle(Description):
    """A detector with what it needs to be used, and where it comes from."""

    detector: AnyDetector
    backbone_weights: Mapping[str, torch.Tensor] = field(default_factory=dict)  # learned, by name

    @property
    def config(self) -> DetectorConfig:
        """Shape of the detector."""
        return self.detector.config

    def identity(self) -> str:
        """16 hex digits that change with anything that changes a probability."""
        digest = hashlib.blake2b(digest_size=8)
        digest.update(self.spec.key().encode())
        parts = (
            self.detector.config,
            self.calibration,
            self.metadata_calibration,
            self.text_model,
        )
        digest.update(json.dumps([plain(part) for part in parts]).encode())
        if self.test_time is not None:
            looks = [plain(self.test_time)]
            if self.test_time.choose == "familiar":
                looks.append(familiarity_json(self.familiarity))
            digest.update(json.dumps(looks).encode())
        digest.update(_weights(self.detector.state_dict()))
        return digest.hexdigest()


def _weights(state: Mapping[str, torch.Tensor]) -> bytes:
    plain = {name: value.cpu().contiguous() for name, value in state.items()}
    return bytes(safetensors.torch.save(plain))


def write_bundle(bundle: Bundle, folder: Path) -> None:
    """Write a bundle, whole or not at all; an older bundle in ``folder`` is replaced.

    Raises:
        BundleError: the folder exists and holds something else.
        WorkzoneError: the disk is full or the folder cannot be written.
    """
    folder = folder.resolve()  # "." has no name to put another folder beside
    other = is_program(folder) or not (folder / "bundle.json").exists()
    if folder.exists() and other and _has_entries(folder):
        raise BundleError(f"{folder} is not empty and not a bundle; name another folder")
    weights = _weights(bundle.detector.state_dict())
    learned = _weights(bundle.backbone_weights) if bundle.backbone_weights else None
    where = "not in this folder"
    if learned is not None:
        where = "what it has learned is in backbone.safetensors, the rest not in this folder"
    training = training_json(bundle)
    description = describe(bundle) | {
        "weights_blake2b": hashlib.blake2b(weights).hexdigest(),
        "backbone_blake2b": learned and hashlib.blake2b(learned).hexdigest(),
        "training_blake2b": hashlib.blake2b(training).hexdigest(),
    }
    with replacing_folder(folder) as aside:
        with writing(aside / "detector.safetensors") as path:
            path.write_bytes(weights)
        if learned is not None:
            with writing(aside / "backbone.safetensors") as path:
                path.write_bytes(learned)
        with writing(aside / "training.json") as path:
            path.write_bytes(training)
        write_familiarity(bundle.familiarity, aside)
        write_text(aside / "NOTICE.txt", notice(bundle, backbone=where))
        write_text(aside / "bundle.json", json.dumps(description, indent=2, allow_nan=False) + "\n")


def _has_entries(folder: Path) -> bool:
    return not folder.is_dir() or any(folder.iterdir())


def _read_file(folder: Path, description: Mapping[str, Any], name: str) -> bytes:
    """The bytes of one of `_FILES`; none, where the bundle was made without it."""
    if name == "backbone" and description.get("backbone_blake2b") is None:
        return b""  # trained on stored features
    path = folder / _FILES[name]
    data = path.read_bytes() if path.is_file() else b""
    if hashlib.blake2b(data).hexdigest() != description[f"{name}_blake2b"]:
        raise BundleError(
            f"{path} is not the file that bundle.json describes; copy the bundle again, whole"
        )
    return data


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle.

    Raises:
        BundleError: there is none, it is damaged, or it was made by a later version.
    """
    if is_program(folder):
        raise BundleError(
            f"{folder} is an exported program, which only predicts: name the bundle that it was "
            "made from"
        )
    if is_ensemble(folder):
        raise BundleError(
            f"{folder} is an ensemble: where one bundle is wanted, name one of its members, such "
            f"as {folder / MEMBERS / 'NAME'}"
        )
    missing = [name for name in _NAMES if not (folder / name).is_file()]
    if missing:
        raise BundleError(
            f"no model bundle at {folder}: {', '.join(missing)} missing. "
            "Make one with `workzone train`, or name another with --model."
        )
    try:
        description = read_json(folder)
        data = {name: _read_file(folder, description, name) for name in _FILES}
        config, parts = parse_description(folder, description, data["training"])
        detector = make_detector(config)
        detector.load_state_dict(safetensors.torch.load(data["weights"]))
        learned = safetensors.torch.load(data["backbone"]) if data["backbone"] else {}
        for name, state in (("weights", detector.state_dict()), ("backbone", learned)):
            broken = [n for n, value in state.items() if not torch.isfinite(value).all()]
            if broken:
                raise BundleError(
                    f"{folder / _FILES[name]}: {', '.join(broken)} hold values that are not "
                    "finite numbers, so no probability could be given; train again"
                )
        return Bundle(detector=detector.eval(), backbone_weights=learned, **parts)
    except BundleError:
        raise
    except KeyError as error:
        raise BundleError(f"the bundle at {folder} is damaged: {error} is missing") from error
    except Exception as error:  # a damaged file can fail in any way
        raise BundleError(f"the bundle at {folder} is damaged: {error}") from error
