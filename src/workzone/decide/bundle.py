"""A bundle: the folder that holds all a decision needs.

::

    bundle.json           configuration, feature spec, text model, calibrations, provenance
    detector.safetensors  the detector's weights
    backbone.safetensors  the backbone's weights that were learned, of training from pixels alone
    training.json         content hashes and groups of the images it learned from
    NOTICE.txt            licences of the parts

Nothing in it is ever unpickled.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.resources
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import safetensors.torch
import torch

from workzone.config import from_mapping
from workzone.decide.calibration import Calibration
from workzone.decide.description import Description
from workzone.decide.test_time import TestTimeConfig
from workzone.decide.threshold import HALF
from workzone.errors import BundleError
from workzone.features.spec import FeatureSpec
from workzone.features.text_model import TextSpec
from workzone.files import replacing_folder, write_text, writing
from workzone.model.base import AnyDetector
from workzone.model.config import DetectorConfig
from workzone.model.make import make_detector
from workzone.views import PREPROCESSING_VERSION

T = TypeVar("T")

FORMAT = 2

DEFAULT_MODEL = "lite"
"""The bundle in the package's folder ``weights``, taken where no model is named."""

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
        digest.update(json.dumps([_plain(part) for part in parts]).encode())
        if self.test_time is not None:
            digest.update(json.dumps(_plain(self.test_time)).encode())
        digest.update(_weights(self.detector.state_dict()))
        return digest.hexdigest()


def _plain(part: Any) -> dict[str, Any] | None:
    return None if part is None else dataclasses.asdict(part)


def describe(description: Description) -> dict[str, Any]:
    """What `bundle.json` says of a model, but for the hashes of its files."""
    return {
        "format": FORMAT,
        "detector": _plain(description.config),
        "features": description.spec.to_json(),
        "text_model": _plain(description.text_model),
        "calibration": _plain(description.calibration),
        "metadata_calibration": _plain(description.metadata_calibration),
        "test_time": _plain(description.test_time),
        "backbone_licence": description.backbone_licence,
        "provenance": dict(description.provenance),
    }


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
    if folder.exists() and not (folder / "bundle.json").exists() and _has_entries(folder):
        raise BundleError(f"{folder} is not empty and not a bundle; name another folder")
    weights = _weights(bundle.detector.state_dict())
    learned = _weights(bundle.backbone_weights) if bundle.backbone_weights else None
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
        write_text(aside / "NOTICE.txt", notice(bundle))
        write_text(aside / "bundle.json", json.dumps(description, indent=2, allow_nan=False) + "\n")


def _has_entries(folder: Path) -> bool:
    return not folder.is_dir() or any(folder.iterdir())


def training_json(description: Description) -> bytes:
    """`training.json`: content hashes and groups of the images that the model learned from."""
    images, groups = description.training_images, description.training_groups
    return (json.dumps({"images": sorted(images), "groups": sorted(groups)}) + "\n").encode()


def notice(bundle: Bundle) -> str:
    """`NOTICE.txt`: licences of the parts."""
    sources = bundle.provenance.get("sources") or ["not stated"]
    where = "not in this folder"
    if bundle.backbone_weights:
        where = "what it has learned is in backbone.safetensors, the rest not in this folder"
    return (
        "This model was made with workzone (Apache-2.0).\n\n"
        f"It works on features of the backbone {bundle.spec.backbone} "
        f"({where}). Licence of its weights: {bundle.backbone_licence}.\n\n"
        f"Training data, by the manifest's source column: {', '.join(sources)}. "
        "Their licences decide what this model may be used for.\n"
    )


def default_model() -> Path:
    """The folder of `DEFAULT_MODEL`, the bundle that comes with workzone.

    Raises:
        BundleError: this copy of workzone has none.
    """
    folder = Path(str(importlib.resources.files("workzone") / "weights" / DEFAULT_MODEL))
    if not (folder / "bundle.json").is_file():
        raise BundleError(
            f"no model comes with this copy of workzone (looked in {folder}). Make one with "
            "`workzone train`, and name it with --model."
        )
    return folder


def _read_part(kind: type[T], description: Mapping[str, Any], name: str) -> T | None:
    value = description[name]
    return None if value is None else from_mapping(kind, value, where=name)


def _read_calibration(description: Mapping[str, Any], name: str) -> Calibration | None:
    """A calibration; a cut that was chosen before it told its share holds for an unknown one."""
    found = _read_part(Calibration, description, name)
    if found is None or "share" in description[name] or found.threshold == HALF:
        return found
    return dataclasses.replace(found, share=None)


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


def read_json(folder: Path) -> dict[str, Any]:
    """What `bundle.json` of a folder holds.

    Raises:
        BundleError: it was made by a later version.
    """
    held: dict[str, Any] = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
    if held["format"] != FORMAT:
        raise BundleError(
            f"{folder} has bundle format {held['format']}, this version of workzone "
            f"reads {FORMAT}; update workzone or train again"
        )
    return held


def parse_description(
    folder: Path, held: Mapping[str, Any], training: bytes
) -> tuple[DetectorConfig, dict[str, Any]]:
    """The detector's shape, and the fields of a `Description`, from the files of a folder.

    Raises:
        BundleError: the parts do not fit each other or this version of workzone.
    """
    spec = FeatureSpec.from_json(held["features"])
    config = from_mapping(DetectorConfig, held["detector"], where="detector")
    if spec.preprocessing != PREPROCESSING_VERSION:
        raise BundleError(
            f"the bundle at {folder} was made with preprocessing {spec.preprocessing}, this "
            f"version of workzone does {PREPROCESSING_VERSION}; train again"
        )
    if config.width != spec.width:
        raise BundleError(
            f"the bundle at {folder} is damaged: its detector takes features of width "
            f"{config.width}, its features have {spec.width}"
        )
    seen = json.loads(training)
    return config, {
        "spec": spec,
        "calibration": _read_calibration(held, "calibration") or Calibration(),
        "backbone_licence": held["backbone_licence"],
        "provenance": held["provenance"],
        "training_images": frozenset(seen["images"]),
        "training_groups": frozenset(seen["groups"]),
        "metadata_calibration": _read_calibration(held, "metadata_calibration"),
        "text_model": _read_part(TextSpec, held, "text_model"),
        # Bundles made before it was there have none.
        "test_time": _read_part(TestTimeConfig, {"test_time": None, **held}, "test_time"),
    }


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle.

    Raises:
        BundleError: there is none, it is damaged, or it was made by a later version.
    """
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
