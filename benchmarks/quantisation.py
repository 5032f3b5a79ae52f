"""Weights of vision transformers in 8 and 4 bits: bytes, time and closeness to float32.

    python benchmarks/quantisation.py -o benchmarks/results/quantisation.json

DINOv3-S and -B with weights at random, 12 views of noise at 224 px, one thread: core time, so that
other work beside it counts little. All forms are measured in turn, round after round, and the
median is told. Two ways are workzone's own (torchao); bitsandbytes, if it is installed, stands
beside them. Closeness is the cosine of pooled features to those in float32. Weights at random are
spread evenly, trained ones are not: it shows that a form computes what it should, and is no figure
for accuracy.

A second table times torchao's own int4 kernel for processors on one layer.

`--tiny` does the same on a network of two layers; its figures mean nothing.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from record import write_record
from torch import nn

from workzone.backbones.base import Backbone, pool, run
from workzone.backbones.dinov3 import DINOv3ViT
from workzone.backbones.registry import load_backbone
from workzone.engine.weight_only import WEIGHT_PRECISIONS, quantise_weights

BACKBONES = ("dinov3-vits16", "dinov3-vitb16")
COMPUTED = ("float32", "bfloat16")
FLOATS = "floats"
VIEWS = 12
SIZE = 224  # pixels
WIDTH = 384  # of DINOv3-S
TOKENS = 6 * 201  # that go through a layer at once: of six views, as a processor computes them


def tiny_backbone() -> Backbone:
    """As narrow as NF4 allows."""
    from transformers import DINOv3ViTConfig, DINOv3ViTModel

    config = DINOv3ViTConfig(
        hidden_size=128,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_register_tokens=4,
    )
    return DINOv3ViT(DINOv3ViTModel(config), "tiny")


def with_bitsandbytes(backbone: Backbone, *, bits: int) -> None:
    """Its layers in place of torch's: LLM.int8() without outliers, or NF4."""
    import bitsandbytes as bnb

    for name, layer in list(backbone.model.named_modules()):
        if not isinstance(layer, nn.Linear):
            continue
        shape = (layer.in_features, layer.out_features, layer.bias is not None)
        made = (
            bnb.nn.Linear8bitLt(*shape, has_fp16_weights=False, threshold=0.0)
            if bits == 8
            else bnb.nn.Linear4bit(*shape, quant_type="nf4")
        )
        made.load_state_dict(layer.state_dict())
        backbone.model.set_submodule(name, made.to("cpu"))  # which quantises


def ways() -> Mapping[str, Callable[[Backbone], None]]:
    """What stores a backbone's weights otherwise, by name."""
    found: dict[str, Callable[[Backbone], None]] = {
        FLOATS: lambda backbone: None,
        **{name: partial(quantise_weights, precision=name) for name in WEIGHT_PRECISIONS},
    }
    if find_spec("bitsandbytes") is not None:
        found["bitsandbytes int8"] = partial(with_bitsandbytes, bits=8)
        found["bitsandbytes nf4"] = partial(with_bitsandbytes, bits=4)
    return found


def stored_bytes(module: nn.Module) -> int:
    """Of all parameters and buffers, as they lie in memory.

    A tensor of torchao's tells the size and type of the one that it stands for, and bitsandbytes
    keeps scales beside its tensors: what they hold is counted.
    """

    def held(value: Any) -> int:
        if value is None:
            return 0
        if hasattr(value, "__tensor_flatten__"):
            return sum(held(getattr(value, name)) for name in value.__tensor_flatten__()[0])
        own = value.numel() * value.element_size()
        state = getattr(value, "quant_state", None)
        scales = [getattr(value, "SCB", None), getattr(state, "absmax", None)]
        scales.append(getattr(getattr(state, "state2", None), "absmax", None))
        return own + sum(held(scale) for scale in scales)

    return sum(held(tensor) for tensor in (*module.parameters(), *module.buffers()))


def core_seconds(work: Callable[[], object]) -> float:
    """Of the calling process."""
    start = time.process_time()
    work()
    return time.process_time() - start


