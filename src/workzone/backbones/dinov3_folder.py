"""A folder with DINOv3 weights: its architecture, its normalisation and its tensors, checked."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from workzone.backbones.base import IMAGENET_MEAN, IMAGENET_STD
from workzone.errors import BackboneError

MODEL_TYPES = ("dinov3_vit", "dinov3_convnext")

WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
"""Whole, or in shards."""

FIELDS = {
    "dinov3_vit": (
        "patch_size",
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "hidden_act",
        "layer_norm_eps",
        "rope_theta",
        "query_bias",
        "key_bias",
        "value_bias",
        "proj_bias",
        "mlp_bias",
        "use_gated_mlp",
        "num_register_tokens",
    ),
    "dinov3_convnext": ("hidden_sizes", "depths", "hidden_act", "layer_norm_eps"),
}
"""What of a configuration changes the features. Heads, angles and activations leave no trace in the
shapes of the weights, so that these have to be compared too."""

RGB = tuple[float, float, float]


@dataclass(frozen=True)
class DINOv3Folder:
    """What the small files of a folder say."""

    path: Path
    config: Any  # transformers' DINOv3ViTConfig or DINOv3ConvNextConfig
    mean: RGB  # of the normalisation, 0..1
    std: RGB


def model_class(model_type: str) -> Any:
    """transformers' class of a model type."""
    from transformers import DINOv3ConvNextModel, DINOv3ViTModel

    return DINOv3ViTModel if model_type == "dinov3_vit" else DINOv3ConvNextModel


def architecture(config: Any) -> dict[str, Any]:
    """The fields of a configuration that change the features."""
    return {field: getattr(config, field) for field in FIELDS[config.model_type]}


def read_folder(path: Path) -> DINOv3Folder:
    """Read ``config.json`` and, where there is one, ``preprocessor_config.json``.

    Without the latter images are normalised as ImageNet's, as the published models want it.

    Raises:
        BackboneError: no such folder, no DINOv3 in it, or one that cannot be computed here.
    """
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise BackboneError(
            f"no weights at {path}, which {what}: a folder with config.json and model.safetensors "
            "is needed (as downloaded from the hub)"
        )
    config = _config(path)
    if list(path.glob("adapter_config.json")):
        raise BackboneError(
            f"{path} holds an adapter (adapter_config.json) beside or instead of the weights: "
            "merge it into them (peft: merge_and_unload) and save the whole model"
        )
    if not any((path / name).is_file() for name in WEIGHTS):
        pickles = [file.name for file in path.glob("*.bin")]
        found = f" ({pickles[0]} is a pickle, which is never opened)" if pickles else ""
        raise BackboneError(
            f"no {WEIGHTS[0]} in {path}{found}: save the model again with save_pretrained, which "
            "writes it"
        )
    mean, std = _normalisation(path / "preprocessor_config.json")
    return DINOv3Folder(path, config, mean, std)


def _read_json(file: Path) -> dict[str, Any]:
    try:
        values = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise BackboneError(f"{file} cannot be read: {error}; download the folder again") from error
    if not isinstance(values, dict):
        raise BackboneError(f"{file} holds no settings; download the folder again")
    return values


def _config(path: Path) -> Any:
    file = path / "config.json"
    if not file.is_file():
        raise BackboneError(
            f"no weights at {path}: a folder with config.json and model.safetensors is needed "
            "(as downloaded from the hub)"
        )
    values = _read_json(file)
    model_type = values.get("model_type")
    if model_type not in MODEL_TYPES:
        timm = "architecture" in values  # timm's own word, for which transformers has a list
        instead = (
            f"--backbone timm:{values['architecture']} with --weights model.safetensors"
            if timm
            else f"model_type must be one of {', '.join(MODEL_TYPES)}"
        )
        raise BackboneError(f"{file} is not of a DINOv3 (model_type {model_type!r}): {instead}")
    if "quantization_config" in values:
        raise BackboneError(
            f"{file} is of quantized weights, which are not supported: take the model in float32, "
            "float16 or bfloat16"
        )
    kind = model_class(model_type)
    for unused in ("out_features", "out_indices", "stage_names"):  # stale once layers are pruned
        values.pop(unused, None)
    try:
        config = kind.config_class.from_dict(values)
    except Exception as error:  # each field has its own check, in transformers and below it
        raise BackboneError(f"{file} is not valid: {_in_one_line(error)}") from error
    _check(config, file)
    try:
        with torch.device("meta"):
            kind(config)
    except Exception as error:  # a width that is no number, an activation that is none
        raise BackboneError(f"{file}: no model can be built: {_in_one_line(error)}") from error
    return config


def _check(config: Any, file: Path) -> None:
    """What transformers would take, and compute something else or fail at the first image."""
    mistake = ""
    if config.num_channels != 3:
        mistake = f"num_channels is {config.num_channels}, images have 3"
    elif config.model_type == "dinov3_vit":
        mistake = _mistake_of_vit(config)
    elif len(config.depths) != len(config.hidden_sizes) or not config.depths:
        mistake = f"hidden_sizes {config.hidden_sizes} and depths {config.depths} do not match"
    if mistake:
        raise BackboneError(f"{file}: {mistake}; the features cannot be computed")


