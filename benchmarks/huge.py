"""The reference at its true size on one GPU: extraction and training steps of the preset `huge`.

    python benchmarks/huge.py -o benchmarks/results/huge.json

Weights and inputs are random, which changes no time. Extraction is the package's own (bfloat16
autocast over float32 weights): plain and through torch.compile, with torch's attention kernels and,
where it can run, with Flash Attention 3. A training step is one of AdamW on stored features, patch
grids, masks and metadata, under bfloat16 autocast, for `huge` and `huge-moe`. FLOPs are counted by
`workzone.model.cost`, a training step as three times its forward pass; the share is of what large
bfloat16 matrix products reach in the same run. Nothing on the device is tuned.

`--tiny` does the same on the processor with a backbone and detectors of a few layers, and torch
traces but does not compile: that shows that the script works, its figures mean nothing.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from record import write_record

from workzone.backbones.base import Backbone, pool
from workzone.backbones.base import run as run_backbone
from workzone.backbones.dinov3 import DINOv3ViT
from workzone.backbones.registry import load_backbone
from workzone.model.config import DetectorConfig
from workzone.model.cost import META, counted
from workzone.model.costs import TRAINING_BATCH
from workzone.model.detector import Detector
from workzone.model.kernels import activate_fastest_attention
from workzone.model.masks.loss import mask_loss
from workzone.model.metadata.batch import no_metadata
from workzone.model.presets import preset
from workzone.train.optim.optimizers import OptimizerConfig, make_optimizer
from workzone.types import OBJECT_CLASSES
from workzone.views import ViewLayout, view_boxes

PRESETS = ("huge", "huge-moe")  # one backbone, two detectors
POOLING = "cls"
FRAME = (1280, 720)
WARM_UP = 3  # calls; the first compiles
BACKWARD = 2
"""Times the forward's FLOPs: a product for the gradient of either factor. torch's counter is not
asked, as it takes depthwise convolutions for dense ones on the way back (2.15)."""
BALANCE_WEIGHT = 0.01  # of the experts' balance in the loss
NO_DEVICE = "no CUDA device: nothing measured (--tiny shows on the processor that the script works)"


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What is run, and how often."""

    device: torch.device
    backbone: Callable[[], Backbone]  # makes one on the current default device
    layout: ViewLayout
    detectors: dict[str, DetectorConfig]
    images: int  # in a batch of extraction
    batch: int  # images in a training step
    matrix_sides: Sequence[int]
    repeats: int
    compiler: str  # torch.compile's backend


def on_gpu(options: argparse.Namespace) -> Setup:
    """The presets as they are."""
    huge = preset("huge")
    assert huge.pooling == POOLING
    return Setup(
        device=torch.device("cuda"),
        backbone=lambda: load_backbone(huge.backbone, random=True),
        layout=huge.layout,
        detectors={name: preset(name).detector for name in PRESETS},
        images=options.images,
        batch=options.batch,
        matrix_sides=(4096, 8192, 16384),
        repeats=options.repeats,
        compiler="inductor",
    )


def tiny() -> Setup:
    """The same classes, with one layer each and small images."""
    layout = dataclasses.replace(preset("huge").layout, size=32)
    detectors = {}
    for name in PRESETS:
        config = preset(name).detector
        shallow = dataclasses.replace(config, encoder=dataclasses.replace(config.encoder, depth=1))
        detectors[name] = shallow.sized(
            width=_tiny_backbone().width, grid_width=64, grid_size=(2, 2), view_size=layout.size
        )
    return Setup(
        device=torch.device("cpu"),
        backbone=_tiny_backbone,
        layout=layout,
        detectors=detectors,
        images=1,
        batch=2,
        matrix_sides=(128,),
        repeats=1,
        compiler="eager",
    )


