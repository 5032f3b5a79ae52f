"""What `bundle.json` and the files beside it say of a model, of a bundle or of an exported program.

Nothing here needs torch.
"""

from __future__ import annotations

import dataclasses
import importlib.resources
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from workzone.backbones.names import VARIANTS
from workzone.config import from_mapping
from workzone.decide.calibration import Calibration
from workzone.decide.conformal import ConformalSets
from workzone.decide.description import Description
from workzone.decide.familiarity import Familiarity, familiarity_json, read_familiarity
from workzone.decide.test_time import TestTimeConfig
from workzone.decide.threshold import HALF
from workzone.errors import BundleError, nearest
from workzone.features.spec import FeatureSpec
from workzone.features.text_spec import TextSpec
from workzone.model.config import DetectorConfig
from workzone.views import PREPROCESSING_VERSION

T = TypeVar("T")

logger = logging.getLogger(__name__)


FORMAT = 2


SHIPPED = ("lite",)
"""The models in the package's folder ``weights``."""

DEFAULT_MODEL = SHIPPED[0]
"""Taken where no model is named."""


def plain(part: Any) -> dict[str, Any] | None:
    """A part of a description as plain values; None where there is none."""
    return None if part is None else dataclasses.asdict(part)


def describe(description: Description) -> dict[str, Any]:
    """What `bundle.json` says of a model, but for the hashes of its files."""
    return {
        "format": FORMAT,
        "detector": plain(description.config),
        "features": description.spec.to_json(),
        "text_model": plain(description.text_model),
        "calibration": plain(description.calibration),
        "metadata_calibration": plain(description.metadata_calibration),
        "test_time": plain(description.test_time),
        "familiarity": familiarity_json(description.familiarity),
        "conformal": plain(description.conformal),
        "backbone_licence": description.backbone_licence,
        "provenance": dict(description.provenance),
    }


def training_json(description: Description) -> bytes:
    """`training.json`: content hashes and groups of the images that the model learned from."""
    images, groups = description.training_images, description.training_groups
    return (json.dumps({"images": sorted(images), "groups": sorted(groups)}) + "\n").encode()


def notice(description: Description, *, backbone: str) -> str:
    """`NOTICE.txt`: licences of the parts.

    Args:
        description: of the model.
        backbone: where the backbone's weights are, for people.
    """
    sources = description.provenance.get("sources") or ["not stated"]
    own = _notice_of(description.spec.backbone)
    return (
        "This model was made with workzone (Apache-2.0).\n\n"
        f"It works on features of the backbone {description.spec.backbone} "
        f"({backbone}). Licence of its weights: {description.backbone_licence}.\n\n"
        f"Training data, by the manifest's source column: {', '.join(sources)}. "
        "Their licences decide what this model may be used for.\n" + (own and f"\n{own}")
    )


def _notice_of(backbone: str) -> str:
    """What comes with a backbone whose weights come with workzone; "": with none of those."""
    for variant in VARIANTS:
        if variant.tuned_from and backbone in (variant.name, variant.trunk):
            return (_weights(variant.name) / "NOTICE.txt").read_text(encoding="utf-8")
    return ""


def shipped_bundle(name: str = DEFAULT_MODEL) -> Path:
    """The folder of one of `SHIPPED` as a bundle, the form that is trained and judged.

    Raises:
        BundleError: this copy of workzone has none.
    """
    return _shipped(name)


def shipped_program(name: str = DEFAULT_MODEL) -> Path:
    """The folder of one of `SHIPPED` as a program, the form that ONNX Runtime and OpenVINO run.

    Raises:
        BundleError: this copy of workzone has none.
    """
    return _shipped(f"{name}-onnx")


def shipped_name(model: Path | None) -> str | None:
    """Which of `SHIPPED` is meant; None: a folder of one's own.

    A model in a folder that has a name of `SHIPPED` is meant before that one.

    Args:
        model: a folder, a name of `SHIPPED`, or None for `DEFAULT_MODEL`.
    """
    if model is None:
        return DEFAULT_MODEL
    own = (model / "bundle.json").is_file()
    return str(model) if str(model) in SHIPPED and not own else None


