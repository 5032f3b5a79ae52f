"""A data set of composites: drawn objects in a manifest's photographs without road work."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from workzone.data.images import content_hash, decode, read_bytes
from workzone.data.manifest import Manifest, write_manifest
from workzone.data.masks.formats.bit_images import write_bit_image
from workzone.errors import ImageError, ManifestError, UsageError, nearest
from workzone.files import write_text, writing
from workzone.progress import track
from workzone.scenes.composite import DrawnObjects
from workzone.scenes.compositor import Compositor, PlacedObject
from workzone.scenes.sheet import COLUMNS, ROWS, make_contact_sheet
from workzone.types import ImageRef, Sample

SOURCE = "composite"
SMALLEST_BASE, NARROWEST_BASE = 320, 64
"""Pixels of the longer and of the shorter side; smaller photographs are passed over."""


@dataclass(frozen=True, slots=True)
class CompositesSummary:
    """What was written."""

    manifest: Path
    rows: int
    positives: int
    photographs: int  # that were used
    passed_over: dict[str, str]  # id of a photograph to the reason


def write_composites(
    photographs: Manifest,
    folder: Path,
    *,
    count: int,
    seed: int = 0,
    positive_share: float = 0.5,
    splits: Sequence[str] = (),
    skip_sources: Sequence[str] = (),
    compositor: Compositor | None = None,
) -> CompositesSummary:
    """Put objects into photographs with label 0, and write the pictures as a data set.

    The folder gets ``images/*.jpg``, ``masks/*.png``, ``objects/*.json`` (class and box of each
    object), ``sheet.jpg`` and ``manifest.parquet``. A row has the group, the split and the metadata
    of its photograph (but no text), the source ``composite``, and in ``extra`` the photograph's own
    columns with ``base_id``, ``base_source`` and ``composite_seed``. The same arguments give the
    same bytes; a row depends on the seed, its number and the photographs alone. Rows that are there
    already are kept, so that a stopped job goes on. Photographs that cannot be read, or whose
    longer side is below 320 px or whose shorter is below 64, are passed over and listed in
    ``passed_over.csv``.

    Args:
        photographs: only rows with label 0 and a group are used.
        folder: made if needed.
        count: composites.
        seed: of everything; not negative.
        positive_share: chance of a work zone, 0..1.
        splits: take photographs of these splits alone; none named: of all but ``test``.
        skip_sources: take none of these sources.
        compositor: what puts objects into them; None: drawn work zones. With one of twins, rows
            have label 1 and 0 by turns, and each two of them share a photograph.

    Raises:
        UsageError: numbers out of range, or a split or source that the manifest has not.
        ManifestError: no photograph is left to use.
        WorkzoneError: the folder cannot be written.
    """
    if count < 1:
        raise UsageError(f"count is {count}; ask for at least 1 composite")
    if seed < 0:
        raise UsageError(f"seed is {seed}; it must be 0 or more")
    if not 0 <= positive_share <= 1:
        raise UsageError(f"positive_share is {positive_share}; it must lie between 0 and 1")
    compositor = compositor or DrawnObjects()
    if compositor.twins and positive_share != 0.5:
        raise UsageError(
            f"positive_share is {positive_share}; of these composites each photograph has one of "
            "either label: leave it out"
        )
    bases = _bases(photographs, splits, skip_sources)
    work = _Work(folder, photographs.root, bases, seed, positive_share, compositor, {})
    samples = [work.sample(number) for number in track(range(count), "compositing")]
    path = folder / "manifest.parquet"
    write_manifest(Manifest(samples, folder), path)
    _write_passed_over(folder / "passed_over.csv", work.passed_over)
    shown = [folder / sample.image.path for sample in samples[: COLUMNS * ROWS]]
    make_contact_sheet(shown, folder / "sheet.jpg")
    return CompositesSummary(
        path,
        rows=len(samples),
        positives=sum(sample.label == 1 for sample in samples),
        photographs=len({sample.extra["base_id"] for sample in samples}),
        passed_over=work.passed_over,
    )


@dataclass(frozen=True, slots=True)
class _Work:
    folder: Path
    root: Path
    bases: list[Sample]
    seed: int
    positive_share: float
    compositor: Compositor
    passed_over: dict[str, str]

    def sample(self, number: int) -> Sample:
        """Make a row, or take the one that is there."""
        name = f"composite-{self.seed}-{number:05d}"
        twins = self.compositor.twins
        street = number // 2 if twins else number
        rng = np.random.default_rng([self.seed, street, 40])
        drawn_label = int(rng.random() < self.positive_share)
        label = 1 - number % 2 if twins else drawn_label
        base, photo = self._photograph(rng)
        image, masks, record = f"images/{name}.jpg", f"masks/{name}.png", f"objects/{name}.json"
        origin = hashlib.blake2b(
            f"{self.compositor.version} {self.seed} {number} {label} {base.id} "
            f"{base.content_hash}".encode(),
            digest_size=8,
        ).hexdigest()
        files = self.folder / image, self.folder / masks
        known = _kept(self.folder / record, origin, files)
        if known is None:
            made = self.compositor.compose(photo, (self.seed, street, 41), label=label)
            known = {
                "origin": origin,
                "content_hash": content_hash(made.jpeg),
                "darkened": made.darkened,
                "objects": [_described(one) for one in made.objects],
            }
            with writing(files[0]) as aside:
                aside.write_bytes(made.jpeg)
            write_bit_image(made.masks, files[1], knowledge="drawn")
            text = json.dumps(known)
            write_text(self.folder / record, text + "\n")  # last: it says that the row is whole
        return Sample(
            id=name,
            image=ImageRef(image),
            label=label,
            group=base.group,
            latitude=base.latitude,
            longitude=base.longitude,
            time=None if known["darkened"] else base.time,
            weather=base.weather,
            daytime=known["darkened"] or base.daytime,
            scene=base.scene,
            masks=masks,
            source=SOURCE,
            content_hash=known["content_hash"],
            split=base.split,
            extra=base.extra
            | {
                "base_id": base.id,
                "base_source": base.source or "",
                "composite_seed": f"{self.seed}-{number}",
            },
        )

    def _photograph(self, rng: np.random.Generator) -> tuple[Sample, npt.NDArray[np.uint8]]:
        """The first usable photograph in an order drawn by lot."""
        for index in rng.permutation(len(self.bases)).tolist():
            base = self.bases[index]
            if base.id in self.passed_over:
                continue
            try:
                frame = decode(read_bytes(base.image, self.root), name=str(base.image))
            except ImageError as error:
                self.passed_over[base.id] = str(error)
                continue
            height, width = frame.shape[1:]
            if max(height, width) < SMALLEST_BASE or min(height, width) < NARROWEST_BASE:
                self.passed_over[base.id] = (
                    f"{width}x{height} pixels; the longer side must have {SMALLEST_BASE}, the "
                    f"shorter {NARROWEST_BASE}"
                )
                continue
            return base, frame.permute(1, 2, 0).contiguous().numpy()
        first = next(iter(self.passed_over.values()))
        raise ManifestError(
            f"none of the {len(self.bases)} photographs with label 0 can be used ({first}); "
            f"give photographs of at least {SMALLEST_BASE} x {NARROWEST_BASE} px that can be read"
        )


def _bases(
    photographs: Manifest, splits: Sequence[str], skip_sources: Sequence[str]
) -> list[Sample]:
    """The photographs that may be used, by id, so that the order of rows does not matter."""
    _check_names(splits, {s.split for s in photographs if s.split}, "split", "--split")
    _check_names(
        skip_sources, {s.source for s in photographs if s.source}, "source", "--skip-source"
    )
    wanted = [
        s
        for s in photographs
        if s.label == 0
        and (s.split in splits if splits else s.split != "test")
        and s.source not in skip_sources
    ]
    bases = sorted((s for s in wanted if s.group is not None), key=lambda s: s.id)
    if not bases:
        without = f"; {len(wanted)} more have no group" if wanted else ""
        raise ManifestError(
            "no photograph has label 0 and a group, in a split and of a source that may be used"
            f"{without}. A group is needed to keep a composite with its photograph in a split: "
            "import with a column for it (--map group=...)."
        )
    return bases


def _check_names(names: Sequence[str], known: Collection[str], what: str, option: str) -> None:
    for name in names:
        if name not in known:
            raise UsageError(
                f"no photograph has the {what} {name!r} ({option}); {nearest(name, known)}"
            )


def _described(placed: PlacedObject) -> dict[str, Any]:
    drawing = {"drawing": placed.drawing} if placed.drawing else {}
    return {"class": placed.kind, "box": placed.box, **drawing}


def _kept(record: Path, origin: str, files: Sequence[Path]) -> dict[str, Any] | None:
    """What is known of a row that was made before from the same; None: make it."""
    try:
        found: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    whole = found.get("origin") == origin and all(file.exists() for file in files)
    return found if whole else None


def _write_passed_over(path: Path, reasons: dict[str, str]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["id", "reason"])
    writer.writerows(sorted(reasons.items()))
    write_text(path, text.getvalue())
