"""Any image model of timm as a backbone, under the name ``timm:<model>``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from workzone.backbones.base import Backbone
from workzone.backbones.hub import hub_failure
from workzone.errors import BackboneError, nearest

PREFIX = "timm:"


class TimmBackbone(Backbone):
    """Wraps a timm model without its classifier.

    The grid is what ``forward_features`` gives: token sequences lose their class and register
    tokens, maps are read in the model's own layout (NCHW or NHWC).

    Args:
        model: from ``timm.create_model(..., num_classes=0)``.
        name: canonical name.
        any_size: False where the model takes its default size only.
    """

    def __init__(self, model: nn.Module, name: str, *, any_size: bool = True) -> None:
        timm_model: Any = model
        settings = timm_model.pretrained_cfg
        if not getattr(timm_model, "feature_info", None):
            raise BackboneError(
                f"backbone {name!r} does not tell the stride of its features; choose another one"
            )
        multiple = int(timm_model.feature_info[-1]["reduction"])
        prefix = int(getattr(timm_model, "num_prefix_tokens", 0))
        published_size = int(settings["input_size"][-1])
        super().__init__(
            model,
            name=name,
            width=int(timm_model.num_features),
            multiple=multiple,
            mean=tuple(settings["mean"]),
            std=tuple(settings["std"]),
            default_size=published_size // multiple * multiple if any_size else published_size,
            licence=settings.get("license") or "see the model's page",
            has_cls=getattr(timm_model, "cls_token", None) is not None,
            channels_last=prefix == 0,
        )
        self._prefix = prefix
        self._channels_first = getattr(timm_model, "output_fmt", "NCHW") == "NCHW"
        self._only_size = None if any_size else published_size

    def check_size(self, size: int) -> None:
        """See :meth:`Backbone.check_size`; some models take one size only.

        Raises:
            BackboneError: naming the sizes that work.
        """
        if self._only_size is not None and size != self._only_size:
            raise BackboneError(
                f"size {size} does not fit backbone {self.name!r}: it takes {self._only_size} only"
            )
        super().check_size(size)

    def tokens(self, normalised: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor]:
        """Class token ``[M, D]`` or None, and patch tokens ``[M, N, D]``."""
        features = self.model.forward_features(normalised)  # type: ignore[operator]
        if features.ndim == 3:
            return (features[:, 0] if self.has_cls else None), features[:, self._prefix :]
        if features.ndim == 4:
            if self._channels_first:
                features = features.permute(0, 2, 3, 1)
            return None, features.flatten(1, 2)
        raise BackboneError(
            f"backbone {self.name!r} gives features {list(features.shape)}, not a grid; "
            "choose another one"
        )


def load_timm(name: str, *, weights: Path | None = None, random: bool = False) -> Backbone:
    """A timm model as a backbone.

    Args:
        name: ``timm:<model>``, with or without the tag of its weights.
        weights: a safetensors file or a state dict (never unpickled); None for the hub.
        random: random weights instead.

    Raises:
        BackboneError: unknown model, or weights that cannot be had or do not fit.
    """
    import timm
    from timm.models import split_model_name_tag

    model_name = name.removeprefix(PREFIX)
    architecture = split_model_name_tag(model_name)[0]
    if not timm.is_model(architecture):
        known = timm.list_models()
        raise BackboneError(f"timm has no model {architecture!r}; {_suggest(architecture, known)}")
    pretrained = weights is None and not random
    try:
        model, any_size = _create(model_name, pretrained=pretrained)
    except (OSError, RuntimeError) as error:
        if not pretrained:
            raise BackboneError(f"timm cannot build {model_name!r}: {error}") from error
        raise hub_failure(name, f"timm/{model_name}", error) from error
    if weights is not None:
        _load_file(model, weights, name)
    return TimmBackbone(model, name, any_size=any_size)


def _suggest(architecture: str, known: list[str]) -> str:
    """Over a thousand names: the nearest ones only."""
    hint, _, _ = nearest(architecture, known).partition("allowed:")
    return f"{hint}see timm.list_models() for the {len(known)} names"


def _create(model_name: str, *, pretrained: bool) -> tuple[nn.Module, bool]:
    """The model, and whether it takes any multiple of its stride."""
    import timm

    try:  # vision transformers interpolate their positions only when asked to
        model = timm.create_model(
            model_name, pretrained=pretrained, num_classes=0, dynamic_img_size=True
        )
        return model, True
    except TypeError:
        model = timm.create_model(model_name, pretrained=pretrained, num_classes=0)
        return model, not model.pretrained_cfg.get("fixed_input_size", False)


def _load_file(model: Any, path: Path, name: str) -> None:
    from timm.models import load_state_dict

    if not path.is_file():
        raise BackboneError(f"no weights of {name!r} at {path}: a safetensors file is needed")
    try:
        state = load_state_dict(str(path), device="cpu", weights_only=True)
    except Exception as error:  # safetensors, zip and pickle readers each have their own
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise BackboneError(
            f"the weights of {name!r} at {path} cannot be read: {first_line}. "
            "A safetensors file or a plain state dict is needed."
        ) from error
    classifiers = model.pretrained_cfg.get("classifier") or ()
    heads = (classifiers,) if isinstance(classifiers, str) else tuple(classifiers)
    state = {
        key: value
        for key, value in state.items()
        if key.rpartition(".")[0] not in heads  # the classifier is not wanted
    }
    expected = model.state_dict()
    wrong = sorted(
        key
        for key in expected.keys() | state.keys()
        if key not in state or key not in expected or state[key].shape != expected[key].shape
    )
    if wrong:
        raise BackboneError(
            f"{path} does not hold the weights of {name!r}: {len(wrong)} tensors are missing, "
            f"unknown or of another shape, the first is {wrong[0]}. "
            "Name the model that the file was saved from."
        )
    model.load_state_dict(state)