def _weights(name: str) -> Path:
    return Path(str(importlib.resources.files("workzone") / "weights" / name))


def _shipped(name: str) -> Path:
    folder = _weights(name)
    if not (folder / "bundle.json").is_file():
        raise BundleError(
            f"no model {name} comes with this copy of workzone (looked in {folder}). Make one with "
            "`workzone train`, and name it with --model."
        )
    return folder


def is_program(folder: Path) -> bool:
    """Whether a folder holds an exported program, rather than a bundle to train on or nothing."""
    try:
        text = (folder / "bundle.json").read_text(encoding="utf-8")
        return "program" in json.loads(text)
    except (OSError, ValueError, TypeError):
        return False


def check_model(folder: Path) -> None:
    """Make sure that there is a model of some kind in a folder.

    Raises:
        BundleError: there is none, or its `bundle.json` cannot be read.
    """
    path = folder / "bundle.json"
    if not path.is_file():
        raise BundleError(
            f"no model bundle at {folder}: bundle.json missing. "
            "Make one with `workzone train`, or name another with --model."
            + (
                f" Of those within workzone: {nearest(str(folder), SHIPPED)}."
                if len(folder.parts) == 1 and not folder.exists()
                else ""
            )
        )
    try:
        if not isinstance(json.loads(path.read_text(encoding="utf-8")), dict):
            raise ValueError("it holds no names and values")
    except (OSError, ValueError) as error:
        raise BundleError(
            f"the bundle at {folder} is damaged: bundle.json cannot be read ({error})"
        ) from error


def _read_part(kind: type[T], description: Mapping[str, Any], name: str) -> T | None:
    value = description[name]
    return None if value is None else from_mapping(kind, value, where=name)


def _read_familiarity(
    folder: Path, held: Mapping[str, Any], config: DetectorConfig
) -> tuple[Familiarity | None, TestTimeConfig | None]:
    """What is known of training images, and the looks, which may need it."""
    familiarity = read_familiarity(folder, held.get("familiarity"))
    if familiarity is not None and len(familiarity.distances) != config.scene_parts:
        raise BundleError(
            f"the bundle at {folder} is damaged: what it knows of training images is of another "
            "kind of detector"
        )
    test_time = _read_part(TestTimeConfig, {"test_time": None, **held}, "test_time")
    of_before = familiarity is None and held.get("familiarity") is not None
    if of_before and test_time is not None and test_time.choose == "familiar":
        logger.warning(
            "%s: it sees images once, as its looks go by what it no longer knows of training "
            "images; renew that, then fit the looks: workzone models looks %s --data MANIFEST",
            folder,
            folder,
        )
        test_time = None
    return familiarity, test_time


def _read_calibration(description: Mapping[str, Any], name: str) -> Calibration | None:
    """A calibration; a cut that was chosen before it told its share holds for an unknown one."""
    found = _read_part(Calibration, description, name)
    if found is None or "share" in description[name] or found.threshold == HALF:
        return found
    return dataclasses.replace(found, share=None)


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
    familiarity, test_time = _read_familiarity(folder, held, config)
    return config, {
        "spec": spec,
        "calibration": _read_calibration(held, "calibration") or Calibration(),
        "backbone_licence": held["backbone_licence"],
        "provenance": held["provenance"],
        "training_images": frozenset(seen["images"]),
        "training_groups": frozenset(seen["groups"]),
        "metadata_calibration": _read_calibration(held, "metadata_calibration"),
        "text_model": _read_part(TextSpec, held, "text_model"),
        # Bundles made before these were there have none.
        "test_time": test_time,
        "familiarity": familiarity,
        "conformal": _read_part(ConformalSets, {"conformal": None, **held}, "conformal"),
    }
