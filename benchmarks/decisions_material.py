"""What `decisions.py` learns from and judges on: photographs, drawn scenes, and their features.

Leave one source out: everything else is learned from, photographs whose licence forbids passing on
weights among it, as nothing of this ships. Photographs of the sources left out are seen as they
are, as the subnet would send them (at each of four levels), and some in augmented copies (of
challenges, each at one level).
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Sequence
from pathlib import Path

import torch
from photographs import LEFT_OUT, family
from recipe import absolute, gather_photographs

from workzone.backbones.registry import load_backbone
from workzone.data.manifest import Manifest, read_manifest
from workzone.features.extract import Extraction, make_spec
from workzone.features.store import FeatureStore
from workzone.scenes import write_scenes
from workzone.subnet.challenge import LEVEL, write_challenge
from workzone.train.feed.examples import Examples
from workzone.types import Sample
from workzone.views import ViewLayout

BACKBONES = ("lite0", "lite2")
LAYOUT = ViewLayout(size=224, tiles=2, squares=())  # the whole frame and four tiles of it
SCENES = 200
LOOKS = 15
"""Copies of each image that is looked at several times, beside the image itself."""
LOOKED_AT = 50
"""Photographs of each source left out looked at so: half with road work, or all there are."""
LEVELS = range(4)
PHASES = ("once", "often")
"""Of extraction: all images as they are and as they are learned from, then further looks."""
THREE = tuple(start for starts in LEFT_OUT.values() for start in starts)


class Material:
    """Photographs and scenes with their features, of one backbone or several."""

    def __init__(
        self, photos: Sequence[Path], work: Path, needed: Sequence[tuple[str, str]]
    ) -> None:
        """Gather, and extract what is ``needed``: backbones, each with one of `PHASES`."""
        self.work = work
        real: list[Sample] = []
        for folder in photos:
            inside = work / folder.name
            inside.mkdir(parents=True, exist_ok=True)
            real += gather_photographs(folder, inside)[0]
        drawn = read_manifest(write_scenes(work / "scenes", count=SCENES, seed=0))
        made = [
            absolute(s, drawn.root, source="scenes", extra={}, group=f"scene {s.group or s.id}")
            for s in drawn
        ]
        self.samples = [*real, *made]
        self.tested = [s for s in real if (s.group or "").startswith(THREE)]
        sent = write_challenge(Manifest(self.tested, work), work / "challenge")
        each = [absolute(s, sent.root) for s in sent]
        self.challenge = each
        chosen = {s.id for s in looked_at(self.tested)}
        self.seen_often = [s for s in self.tested if s.id in chosen]
        once = [s for s in each if int(s.extra[LEVEL]) == level_of(s)]
        self.sent_often = [s for s in once if named(s) in chosen]
        self.stores: dict[str, FeatureStore] = {}
        for backbone, phase in needed:
            self.stores[backbone] = self.extract(backbone, phase)

    def extract(self, name: str, phase: str) -> FeatureStore:
        """Features of one of `PHASES`; what is there is not made again."""
        backbone = load_backbone(name)
        spec = make_spec(backbone, layout=LAYOUT)
        parts = {
            "once": ((self.samples, 0), (self.challenge, 0)),
            "often": ((self.seen_often, LOOKS), (self.sent_often, LOOKS)),
        }
        for rows, copies in parts[phase]:
            folder = self.work / "features"
            made = Manifest(list(rows), self.work)
            job = Extraction(made, backbone, spec, folder, copies=copies)
            store = job.run()
            for failed, reason in job.failed(store).items():
                raise SystemExit(f"{failed} cannot be read: {reason}")
        return store

    def examples(self, name: str) -> Examples:
        """All that is learned from."""
        store = self.stores[name]
        rows = [[store.row(s.content_hash or "")] for s in self.samples]
        return Examples(
            labels=torch.tensor([s.label for s in self.samples]),
            rows=torch.tensor(rows),
            features=store.mapped("pooled"),
            boxes=store.mapped("boxes"),
            view_size=LAYOUT.size,
            samples=[dataclasses.replace(s, split=None) for s in self.samples],
        )


def looked_at(tested: Sequence[Sample]) -> list[Sample]:
    """Some photographs of each source, in an order that is by chance, of both labels."""
    found: list[Sample] = []
    for starts in LEFT_OUT.values():
        own = [s for s in tested if (s.group or "").startswith(starts)]
        own.sort(key=lambda s: zlib.crc32(s.id.encode()))
        shown = [s for s in own if s.label == 1][: LOOKED_AT // 2]
        found += shown + [s for s in own if s.label == 0][: LOOKED_AT - len(shown)]
    return found


def named(sample: Sample) -> str:
    """Of a challenge, the id of its photograph."""
    return sample.id.rsplit(" level ", 1)[0]


def level_of(sample: Sample) -> int:
    """The challenge's level at which a photograph is looked at several times: by chance."""
    return zlib.crc32(b"level " + named(sample).encode()) % len(LEVELS)


def collection_of(sample: Sample) -> str:
    """What validation folds never part: groups of one collection."""
    return family(sample.group or sample.id)
