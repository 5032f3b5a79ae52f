"""A contact sheet of masks: to look at before anything learns from them."""

from __future__ import annotations

from pathlib import Path

from workzone.data.manifest import Manifest
from workzone.data.masks.merge import believed, in_words
from workzone.data.masks.references import read_said
from workzone.data.preview import draw_samples
from workzone.data.sheet import WORDS, Cell, check_sheet, draw_sheet
from workzone.errors import ManifestError, StoreError, UsageError
from workzone.types import OBJECT_CLASSES, Sample


def draw_masks(
    manifest: Manifest, output: Path, *, columns: int = 4, rows: int = 6, seed: int = 0
) -> int:
    """Write a PNG of samples with their masks over them and counts below.

    Args:
        manifest: samples without masks are left out; labels and groups take turns.
        output: a ``.png`` file to write.
        columns: pictures side by side.
        rows: pictures below each other, fewer where there are not enough.
        seed: which samples are drawn.

    Returns:
        How many are shown.

    Raises:
        UsageError: no sample has masks, or no sheet can be drawn so.
    """
    masked = [sample for sample in manifest if sample.masks is not None]
    if not masked:
        raise UsageError(
            "no sample of the manifest has masks; add some with `workzone data masks import`"
        )
    check_sheet(output, columns * rows)
    chosen = draw_samples(manifest.with_samples(masked), columns * rows, seed=seed)
    cells = [
        Cell(sample, WORDS[sample.label], f"{sample.id}: {_counts(sample, manifest.root)}")
        for sample in chosen
    ]
    draw_sheet(cells, manifest.root, output, columns=columns, masks=True)
    return len(cells)


def _counts(sample: Sample, root: Path) -> str:
    try:
        said = read_said(sample.masks or "", root)
        classes = [believed(name, said) for name in OBJECT_CLASSES]
    except (ManifestError, StoreError) as error:
        return str(error)
    return in_words(item for one in classes for item in (*one.objects, *one.boxes)) or "nothing"
