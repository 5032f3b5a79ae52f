"""The backbone ``lite0-road``: the embedded one, tuned on tiles of made pictures.

    python benchmarks/trunk.py data more --signs package -o benchmarks/results/trunk.json
        [--cutouts FOLDER] [--start FOLDER] [--ship src/workzone/weights/lite0-road]

PHOTOS are folders with ``labels.csv`` (file, label, group, redistributable_weights). It learns from
composites (traffic signs, and work zones, drawn and rendered) in photographs without road work
whose licence lets weights be passed on, from drawn scenes, with signs and without, and from those
photographs as they are. No photograph of a source that `accuracy.py` leaves out plays a part, so
that one backbone serves all of its folds. ``--cutouts`` is where rendered things are kept.

Each of the six classes of objects, and any of them, is learned cell by cell, on tiles of 192 px at
0.3 to 1.4 times the picture's scale. The stem and the first two stages stay as ImageNet left
them; deeper ones learn at rates that fall by a fifth from stage to stage towards the stem, and are
pulled back a little to the weights that they start from (``--start``; ImageNet's where it is not
given). What is kept is the moving average of the weights.

Judged on composites of signs that it has not seen: other photographs (whose licence keeps them out
of weights), other drawings. AUC by the height of the largest sign, each picture beside its twin;
intervals over groups of photographs.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from object_sizes import sign_groups, sign_heights, sign_table
from recipe import ALL_LEFT_OUT, gather_folders, held_back_signs, streets
from record import write_record
from tiles import Tiles, read_pictures
from torch import nn

from workzone import progress
from workzone.backbones.lite import load_lite
from workzone.backbones.names import HEAD_WIDTH, LITE0, LITE_MULTIPLE
from workzone.data.manifest import Manifest, read_manifest
from workzone.model.presets import preset
from workzone.scenes import write_scenes
from workzone.scenes.composites import write_composites
from workzone.scenes.rendered.compose import RenderedObjects
from workzone.scenes.rendered.faces import DrawnFaces
from workzone.scenes.rendered.library import CutoutLibrary
from workzone.scenes.roadsigns.compositor import SignObjects
from workzone.scenes.roadsigns.drawings import read_drawings
from workzone.types import OBJECT_CLASSES
from workzone.views import preprocess, sample_bytes

SIGNS, SIGNS_IN_SCENES, DRAWN, RENDERED, SCENES, EMPTY = 5000, 600, 1500, 400, 400, 300
"""Pictures that are made; the last are streets for signs."""
SHARES = {
    "signs": 4.0,
    "signs-scenes": 0.8,
    "composites": 2.0,
    "rendered": 3.0,
    "scenes": 1.0,
    "photographs": 1.5,
}
"""How often a tile is of them."""
FROZEN = 4
"""Of the network's parts: stem, its activation, and two stages."""
RATE, BACKBONE, FALL = 1e-3, 0.3, 0.8
"""Learning rate of the head; the backbone's last part has this share of it, each before it less."""
PULL = 0.02
"""Back to ImageNet's weights, per step and rate."""
AVERAGE = 0.997
"""Decay of the moving average."""
COVERED, CLEAR = 0.05, 0.01
"""A cell shows a class where it covers more, none where it covers less; between, it is unknown."""
HARDEST = 33
"""One in so many cells without a class: they weigh as much as all."""
ANY_WEIGHT, CLASS_WEIGHT = 3.0, 0.7
ANY = len(OBJECT_CLASSES)
"""The head's output for any class."""
SIZES = (512, 768)
"""Shorter sides of the frames that are judged."""


