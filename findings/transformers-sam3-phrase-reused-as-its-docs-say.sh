#!/bin/sh
# transformers 5.23.0: SAM 3's phrases, encoded once as its docstrings show, end in an error or in other scores.
#
# `Sam3Model.get_text_features` shows how to encode a phrase once for many images: keep its `.pooler_output`
# and pass it as `text_embeds` (typed as a tensor); `get_vision_features` shows the same for an image, with the
# phrase's `input_ids` alone. One would guess that both give what the plain call on the processor's output gives.
# Seen, on random weights: the tensor is refused ("'Tensor' object has no attribute 'pooler_output'"), the whole
# output object is taken. Without `attention_mask`, as in both examples, the padding up to 32 tokens is read as
# part of the phrase: no warning, other scores. With the object and the mask the scores are those of the plain
# call, bit for bit.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install --quiet --disable-pip-version-check \
  transformers==5.23.0 torch==2.15.0 torchvision==0.29.2 numpy==2.3.5
"$folder/env/bin/python" - <<'PYTHON'
import torch
from transformers import Sam3Config, Sam3Model


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


model = tiny(Sam3Model, Sam3Config, {"model_type": "clip_text_model", "bos_token_id": 98, "eos_token_id": 99})
picture = torch.rand(1, 3, 64, 64)
phrase = torch.tensor([[98, 5, 17, 42, 99] + [99] * 27])  # start, three tokens, end, padding
mask = torch.tensor([[1] * 5 + [0] * 27])
plain = model(pixel_values=picture, input_ids=phrase, attention_mask=mask)
encoded = model.get_text_features(input_ids=phrase, attention_mask=mask)
vision = model.get_vision_features(picture)
try:
    refused = str(model(pixel_values=picture, text_embeds=encoded.pooler_output))
except AttributeError as error:
    refused = str(error)
print("text_embeds=tensor:", refused)
assert refused == "'Tensor' object has no attribute 'pooler_output'"


def difference(**inputs):
    scores = model(**inputs).pred_logits
    return float((scores - plain.pred_logits).abs().max())


found = {
    "object and mask": difference(pixel_values=picture, text_embeds=encoded, attention_mask=mask),
    "object, no mask": difference(pixel_values=picture, text_embeds=encoded),
    "vision, ids, no mask": difference(vision_embeds=vision, input_ids=phrase),
    "vision, ids, mask": difference(vision_embeds=vision, input_ids=phrase, attention_mask=mask),
}
for case, value in found.items():
    print(f"{case}: largest difference of a logit {value:.4f}")
assert found["object and mask"] == found["vision, ids, mask"] == 0
assert min(found["object, no mask"], found["vision, ids, no mask"]) > 0.01
print("as found")
PYTHON