def measure(backbone: Backbone, *, size: int, rounds: int) -> list[dict[str, Any]]:
    """Every way, in either precision, in turn."""
    pixels = torch.randint(0, 256, (VIEWS, 3, size, size), dtype=torch.uint8)
    exact = pool(run(backbone, pixels), backbone.default_pooling)
    forms, rows, seconds = {}, [], {}
    for name, store in ways().items():
        forms[name] = copy.deepcopy(backbone)
        store(forms[name])
        for precision in COMPUTED:
            features = pool(run(forms[name], pixels, precision=precision), backbone.default_pooling)
            cosines = F.cosine_similarity(features, exact)
            rows.append(
                {
                    "weights": name,
                    "computes in": precision,
                    "megabytes": stored_bytes(forms[name]) / 1e6,
                    "cosine, mean": cosines.mean().item(),
                    "cosine, least": cosines.min().item(),
                }
            )
            seconds[name, precision] = []
    for _ in range(rounds):
        for (name, precision), found in seconds.items():
            work = partial(run, forms[name], pixels, precision=precision)
            found.append(core_seconds(work))
    for row in rows:
        found = seconds[row["weights"], row["computes in"]]
        row["core milliseconds per image"] = 1e3 * statistics.median(found)
        row["rounds, core milliseconds"] = [1e3 * value for value in found]
    plain = rows[0]["core milliseconds per image"]
    for row in rows:
        row["times float32"] = row["core milliseconds per image"] / plain
    return rows


def int4_layer(*, width: int, tokens: int, rounds: int) -> list[dict[str, Any]]:
    """One square layer: as it is, and by torchao's int4 kernel for processors, 32 to a scale."""
    from torchao.prototype.quantization.int4 import PrototypeInt4WeightOnlyConfig
    from torchao.quantization import quantize_

    rows = []
    for dtype in (torch.float32, torch.bfloat16):
        plain = nn.Linear(width, width, dtype=dtype)
        small = nn.Sequential(copy.deepcopy(plain))
        quantize_(small, PrototypeInt4WeightOnlyConfig(group_size=32))
        inputs = torch.randn(tokens, width, dtype=dtype)
        seconds: dict[str, list[float]] = {"layer": [], "int4 kernel": []}
        with torch.no_grad():
            for _ in range(rounds + 1):
                seconds["layer"].append(core_seconds(partial(plain, inputs)))
                seconds["int4 kernel"].append(core_seconds(partial(small, inputs)))
        medians = {name: 1e3 * statistics.median(all_[1:]) for name, all_ in seconds.items()}
        rows.append(
            {
                "computes in": str(dtype).removeprefix("torch."),
                "width": width,
                "tokens": tokens,
                "core milliseconds": medians,
                "times as long": medians["int4 kernel"] / medians["layer"],
            }
        )
    return rows


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tiny", action="store_true", help="a network of two layers")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    names = ("tiny",) if options.tiny else BACKBONES
    results: dict[str, Any] = {
        "packages": {
            name: version(name) for name in ("torchao", "bitsandbytes") if find_spec(name)
        },
        "views": VIEWS,
        "backbones": {},
    }
    for name in names:
        backbone = tiny_backbone() if options.tiny else load_backbone(name, random=True)
        rows = measure(backbone, size=32 if options.tiny else SIZE, rounds=options.rounds)
        results["backbones"][name] = rows
        for row in rows:
            print(
                f"{name:14s} {row['weights']:18s} {row['computes in']:9s} "
                f"{row['megabytes']:7.1f} MB {row['core milliseconds per image']:8.0f} ms "
                f"{row['times float32']:5.2f} {row['cosine, least']:.5f}",
                flush=True,
            )
    width, tokens = (128, 8) if options.tiny else (WIDTH, TOKENS)
    results["int4 layer"] = int4_layer(width=width, tokens=tokens, rounds=options.rounds)
    write_record(options.output, results)


if __name__ == "__main__":
    main()