def _tiny_backbone() -> Backbone:
    from transformers import DINOv3ViTConfig, DINOv3ViTModel

    config = DINOv3ViTConfig(
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        use_gated_mlp=True,
        hidden_act="silu",
        num_register_tokens=4,
    )
    return DINOv3ViT(DINOv3ViTModel(config), "tiny")


@dataclass(frozen=True)
class Timed:
    """Of one call."""

    seconds: float  # median
    peak: int | None  # bytes that torch held at most, weights included; None on a processor


def timed(work: Callable[[], object], setup: Setup) -> Timed:
    """Call ``work`` to warm it up, then time it, waiting for the device after each call."""
    on_cuda = setup.device.type == "cuda"
    for _ in range(WARM_UP):
        work()
    if on_cuda:
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    seconds = []
    for _ in range(setup.repeats):
        start = time.perf_counter()
        work()
        if on_cuda:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    peak = torch.cuda.max_memory_allocated() if on_cuda else None
    return Timed(statistics.median(seconds), peak)


def matrix_rate(setup: Setup) -> float:
    """FLOP/s of the fastest of some square bfloat16 matrix products."""
    rates = []
    for side in setup.matrix_sides:
        a, b = torch.randn(2, side, side, device=setup.device, dtype=torch.bfloat16)
        out = torch.empty_like(a)
        took = timed(lambda a=a, b=b, out=out: torch.mm(a, b, out=out), setup)
        rates.append(2 * side**3 / took.seconds)
    return max(rates)


def figures(took: Timed, *, images: int, flops: int, rate: float) -> dict[str, Any]:
    """What is told of one measurement."""
    return {
        "images per second": images / took.seconds,
        "milliseconds per call": 1e3 * took.seconds,
        "FLOP/s": flops / took.seconds,
        "share of the matrix rate": flops / took.seconds / rate,
        "peak GB": None if took.peak is None else took.peak / 1e9,
    }


def extraction(setup: Setup, attention: str, rate: float) -> list[dict[str, Any]]:
    """Views on the device to pooled features: plain, then compiled."""
    shape = (setup.images * setup.layout.count, 3, setup.layout.size, setup.layout.size)
    with META:
        shadow = setup.backbone()
    blank = torch.empty(shape, dtype=torch.uint8, device=META)
    flops = counted(lambda: pool(shadow(blank), POOLING), [blank]).flops
    with setup.device:
        backbone = setup.backbone()
        pixels = torch.randint(0, 256, shape, dtype=torch.uint8)

    def extract() -> torch.Tensor:
        return pool(run_backbone(backbone, pixels, precision="bfloat16"), POOLING)

    rows = []
    for compiled in (False, True):
        torch.compiler.reset()
        work = torch.compile(extract, backend=setup.compiler) if compiled else extract
        took = timed(work, setup)
        told = figures(took, images=setup.images, flops=flops, rate=rate)
        rows.append({"what": "extraction", "attention": attention, "compiled": compiled, **told})
    return rows


def make_step(setup: Setup, config: DetectorConfig, device: torch.device) -> _Step:
    """A detector, an optimizer and a batch on ``device``; the meta device is for counting."""
    grid_size = _grid_size(setup)
    rows, views = setup.batch, setup.layout.count
    assert config.metadata is not None
    assert config.masks is not None
    with device:
        detector = Detector(config).train()
        inputs = {
            "features": torch.randn(rows, views, config.width),
            "boxes": torch.from_numpy(view_boxes(setup.layout, *FRAME)).to(device),
            "metadata": no_metadata(rows, config.metadata).to(device),
            "grid": torch.randn(rows, grid_size[0] * grid_size[1], config.masks.width),
            "grid_size": grid_size,
        }
        inputs["boxes"] = inputs["boxes"].float().expand(rows, views, 4)
        masks = torch.rand(rows, len(OBJECT_CLASSES), *config.masks.mask_size(grid_size))
        labels = torch.arange(rows) % 2
        annotated = torch.arange(rows) % 2 == 0
    optimizer = make_optimizer(detector, OptimizerConfig())
    return _Step(setup.device.type, detector, optimizer, inputs, labels, masks, annotated)


