"""Labels that a model is sure of, for images that have none: self-training.

Lee, "Pseudo-Label: The simple and efficient semi-supervised learning method for deep neural
networks", ICML workshop 2013; with a threshold on confidence as in FixMatch (Sohn et al. 2020,
arXiv 2001.07685).
"""

from __future__ import annotations

import csv
import dataclasses
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from workzone.data.manifest import Manifest
from workzone.errors import UsageError, nearest
from workzone.types import Sample

SOURCE = "pseudo"
"""Of the rows whose label is a model's, so that a split can keep them out of validation and test.
"""
FORMER_SOURCE = "pseudo_source"
"""The column that keeps where such a row comes from: whose licence binds it."""


@dataclass(frozen=True, slots=True)
class PseudoLabelled:
    """The rows that a model is sure of, and what became of the others."""

    manifest: Manifest  # source `SOURCE`, no split; probability and former source in extra
    roadwork: int
    none: int
    unsure: int
    labelled: int  # had a label already: left out
    unscored: int  # have no score, as images that could not be read: left out


def pseudo_label(
    manifest: Manifest, probabilities: Mapping[str, float], *, sure: float
) -> PseudoLabelled:
    """Give the unlabelled rows of a manifest the labels that a model is sure of.

    Args:
        manifest: the rows; those with a label are left out of the result.
        probabilities: of road work, 0..1, by id.
        sure: 0.5..1; a row has label 1 from this probability on, 0 from ``1 - sure`` down, and is
            left out between the two.

    Raises:
        UsageError: ``sure`` is out of range, a probability is no number in 0..1, scores are of
            other images, or no label is sure.
    """
    if not 0.5 <= sure < 1:
        raise UsageError(f"--sure {sure}: give a probability from 0.5 up to, and below, 1")
    for name, probability in probabilities.items():
        if not 0 <= probability <= 1:  # NaN is in no range
            raise UsageError(f"{name!r}: probability {probability}; it must be a number in 0..1")
    unknown = probabilities.keys() - {sample.id for sample in manifest}
    if unknown:
        raise UsageError(
            f"{len(unknown)} scores are of images that the manifest does not have, such as "
            f"{min(unknown)!r}: score the manifest itself (workzone predict MANIFEST -o SCORES)"
        )
    rows: list[Sample] = []
    labelled = unscored = 0
    for sample in manifest:
        probability = probabilities.get(sample.id, math.nan)
        if sample.label is not None:
            labelled += 1
        elif math.isnan(probability):
            unscored += 1
        elif max(probability, 1 - probability) >= sure:
            extra = sample.extra | {"pseudo_probability": f"{probability:.6f}"}
            if sample.source is not None:
                extra[FORMER_SOURCE] = sample.source
            label = int(probability > 0.5)
            rows.append(
                dataclasses.replace(sample, label=label, source=SOURCE, split=None, extra=extra)
            )
    unsure = len(manifest) - len(rows) - labelled - unscored
    if not rows:
        raise UsageError(
            f"no label is sure: of {len(manifest)} rows {labelled} have one already, {unscored} "
            f"have no score, and {unsure} are unsure; name another manifest, or a lower --sure"
        )
    positives = sum(row.label == 1 for row in rows)
    return PseudoLabelled(
        manifest=manifest.with_samples(rows),
        roadwork=positives,
        none=len(rows) - positives,
        unsure=unsure,
        labelled=labelled,
        unscored=unscored,
    )


def read_scores(path: Path, *, with_unsure: bool = True) -> dict[str, float]:
    """Probabilities by id, of what ``workzone predict -o`` wrote: .parquet, .csv or .jsonl.

    Args:
        path: of that file.
        with_unsure: False gives NaN where the decision is ``unsure``.

    Raises:
        UsageError: no such file, another format, a row without id or probability, or an id twice.
    """
    readers = {".parquet": _parquet, ".csv": _csv, ".jsonl": _jsonl}
    if path.suffix not in readers:
        raise UsageError(f"cannot tell the format of {path}; {nearest(path.suffix, readers)}")
    scores: dict[str, float] = {}
    try:
        for number, row in enumerate(readers[path.suffix](path), start=1):
            name, value = row.get("id"), row.get("probability")
            try:
                if name is None or value is None:
                    raise ValueError("a row needs both")
                probability = float(value)
            except (TypeError, ValueError) as error:
                raise UsageError(
                    f"{path}, row {number}: id {name!r}, probability {value!r}: {error}; give a "
                    "file that `workzone predict -o` wrote"
                ) from error
            if str(name) in scores:
                raise UsageError(f"{path}, row {number}: {name!r} has a score already")
            left_open = not with_unsure and row.get("decision") == "unsure"
            scores[str(name)] = math.nan if left_open else probability
    except (OSError, UnicodeDecodeError, ValueError, csv.Error) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"{path} cannot be read as scores: {error}") from error
    if not scores:
        raise UsageError(f"{path} holds no scores")
    return scores


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    with pq.ParquetFile(path) as file:
        missing = {"id", "probability"} - set(file.schema_arrow.names)
        if missing:
            raise UsageError(f"{path} has no column {', '.join(sorted(missing))}")
        columns = {"id", "probability", "decision"} & set(file.schema_arrow.names)
        for batch in file.iter_batches(columns=sorted(columns)):
            yield from batch.to_pylist()


def _csv(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(newline="", encoding="utf-8-sig") as handle:  # Excel's mark
        yield from csv.DictReader(handle)


def _jsonl(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as handle:
        for number, line in enumerate(handle, start=1):
            try:
                row = json.loads(line)
            except ValueError as error:
                raise ValueError(f"row {number}, {line[:40]!r}, is no JSON") from error
            if not isinstance(row, dict):
                raise ValueError(f"row {number}, {line[:40]!r}, is no object")
            yield row
