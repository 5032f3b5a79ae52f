"""Score folders and manifests of any size: streaming, resumable, nothing lost.

Results are appended to a journal, image by image. Of a file it lies beside it as
``.<name>.journal``; when all are there it is turned into the output and the quarantine table. Of a
folder it is the ledger in it, out of which parts are written as it grows (see
:mod:`workzone.run.parts`). A job that was stopped goes on where its journal ends. One job at a time
may write to an output.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from workzone.data.quarantine import QuarantineEntry, write_quarantine
from workzone.data.remote import is_remote
from workzone.decide.calibration import Calibration
from workzone.decide.share import BALANCED, estimate_share
from workzone.errors import ImageError, UsageError, WorkzoneError
from workzone.files import check_folder
from workzone.parallel import in_batches
from workzone.progress import bar, track
from workzone.run.bulk_summary import MOST_REASONS, BulkSummary, frequent_reasons, refusals
from workzone.run.fetching import fetched_ahead, load_fetched
from workzone.run.journal import (
    Journal,
    job_identity,
    journal_beside,
    open_journal,
    read_records,
)
from workzone.run.parts import QUARANTINE, Parts
from workzone.run.predictor import Predictor
from workzone.run.result_rows import STAMP, flat, known_of, says_where_or_when, write_rows
from workzone.run.scorer import J_co, Judged, Scorer
from workzone.run.share import decided
from workzone.run.sources import Item, Sources, as_text, find_images
from workzone.run.stamps import stamps_of
from workzone.run.tables import Row, table_kind
from workzone.run.videos import frames_beside

FLUSH_EVERY = 32
"""Images between two flushes of the journal: the most that a stop can lose."""

PART_ROWS = 50_000
"""Images in a part of a folder, by default: some megabytes."""

_UNREACHABLE = ("unreachable", "denied")
_IN_A_ROW = 64
"""Images that could not be fetched, after which a job stops: the store is gone, not an image."""


def stream(
    predictor: Scorer[J_co], source: Sources, *, image_only: bool = False
) -> Iterator[tuple[str, J_co | ImageError]]:
    """Score all images of one or more sources, one by one, without writing anything.

    A manifest's metadata are used if the model was trained with such, unless ``image_only``.
    """
    found = find_images(source)
    scored = _score(predictor, found.images, image_only, ahead=found.remote)
    return track(scored, "scoring", total=len(found.images))


def _score(
    predictor: Scorer[J_co], images: Iterable[tuple[str, Item]], image_only: bool, *, ahead: bool
) -> Iterator[tuple[str, J_co | ImageError]]:
    """Score images, fetched ahead where that is worth it and the predictor does not do it."""
    if not ahead or predictor.fetches_ahead:
        return predictor.score(images, Item.load, sample_of=None if image_only else Item.known)
    return predictor.score(
        fetched_ahead(images, Item.load),
        load_fetched,
        sample_of=None if image_only else lambda fetched: fetched[0].known(),
    )


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
    if find_share:
        if not isinstance(predictor, Predictor):
            raise UsageError("the share is found by a model that is loaded here, not by a service")
        if is_folder(output):
            raise UsageError(
                "the share is found when all images are scored, parts of a folder are written "
                "before: name a file, such as -o scores.parquet, or a share"
            )
        predictor = predictor.described(predictor.description.with_share(BALANCED))
    job = BulkJob(predictor, source, output, image_only=image_only, retry=retry)
    return job.run(find_share=find_share, part_rows=part_rows)


class BulkJob:
    """What is to be scored, and what of it is done."""

    def __init__(
        self,
        predictor: Scorer[Judged],
        source: Sources,
        output: Path,
        *,
        image_only: bool = False,
        retry: bool = False,
    ) -> None:
        """Look at the sources and the output; see :func:`predict_many`."""
        self._parts = Parts(output) if is_folder(output) else None
        check_folder(output)
        if self._parts is None:
            table_kind(output)
        self._output = output
        self._journal = journal_beside(output) if self._parts is None else self._parts.ledger
        self._sources = find_images(source, frames_beside(output))
        self._images = dict(self._sources.images)
        self._predictor, self._image_only, self._retry = predictor, image_only, retry
        self._identity = job_identity(predictor, self._sources, image_only=image_only, stamped=True)
        self._known = any(says_where_or_when(item.sample) for item in self._images.values())
        samples = [item.sample for item in self._images.values() if item.sample is not None]
        self._places = any(sample.longitude is not None for sample in samples)
        with_metadata = predictor.takes_metadata and not image_only
        self._stamps = stamps_of(self._sources.images, with_metadata=with_metadata)
        self._unreachable: list[str] = []

    def left(self) -> list[tuple[str, Item]]:
        """The images that would be scored now."""
        stamps = {} if self._parts is None else self._parts.stamps()
        if self._journal.exists():
            held = read_records(self._journal)
            stamps |= {_id(r): r.get(STAMP) for r in held if not (self._retry and "bad" in r)}
        done = {name for name, stamp in stamps.items() if not self._changed(name, stamp)}
        return [(name, item) for name, item in self._images.items() if name not in done]

    def run(
        self,
        scorer: Scorer[Judged] | None = None,
        *,
        find_share: bool = False,
        part_rows: int = PART_ROWS,
    ) -> BulkSummary:
        """Score what is left.

        Args:
            scorer: that judges in place of the predictor, by the same model.
            find_share: see :func:`predict_many`.
            part_rows: see :func:`predict_many`.
        """
        self._predictor = scorer or self._predictor
        whole = None if self._parts is None else self._parts.folder
        with open_journal(self._journal, self._identity, whole=whole) as journal:
            if self._parts is not None:
                return self._into_folder(journal, self._parts, part_rows)
            return self._into_file(journal, find_share=find_share)

    def _begin(self, journal: Journal) -> None:
        """Take out of the journal what is to be scored again."""

        def again(record: Row) -> bool:
            return (self._retry and "bad" in record) or self._changed(
                _id(record), record.get(STAMP)
            )

        if any(map(again, journal.records())):
            journal.replace([record for record in journal.records() if not again(record)])

    def _changed(self, name: str, stamp: str | None) -> bool:
        """Whether an image, or what is known of it, is not that of a result."""
        now = self._stamps.get(name)
        return now is not None and now != stamp

    def _score(self, journal: Journal, done: set[str]) -> Iterator[tuple[int, int]]:
        """Score what is not done into the journal.

        Yields:
            After each write how many images that were, and how many of them could be read.
        """
        todo = [(name, item) for name, item in self._images.items() if name not in done]
        refused: Counter[str] = Counter()
        with bar("scoring", len(todo)) as progress:
            ahead = self._sources.remote
            scored = _score(self._predictor, todo, self._image_only, ahead=ahead)
            for batch in in_batches(scored, FLUSH_EVERY):
                records = [self._record(name, result) for name, result in batch]
                journal.append(records)
                self._stop_where_unreachable(journal, batch)
                bad = [record["bad"]["code"] for record in records if "bad" in record]
                refused.update(bad)
                progress.advance(len(batch))
                if refused:
                    progress.note(refusals(refused))
                yield len(batch), len(batch) - len(bad)

    def _record(self, name: str, result: Judged | ImageError) -> Row:
        """What the journal holds of an image."""
        record: Row = {"id": name, STAMP: self._stamps[name]}
        if isinstance(result, ImageError):  # an entry's own id may be cut
            entry = QuarantineEntry(name, name, "row left out", result.code, as_text(str(result)))
            return record | {"bad": asdict(entry)}
        known = known_of(self._images[name].sample) if self._known else {}
        return record | flat(result.prediction) | known

    def _stop_where_unreachable(
        self, journal: Journal, batch: Sequence[tuple[str, Judged | ImageError]]
    ) -> None:
        """End a job whose store is not there any more, and forget what was refused for that.

        Raises:
            WorkzoneError: so many images in a row could not be fetched.
        """
        for name, result in batch:
            lost = isinstance(result, ImageError) and result.code in _UNREACHABLE
            if lost and is_remote(self._images[name].ref.path):
                self._unreachable.append(name)
                why = str(result)
            else:
                self._unreachable.clear()
        if len(self._unreachable) >= _IN_A_ROW:
            names = set(self._unreachable)
            journal.replace([r for r in journal.records() if _id(r) not in names])
            raise WorkzoneError(
                f"{len(names)} images in a row could not be fetched, the last one because: {why}. "
                "Look at the network and at who you are, and run the same command again: it goes "
                "on there. If it is the images (archived, or not yours to read), name the folders "
                "beside theirs"
            )

    def _check(self, path: Path, held: int) -> None:
        """See that all is there.

        Raises:
            WorkzoneError: it is not.
        """
        if held != len(self._images):
            raise WorkzoneError(
                f"{path} holds {held} results of {len(self._images)} images, so it "
                "was changed or copied together; delete it and run the same command again"
            )

    def _summary(
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
            reasons=frequent_reasons(entries),
            resumed=resumed,
            ignored=self._sources.passed_over.total,
            passed_over=dict(self._sources.passed_over.kinds),
            share=share,
            unsure=decisions["unsure"],
            doubts=dict(doubts.most_common(MOST_REASONS)),
        )

    def _into_file(self, journal: Journal, *, find_share: bool) -> BulkSummary:
        """All results into one file, in the order of the images; then the journal goes."""
        self._begin(journal)
        done = {_id(record) for record in journal.records()} & self._images.keys()
        for _ in self._score(journal, done):
            pass

        def records() -> Iterator[Row]:  # an image may be gone since it was scored
            return (r for r in journal.records() if _id(r) in self._images)

        entries = [QuarantineEntry(**r["bad"]) for r in records() if "bad" in r]
        judged = [(r["probability"], r["decision"]) for r in records() if "bad" not in r]
        doubts = Counter(r["reason"] for r in records() if r.get("reason"))
        self._check(journal.path, len(judged) + len(entries))
        share = estimate_share([p for p, _ in judged]) if find_share and judged else None
        calibration = Calibration() if share is None else Calibration().at_share(share)
        rows = (r for r in records() if "bad" not in r)
        if share is not None:
            rows = (r | decided(calibration, r["probability"], r["decision"]) for r in rows)
            judged = [(p, decided(calibration, p, d)["decision"]) for p, d in judged]
        output = self._output
        quarantine = output.with_suffix(output.suffix + ".quarantine.csv")
        write_quarantine(entries, quarantine)
        write_rows(rows, output, known=self._known, places=self._places)
        journal.path.unlink()
        decisions = Counter(decision for _, decision in judged)
        return self._summary(
            output, quarantine, entries, decisions, doubts, resumed=len(done), share=share
        )

    def _into_folder(self, journal: Journal, parts: Parts, part_rows: int) -> BulkSummary:
        """Results into parts of a folder as they come; its ledger stays for a rerun."""
        parts.clear_left()
        self._begin(journal)
        stamps = parts.stamps()
        stale = {name for name, stamp in stamps.items() if self._changed(name, stamp)}
        if stale:
            parts.drop(stale)
        sealed = stamps.keys() - stale
        if any(_id(record) in sealed for record in journal.records()):  # stopped after a part
            journal.replace([r for r in journal.records() if _id(r) not in sealed])

        def seal() -> None:
            records = list(journal.records())
            rows = [record for record in records if "bad" not in record]
            if rows:
                parts.add(rows)
                journal.replace([record for record in records if "bad" in record])

        records = list(journal.records())
        done = ({_id(record) for record in records} | sealed) & self._images.keys()
        loose = sum("bad" not in record for record in records)
        held = len(done)
        for count, read in self._score(journal, done):
            held, loose = held + count, loose + read
            if loose >= part_rows:
                seal()
                loose = 0
        seal()
        self._check(parts.folder, held)
        bad = {_id(r): QuarantineEntry(**r["bad"]) for r in journal.records() if "bad" in r}
        quarantine = parts.folder / QUARANTINE
        write_quarantine(bad.values(), quarantine)
        parts.describe(self._identity)
        entries = [entry for name, entry in bad.items() if name in self._images]
        decisions, doubts = parts.counts(self._images.keys())
        return self._summary(
            parts.folder, quarantine, entries, decisions, doubts, resumed=len(done)
        )


def _id(record: Row) -> str:
    name: str = record.get("id", "")
    return name
