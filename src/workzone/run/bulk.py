"""Score folders and manifests of any size: streaming, resumable, nothing lost.

Results are appended to a journal beside the output, ``.<name>.journal``, image by image; when all
are there it is turned into the output and the quarantine table. A job that was stopped goes on
where its journal ends. One job at a time may write to an output.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

from workzone.data.quarantine import QuarantineEntry, write_quarantine
from workzone.decide.calibration import Calibration
from workzone.decide.share import BALANCED, estimate_share
from workzone.errors import ImageError, UsageError, WorkzoneError, nearest
from workzone.files import check_folder, writing
from workzone.parallel import in_batches
from workzone.progress import track
from workzone.run.images import Encoded
from workzone.run.journal import Identified, job_identity, journal_beside, open_journal
from workzone.run.predictor import Predictor
from workzone.run.share import decided
from workzone.run.sources import Item, Sources, as_text, find_images
from workzone.types import Prediction, Sample

T = TypeVar("T")

FLUSH_EVERY = 32
"""Images between two flushes of the journal: the most that a stop can lose."""

_TOLD_REASONS = 5

OutputKind = Literal["jsonl", "csv", "parquet"]
_SUFFIXES: dict[str, OutputKind] = {".jsonl": "jsonl", ".csv": "csv", ".parquet": "parquet"}

_COLUMNS = {
    "id": "string",
    "probability": "float64",
    "decision": "string",
    "view": "int32",
    "view_weight": "float64",
    "inputs": "string",
    "engine": "string",
    "precision": "string",
    "reason": "string",
    "unlike": "float64",
    "x0": "float64",
    "y0": "float64",
    "x1": "float64",
    "y1": "float64",
}
"""Of a table of results: names, and pyarrow's names of their types."""


class Judged(Protocol):
    """A result of a `Scorer`."""

    @property
    def prediction(self) -> Prediction:
        """The decision."""
        ...


J_co = TypeVar("J_co", bound=Judged, covariant=True)


class Scorer(Identified, Protocol[J_co]):
    """A `Predictor`, or what stands for one that is elsewhere."""

    def score(
        self,
        inputs: Iterable[tuple[str, T]],
        load: Callable[[T], Encoded],
        *,
        sample_of: Callable[[T], Sample | None] | None = None,
    ) -> Iterator[tuple[str, J_co | ImageError]]:
        """See :meth:`workzone.run.predictor.Predictor.score`."""
        ...


@dataclass(frozen=True)
class BulkSummary:
    """What a bulk job did."""

    output: Path
    quarantine: Path
    scored: int
    roadwork: int
    quarantined: int
    reasons: dict[str, int]  # the most frequent ones why not, and of how many images
    resumed: int  # results that an earlier run had left
    ignored: int  # files that were passed over
    passed_over: dict[str, int]  # the same by kind: a suffix such as .mp4, or a few words
    share: float | None = None  # of road work, as estimated; None: not asked for
    unsure: int = 0  # images on which it was not decided, of those scored
    doubts: dict[str, int] = field(default_factory=dict)  # reasons for doubt, and of how many


def output_kind(output: Path) -> OutputKind:
    """The format that an output's suffix names.

    Raises:
        UsageError: an unknown suffix.
    """
    if output.suffix not in _SUFFIXES:
        raise UsageError(
            f"cannot tell the format of {output.name!r}; {nearest(output.suffix, _SUFFIXES)}"
        )
    return _SUFFIXES[output.suffix]


def stream(
    predictor: Scorer[J_co], source: Sources, *, image_only: bool = False
) -> Iterator[tuple[str, J_co | ImageError]]:
    """Score all images of one or more sources, one by one, without writing anything.

    A manifest's metadata are used if the model was trained with such, unless ``image_only``.
    """
    found = find_images(source).images
    return track(_score(predictor, found, image_only), "scoring", total=len(found))


def _score(
    predictor: Scorer[J_co], found: Iterable[tuple[str, Item]], image_only: bool
) -> Iterator[tuple[str, J_co | ImageError]]:
    sample_of = None if image_only else Item.known
    return predictor.score(found, Item.load, sample_of=sample_of)


