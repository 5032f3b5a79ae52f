"""The features that `copies.py` learns from and judges on: photographs, copies, challenges."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache
from pathlib import Path

import torch

from workzone import progress
from workzone.backbones.registry import load_backbone
from workzone.data.augmentation import Augmentation, Recipe
from workzone.data.importing import import_source
from workzone.data.manifest import Manifest, read_manifest
from workzone.features.extract import Extraction, make_spec, store_path
from workzone.features.spec import FeatureSpec
from workzone.features.store import FeatureStore, StoreWriter
from workzone.subnet.challenge import write_challenge
from workzone.train.feed.examples import Examples
from workzone.types import Sample

CHALLENGE_SEED = 0


def spec_of(recipe: Recipe) -> FeatureSpec:
    """Of features with copies of a recipe."""
    return make_spec(
        load_backbone("lite0"),
        precision="bfloat16",  # three times as fast where the processor has it
        grid_views=(0,),
        augmentation=Augmentation(recipe=recipe),
    )


def prepare(photos: Path, work: Path, copies: dict[Recipe, int]) -> None:
    """Extract everything once; a stopped run goes on."""
    import_source(str(photos / "labels.csv"), work / "photographs.parquet")
    photographs = read_manifest(work / "photographs.parquet")
    write_challenge(photographs, work / "challenge", seed=CHALLENGE_SEED)
    _extract(work, photographs, "mild", 0)
    with ProcessPoolExecutor(2) as pool:  # a store has one writer at a time
        judged = pool.submit(_judged, work, copies.get("mild", 0))
        others = {recipe: count for recipe, count in copies.items() if recipe != "mild"}
        for done in [judged, pool.submit(_copied, work, others)]:
            done.result()


def _judged(work: Path, mild_copies: int) -> None:
    _extract(work, challenges(work), "mild", 0)
    _extract(work, read_manifest(work / "photographs.parquet"), "mild", mild_copies)


def _copied(work: Path, copies: dict[Recipe, int]) -> None:
    for recipe, count in copies.items():
        _take_photographs(work, recipe)
        _extract(work, read_manifest(work / "photographs.parquet"), recipe, count)


def _extract(work: Path, manifest: Manifest, recipe: Recipe, copies: int) -> None:
    torch.set_num_threads(1)
    progress.enabled = False
    spec = spec_of(recipe)
    Extraction(manifest, load_backbone("lite0"), spec, work / "features", copies=copies).run()


def _take_photographs(work: Path, recipe: Recipe) -> None:
    """The images as they are, into the store of a recipe: they are the same in every store."""
    plain, spec = stored(work, "mild"), spec_of(recipe)
    with StoreWriter(store_path(work / "features", spec), spec) as writer:
        for sample in read_manifest(work / "photographs.parquet"):
            key = (sample.content_hash or "", 0)
            if key in plain.rows and key not in writer.rows:
                row = plain.rows[key]
                names = ("pooled", "boxes", "grid")
                writer.append([key], {n: plain.mapped(n)[row : row + 1].numpy() for n in names})


def stored(work: Path, recipe: Recipe) -> FeatureStore:
    """The store with a recipe's copies."""
    return FeatureStore(store_path(work / "features", spec_of(recipe)))


def challenges(work: Path) -> Manifest:
    """Each photograph at levels 0 to 3."""
    (folder,) = (work / "challenge").iterdir()
    return read_manifest(folder / "manifest.parquet")


@cache
def examples(work: Path, recipe: Recipe, copies: int) -> Examples:
    """The photographs with some copies, in memory once per process."""
    samples = list(read_manifest(work / "photographs.parquet"))
    store = stored(work, recipe)
    rows = [[store.row(s.content_hash or "", c) for c in range(copies + 1)] for s in samples]
    return _examples(store, samples, rows)


@cache
def challenge_examples(work: Path) -> Examples:
    """Of :func:`challenges`."""
    samples = list(challenges(work))
    store = stored(work, "mild")
    return _examples(store, samples, [[store.row(s.content_hash or "")] for s in samples])


def _examples(store: FeatureStore, samples: list[Sample], rows: list[list[int]]) -> Examples:
    return Examples(
        labels=torch.tensor([s.label for s in samples]),
        rows=torch.tensor(rows),
        features=store.mapped("pooled"),
        boxes=store.mapped("boxes"),
        grid=store.grid((0,)),
        grid_size=store.spec.grid_size,
        view_size=store.spec.layout.size,
        samples=samples,
    )


def subset(examples: Examples, rows: object) -> Examples:
    """Some of the images."""
    index = torch.as_tensor(rows)
    return replace(
        examples,
        labels=examples.labels[index],
        rows=examples.rows[index],
        samples=[examples.samples[row] for row in index.tolist()],
    )
