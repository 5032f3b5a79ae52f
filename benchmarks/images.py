"""From the bytes of a 720p JPEG to twelve 224 px views, on one core, beside plain scripts.

    python benchmarks/images.py -o benchmarks/results/images.json

Plain scripts end where a script's network begins: normalised float32 views. The package ends with
bytes and normalises inside the backbone; so that both do the same work, the package is timed with
that normalisation too. All methods take turns on every frame; figures are medians.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from drawn_frames import drawn_frame
from PIL import Image
from record import write_record

from workzone.data.images import decode_pixels
from workzone.views import ViewLayout, enough_side, make_views, preprocess, view_boxes

LAYOUT = ViewLayout()
MEAN = np.array([0.5, 0.5, 0.5], dtype=np.float32)
STD = np.array([0.5, 0.5, 0.5], dtype=np.float32)


def normalised(view: Image.Image) -> np.ndarray:
    """Floats of one view, channels first."""
    values = np.asarray(view, dtype=np.float32) / 255
    return ((values - MEAN) / STD).transpose(2, 0, 1)


def cut(image: Image.Image, box: np.ndarray) -> Image.Image:
    """Crop and resize one view with Pillow, antialiased."""
    left, top, right, bottom = box * (image.size + image.size)
    crop = image.crop((round(left), round(top), round(right), round(bottom)))
    return crop.resize((LAYOUT.size, LAYOUT.size), Image.Resampling.BILINEAR)


def plain_decoding_per_view(data: bytes) -> torch.Tensor:
    """A data set of crops: each view opens the image again."""
    boxes = view_boxes(LAYOUT, *Image.open(io.BytesIO(data)).size)
    views = [normalised(cut(Image.open(io.BytesIO(data)).convert("RGB"), box)) for box in boxes]
    return torch.from_numpy(np.stack(views))


def plain_decoding_once(data: bytes) -> torch.Tensor:
    """The same, but the image is decoded once."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    boxes = view_boxes(LAYOUT, *image.size)
    return torch.from_numpy(np.stack([normalised(cut(image, box)) for box in boxes]))


def package_with_floats(data: bytes) -> torch.Tensor:
    """The package's views, normalised as its backbones do it."""
    return torch.from_numpy(preprocess(data, LAYOUT).pixels).float() * (1 / 127.5) - 1


def largest_difference(data: bytes) -> dict[str, float]:
    """How far the package's views are from the plain script's, in grey levels of 255."""
    difference = (package_with_floats(data) - plain_decoding_once(data)).abs() * 127.5
    return {"mean": float(difference.mean()), "largest": float(difference.max())}


def timed(methods: dict[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """Processor milliseconds of each method, taken in turns."""
    for method in methods.values():
        method()
    spent: dict[str, list[float]] = {name: [] for name in methods}
    for _ in range(repeats):
        for name, method in methods.items():
            start = time.process_time()
            method()
            spent[name].append(1e3 * (time.process_time() - start))
    return spent


def run(frames: int, repeats: int) -> dict[str, Any]:
    """Time all methods on all frames."""
    spent: dict[str, list[float]] = {}
    sizes = []
    side = enough_side(LAYOUT)
    for seed in range(frames):
        data = drawn_frame(seed)
        sizes.append(len(data))
        frame = decode_pixels(data, enough_side=side)
        methods: dict[str, Callable[[], Any]] = {
            "package: bytes to views": lambda data=data: preprocess(data, LAYOUT),
            "package: decode": lambda data=data: decode_pixels(data, enough_side=side),
            "package: views": lambda frame=frame: make_views(frame, LAYOUT),
            "package: bytes to normalised floats": lambda data=data: package_with_floats(data),
            "plain: decoded for each view": lambda data=data: plain_decoding_per_view(data),
            "plain: decoded once": lambda data=data: plain_decoding_once(data),
        }
        for name, values in timed(methods, repeats).items():
            spent.setdefault(name, []).extend(values)
    medians = {name: float(np.median(values)) for name, values in spent.items()}
    package = medians["package: bytes to normalised floats"]
    results = {
        "frames": frames,
        "repeats per frame": repeats,
        "mean kilobytes of a frame": float(np.mean(sizes) / 1e3),
        "views": LAYOUT.count,
        "side": LAYOUT.size,
        "median core milliseconds": medians,
        "quartiles": {
            name: np.percentile(values, [25, 75]).tolist() for name, values in spent.items()
        },
        "times as fast": {
            name: medians[name] / package for name in medians if name.startswith("plain")
        },
        "difference in grey levels": largest_difference(drawn_frame(0)),
    }
    for name, value in medians.items():
        print(f"{name:40s} {value:7.2f} ms")
    for name, ratio in results["times as fast"].items():
        print(f"{ratio:.1f} times as fast as {name}")
    return results


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=25)
    options = parser.parse_args()
    torch.set_num_threads(1)
    write_record(options.output, run(options.frames, options.repeats))


if __name__ == "__main__":
    main()
