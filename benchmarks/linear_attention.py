"""What linear attention costs beside softmax attention as tokens grow, on the processor.

    python benchmarks/linear_attention.py -o benchmarks/results/linear_attention.json

Two layers of the reference width with the same weights, forward only, one image, float32. Each
round times both at each length, one right after the other, so that what else the machine does
falls on both; the ratio is the median over rounds. 1,029 tokens are one view of 512 px (32 x 32
patches, a class token and four registers), 12,348 all twelve views.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import torch
from record import write_record

from workzone.model.encoder.attention import GroupedQueryAttention
from workzone.model.encoder.config import AttentionConfig
from workzone.model.encoder.linear_attention import GatedLinearAttention
from workzone.progress import track

TOKENS = (8, 64, 256, 512, 1029, 4 * 1029, 12 * 1029)
BYTES = 4
"""Of a float32."""


def seconds(layer: torch.nn.Module, tokens: torch.Tensor, repeats: int) -> float:
    """Of one call, the mean over some calls in a row."""
    start = time.perf_counter()
    for _ in range(repeats):
        layer(tokens)
    return (time.perf_counter() - start) / repeats


@torch.no_grad()
def measure(rounds: int) -> dict[str, Any]:
    """Times, their ratio, and the memory that each form needs for what it mixes with."""
    torch.manual_seed(0)
    config = AttentionConfig()
    softmax = GroupedQueryAttention(config)
    linear = GatedLinearAttention(config)
    linear.load_state_dict(softmax.state_dict())
    inputs = {count: torch.randn(1, count, config.width) for count in TOKENS}
    times: dict[int, list[tuple[float, float]]] = {count: [] for count in TOKENS}
    for number in track(range(rounds + 1), "measuring"):
        for count, tokens in inputs.items():
            repeats = max(1, 2048 // count)
            pair = (seconds(softmax, tokens, repeats), seconds(linear, tokens, repeats))
            if number:  # the first round is a warm-up
                times[count].append(pair)
    rows = []
    for count, pairs in times.items():
        ratios = [one / other for one, other in pairs]
        rows.append(
            {
                "tokens": count,
                "softmax seconds": statistics.median(one for one, _ in pairs),
                "linear seconds": statistics.median(other for _, other in pairs),
                "softmax / linear": statistics.median(ratios),
                "lowest and highest ratio": [min(ratios), max(ratios)],
                "score matrix bytes": config.heads * count**2 * BYTES,
                "linear state bytes": config.kv_heads * config.head_width**2 * BYTES,
            }
        )
    cheaper = [row["tokens"] for row in rows if row["softmax / linear"] > 1]
    dearer = [row["tokens"] for row in rows if row["softmax / linear"] <= 1]
    return {
        "layer": vars(config),
        "rounds": rounds,
        "rows": rows,
        "crossover": {
            "longest with softmax quicker": max(dearer, default=None),
            "shortest with linear quicker": min(cheaper, default=None),
        },
    }


def main() -> None:
    """Read the command line, measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    results = measure(options.rounds)
    print("tokens   softmax ms   linear ms   ratio   score matrix MB")
    for row in results["rows"]:
        print(
            f"{row['tokens']:6d} {1e3 * row['softmax seconds']:12.2f} "
            f"{1e3 * row['linear seconds']:11.2f} {row['softmax / linear']:7.2f} "
            f"{row['score matrix bytes'] / 1e6:17,.1f}"
        )
    write_record(options.output, results)


if __name__ == "__main__":
    main()