def predict_many(
    predictor: Scorer[Judged],
    source: Sources,
    output: Path,
    *,
    image_only: bool = False,
    find_share: bool = False,
) -> BulkSummary:
    """Score images into a file; bad ones go to ``<output>.quarantine.csv``.

    Args:
        predictor: the model.
        source: an image, a folder (searched to any depth) or a manifest, several of these, or what
            :func:`workzone.run.sources.find_images` found.
        output: ``.jsonl``, ``.csv`` or ``.parquet``.
        image_only: do not use the metadata of a manifest; only where the model was trained with
            metadata does that matter.
        find_share: estimate the share of road work from all these images, and give probabilities
            that hold for it (see :mod:`workzone.decide.share`).

    Raises:
        UsageError: no images, an unknown output suffix, a folder of the output is a file, or the
            share is to be found by a model that is elsewhere.
        WorkzoneError: a journal of another model, engine or precision, or of other inputs lies
            there, another process writes to the same output, or the disk is full.
    """
    kind = output_kind(output)
    check_folder(output)
    if find_share:
        if not isinstance(predictor, Predictor):
            raise UsageError("the share is found by a model that is loaded here, not by a service")
        predictor = predictor.described(predictor.description.with_share(BALANCED))
    sources = find_images(source)
    found = sources.images
    identity = job_identity(predictor, sources, image_only=image_only)
    wanted = {name for name, _ in found}
    quarantine = output.with_suffix(output.suffix + ".quarantine.csv")
    with open_journal(journal_beside(output), identity) as journal:
        done = {_id(record) for record in journal.records()} & wanted
        todo = [(name, item) for name, item in found if name not in done]
        scored = track(_score(predictor, todo, image_only), "scoring", total=len(todo))
        for batch in in_batches(scored, FLUSH_EVERY):
            journal.append([_record(name, result) for name, result in batch])

        def records() -> Iterator[dict[str, Any]]:  # an image may be gone since it was scored
            return (r for r in journal.records() if _id(r) in wanted)

        entries = [QuarantineEntry(**r["bad"]) for r in records() if "bad" in r]
        judged = [(r["probability"], r["decision"]) for r in records() if "bad" not in r]
        good = [probability for probability, _ in judged]
        doubts = Counter(r["reason"] for r in records() if r.get("reason"))
        held = len(good) + len(entries)
        if held != len(found):
            raise WorkzoneError(
                f"{journal.path} holds {held} results of {len(found)} images, so it "
                "was changed or copied together; delete it and run the same command again"
            )
        share = estimate_share(good) if find_share and good else None
        calibration = Calibration() if share is None else Calibration().at_share(share)
        rows = (r for r in records() if "bad" not in r)
        if share is not None:
            rows = (r | decided(calibration, r["probability"], r["decision"]) for r in rows)
            judged = [(p, decided(calibration, p, d)["decision"]) for p, d in judged]
        decisions = Counter(decision for _, decision in judged)
        write_quarantine(entries, quarantine)
        _write(rows, output, kind)
        journal.path.unlink()
    return BulkSummary(
        output=output,
        quarantine=quarantine,
        scored=len(good),
        roadwork=decisions["roadwork"],
        quarantined=len(entries),
        reasons=_frequent_reasons(entries),
        resumed=len(done),
        ignored=sources.passed_over.total,
        passed_over=dict(sources.passed_over.kinds),
        share=share,
        unsure=decisions["unsure"],
        doubts=dict(doubts.most_common(_TOLD_REASONS)),
    )


def _frequent_reasons(entries: Iterable[QuarantineEntry]) -> dict[str, int]:
    """Reasons without the names of images, most frequent first."""
    reasons = Counter(entry.reason.partition(": ")[2] or entry.reason for entry in entries)
    return dict(reasons.most_common(_TOLD_REASONS))


def flat(prediction: Prediction) -> dict[str, Any]:
    """A prediction as one flat row: the columns of every output format."""
    row = asdict(prediction)
    return row | dict(zip(("x0", "y0", "x1", "y1"), row.pop("box"), strict=True))


def flat_error(name: str, error: ImageError) -> dict[str, str]:
    """What stands in place of :func:`flat` for an image that cannot be read."""
    return {"id": name, "error": as_text(str(error)), "code": error.code}


def _record(name: str, result: Judged | ImageError) -> dict[str, Any]:
    if not isinstance(result, ImageError):
        return flat(result.prediction)
    entry = QuarantineEntry(name, name, "row left out", result.code, as_text(str(result)))
    return {"bad": asdict(entry)}


def _id(record: dict[str, Any]) -> str:
    name: str = record["bad"]["id"] if "bad" in record else record["id"]
    return name


def _write(rows: Iterator[dict[str, Any]], output: Path, kind: OutputKind) -> None:
    with writing(output) as aside:
        if kind == "parquet":
            import pyarrow as pa  # as long as judging a photograph, were it at the top
            import pyarrow.parquet as pq

            schema = pa.schema(list(_COLUMNS.items()))
            with pq.ParquetWriter(aside, schema) as table:
                for batch in in_batches(rows, 10_000):
                    table.write_table(pa.Table.from_pylist(batch, schema=schema))
            return
        with aside.open("w", newline="", encoding="utf-8") as handle:
            if kind == "csv":
                lines = csv.DictWriter(handle, list(_COLUMNS))
                lines.writeheader()
                lines.writerows(rows)
            else:
                handle.writelines(json.dumps(row) + "\n" for row in rows)
