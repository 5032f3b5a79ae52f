"""Teachers of tiny random weights, saved as their hub's folders are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

SIDE = 64
"""Pixels a side that the tiny SAM 3 and the tiny OWLv2 look at."""


def tiny_tokenizer(limit: int) -> Any:
    """CLIP's tokenizer with letters for words: a token for each letter, and two for the ends."""
    from transformers import CLIPTokenizer

    letters = [chr(number) for number in range(ord("!"), ord("~") + 1)]
    words = ["<|pad|>", *letters, *(f"{letter}</w>" for letter in letters)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    merges = [("c", "o"), ("n", "e</w>"), ("co", "ne</w>"), ("w", "o"), ("r", "k")]
    pieces = ["".join(pair) for pair in merges]
    vocab = {word: number for number, word in enumerate(dict.fromkeys([*words, *pieces]))}
    return CLIPTokenizer(vocab=vocab, merges=merges, model_max_length=limit)


def tiny_sam3(*, lite: bool = False, seed: int = 0, text_limit: int = 32) -> tuple[Any, Any]:
    """A SAM 3 of random weights and its processor; ``lite``: with the lighter text tower."""
    from transformers import Sam3Config, Sam3ImageProcessor, Sam3Model, Sam3Processor

    torch.manual_seed(seed)
    tokenizer = tiny_tokenizer(32)
    vision = {
        "backbone_config": {
            "model_type": "sam3_vit_model",
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": SIDE,
            "patch_size": 8,
            "window_size": 4,
            "global_attn_indexes": [1],
            "pretrain_image_size": 32,
        },
        "fpn_hidden_size": 32,
        "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
    }
    text: dict[str, Any] = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "projection_dim": 16,
        "max_position_embeddings": text_limit,
    }
    small = {"hidden_size": 32, "num_attention_heads": 4}
    layers = small | {"num_layers": 1, "intermediate_size": 64, "dropout": 0.0}
    parts = {
        "vision_config": vision,
        "geometry_encoder_config": layers,
        "detr_encoder_config": layers,
        "detr_decoder_config": layers | {"num_layers": 2, "num_queries": 12},
        "mask_decoder_config": small,
    }
    if lite:
        from transformers import Sam3LiteTextConfig, Sam3LiteTextModel

        parts["vision_config"] = vision | {"model_type": "sam3_vision_model"}
        model = Sam3LiteTextModel(Sam3LiteTextConfig(text_config=text, **parts))
    else:
        ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
        ends |= {"model_type": "clip_text_model"}
        model = Sam3Model(Sam3Config(text_config=text | ends, **parts))
    processor = Sam3Processor(
        Sam3ImageProcessor(size={"height": SIDE, "width": SIDE}), tokenizer, target_size=SIDE
    )
    return _varied(model), processor


def tiny_owlv2(*, seed: int = 0) -> tuple[Any, Any]:
    """An OWLv2 of random weights and its processor."""
    from transformers import (
        Owlv2Config,
        Owlv2ForObjectDetection,
        Owlv2ImageProcessor,
        Owlv2Processor,
    )

    torch.manual_seed(seed)
    tokenizer = tiny_tokenizer(16)
    layers = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    text = layers | {
        "vocab_size": len(tokenizer),
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    config = Owlv2Config(
        text_config=text,
        vision_config=layers | {"image_size": SIDE, "patch_size": 8},
        projection_dim=32,
    )
    images = Owlv2ImageProcessor(size={"height": SIDE, "width": SIDE})
    model = Owlv2ForObjectDetection(config).eval().requires_grad_(False)
    for tensor in model.box_head.parameters():  # boxes near their patches, not at the edges
        tensor.mul_(0.1)
    return model, Owlv2Processor(images, tokenizer)


def _varied(model: Any) -> Any:
    """Larger weights, so that queries, phrases and pictures give answers that differ."""
    with torch.no_grad():
        for tensor in model.parameters():
            if tensor.dim() > 1:
                tensor.mul_(5)
    return model.eval().requires_grad_(False)


def street(number: int, height: int = 90, width: int = 120) -> npt.NDArray[np.uint8]:
    """RGB ``[H, W, 3]``: noise with a bright block that moves with the number."""
    random = np.random.default_rng(number)
    picture = random.integers(0, 120, (height, width, 3), dtype=np.uint8)
    left = 10 + 7 * number % (width - 40)
    picture[20 : height - 20, left : left + 25] = 255, 120, 0
    return picture


def save(made: tuple[Any, Any], folder: Path) -> Path:
    """Write a model and its processor as a hub's folder holds them."""
    model, processor = made
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
