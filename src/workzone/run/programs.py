"""From a folder to the program in it: an exported one, or a bundle's, run by torch."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from workzone.decide.bundle_json import (
    check_model,
    is_program,
    shipped_bundle,
    shipped_name,
    shipped_program,
)
from workzone.decide.ensemble import Ensemble, is_ensemble
from workzone.engine.choose import check_choice, load_program
from workzone.engine.ensemble import EnsembleProgram
from workzone.engine.ensemble_folder import exported_members, load_exported_ensemble
from workzone.engine.program import Program
from workzone.errors import BundleError, MissingExtraError, UsageError, needing_train

if TYPE_CHECKING:
    from workzone.backbones.base import Backbone
    from workzone.decide.bundle import Bundle


def open_program(
    folder: Path | None,
    *,
    engine: str | None = None,
    precision: str | None = None,
    weights: str | Path | None = None,
    device: str = "cpu",
) -> Program:
    """Open a model as a program; see :func:`workzone.load`.

    Raises:
        BundleError, BackboneError, MissingExtraError, UsageError: see :func:`workzone.load`.
    """
    has_torch = find_spec("torch") is not None
    if engine is not None:
        check_choice(engine, precision or "float32")
    name = shipped_name(folder)
    if name is not None:
        of_torch = weights is not None or (has_torch and device not in ("cpu", "tensorrt"))
        by_torch = engine == "torch" or (engine is None and of_torch)
        folder = shipped_bundle(name) if by_torch else shipped_program(name)
    assert folder is not None
    check_model(folder)
    if is_program(folder):
        if weights is not None:
            raise UsageError(
                f"{folder} is an exported program, which has its weights: leave out --weights"
            )
        return load_program(folder, engine=engine, precision=precision, device=device)
    several = is_ensemble(folder)
    if several and exported_members(folder):
        if weights is not None:
            raise UsageError(f"{folder} has its weights: leave out --weights")
        return load_exported_ensemble(folder, engine=engine, precision=precision, device=device)
    if engine in (None, "torch"):
        check_choice("torch", precision or "float32")
    else:
        raise UsageError(
            f"{folder} is a bundle, which engine torch runs. For engine {engine} write a program "
            f"of it first: workzone export {folder} -o FOLDER --engine {engine}"
            + (f" --precision {precision}" if precision else "")
        )
    purpose = f"{folder} is a bundle, not an exported program: opening it"
    if not has_torch:
        raise MissingExtraError("torch", "train", purpose)
    with needing_train(purpose):
        from workzone.decide.bundle import read_bundle
        from workzone.model.kernels import log_attention_kernel
        from workzone.run.backbone import bundle_backbone

        if several:
            return _open_ensemble(folder, weights=weights, device=device, precision=precision)
        bundle = read_bundle(folder)
        backbone = bundle_backbone(bundle, weights=weights, device=device, precision=precision)
    log_attention_kernel(bundle.config, bundle.detector.device)
    return bundle_program(bundle, backbone, precision=precision)


def _open_ensemble(
    folder: Path, *, weights: str | Path | None, device: str, precision: str | None
) -> EnsembleProgram:
    """An ensemble of bundles as a program of torch."""
    from workzone.decide.models import read_model
    from workzone.run.ensembles import backbones_of

    ensemble = read_model(folder)
    assert isinstance(ensemble, Ensemble)
    backbones = backbones_of(ensemble, weights=weights, device=device, precision=precision)
    return ensemble_program(ensemble, backbones, precision=precision)


def ensemble_program(
    ensemble: Ensemble, backbones: Sequence[Backbone], *, precision: str | None = None
) -> EnsembleProgram:
    """An ensemble of bundles, each with its backbone, as a program of torch.

    For its arguments and errors see `bundle_program`.
    """
    from workzone.decide.models import bundles_of

    members = zip(bundles_of(ensemble), backbones, strict=True)
    programs = [bundle_program(one, backbone, precision=precision) for one, backbone in members]
    return EnsembleProgram(ensemble, programs)


def bundle_program(
    bundle: Bundle, backbone: Backbone | None = None, *, precision: str | None = None
) -> Program:
    """A bundle with its backbone as a program of torch.

    Args:
        bundle: the model.
        backbone: None: the bundle's own.
        precision: of the backbone; None: the one that its features were made in; see
            :func:`workzone.engine.torch_engine.torch_program`.

    Raises:
        BundleError: the backbone has other weights than the ones the detector was trained on, or
            wants images normalised otherwise.
        MissingExtraError, UsageError: its weights cannot be stored in that precision.
    """
    from workzone.engine.torch_engine import torch_program
    from workzone.run.backbone import bundle_backbone

    backbone = backbone or bundle_backbone(bundle)
    if backbone.weight_hash != bundle.spec.weight_hash:
        raise BundleError(
            f"the detector was trained on {bundle.spec.backbone} with weights "
            f"{bundle.spec.weight_hash}, these are {backbone.weight_hash}; "
            "load the same weights (--weights)"
        )
    if (backbone.mean, backbone.std) != (bundle.spec.mean, bundle.spec.std):
        raise BundleError(
            f"the detector was trained on images normalised with mean {bundle.spec.mean} and "
            f"deviation {bundle.spec.std}, these weights want {backbone.mean} and "
            f"{backbone.std}: name their folder with its old preprocessor_config.json"
        )
    return torch_program(bundle, backbone, precision=precision)
