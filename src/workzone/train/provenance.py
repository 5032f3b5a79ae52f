"""Where a model comes from: what its bundle says of its making."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import platform

import torch

import workzone
from workzone.data.pseudo_labels import FORMER_SOURCE
from workzone.data.pseudo_labels import SOURCE as PSEUDO
from workzone.train.fit import Fit
from workzone.train.settings import TrainConfig
from workzone.types import Sample


def manifest_hash(samples: list[Sample]) -> str:
    """16 hex digits over what a model learns from: content hashes, labels, splits, in any order."""
    lines = sorted(f"{s.content_hash} {s.label} {s.split}\n" for s in samples)
    return hashlib.blake2b("".join(lines).encode(), digest_size=8).hexdigest()


def _source(sample: Sample) -> str | None:
    """Where a row comes from, as its licence does; whose word its label is."""
    if sample.source == PSEUDO and (former := sample.extra.get(FORMER_SOURCE)):
        return f"{former} (labelled by a model)"
    return sample.source


def provenance_of(
    samples: list[Sample], config: TrainConfig, result: Fit, copies: int
) -> dict[str, object]:
    """Who made a model, of what and how, as plain values."""
    metadata = result.detector.config.metadata
    fields = metadata.fields if metadata is not None else ()
    inputs = f"image, {', '.join(fields)}" if fields else "image only"
    return {
        "made": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "workzone": workzone.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "processor": platform.machine(),
        "training": dataclasses.asdict(config) | {"copies": copies, "epochs_run": result.epochs},
        "rows": len(samples),
        "positives": sum(s.label == 1 for s in samples),
        "groups": len({s.group for s in samples if s.group}),
        "sources": sorted({source for s in samples if (source := _source(s))}),
        "manifest": manifest_hash(samples),
        "threshold": dataclasses.asdict(result.threshold),
        "metadata_threshold": result.metadata_threshold
        and dataclasses.asdict(result.metadata_threshold),
        "inputs": inputs,
    }
