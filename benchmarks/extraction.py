"""Extraction end to end, bytes on disk to a feature store, beside a plain script in the same run.

    python benchmarks/extraction.py -o benchmarks/results/extraction.json

The plain script opens each frame with Pillow, crops and resizes its twelve views, and sends them
one by one through timm's model as it comes, with the same weights; it keeps mean and maximum over
the grid, as the package does. The two take turns; figures are medians over the rounds. Processor
time counts all threads and is the figure to trust on a machine that does other work too.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from drawn_frames import drawn_frame
from images import LAYOUT, cut, normalised
from PIL import Image
from record import write_record
from torch import nn

from workzone.backbones.lite import mapped_state, shipped_state
from workzone.backbones.names import LITE0
from workzone.backbones.registry import load_backbone
from workzone.data.images import content_hash
from workzone.data.manifest import Manifest
from workzone.features.extract import Extraction, make_spec
from workzone.types import ImageRef, Sample
from workzone.views import view_boxes


def make_frames(folder: Path, count: int) -> Manifest:
    """Write frames and list them."""
    samples = []
    for number in range(count):
        data = drawn_frame(number)
        (folder / f"{number:04d}.jpg").write_bytes(data)
        name = f"{number:04d}.jpg"
        samples.append(Sample(name, ImageRef(name), content_hash=content_hash(data)))
    return Manifest(samples, folder)


def plain_model() -> nn.Module:
    """timm's model with the package's weights, unchanged."""
    model = timm.create_model(LITE0.architecture, pretrained=False)
    model.load_state_dict(mapped_state(shipped_state(LITE0), model.state_dict(), LITE0))
    return model.eval()


@torch.no_grad()
def plain_script(manifest: Manifest, model: Any) -> torch.Tensor:
    """``[images, V, 2 D]``."""
    rows = []
    for sample in manifest:
        image = Image.open(manifest.root / sample.image.path).convert("RGB")
        vectors = []
        for box in view_boxes(LAYOUT, *image.size):
            view = torch.from_numpy(np.ascontiguousarray(normalised(cut(image, box))))
            grid = model.forward_features(view[None]).flatten(2)
            vectors.append(torch.cat([grid.mean(2), grid.amax(2)], dim=1)[0])
        rows.append(torch.stack(vectors))
    return torch.stack(rows)


def run(frames: int, rounds: int) -> dict[str, Any]:
    """Extract, and run the plain script, in turns."""
    backbone = load_backbone("lite0")
    model = plain_model()
    spec = make_spec(backbone)
    package, plain = [], []
    package_core, plain_core = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = make_frames(folder, frames)
        warm_up = manifest.with_samples(manifest.samples[:2])
        Extraction(warm_up, backbone, spec, folder / "warm-up").run()
        plain_script(warm_up, model)
        for _ in range(rounds):
            start, core = time.perf_counter(), time.process_time()
            store = Extraction(manifest, backbone, spec, folder / "features").run()
            package.append(time.perf_counter() - start)
            package_core.append(time.process_time() - core)
            start, core = time.perf_counter(), time.process_time()
            rows = plain_script(manifest, model)
            plain.append(time.perf_counter() - start)
            plain_core.append(time.process_time() - core)
            stored = store.read("pooled", slice(None))
            shutil.rmtree(folder / "features")
    cosine = torch.nn.functional.cosine_similarity(stored, rows, dim=-1)
    results = {
        "backbone": backbone.name,
        "precision": spec.precision,
        "frames": frames,
        "rounds": rounds,
        "package, images per second": frames / float(np.median(package)),
        "plain script, images per second": frames / float(np.median(plain)),
        "package, core milliseconds per image": 1e3 * float(np.median(package_core)) / frames,
        "plain script, core milliseconds per image": 1e3 * float(np.median(plain_core)) / frames,
        "times less processor time": float(np.median(np.array(plain_core) / package_core)),
        "times as fast": float(np.median(np.array(plain) / np.array(package))),
        "times as fast, each round": (np.array(plain) / np.array(package)).tolist(),
        "least cosine between the two": float(cosine.min()),
    }
    for name, value in results.items():
        print(f"{name}: {value}")
    return results


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--frames", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    write_record(options.output, run(options.frames, options.rounds))


if __name__ == "__main__":
    main()