def _mistake_of_vit(config: Any) -> str:
    width, heads, side = config.hidden_size, config.num_attention_heads, config.patch_size
    if isinstance(side, (list, tuple)) and len(set(side)) == 1:
        side = config.patch_size = side[0]  # [16, 16] says 16
    if not isinstance(side, int) or side < 1:
        return f"patch_size {side!r} is not one whole number above 0 (patches are squares)"
    if min(width, heads, config.num_hidden_layers) < 1 or config.num_register_tokens < 0:
        return "a size is below 1"
    if width % heads or width // heads % 4:  # rotary positions turn pairs, along both axes
        return f"hidden_size {width} is not {heads} heads of a multiple of 4 each"
    return ""


def _normalisation(file: Path) -> tuple[RGB, RGB]:
    """Mean and deviation that the folder's images are to be normalised with."""
    if not file.is_file():
        return IMAGENET_MEAN, IMAGENET_STD
    values = _read_json(file)
    factor = values.get("rescale_factor", 1 / 255)
    if not values.get("do_rescale", True) or not _close(factor, 1 / 255):
        raise BackboneError(
            f"{file}: do_rescale must be true and rescale_factor 1/255, since pixels are "
            "normalised from the range 0 to 1"
        )
    if not values.get("do_normalize", True):
        return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    mean = _three(values.get("image_mean", IMAGENET_MEAN), file, "image_mean")
    std = _three(values.get("image_std", IMAGENET_STD), file, "image_std")
    if min(std) <= 0:
        raise BackboneError(f"{file}: image_std {list(std)} must be above 0")
    return mean, std


def _close(value: Any, expected: float) -> bool:
    return isinstance(value, (int, float)) and abs(value - expected) < 1e-6


def _three(value: Any, file: Path, name: str) -> RGB:
    """One number per channel; some processors write one for all."""
    values = value if isinstance(value, (list, tuple)) else [value] * 3
    if len(values) != 3 or not all(type(v) in (int, float) and -1e6 < v < 1e6 for v in values):
        raise BackboneError(f"{file}: {name} is {value!r}; three numbers are needed")
    red, green, blue = (float(v) for v in values)
    return red, green, blue


def read_weights(folder: DINOv3Folder) -> nn.Module:
    """The network with the folder's tensors, in float32, every one of them accounted for.

    Raises:
        BackboneError: a damaged or missing file; tensors that are missing, of another shape, or of
            a layer that the configuration does not have.
    """
    from safetensors import SafetensorError

    try:
        _check_types(folder.path)
        model, loading = model_class(folder.config.model_type).from_pretrained(
            str(folder.path),
            config=folder.config,
            dtype=torch.float32,  # whatever the file holds
            use_safetensors=True,
            local_files_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # reported below, with a way out
        )
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise BackboneError(
            f"the weights at {folder.path} cannot be read: {_in_one_line(error)}. "
            "Download the folder again."
        ) from error
    check_tensors(model, loading, str(folder.path))
    network: nn.Module = model
    return network


def _check_types(path: Path) -> None:
    """Refuse numbers that mean something only together with a scale that lies elsewhere."""
    from safetensors import safe_open

    for file in sorted(path.glob("model*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 - no mapping
                kind = tensors.get_slice(name).get_dtype()
                if kind not in ("F64", "F32", "F16", "BF16"):
                    raise BackboneError(
                        f"{file}: {name} is of type {kind}, as quantized weights are; take the "
                        "model in float32, float16 or bfloat16"
                    )


def check_tensors(model: Any, loading: dict[str, Any], source: str) -> None:
    """Make sure that the file and the architecture have the same tensors.

    A head beside the trunk, as of a classifier, is left out.

    Raises:
        BackboneError: otherwise.
    """
    mismatched = [key for key, *_ in loading["mismatched_keys"]]
    wrong = sorted([*loading["missing_keys"], *mismatched])
    if wrong:
        raise BackboneError(
            f"{source} does not hold the weights that its config.json describes: {len(wrong)} "
            f"tensors are missing or of another shape, the first is {wrong[0]}. "
            "Download the folder again."
        )
    parts = {name.removeprefix("model.").split(".")[0] for name in model.state_dict()}
    unknown = sorted(
        key
        for key in loading["unexpected_keys"]
        if key.removeprefix("model.").split(".")[0] in parts
    )
    if unknown:
        raise BackboneError(
            f"{source} holds {len(unknown)} tensors that its config.json does not describe, the "
            f"first is {unknown[0]}: give the config.json that the weights were saved with."
        )


def _in_one_line(error: Exception) -> str:
    """The first lines of an error, which may go on with a table."""
    return " ".join(str(error).split())[:300] or type(error).__name__
