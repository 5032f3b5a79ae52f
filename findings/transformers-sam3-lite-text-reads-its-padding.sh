#!/bin/sh
# transformers 5.23.0: the lighter text tower of SAM 3 reads a phrase otherwise when it is padded further.
#
# `Sam3LiteTextModel` takes the place of `Sam3Model`. With the attention mask given, one would guess that the
# features of a phrase do not depend on its padding, as in the text tower of SAM 3 (CLIP's), so that a phrase can
# be padded to the longest of its batch.
# Seen, on random weights: padded to 8, 16 or 32 tokens, all with the mask, the features of the same tokens agree
# to 1e-6 in `Sam3Model` and differ by more than a tenth of their size in `Sam3LiteTextModel`. Its position
# embeddings are stretched to the padded length (bilinear interpolation), and its first and last layers are
# convolutions that see the padding. Pad to the 32 tokens that `Sam3Processor` pads to, whatever the batch; a
# phrase longer than the tower's `max_position_embeddings` is stretched likewise instead of refused.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check \
  transformers==5.23.0 torch==2.15.0 torchvision==0.29.2 numpy==2.3.5
"$folder/env/bin/python" - <<'PYTHON'
import torch
from transformers import Sam3Config, Sam3LiteTextConfig, Sam3LiteTextModel, Sam3Model


def tiny(kind, config, text):
    """A SAM 3 of random weights; larger ones, so that phrases make a difference."""
    torch.manual_seed(0)
    vision = {
        "model_type": "sam3_vision_model",
        "backbone_config": {
            "model_type": "sam3_vit_model",
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": 64,
            "patch_size": 8,
            "window_size": 4,
            "global_attn_indexes": [1],
            "pretrain_image_size": 32,
        },
        "fpn_hidden_size": 32,
        "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
    }
    small = {"hidden_size": 32, "num_attention_heads": 4}
    layers = small | {"num_layers": 1, "intermediate_size": 64, "dropout": 0.0}
    words = {"vocab_size": 100, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    words |= {"num_attention_heads": 2, "projection_dim": 16, "max_position_embeddings": 32}
    model = kind(
        config(
            vision_config=vision,
            text_config=words | text,
            geometry_encoder_config=layers,
            detr_encoder_config=layers,
            detr_decoder_config=layers | {"num_queries": 12},
            mask_decoder_config=small,
        )
    )
    for tensor in model.parameters():
        if tensor.dim() > 1:
            tensor.data.mul_(5)
    return model.eval().requires_grad_(False)


models = {
    "Sam3Model": tiny(Sam3Model, Sam3Config, {"model_type": "clip_text_model", "bos_token_id": 98, "eos_token_id": 99}),
    "Sam3LiteTextModel": tiny(Sam3LiteTextModel, Sam3LiteTextConfig, {}),
}


def features(model, length):
    """Of five tokens (start, three, end), padded to a length."""
    ids = torch.tensor([[98, 5, 17, 42, 99] + [99] * (length - 5)])
    mask = torch.tensor([[1] * 5 + [0] * (length - 5)])
    return model.get_text_features(input_ids=ids, attention_mask=mask).pooler_output[0, :5]


changes = {}
for name, model in models.items():
    usual = features(model, 32)
    for length in (8, 16):
        change = float((features(model, length) - usual).norm() / usual.norm())
        changes[name, length] = change
        print(f"{name}: padded to {length} instead of 32, features change by {change:.1e} of their size")
assert max(changes["Sam3Model", length] for length in (8, 16)) < 1e-5
assert min(changes["Sam3LiteTextModel", length] for length in (8, 16)) > 0.1
long = features(models["Sam3LiteTextModel"], 40)
print("padded to 40, more than its 32 positions:", tuple(long.shape), "and no word")
assert torch.isfinite(long).all()
print("as found")
PYTHON