class Network(nn.Module):
    """The embedded backbone, and a logit of each class and of any for every cell."""

    def __init__(self, start: Path | None = None) -> None:
        super().__init__()
        model = load_lite(LITE0).model
        if start:
            state = safetensors.torch.load_file(start / "backbone.safetensors")
            model.load_state_dict({name: value.float() for name, value in state.items()})
        self.parts = nn.ModuleList([*_parts(model)]).to(memory_format=torch.channels_last)
        self.head = nn.Conv2d(HEAD_WIDTH, ANY + 1, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.constant_(self.head.bias, -3.0)
        for number, part in enumerate(self.parts):  # a loaded backbone is frozen
            part.requires_grad_(number >= FROZEN)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """``[B, 3, h, w]`` of -1..1 to logits ``[B, K + 1, h / 32, w / 32]``."""
        maps = maps.contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            for part in self.parts[:FROZEN]:
                maps = part(maps)
        for part in self.parts[FROZEN:]:
            maps = part(maps)
        logits: torch.Tensor = self.head(F.dropout2d(maps, 0.2, self.training))
        return logits

    def groups(self) -> list[dict[str, Any]]:
        """Of the optimizer: the head's rate, and those of the backbone's parts."""
        rates = [
            (part, RATE * BACKBONE * FALL ** (len(self.parts) - 1 - number))
            for number, part in enumerate(self.parts)
            if number >= FROZEN
        ]
        return [
            {"params": list(part.parameters()), "lr": rate, "full": rate}
            for part, rate in [(self.head, RATE), *rates]
            if list(part.parameters())
        ]

    def backbone(self) -> dict[str, torch.Tensor]:
        """The backbone's weights, by the names of `load_lite`."""
        model = load_lite(LITE0).model
        for own, learned in zip(_parts(model), self.parts, strict=True):
            own.load_state_dict(learned.state_dict())
        return dict(model.state_dict())


def _parts(model: Any) -> Iterator[nn.Module]:
    yield from (model.conv_stem, model.bn1, *model.blocks, model.conv_head, model.bn2)


def gather(
    photos: Sequence[Path], signs: Path, cutouts: Path, work: Path
) -> tuple[dict[str, Manifest], Manifest]:
    """What is learned from, and the composites that are held back."""
    real, allowed = gather_folders(photos, work)
    learned = [
        s
        for s in real
        if s.label == 0 and s.id in allowed and not (s.group or "").startswith(ALL_LEFT_OUT)
    ]
    bases = streets(learned, work / "streets.parquet")
    empty = read_manifest(write_scenes(work / "empty", count=EMPTY, seed=21, positive_share=0))
    drawings = read_drawings(signs, part="learned")
    faces = SignObjects(drawings)
    things = RenderedObjects(CutoutLibrary(cutouts, DrawnFaces(drawings)))
    made = {
        "scenes": read_manifest(write_scenes(work / "scenes", count=SCENES, seed=22)),
        "photographs": Manifest(learned, work),
    }
    for name, base, count, seed, objects in (
        ("signs", bases, SIGNS, 31, faces),
        ("signs-scenes", empty, SIGNS_IN_SCENES, 32, faces),
        ("composites", bases, DRAWN, 33, None),
        ("rendered", bases, RENDERED, 34, things),
    ):
        written = write_composites(base, work / name, count=count, seed=seed, compositor=objects)
        made[name] = read_manifest(written.manifest)
    return made, held_back_signs([s for s in real if s.id not in allowed], signs, work)


def loss_of(logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """Of cells: those that show a class weigh as much as those that do not, the hardest most."""
    cover = F.avg_pool2d(masks, LITE_MULTIPLE)
    anything = F.avg_pool2d(masks.amax(dim=1, keepdim=True), LITE_MULTIPLE)
    cover = torch.cat([cover, anything], dim=1)
    total = logits.new_zeros(())
    for number in range(ANY + 1):
        logit, covered = logits[:, number], cover[:, number]
        absent = F.softplus(logit[covered < CLEAR])
        worst = absent.topk(max(1, len(absent) // HARDEST)).values
        loss = 0.5 * absent.mean() + 0.5 * worst.mean()
        shown = covered > COVERED
        if shown.any():
            loss = loss + F.softplus(-logit[shown]).mean()
        total = total + loss * (ANY_WEIGHT if number == ANY else CLASS_WEIGHT)
    return total / (ANY + 1)


def learn(
    made: dict[str, Manifest], *, tiles: int, batch: int, seed: int, start: Path | None = None
) -> Network:
    """The network with the average of its weights."""
    torch.manual_seed(seed)
    network = Network(start).train()
    optimizer = torch.optim.AdamW(network.groups(), weight_decay=0.0)
    published = [[p.detach().clone() for p in g["params"]] for g in optimizer.param_groups[1:]]
    average = torch.optim.swa_utils.AveragedModel(
        network,
        avg_fn=lambda mean, value, count: mean.lerp(
            value, 1 - min(AVERAGE, (1 + count) / (10 + count))
        ),
    )
    sets = [(SHARES[name], read_pictures(manifest)) for name, manifest in made.items()]
    loader = iter(torch.utils.data.DataLoader(Tiles(sets, seed), batch_size=batch, num_workers=1))
    steps = tiles // batch
    for step in progress.track(range(steps), "training"):
        warm = min(1.0, (step + 1) / 50)
        for group in optimizer.param_groups:
            group["lr"] = group["full"] * warm * 0.5 * (1 + math.cos(math.pi * step / steps))
        pixels, masks = next(loader)
        optimizer.zero_grad()
        loss_of(network(pixels), masks).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 3.0)
        optimizer.step()
        with torch.no_grad():
            for group, before in zip(optimizer.param_groups[1:], published, strict=True):
                for weight, old in zip(group["params"], before, strict=True):
                    weight.lerp_(old, group["lr"] * PULL)
        average.update_parameters(network)
    learned: Network = average.module
    return learned.eval()


def write_weights(network: Network, folder: Path) -> None:
    """In 16 bits, as the package ships them."""
    folder.mkdir(parents=True, exist_ok=True)
    halves = {name: value.half().contiguous() for name, value in network.backbone().items()}
    safetensors.torch.save_file(halves, folder / "backbone.safetensors")


@torch.no_grad()
def judge(network: Network, held_back: Manifest) -> dict[str, Any]:
    """Of the strongest cell, by size of the frame and by height of the largest sign."""
    heights, groups = sign_heights(held_back), sign_groups(held_back)
    found = {}
    for size in SIZES:
        layout = preset("dense").layout.with_view_size(size)
        scores = []
        for sample in held_back:
            views = preprocess(sample_bytes(sample, held_back.root), layout)
            pixels = torch.from_numpy(views.pixels).float() / 127.5 - 1
            scores.append(float(network(pixels)[0, ANY].max()))
        found[f"{size} px"] = sign_table(heights, groups, np.array(scores))
    return found


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--signs", type=Path, required=True, help="drawings, see docs/signs.md")
    parser.add_argument("--work", type=Path, default=Path("runs/trunk"))
    parser.add_argument("--cutouts", type=Path, default=Path("runs/cutouts"))
    parser.add_argument("--tiles", type=int, default=52_000)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=Path, help="folder with weights to go on from")
    parser.add_argument("--ship", type=Path, help="folder for the weights")
    options = parser.parse_args()
    progress.enabled = True
    made, held_back = gather(options.photos, options.signs, options.cutouts, options.work)
    network = learn(
        made,
        tiles=options.tiles,
        batch=options.batch,
        seed=options.seed,
        start=options.start,
    )
    if options.ship:
        write_weights(network, options.ship)
    counted = {name: len(manifest.samples) for name, manifest in made.items()}
    results = {"pictures": counted, "held back": judge(network, held_back)}
    write_record(options.output, results)


if __name__ == "__main__":
    main()
