"""Fill a feature store: images to views to features, each image once, resumable."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from workzone.backbones.base import Backbone, one_core_each, pool, pooled_width, run
from workzone.cores import core_count
from workzone.data.augmentation import Augmentation
from workzone.data.manifest import Manifest
from workzone.errors import BackboneError, ImageError, ManifestError, StoreError, WorkzoneError
from workzone.features.reading import in_square, level_shapes, read_views, square_boxes
from workzone.features.spec import FeatureSpec, Precision, StoredType
from workzone.features.store import (
    FeatureStore,
    RowKey,
    StoreWriter,
    level_name,
    row_arrays,
    row_bytes,
)
from workzone.parallel import in_batches, judged_ahead
from workzone.progress import bar
from workzone.types import Sample, Views
from workzone.views import USUAL_FRAME, ViewLayout, sample_bytes, sample_views

BATCH_IMAGES = 16
"""Images per batch: the most that a stop can lose."""
LEAST_SIMILARITY = 0.999
"""Cosine, bfloat16 against float32, below which bfloat16 is refused."""
PROBED_IMAGES = 4
"""Images on which the two are compared."""


@dataclass(frozen=True)
class Job:
    """One row to extract."""

    sample: Sample
    copy: int  # 0: the image as it is

    @property
    def key(self) -> RowKey:
        """Where the row goes in the store."""
        assert self.sample.content_hash is not None
        return (self.sample.content_hash, self.copy)


@dataclass(frozen=True)
class Estimate:
    """What an extraction will take."""

    rows: int  # to extract
    present: int  # already in the store
    bytes: int  # on disk, for the rows to extract
    seconds: float  # from a timed batch of one image

    def __str__(self) -> str:
        """One line for people."""
        minutes, seconds = divmod(round(self.seconds), 60)
        return (
            f"{self.rows:,} rows to extract ({self.present:,} already stored), "
            f"{self.bytes / 1e6:,.1f} MB, about {minutes} min {seconds:02d} s"
        )


def make_spec(
    backbone: Backbone,
    *,
    layout: ViewLayout | None = None,
    pooling: str | None = None,
    precision: Precision = "float32",
    stored_type: StoredType = "float16",
    grid_views: tuple[int, ...] = (),
    levels: Sequence[int] = (),
    augmentation: Augmentation | None = None,
) -> FeatureSpec:
    """The spec of features of this backbone.

    Raises:
        BackboneError: the backbone cannot take views of this size, or has no such level.
        UsageError: the pooling does not fit the backbone, or a grid view does not exist.
    """
    layout = layout or ViewLayout(size=backbone.default_size)
    backbone.check_size(layout.size)
    if layout.halves:
        backbone.check_size(layout.size // 2)
    if layout.shorter:
        backbone.check_size(layout.step // 2 if layout.halves else layout.step)
    pooling = pooling or backbone.default_pooling
    return FeatureSpec(
        backbone=backbone.name,
        weight_hash=backbone.weight_hash,
        width=pooled_width(backbone, pooling),
        mean=backbone.mean,
        std=backbone.std,
        pooling=pooling,
        layout=layout,
        precision=precision,
        stored_type=stored_type,
        grid_views=grid_views,
        grid_size=backbone.grid_size(layout.size) if grid_views else (0, 0),
        grid_width=backbone.width if grid_views else 0,
        level_shapes=level_shapes(backbone, levels, layout.size),
        augmentation=augmentation or Augmentation(),
    )


def choose_precision(
    backbone: Backbone, manifest: Manifest, layout: ViewLayout, pooling: str | None = None
) -> tuple[Precision, str]:
    """The precision to compute in, with the reason as a sentence.

    bfloat16 is taken where the processor has instructions for it and every view's pooled vector
    stays within a cosine of `LEAST_SIMILARITY` of float32's, on `PROBED_IMAGES` images that can
    be read: those with the lowest content hashes, so that the order of rows does not matter.
    """
    if not has_fast_bfloat16(backbone.device):
        return "float32", "float32: the processor has no bfloat16 instructions"
    probed: list[torch.Tensor] = []  # of each image: frames may differ in shape
    for sample in sorted(manifest, key=lambda s: (s.content_hash or "", s.id)):
        if len(probed) == PROBED_IMAGES:
            break
        with contextlib.suppress(ImageError):
            data = sample_bytes(sample, manifest.root)
            probed.append(torch.from_numpy(sample_views(sample, data, layout).pixels))
    if not probed:
        return "float32", "float32: no image could be read to compare precisions on"
    pooling = pooling or backbone.default_pooling
    exact, rounded = (
        torch.cat([pool(run(backbone, views, precision=precision), pooling) for views in probed])
        for precision in ("float32", "bfloat16")
    )
    cosine = float(torch.nn.functional.cosine_similarity(exact, rounded).min())
    if not cosine >= LEAST_SIMILARITY:
        return "float32", f"float32: bfloat16 features differ too much (cosine {cosine:.4f})"
    return "bfloat16", f"bfloat16: the processor has it, and features agree (cosine {cosine:.4f})"


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 in hardware."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capability = torch.backends.cpu.get_cpu_capability()
    flags = Path("/proc/cpuinfo")
    return capability == "AVX512" and flags.exists() and "avx512_bf16" in flags.read_text()


def jobs(manifest: Manifest, copies: int) -> list[Job]:
    """Every image of a manifest, each followed by its augmented copies; equal images once.

    Raises:
        ManifestError: a sample has no content hash.
    """
    unique: dict[RowKey, Job] = {}
    for sample in manifest:
        if sample.content_hash is None:
            raise ManifestError(
                f"sample {sample.id!r} has no content hash; import the data again, with hashes"
            )
        for copy in range(copies + 1):
            job = Job(sample, copy)
            unique.setdefault(job.key, job)
    return list(unique.values())


@dataclass(frozen=True)
class _Row:
    """What is stored of one image."""

    pooled: torch.Tensor  # [V, D]
    boxes: npt.NDArray[np.float32]  # [V, 4]
    grid: torch.Tensor | None  # [G, N, D], of the views whose grids are stored
    levels: dict[str, torch.Tensor]  # [C, h, w], of the first view, by the arrays' names


class Extraction:
    """One run of extraction into ``folder / key``."""

    def __init__(
        self,
        manifest: Manifest,
        backbone: Backbone,
        spec: FeatureSpec,
        folder: Path,
        *,
        copies: int = 0,
    ) -> None:
        """Prepare; nothing is read or written yet.

        Args:
            manifest: which images.
            backbone: the one that ``spec`` was made for.
            spec: from :func:`make_spec`.
            folder: where stores lie; this one goes to a sub-folder named after the spec's key. A
                store there that holds the same and more grids serves as well.
            copies: augmented copies per image, beside the image itself.

        Raises:
            BackboneError: the backbone has other weights than the spec names.
        """
        if (backbone.name, backbone.weight_hash) != (spec.backbone, spec.weight_hash):
            raise BackboneError(
                f"the features are of {spec.backbone} with weights {spec.weight_hash}; this is "
                f"{backbone.name} with {backbone.weight_hash}: load the same weights (--weights)"
            )
        self.unread: dict[RowKey, str] = {}  # of the last run: no such file, changed, ...
        self.manifest, self.backbone = manifest, backbone
        self.spec = _with_stored_grids(folder, spec)
        self.path = store_path(folder, self.spec)
        self._jobs = jobs(manifest, copies)

    def pending(self) -> list[Job]:
        """What is not in the store yet, in the order it will be extracted."""
        if not (self.path / "spec.json").exists():
            return self._jobs
        return self._pending(FeatureStore(self.path))

    def _pending(self, store: FeatureStore | StoreWriter) -> list[Job]:
        done = store.rows.keys() | store.failed.keys()
        return [job for job in self._jobs if job.key not in done]

    def estimate(self) -> Estimate:
        """Time one image through the backbone and multiply.

        Raises:
            StoreError: the disk has no room for what is to come.
        """
        pending = self.pending()
        size = row_bytes(self.spec) * len(pending)
        free = shutil.disk_usage(_existing(self.path)).free
        if size > free:
            raise StoreError(
                f"the features need {size / 1e9:.2f} GB, the disk of {self.path} has "
                f"{free / 1e9:.2f} GB free; name another folder with --store, or store less "
                "(fewer --copies, --no-grid)"
            )
        seconds = 0.0
        if pending:
            layout, noise = self.spec.layout, torch.Generator().manual_seed(0)
            # Of noise: equal views are read once.
            shape = (layout.count, 3, *layout.shape(*USUAL_FRAME))
            pixels = torch.randint(0, 256, shape, dtype=torch.uint8, generator=noise)
            timings = []
            for _ in range(3):  # the first is a warm-up; the quickest is the least disturbed
                start = time.perf_counter()
                read_views(self.backbone, pixels, self.spec)
                timings.append(time.perf_counter() - start)
            seconds = min(timings) * len(pending)
        return Estimate(len(pending), len(self._jobs) - len(pending), size, seconds)

    def run(self) -> FeatureStore:
        """Extract what is pending, batch by batch, and open the store.

        Images that cannot be read are passed over. Bytes that cannot be decoded are noted in the
        store with the reason, for good; a file that is missing or has changed is tried again by
        the next run, and said by :meth:`failed`.

        Raises:
            StoreError: the disk is full, or another process writes to the same store.
        """
        with StoreWriter(self.path, self.spec) as writer:
            pending = self._pending(writer)
            self.unread = {}
            with bar("extracting features", len(pending)) as progress:
                on_processor = self.backbone.device.type == "cpu"
                rows = judged_ahead(
                    self._views,
                    lambda prepared: [self._row(views) for views in prepared],
                    pending,
                    streams=core_count() if on_processor else 1,
                    ahead=BATCH_IMAGES,
                    begin=one_core_each() if on_processor else None,
                    at_once=None if on_processor else 1,
                )
                with contextlib.closing(rows):  # or threads would work on after a full disk
                    for batch in in_batches(rows, BATCH_IMAGES):
                        keys, arrays, failed = self._stacked(batch)
                        if keys or failed:
                            writer.append(keys, arrays, failed)
                        progress.advance(len(batch))
        return FeatureStore(self.path)

    def failed(self, store: FeatureStore) -> dict[str, str]:
        """Why images of the manifest are not in the store, by sample id."""
        reasons = store.failed | self.unread
        return {job.sample.id: reasons[job.key] for job in self._jobs if job.key in reasons}

    def _views(self, job: Job) -> Views | None:
        """None where there are no bytes, or others than were imported."""
        try:
            data = sample_bytes(job.sample, self.manifest.root)
        except ImageError as error:
            self.unread[job.key] = str(error)
            return None
        return sample_views(
            job.sample,
            data,
            self.spec.layout,
            augmentation=self.spec.augmentation,
            copy=job.copy,
        )

    def _row(self, views: Views | None) -> _Row | None:
        """Of one image at a time: a row then depends on its own image alone, bit for bit."""
        if views is None:
            return None
        output = read_views(self.backbone, torch.from_numpy(views.pixels), self.spec)
        grid, levels = None, {}
        if self.spec.grid_views:
            square = in_square(output, self.spec.grid_size[0])
            grid = square.grid[list(self.spec.grid_views)]
            levels = {level_name(level): maps[0] for level, maps in square.levels.items()}
        pooled = pool(output, self.spec.pooling)
        return _Row(pooled, square_boxes(views, self.spec.layout), grid, levels)

    def _stacked(
        self, batch: Sequence[tuple[Job, _Row | ImageError | None]]
    ) -> tuple[list[RowKey], dict[str, npt.NDArray[np.generic]], list[tuple[RowKey, str]]]:
        failed = [(job.key, str(row)) for job, row in batch if isinstance(row, ImageError)]
        good = [(job, row) for job, row in batch if isinstance(row, _Row)]
        arrays: dict[str, npt.NDArray[np.generic]] = {}
        if good:
            arrays = {
                "pooled": self._stored([row.pooled for _, row in good]),
                "boxes": np.stack([row.boxes for _, row in good]),
            }
            grids = [row.grid for _, row in good if row.grid is not None]
            if grids:
                arrays["grid"] = self._stored(grids)
            for name in good[0][1].levels:
                arrays[name] = self._stored([row.levels[name] for _, row in good])
        else:
            empty = np.zeros((0,), dtype=np.float32)
            arrays = {array.name: empty for array in row_arrays(self.spec)}
        return [job.key for job, _ in good], arrays, failed

    def _stored(self, values: Sequence[torch.Tensor]) -> npt.NDArray[np.generic]:
        """Features as they lie on disk; beyond float16's range they are clipped, not infinite."""
        stacked = torch.stack([value.float().cpu() for value in values])
        if not bool(torch.isfinite(stacked).all()):
            raise StoreError(
                f"the backbone {self.spec.backbone} gave a non-finite feature in "
                f"{self.spec.precision}; try --precision float32"
            )
        if self.spec.stored_type == "bfloat16":
            return stacked.to(torch.bfloat16).view(torch.uint16).numpy()
        if self.spec.stored_type == "float32":
            return stacked.numpy()
        limit = torch.finfo(torch.float16).max
        return stacked.clamp(-limit, limit).to(torch.float16).numpy()


def store_path(folder: Path, spec: FeatureSpec) -> Path:
    """Where the store of a spec lies below ``folder``."""
    return folder / f"{spec.backbone.replace('/', '-').replace(':', '-')}-{spec.key()}"


def _with_stored_grids(folder: Path, spec: FeatureSpec) -> FeatureSpec:
    """The spec of a store that holds the same and more grids, where ``spec`` has no store yet."""
    if store_path(folder, spec).exists():
        return spec
    for path in sorted(folder.glob("*/spec.json")):
        try:
            other = FeatureSpec.from_json(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, WorkzoneError):
            continue  # opening it says what is wrong; here it is just not the one
        if other.layout != spec.layout:  # may not even have the views
            continue
        same = dataclasses.replace(
            other,
            grid_views=spec.grid_views,
            grid_size=spec.grid_size,
            grid_width=spec.grid_width,
            level_shapes=spec.level_shapes,
        )
        more = set(spec.grid_views) <= set(other.grid_views) and set(spec.levels) <= set(
            other.levels
        )
        if same == spec and more:
            return other
    return spec


def _existing(path: Path) -> Path:
    """The nearest ancestor that exists."""
    while not path.exists():
        path = path.parent
    return path
