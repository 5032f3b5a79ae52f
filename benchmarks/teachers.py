"""What a look at a picture costs the teachers of masks, at full size.

    python benchmarks/teachers.py sam3 -o benchmarks/results/teachers_sam3.json

Time and memory do not depend on what the weights hold: they are random, so that nothing has to be
fetched, and what is found means nothing. One picture of 1920 x 1080 pixels, the six default
phrases, float32, one core. Of SAM 3 the picture is encoded once; "one phrase" and "six phrases"
are what comes after.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from record import write_record
from transformers import (
    CLIPTokenizer,
    Owlv2Config,
    Owlv2ForObjectDetection,
    Owlv2ImageProcessor,
    Owlv2Processor,
    Sam3Config,
    Sam3ImageProcessor,
    Sam3Model,
    Sam3Processor,
)

from workzone.teach.owlv2 import Owlv2Teacher
from workzone.teach.prompts import ClassPrompt, Prompts
from workzone.teach.sam3 import Sam3Teacher

SIDE = 1008
NOBODY = ClassPrompt()


def timed(work: Callable[[], Any]) -> float:
    """Seconds."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def tokenizer(limit: int) -> CLIPTokenizer:
    """A token for each letter, within the published vocabulary's size."""
    letters = [chr(number) for number in range(ord("!"), ord("~") + 1)]
    words = ["<|pad|>", *letters, *(f"{letter}</w>" for letter in letters)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    vocab = {word: number for number, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocab, model_max_length=limit)


def prompts(count: int) -> Prompts:
    """So many short phrases: how long they are changes nothing, all are padded."""
    asked = [ClassPrompt((letter * 3,), threshold=0.99) for letter in "abcdef"[:count]]
    return Prompts(*asked, *[NOBODY] * (6 - count))


def sam3(picture: np.ndarray) -> dict[str, float]:
    """Seconds of encoding, of one phrase and of six after it."""
    model = Sam3Model(Sam3Config()).eval().requires_grad_(False)
    processor = Sam3Processor(
        Sam3ImageProcessor(size={"height": SIDE, "width": SIDE}), tokenizer(32), target_size=SIDE
    )
    times = {}
    looks = {count: Sam3Teacher(model, processor, prompts(count)) for count in (1, 6)}
    encoded: list[float] = []
    hooks = [
        model.vision_encoder.register_forward_pre_hook(
            lambda *_: encoded.append(-time.perf_counter())
        ),
        model.vision_encoder.register_forward_hook(lambda *_: encoded.append(time.perf_counter())),
    ]
    for count, teacher in looks.items():
        encoded.clear()
        whole = timed(lambda teacher=teacher: teacher.look([picture], [()]))
        times[f"encoding before {count}"] = sum(encoded)
        times[f"phrases {count}"] = whole - sum(encoded)
    for hook in hooks:
        hook.remove()
    return times | {"parameters": float(sum(p.numel() for p in model.parameters()))}


def owlv2(picture: np.ndarray) -> dict[str, float]:
    """Seconds of a whole look with six phrases."""
    layers = {"vocab_size": 49408, "bos_token_id": 191, "eos_token_id": 192, "pad_token_id": 0}
    config = Owlv2Config(text_config=layers, vision_config={"image_size": 960})
    model = Owlv2ForObjectDetection(config).eval().requires_grad_(False)
    processor = Owlv2Processor(Owlv2ImageProcessor(), tokenizer(16))
    teacher = Owlv2Teacher(model, processor, prompts(6))
    seconds = timed(lambda: teacher.look([picture], [()]))
    return {"look": seconds, "parameters": float(sum(p.numel() for p in model.parameters()))}


def main() -> None:
    """Measure one teacher."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("teacher", choices=("sam3", "owlv2"))
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    picture = random.integers(0, 256, (1080, 1920, 3), dtype=np.uint8)
    measured = {"sam3": sam3, "owlv2": owlv2}[arguments.teacher](picture)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    write_record(arguments.output, measured | {"peak_bytes": float(peak)})


if __name__ == "__main__":
    main()
