"""A contact sheet: a few dozen images with their labels, to look at before trusting a data set."""

from __future__ import annotations

from collections import Counter
from itertools import zip_longest
from pathlib import Path

import numpy as np

from workzone.data.manifest import Manifest
from workzone.data.sheet import WORDS, Cell, check_sheet, draw_sheet
from workzone.errors import ManifestError, UsageError
from workzone.types import Sample


def contact_sheet(
    manifest: Manifest, output: Path, *, columns: int = 6, rows: int = 6, seed: int = 0
) -> Path:
    """Write a PNG of thumbnails with label, id and group; unreadable images are shown as such.

    Args:
        manifest: samples, labelled or not.
        output: a ``.png`` file to write.
        columns: thumbnails side by side.
        rows: thumbnails below each other, fewer where there are not enough samples.
        seed: which samples are drawn; the same for the same samples in any order.

    Returns:
        ``output``.

    Raises:
        UsageError: ``output`` is no PNG, or the sheet has no or too many cells.
        ManifestError: the manifest has no rows.
    """
    if min(columns, rows) < 1:
        raise UsageError(
            f"a sheet of {columns} x {rows} thumbnails cannot be drawn; give at least 1 x 1"
        )
    if not len(manifest):
        raise ManifestError("the manifest has no rows to show; import some images first")
    check_sheet(output, columns * rows)
    chosen = draw_samples(manifest, columns * rows, seed=seed)
    cells = [_cell(sample) for sample in chosen]
    return draw_sheet(cells, manifest.root, output, columns=columns)


def _cell(sample: Sample) -> Cell:
    note = sample.id if sample.group is None else f"{sample.id}  ·  {sample.group}"
    return Cell(sample, WORDS[sample.label], note)


def draw_samples(manifest: Manifest, count: int, *, seed: int = 0) -> list[Sample]:
    """A sample of ``count`` rows: the labels by turns, and within a label the groups by turns."""
    samples = sorted(manifest, key=lambda sample: sample.id)
    shuffled = [samples[index] for index in np.random.default_rng(seed).permutation(len(samples))]
    of_group: Counter[tuple[int | None, str]] = Counter()
    by_turn: dict[int | None, list[tuple[int, Sample]]] = {1: [], 0: [], None: []}
    for sample in shuffled:
        key = (sample.label, sample.group or sample.id)
        by_turn[sample.label].append((of_group[key], sample))
        of_group[key] += 1
    queues = [
        [sample for _, sample in sorted(turns, key=lambda turn: turn[0])]
        for turns in by_turn.values()
    ]
    drawn = [sample for turn in zip_longest(*queues) for sample in turn if sample is not None]
    return drawn[:count]
