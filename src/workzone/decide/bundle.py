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
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import safetensors.torch
import torch

from workzone.config import from_mapping
from workzone.decide.calibration import Calibration
from workzone.decide.test_time import TestTimeConfig
from workzone.decide.threshold import HALF
from workzone.errors import BundleError, UsageError, WorkzoneError
from workzone.features.spec import FeatureSpec
from workzone.features.text_model import TextSpec
from workzone.files import sync_folder, write_text, writing
from workzone.model.detector import Detector, DetectorConfig
from workzone.views import PREPROCESSING_VERSION

T = TypeVar("T")

FORMAT = 2

DEFAULT_MODEL = "lite"
"""The bundle in the package's folder ``weights``, taken where no model is named."""

_NAMES = ("bundle.json", "detector.safetensors", "training.json")
"""What every bundle has, and needs."""
_FILES = {"weights": _NAMES[1], "training": _NAMES[2], "backbone": "backbone.safetensors"}
"""The files that bundle.json has a hash of."""


@dataclass(frozen=True)
class Bundle:
    """A detector with what it needs to be used, and where it comes from.

    Raises:
        UsageError: the parts do not fit: metadata without a calibration, another text model.
    """

    detector: Detector
    spec: FeatureSpec
    calibration: Calibration  # of probabilities given on the image alone
    backbone_licence: str
    provenance: Mapping[str, Any] = field(default_factory=dict)
    training_images: frozenset[str] = frozenset()  # content hashes
    training_groups: frozenset[str] = frozenset()
    metadata_calibration: Calibration | None = None  # of probabilities given with metadata
    backbone_weights: Mapping[str, torch.Tensor] = field(default_factory=dict)  # learned, by name
    text_model: TextSpec | None = None  # whose vectors the detector takes; None: it takes no text
    test_time: TestTimeConfig | None = None  # several looks at an image; None: one

    def __post_init__(self) -> None:
        metadata = self.detector.config.metadata
        if (metadata is None) != (self.metadata_calibration is None):
            raise UsageError(
                "a bundle has a metadata_calibration if, and only if, its detector takes metadata"
            )
        spec = self.text_model
        asked = (0, "") if metadata is None else (metadata.text, metadata.text_key)
        given = (0, "") if spec is None else (spec.width, spec.key())
        if (asked[0] or given[0]) and asked != given:
            raise UsageError(
                f"its detector takes text vectors of width {asked[0]} and key "
                f"{asked[1] or 'none'}, its text_model gives width {given[0]} and key "
                f"{given[1] or 'none'}; name the text model that it was trained with"
            )

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

    def with_test_time(self, copies: int | None) -> Bundle:
        """The same that looks at ``copies`` augmented copies too; 0: none; None: as it is.

        Raises:
            UsageError: more copies than there may be.
        """
        if copies is None:
            return self
        if copies == 0:
            return dataclasses.replace(self, test_time=None)
        config = dataclasses.replace(self.test_time or TestTimeConfig(), copies=copies)
        return dataclasses.replace(self, test_time=config)

    def with_share(self, share: float | None) -> Bundle:
        """The same for images of which this share, in (0, 1), shows road work; None: as it is.

        Raises:
            UsageError: a share out of range.
        """
        if share is None:
            return self
        told = self.metadata_calibration
        return dataclasses.replace(
            self,
            calibration=self.calibration.at_share(share),
            metadata_calibration=None if told is None else told.at_share(share),
        )

    def with_view_size(self, size: int | None) -> Bundle:
        """The same that sees views of another side, in pixels; None: as it is.

        Smaller views are read faster, in larger ones smaller things are seen. Only a dense detector
        can do this: it judges cells, of which there may be any number.

        Raises:
            UsageError: another kind of detector, or a size that is no multiple of a cell's.
        """
        layout, (rows, _) = self.spec.layout, self.spec.grid_size
        if size is None or size == layout.size:
            return self
        if self.detector.config.cells is None:
            raise UsageError(
                f"--size: this model knows views of {layout.size} px and no others; dense models "
                "(workzone train --preset dense, and the one that comes with workzone) take any"
            )
        cell = layout.size // rows
        multiple = 2 * cell if layout.halves else cell
        if size < multiple or size % multiple:
            lower = max(1, size // multiple) * multiple
            raise UsageError(
                f"--size {size} is no multiple of {multiple}"
                f"{', twice' if layout.halves else ','} the side of a cell: "
                f"the nearest are {lower} and {lower + multiple}"
            )
        spec = dataclasses.replace(
            self.spec,
            layout=dataclasses.replace(layout, size=size),
            grid_size=(size // cell, size // cell),
        )
        return dataclasses.replace(self, spec=spec)


def _plain(
    part: DetectorConfig | Calibration | TextSpec | TestTimeConfig | None,
) -> dict[str, Any] | None:
    return None if part is None else dataclasses.asdict(part)


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
    known = {"images": sorted(bundle.training_images), "groups": sorted(bundle.training_groups)}
    training = (json.dumps(known) + "\n").encode()
    description = {
        "format": FORMAT,
        "detector": _plain(bundle.detector.config),
        "features": bundle.spec.to_json(),
        "text_model": _plain(bundle.text_model),
        "calibration": _plain(bundle.calibration),
        "metadata_calibration": _plain(bundle.metadata_calibration),
        "test_time": _plain(bundle.test_time),
        "weights_blake2b": hashlib.blake2b(weights).hexdigest(),
        "backbone_blake2b": learned and hashlib.blake2b(learned).hexdigest(),
        "training_blake2b": hashlib.blake2b(training).hexdigest(),
        "backbone_licence": bundle.backbone_licence,
        "provenance": dict(bundle.provenance),
    }
    aside = folder.with_name(f".{folder.name}.{os.getpid()}.part")
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    try:
        with writing(aside / "detector.safetensors") as path:
            path.write_bytes(weights)
        if learned is not None:
            with writing(aside / "backbone.safetensors") as path:
                path.write_bytes(learned)
        with writing(aside / "training.json") as path:
            path.write_bytes(training)
        write_text(aside / "NOTICE.txt", _notice(bundle))
        write_text(aside / "bundle.json", json.dumps(description, indent=2, allow_nan=False) + "\n")
        if folder.exists():
            folder.replace(old)
        aside.replace(folder)
        sync_folder(folder.parent)
    except OSError as error:
        if old.exists() and not folder.exists():
            old.replace(folder)
        raise WorkzoneError(
            f"cannot write {folder}: {error.strerror or error}. Name another folder."
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)


def _has_entries(folder: Path) -> bool:
    return not folder.is_dir() or any(folder.iterdir())


def _notice(bundle: Bundle) -> str:
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
        description = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
        if description["format"] != FORMAT:
            raise BundleError(
                f"{folder} has bundle format {description['format']}, this version of workzone "
                f"reads {FORMAT}; update workzone or train again"
            )
        data = {name: _read_file(folder, description, name) for name in _FILES}
        known = json.loads(data["training"])
        spec = FeatureSpec.from_json(description["features"])
        config = from_mapping(DetectorConfig, description["detector"], where="detector")
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
        detector = Detector(config)
        detector.load_state_dict(safetensors.torch.load(data["weights"]))
        learned = safetensors.torch.load(data["backbone"]) if data["backbone"] else {}
        for name, state in (("weights", detector.state_dict()), ("backbone", learned)):
            broken = [n for n, value in state.items() if not torch.isfinite(value).all()]
            if broken:
                raise BundleError(
                    f"{folder / _FILES[name]}: {', '.join(broken)} hold values that are not "
                    "finite numbers, so no probability could be given; train again"
                )
        return Bundle(
            detector=detector.eval(),
            spec=spec,
            calibration=_read_calibration(description, "calibration") or Calibration(),
            backbone_licence=description["backbone_licence"],
            provenance=description["provenance"],
            training_images=frozenset(known["images"]),
            training_groups=frozenset(known["groups"]),
            metadata_calibration=_read_calibration(description, "metadata_calibration"),
            text_model=_read_part(TextSpec, description, "text_model"),
            # Bundles made before it was there have none.
            test_time=_read_part(TestTimeConfig, {"test_time": None, **description}, "test_time"),
            backbone_weights=learned,
        )
    except BundleError:
        raise
    except KeyError as error:
        raise BundleError(f"the bundle at {folder} is damaged: {error} is missing") from error
    except Exception as error:  # a damaged file can fail in any way
        raise BundleError(f"the bundle at {folder} is damaged: {error}") from error
