"""What a job over many images has done so far, beside its output, so that a stopped one goes on.

A journal is a file of JSON lines: first the job's identity, then a record an image. One process at
a time writes to it; what a stop or a power cut left torn at its end is cut off.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Protocol

from workzone.errors import WorkzoneError
from workzone.files import hold, writing
from workzone.run.metadata import mapping_of
from workzone.run.sources import Found, Item

Record = dict[str, Any]


class Identified(Protocol):
    """A model, as far as a journal is concerned."""

    @property
    def takes_metadata(self) -> bool:
        """Whether it was trained with metadata beside the image."""
        ...

    @property
    def engine(self) -> str:
        """Which engine computes."""
        ...

    @property
    def precision(self) -> str:
        """In which precision."""
        ...

    def identity(self) -> str:
        """Changes with anything that changes a probability."""
        ...


class Journal:
    """A journal that is open."""

    def __init__(self, path: Path, identity: Mapping[str, str]) -> None:
        self.path = path
        self._identity = identity
        self._handle: IO[str] = path.open("a", encoding="utf-8")

    def close(self) -> None:
        """Nothing more is written."""
        self._handle.close()

    def records(self) -> Iterator[Record]:
        """What was written so far, in order."""
        return read_records(self.path)

    def append(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Write some more, down to the disk."""
        self._handle.writelines(json.dumps(record, allow_nan=False) + "\n" for record in records)
        self._handle.flush()
        os.fsync(self._handle.fileno())

    def replace(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Hold these in place of what it holds; a stop leaves the one or the other."""
        with writing(self.path) as aside:
            other = Journal(aside, self._identity)
            with contextlib.closing(other):
                other.append([self._identity])
                other.append(records)
        self._handle.close()
        self._handle = self.path.open("a", encoding="utf-8")


def read_records(path: Path) -> Iterator[Record]:
    """The records of a journal, without a line at its end that is torn."""
    with path.open(encoding="utf-8") as handle:
        next(handle, None)  # the identity
        for line in handle:
            if not line.endswith("\n"):
                return
            yield json.loads(line)


def journal_beside(output: Path) -> Path:
    """The path of the journal of a job that writes ``output``."""
    return output.with_name(f".{output.name}.journal")


def job_identity(
    predictor: Identified, found: Found, *, image_only: bool, stamped: bool = False
) -> dict[str, str]:
    """What a job's results depend on: one with another goes on with no journal of this one."""
    with_metadata = predictor.takes_metadata and not image_only
    identity = {
        "model": predictor.identity(),
        "engine": predictor.engine,
        "precision": predictor.precision,
        "source": "\n".join(found.sources),
        "inputs": _inputs(found.images, stamped=stamped) if with_metadata else "image",
    }
    return identity | ({"positions": found.positions} if found.positions else {})


def _inputs(found: Sequence[tuple[str, Item]], *, stamped: bool) -> str:
    """Changes with the metadata of any image, unless each record has a stamp of its own."""
    if stamped:
        return "image+metadata"
    digest = hashlib.blake2b(digest_size=8)
    for name, item in found:
        metadata = None if item.sample is None else mapping_of(item.sample)
        digest.update(f"{name} {metadata}\n".encode(errors="surrogateescape"))
    return f"image+metadata {digest.hexdigest()}"


@contextlib.contextmanager
def open_journal(
    path: Path, identity: dict[str, str], *, whole: Path | None = None
) -> Iterator[Journal]:
    """Begin a journal, or go on with one; whoever has written the output deletes it.

    Args:
        path: of the journal.
        identity: of the job.
        whole: what is to be deleted to begin anew; None: the journal alone.

    Raises:
        WorkzoneError: it belongs to another job, another process writes to it, or the disk is
            full.
    """
    alone = path.with_name(f"{path.name}.lock")
    try:
        try:
            lock = hold(alone)
        except TimeoutError as error:
            raise WorkzoneError(
                f"another process is writing to {path}; wait for it, or name another output"
            ) from error
        try:
            journal = Journal(path, identity)
            with contextlib.closing(journal):
                _check(path, identity, whole or path)
                if path.stat().st_size == 0:
                    journal.append([identity])
                yield journal
            alone.unlink()
        finally:
            lock.release()
    except OSError as error:
        raise WorkzoneError(
            f"cannot write {path}: {error.strerror or error}. What was scored so far is safe: free "
            "some space, or make the folder writable, and run the same command again"
        ) from error


def _check(path: Path, identity: dict[str, str], anew: Path) -> None:
    """See that a journal is of this job, and cut off what is torn.

    Raises:
        WorkzoneError: it belongs to another model, engine, precision or source, or to other
            options.
    """
    whole = 0
    with path.open("rb") as handle:
        for line in handle:
            try:
                record = json.loads(line) if line.endswith(b"\n") else None
            except ValueError:
                record = None
            if not isinstance(record, dict):
                break
            if whole == 0 and record != identity:
                raise WorkzoneError(_other_job(anew, record, identity))
            whole += len(line)
    if whole < path.stat().st_size:
        os.truncate(path, whole)


def _other_job(journal: Path, begun: Record, identity: dict[str, str]) -> str:
    """Why a job does not go on with a journal."""
    anew = "delete it to start anew, or name another output"
    engine, precision = (str(begun.get(key)) for key in ("engine", "precision"))
    ours = (identity["engine"], identity["precision"])
    if "engine" in begun and (engine, precision) != ours:
        return (
            f"{journal} was begun by engine {engine} in {precision}, this is engine {ours[0]} in "
            f"{ours[1]}, whose probabilities differ a little: go on with the same model, --engine "
            f"and --precision, {anew}"
        )
    return (
        f"{journal} is left from another model or source, or from another choice of "
        f"--image-only, --unsure, --share or --round-positions; {anew}"
    )