def _grid_size(setup: Setup) -> tuple[int, int]:
    with META:
        return setup.backbone().grid_size(setup.layout.size)


@dataclass
class _Step:
    autocast: str  # for which type of device; tensors on the meta device stay as they are
    detector: Detector
    optimizer: torch.optim.Optimizer
    inputs: dict[str, Any]
    labels: torch.Tensor
    masks: torch.Tensor
    annotated: torch.Tensor

    def loss(self) -> torch.Tensor:
        """Of everything that the detector can learn from, under bfloat16 autocast."""
        with torch.autocast(self.autocast, dtype=torch.bfloat16):
            output = self.detector(**self.inputs)
        assert output.masks is not None
        return (
            F.cross_entropy(output.logits.float(), self.labels)
            + BALANCE_WEIGHT * output.balance_loss
            + mask_loss(output.masks, self.masks, row_mask=self.annotated)
        )


def training(setup: Setup, name: str, rate: float) -> list[dict[str, Any]]:
    """Training steps of one detector: plain, then compiled."""
    config = setup.detectors[name]
    shadow = make_step(setup, config, META)
    flops = (1 + BACKWARD) * counted(shadow.loss, []).flops
    step = make_step(setup, config, setup.device)
    rows = []
    for compiled in (False, True):
        torch.compiler.reset()
        loss = torch.compile(step.loss, backend=setup.compiler) if compiled else step.loss

        def work(loss: Callable[[], torch.Tensor] = loss) -> None:
            step.optimizer.zero_grad()
            loss().backward()
            step.optimizer.step()

        told = figures(timed(work, setup), images=setup.batch, flops=flops, rate=rate)
        rows.append({"what": f"training {name}", "compiled": compiled, **told})
    return rows


def measure(setup: Setup) -> dict[str, Any]:
    """Everything, in turns."""
    torch.manual_seed(0)
    rate = matrix_rate(setup)
    rows = extraction(setup, "torch", rate)
    kernels = activate_fastest_attention(setup.device)
    if torch.nn.attention.current_flash_attention_impl() == "FA3":
        rows += extraction(setup, "Flash Attention 3", rate)
    for name in setup.detectors:
        rows += training(setup, name, rate)
    on_cuda = setup.device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name() if on_cuda else "processor",
        "CUDA": torch.version.cuda if on_cuda else None,
        "attention": kernels,
        "matrix FLOP/s, bfloat16": rate,
        "images per call of extraction": setup.images,
        "images per training step": setup.batch,
        "repeats": setup.repeats,
        "rows": rows,
    }


def show(results: dict[str, Any]) -> None:
    """Print the table."""
    print(results["attention"])
    print(
        f"{results['device']}: {results['matrix FLOP/s, bfloat16'] / 1e12:.3g} TFLOP/s in matrices"
    )
    print("what                 attention          compiled  images/s  TFLOP/s   share  peak GB")
    for row in results["rows"]:
        peak = "-" if row["peak GB"] is None else f"{row['peak GB']:.1f}"
        print(
            f"{row['what']:20s} {row.get('attention', ''):18s} {row['compiled']!s:8s} "
            f"{row['images per second']:9.1f} {row['FLOP/s'] / 1e12:8.3g} "
            f"{row['share of the matrix rate']:7.1%} {peak:>8s}"
        )


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--images", type=int, default=8, help="in a batch of extraction")
    parser.add_argument("--batch", type=int, default=TRAINING_BATCH, help="in a training step")
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--tiny", action="store_true", help="tiny models, on the processor")
    options = parser.parse_args()
    if not options.tiny and not torch.cuda.is_available():
        raise SystemExit(NO_DEVICE)
    results = measure(tiny() if options.tiny else on_gpu(options))
    show(results)
    write_record(options.output, results)


if __name__ == "__main__":
    main()
