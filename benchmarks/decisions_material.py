"""What `decisions.py` learns from and judges on: photographs, drawn scenes, and their features.

Leave one source out: everything else is learned from, photographs whose licence forbids passing on
weights among it, as nothing of this ships. Photographs of the sources left out are seen as they
are, as the subnet would send them, and in augmented copies.
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
from workzone.features.spec import FeatureSpec
from workzone.features.store import FeatureStore
from workzone.scenes import write_scenes
from workzone.subnet.challenge import LEVEL, write_challenge
from workzone.train.feed.examples import Examples
from workzone.types import Sample
from workzone.views import ViewLayout

BACKBONES = ("lite0", "lite2")
LAYOUT = ViewLayout(size=224, tiles=2, squares=())  # the whole frame and four tiles of it
SCENES = 200
LEARNED_COPIES = 2
"""Mild copies of each image that is learned from."""
LOOKS = 16
"""Copies of each image that is judged, beside the image itself."""
LEVELS = range(4)
THREE = tuple(start for starts in LEFT_OUT.values() for start in starts)


class Material:
    """Photographs and scenes with their features, of one backbone or several."""

    def __init__(self, photos: Sequence[Path], work: Path, backbones: Sequence[str]) -> None:
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
        self.challenge = [absolute(s, sent.root) for s in sent]
        self.looked_at = [s for s in self.challenge if int(s.extra[LEVEL]) == level_of(s)]
        self.stores = {name: self._extract(name) for name in backbones}

    def _extract(self, name: str) -> FeatureStore:
        """Features of all there is; copies to look at of the first backbone alone."""
        backbone = load_backbone(name)
        spec: FeatureSpec = make_spec(backbone, layout=LAYOUT, grid_views=())
        looks = LOOKS if name == BACKBONES[0] else 0
        store = None
        for rows, copies in (
            (self.samples, LEARNED_COPIES),
            (self.challenge, 0),
            (self.tested, looks),
            (self.looked_at, looks),
        ):
            job = Extraction(
                Manifest(list(rows), self.work),
                backbone,
                spec,
                self.work / "features",
                copies=copies,
            )
            store = job.run()
            for failed, reason in job.failed(store).items():
                raise SystemExit(f"{failed} cannot be read: {reason}")
        assert store is not None
        return store

    def examples(self, name: str) -> Examples:
        """All that is learned from, with its copies."""
        store = self.stores[name]
        rows = [
            [store.row(s.content_hash or "", copy) for copy in range(1 + LEARNED_COPIES)]
            for s in self.samples
        ]
        return Examples(
            labels=torch.tensor([s.label for s in self.samples]),
            rows=torch.tensor(rows),
            features=store.mapped("pooled"),
            boxes=store.mapped("boxes"),
            view_size=LAYOUT.size,
            samples=[dataclasses.replace(s, split=None) for s in self.samples],
        )


def level_of(sample: Sample) -> int:
    """The challenge's level at which copies of a photograph are looked at: a fixed one of four."""
    return zlib.crc32(sample.id.rsplit(" level ", 1)[0].encode()) % len(LEVELS)


def collection_of(sample: Sample) -> str:
    """What validation folds never part: groups of one collection."""
    return family(sample.group or sample.id)
