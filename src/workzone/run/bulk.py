"""Score folders and manifests of any size: streaming, resumable, nothing lost.

Results are appended to a journal, image by image. Of a file it lies beside it as
``.<name>.journal``; when all are there it is turned into the output and the quarantine table. Of a
folder it is the ledger in it, out of which parts are written as it grows (see
:mod:`workzone.run.parts`). A job that was stopped goes on where its journal ends. One job at a time
may write to an output.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from workzone.data.quarantine import QuarantineEntry, write_quarantine
from workzone.decide.calibration import Calibration
from workzone.decide.share import BALANCED, estimate_share
from workzone.errors import ImageError, UsageError, WorkzoneError
from workzone.files import check_folder
from workzone.parallel import in_batches
from workzone.progress import bar, track
from workzone.run.fetching import fetched_ahead, load_fetched
from workzone.run.images import Encoded
from workzone.run.journal import (
    Identified,
    Journal,
    job_identity,
    journal_beside,
    open_journal,
    read_records,
)
from workzone.run.on_ray import RayScorer
from workzone.run.parts import QUARANTINE, Parts
from workzone.run.predictor import Predictor
from workzone.run.share import decided
from workzone.run.sources import Found, Item, Sources, as_text, find_images
from workzone.run.tables import Row, flat, known_of, output_kind, says_where_or_when, write_rows
from workzone.run.videos import frames_beside
from workzone.types import Prediction, Sample

T = TypeVar("T")

FLUSH_EVERY = 32
"""Images between two flushes of the journal: the most that a stop can lose."""

PART_ROWS = 50_000
"""Images in a part of a folder, by default: some megabytes."""

_TOLD_REASONS = 5


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


def stream(
    predictor: Scorer[J_co], source: Sources, *, image_only: bool = False
) -> Iterator[tuple[str, J_co | ImageError]]:
    """Score all images of one or more sources, one by one, without writing anything.

    A manifest's metadata are used if the model was trained with such, unless ``image_only``.
    """
    found = find_images(source)
    scored = _score(predictor, found.images, image_only, remote=found.remote)
    return track(scored, "scoring", total=len(found.images))


def _score(
    predictor: Scorer[J_co], images: Iterable[tuple[str, Item]], image_only: bool, *, remote: bool
) -> Iterator[tuple[str, J_co | ImageError]]:
    if not remote:
        return predictor.score(images, Item.load, sample_of=None if image_only else Item.known)
    return predictor.score(
        fetched_ahead(images, Item.load),
        load_fetched,
        sample_of=None if image_only else lambda fetched: fetched[0].known(),
    )


def images_left(sources: Found, output: Path, *, retry: bool = False) -> int:
    """How many images a job would score now; of :func:`predict_many`."""
    parts = Parts(output) if is_folder(output) else None
    done = set() if parts is None else set(parts.ids())
    journal = journal_beside(output) if parts is None else parts.ledger
    if journal.exists():
        done |= {_id(r) for r in read_records(journal) if not (retry and "bad" in r)}
    return sum(name not in done for name, _ in sources.images)


def is_folder(output: Path) -> bool:
    """Whether results go into a folder of parts, not a file."""
    return not output.suffix or output.is_dir()


def predict_many(
    predictor: Scorer[Judged],
    source: Sources,
    output: Path,
    *,
    image_only: bool = False,
    find_share: bool = False,
    retry: bool = False,
    part_rows: int = PART_ROWS,
) -> BulkSummary:
    """Score images into a file or a folder of parquet files, each image once.

    Bad ones go to ``<output>.quarantine.csv``, of a folder to ``_quarantine.csv`` in it.

    Args:
        predictor: the model.
        source: an image, a folder (searched to any depth) or a manifest, several of these, or what
            :func:`workzone.run.sources.find_images` found. Of videos a frame a second is scored;
            these frames go to ``<output>.frames``.
        output: ``.jsonl``, ``.csv`` or ``.parquet``; a path without suffix is a folder.
        image_only: do not use the metadata of a manifest; only where the model was trained with
            metadata does that matter.
        find_share: estimate the share of road work from all these images, and give probabilities
            that hold for it (see :mod:`workzone.decide.share`).
        retry: try those again that could not be read when the job was stopped.
        part_rows: images in one part of a folder.

    Raises:
        UsageError: no images, an unknown output suffix, a folder of the output is a file, it holds
            something else, or the share is to be found by a model that is elsewhere or for a
            folder.
        WorkzoneError: a journal of another model, engine or precision, or of other inputs lies
            there, another process writes to the same output, or the disk is full.
    """
    parts = Parts(output) if is_folder(output) else None
    check_folder(output)
    if parts is None:
        output_kind(output)
    if find_share:
        if not isinstance(predictor, Predictor):
            raise UsageError("the share is found by a model that is loaded here, not by a service")
        if parts is not None:
            raise UsageError(
                "the share is found when all images are scored, parts of a folder are written "
                "before: name a file, such as -o scores.parquet, or a share"
            )
        predictor = predictor.described(predictor.description.with_share(BALANCED))
    sources = find_images(source, frames_beside(output))
    job = _Job(predictor, sources, image_only, retry)
    path = parts.ledger if parts else journal_beside(output)
    with open_journal(path, job.identity) as journal:
        if parts is not None:
            return _into_folder(job, journal, parts, part_rows)
        return _into_file(job, journal, output, find_share=find_share)


class _Job:
    """What is to be scored, and what of it is done."""

    def __init__(
        self, predictor: Scorer[Judged], sources: Found, image_only: bool, retry: bool
    ) -> None:
        self.identity = job_identity(predictor, sources, image_only=image_only)
        self.sources, self.images = sources, sources.images
        self.wanted = {name for name, _ in self.images}
        samples = [item.sample for _, item in self.images]
        self.known = any(map(says_where_or_when, samples))
        self.places = any(s is not None and s.longitude is not None for s in samples)
        self._predictor, self._image_only, self._retry = predictor, image_only, retry

    def begin(self, journal: Journal) -> None:
        """See to the journal before its records are counted."""
        if self._retry and any("bad" in record for record in journal.records()):
            journal.replace([record for record in journal.records() if "bad" not in record])

    def score(self, journal: Journal, done: set[str]) -> Iterator[int]:
        """Score what is not done into the journal; after each write, how many that were."""
        todo = [(name, item) for name, item in self.images if name not in done]
        samples = {n: i.sample for n, i in todo if i.sample is not None} if self.known else {}
        refused: Counter[str] = Counter()
        with bar("scoring", len(todo)) as progress:
            far = isinstance(self._predictor, RayScorer)  # its actors fetch ahead themselves
            remote = self.sources.remote and not far
            scored = _score(self._predictor, todo, self._image_only, remote=remote)
            for batch in in_batches(scored, FLUSH_EVERY):
                records = [_record(name, result) for name, result in batch]
                if self.known:
                    records = [record | known_of(samples.get(record["id"])) for record in records]
                journal.append(records)
                refused.update(record["bad"]["code"] for record in records if "bad" in record)
                progress.advance(len(batch))
                if refused:
                    progress.note(_refusals(refused))
                yield len(batch)

    def check(self, path: Path, held: int) -> None:
        """See that all is there.

        Raises:
            WorkzoneError: it is not.
        """
        if held != len(self.images):
            raise WorkzoneError(
                f"{path} holds {held} results of {len(self.images)} images, so it "
                "was changed or copied together; delete it and run the same command again"
            )

    def summary(
        self,
        output: Path,
        quarantine: Path,
        entries: Sequence[QuarantineEntry],
        decisions: Counter[str],
        doubts: Counter[str],
        *,
        resumed: int,
        share: float | None = None,
    ) -> BulkSummary:
        """What it did."""
        return BulkSummary(
            output=output,
            quarantine=quarantine,
            scored=sum(decisions.values()),
            roadwork=decisions["roadwork"],
            quarantined=len(entries),
            reasons=_frequent_reasons(entries),
            resumed=resumed,
            ignored=self.sources.passed_over.total,
            passed_over=dict(self.sources.passed_over.kinds),
            share=share,
            unsure=decisions["unsure"],
            doubts=dict(doubts.most_common(_TOLD_REASONS)),
        )


def _into_file(job: _Job, journal: Journal, output: Path, *, find_share: bool) -> BulkSummary:
    """All results into one file, in the order of the images; then the journal goes."""
    job.begin(journal)
    done = {_id(record) for record in journal.records()} & job.wanted
    for _ in job.score(journal, done):
        pass

    def records() -> Iterator[Row]:  # an image may be gone since it was scored
        return (r for r in journal.records() if _id(r) in job.wanted)

    entries = [QuarantineEntry(**r["bad"]) for r in records() if "bad" in r]
    judged = [(r["probability"], r["decision"]) for r in records() if "bad" not in r]
    doubts = Counter(r["reason"] for r in records() if r.get("reason"))
    job.check(journal.path, len(judged) + len(entries))
    share = estimate_share([p for p, _ in judged]) if find_share and judged else None
    calibration = Calibration() if share is None else Calibration().at_share(share)
    rows = (r for r in records() if "bad" not in r)
    if share is not None:
        rows = (r | decided(calibration, r["probability"], r["decision"]) for r in rows)
        judged = [(p, decided(calibration, p, d)["decision"]) for p, d in judged]
    quarantine = output.with_suffix(output.suffix + ".quarantine.csv")
    write_quarantine(entries, quarantine)
    write_rows(rows, output, known=job.known, places=job.places)
    journal.path.unlink()
    decisions = Counter(decision for _, decision in judged)
    return job.summary(
        output, quarantine, entries, decisions, doubts, resumed=len(done), share=share
    )


def _into_folder(job: _Job, journal: Journal, parts: Parts, part_rows: int) -> BulkSummary:
    """Results into parts of a folder as they come; its ledger stays, so that a rerun knows them."""
    parts.clear_left()
    job.begin(journal)
    sealed = set(parts.ids())
    if any(_id(record) in sealed for record in journal.records()):  # stopped after a part
        journal.replace([r for r in journal.records() if _id(r) not in sealed])

    def seal() -> None:
        records = list(journal.records())
        rows = [record for record in records if "bad" not in record]
        if rows:
            parts.add(rows, known=job.known, places=job.places)
            journal.replace([record for record in records if "bad" in record])

    records = list(journal.records())
    done = ({_id(record) for record in records} | sealed) & job.wanted
    loose = sum("bad" not in record for record in records)
    held = len(done)
    for count in job.score(journal, done):
        held, loose = held + count, loose + count
        if loose >= part_rows:
            seal()
            loose = 0
    seal()
    job.check(parts.folder, held)
    bad = (r["bad"] for r in journal.records() if "bad" in r and _id(r) in job.wanted)
    entries = [QuarantineEntry(**entry) for entry in bad]
    decisions, doubts = parts.counts()
    quarantine = parts.folder / QUARANTINE
    write_quarantine(entries, quarantine)
    parts.describe(job.identity, decisions)
    return job.summary(parts.folder, quarantine, entries, decisions, doubts, resumed=len(done))


def _refusals(codes: Counter[str]) -> str:
    """How many could not be read, and why, in a few words."""
    told = ", ".join(f"{count:,} {code}" for code, count in codes.most_common(_TOLD_REASONS))
    return f"{codes.total():,} could not be read: {told}"


def _frequent_reasons(entries: Iterable[QuarantineEntry]) -> dict[str, int]:
    """Reasons without the names of images, most frequent first."""
    reasons = Counter(entry.reason.partition(": ")[2] or entry.reason for entry in entries)
    return dict(reasons.most_common(_TOLD_REASONS))


def _record(name: str, result: Judged | ImageError) -> Row:
    if not isinstance(result, ImageError):
        return flat(result.prediction)
    entry = QuarantineEntry(name, name, "row left out", result.code, as_text(str(result)))
    return {"id": name, "bad": asdict(entry)}  # an entry's own id may be cut


def _id(record: Row) -> str:
    name: str = record.get("id", "")
    return name
