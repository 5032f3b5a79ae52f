"""How many copies of photographs are found by their looks, and how many others are taken for one.

    python benchmarks/lookalikes.py PHOTOS -o benchmarks/results/lookalikes.json

PHOTOS holds ``labels.csv`` (file, label, group). Of 150 photographs copies are made as people make
them, and each is looked for beside its original (recall). False pairs are counted among all pairs
of photographs of different collections (groups of one collection may show one place). Both over a
range of distances. At last the search is timed on made hashes, as unlike as those of photographs.
"""

from __future__ import annotations

import argparse
import csv
import io
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from photographs import family
from PIL import Image, ImageDraw, ImageEnhance, ImageOps
from record import write_record

from workzone.data.duplicates import near_copies
from workzone.data.prints import Hashes, fingerprint

COPIED = 150
DISTANCES = (2, 4, 6, 8, 10, 12)
TIMED = (20_000, 100_000)  # images


def part(image: Image.Image, side: float, right: float = 0, down: float = 0) -> Image.Image:
    """A crop of a share of the side, moved from the centre (0) to the edges (-1, 1)."""
    width, height = image.width * side, image.height * side
    left, top = (image.width - width) / 2 * (1 + right), (image.height - height) / 2 * (1 + down)
    return image.crop((round(left), round(top), round(left + width), round(top + height)))


def shrunk(image: Image.Image, share: float) -> Image.Image:
    """A smaller picture."""
    return image.resize((round(image.width * share), round(image.height * share)))


def watermarked(image: Image.Image) -> Image.Image:
    """With a black bar and words in the lower left corner."""
    marked = image.copy()
    draw = ImageDraw.Draw(marked)
    draw.rectangle((0, image.height * 0.93, image.width * 0.35, image.height), fill=0)
    draw.text((5, image.height * 0.94), "(c) 2024-01-01 12:00:00", fill=(255, 255, 255))
    return marked


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG, quality 30": lambda image: image,
    "half the size": lambda image: shrunk(image, 0.5),
    "a quarter of the size": lambda image: shrunk(image, 0.25),
    "squeezed to 256 x 256": lambda image: image.resize((256, 256)),
    "mirrored": ImageOps.mirror,
    "centre, 0.95 of the side": lambda image: part(image, 0.95),
    "centre, 0.9": lambda image: part(image, 0.9),
    "centre, 0.88": lambda image: part(image, 0.88),
    "centre, 0.8": lambda image: part(image, 0.8),
    "centre, 0.73": lambda image: part(image, 0.73),
    "centre, 0.7": lambda image: part(image, 0.7),
    "centre, 0.6": lambda image: part(image, 0.6),
    "centre, 0.5": lambda image: part(image, 0.5),
    "centred square": lambda image: ImageOps.fit(image, (min(image.size),) * 2),
    "mirrored, centre 0.8": lambda image: ImageOps.mirror(part(image, 0.8)),
    "a corner, 0.9": lambda image: part(image, 0.9, 1, -1),
    "lower tenth cut off": lambda image: image.crop((0, 0, image.width, round(image.height * 0.9))),
    "turned by 2 degrees": lambda image: image.rotate(2, Image.Resampling.BICUBIC),
    "turned by 5 degrees": lambda image: image.rotate(5, Image.Resampling.BICUBIC),
    "brighter by 1.3": lambda image: ImageEnhance.Brightness(image).enhance(1.3),
    "darker by 0.6": lambda image: ImageEnhance.Brightness(image).enhance(0.6),
    "contrast by 1.4": lambda image: ImageEnhance.Contrast(image).enhance(1.4),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "watermark": watermarked,
}


def encoded(image: Image.Image, quality: int) -> bytes:
    """A JPEG."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def looks_of(data: bytes) -> Hashes:
    """The hashes of a picture that shows something."""
    looks = fingerprint(data).looks
    assert looks is not None
    return looks


def pairs_of(looks: Hashes, distance: int) -> set[tuple[int, int]]:
    """All pairs that are found, the lesser number first."""
    found = set()
    for block in near_copies(looks, distance):
        pairs = np.sort(np.stack([block.first, block.second], axis=1), axis=1)
        found |= set(map(tuple, pairs.tolist()))
    return found


def recall(originals: Hashes, copied: Hashes) -> dict[str, float]:
    """Of copies, the share that is found beside its original, by distance."""
    both, count = np.concatenate([originals, copied]), len(originals)
    wanted = {(number, number + count) for number in range(count)}
    return {str(distance): len(wanted & pairs_of(both, distance)) / count for distance in DISTANCES}


def seconds(looks: Hashes, images: int) -> float:
    """Processor time of a search among ``images`` made of the looks of photographs.

    A third of the bits of each is turned at random, so that none is near another, while the bits
    stay as unevenly set as they are in photographs.
    """
    generator = np.random.default_rng(0)
    made = np.tile(looks, (images // len(looks) + 1, 1, 1))[:images]
    for word in range(made.shape[2]):
        for _ in range(20):
            bits = generator.integers(0, 64, (images, 1), dtype=np.uint64)
            made[:, :, word] ^= np.uint64(1) << bits
    start = time.process_time()
    for _ in near_copies(made, 6):
        pass
    return time.process_time() - start


def run(photos: Path) -> dict[str, Any]:
    """Recall, false pairs and time."""
    with (photos / "labels.csv").open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    looks = np.stack([looks_of((photos / row["file"]).read_bytes()) for row in rows])
    collections = np.array([family(row["group"]) for row in rows])
    other = collections[:, None] != collections[None]
    chosen = random.Random(0).sample(range(len(rows)), COPIED)
    results: dict[str, Any] = {
        "photographs": len(rows),
        "pairs of different collections": int(np.triu(other).sum()),
        "false pairs": {
            str(distance): sum(bool(other[pair]) for pair in pairs_of(looks, distance))
            for distance in DISTANCES
        },
        "recall": {},
    }
    print(results)
    for name, change in COPIES.items():
        copied = []
        for number in chosen:
            image = Image.open(photos / rows[number]["file"]).convert("RGB")
            copied.append(looks_of(encoded(change(image), 30 if "quality" in name else 85)))
        results["recall"][name] = recall(looks[chosen], np.stack(copied))
        print(name, results["recall"][name], flush=True)
    results["seconds of search"] = {str(images): seconds(looks, images) for images in TIMED}
    print(results["seconds of search"])
    return results


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, help="folder with labels.csv")
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")
    options = parser.parse_args()
    write_record(options.output, run(options.photos))


if __name__ == "__main__":
    main()
