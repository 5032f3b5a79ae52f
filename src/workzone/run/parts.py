"""A folder of results: parquet files that readers of parquet take as one table, and their ledger.

``part-00000.parquet`` and so on hold the results. What begins with ``_`` is passed over by pyarrow,
DuckDB and Spark: ``_ledger.jsonl`` is the journal of what is in no part yet and of images that
cannot be read, ``_quarantine.csv`` is their table, ``_job.json`` says how all was made.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from pathlib import Path
from typing import Any

from workzone.errors import UsageError, WorkzoneError
from workzone.files import write_text, writing
from workzone.run.result_rows import COLUMNS, KNOWN_COLUMNS, STAMP, write_rows
from workzone.run.tables import GEOMETRY, Row

LEDGER = "_ledger.jsonl"
QUARANTINE = "_quarantine.csv"
JOB = "_job.json"


class Parts:
    """The parts in a folder; one process at a time adds to it, which holds the ledger."""

    def __init__(self, folder: Path) -> None:
        """Look at a folder.

        Raises:
            UsageError: it is a file, or a folder with other things in it.
        """
        self.folder = folder
        self.ledger = folder / LEDGER
        if folder.exists() and not self.ledger.exists():
            if not folder.is_dir():
                raise UsageError(f"{folder} is a file: name a folder, or one that can be made")
            other = [path.name for path in folder.iterdir() if not path.name.startswith((".", "_"))]
            if other:
                raise UsageError(
                    f"{folder} holds {other[0]!r} and is no folder of results: name a new one"
                )

    def paths(self) -> list[Path]:
        """The parts, in order."""
        return sorted(self.folder.glob("part-*.parquet"), key=_number)

    def clear_left(self) -> None:
        """Remove what a killed process left half-written."""
        for left in self.folder.glob(".*.part"):
            with contextlib.suppress(OSError):
                left.unlink()

    def stamps(self) -> dict[str, str | None]:
        """Of all images in the parts, by id.

        Raises:
            WorkzoneError: a part is damaged, or was moved there from elsewhere.
        """
        return dict(self._columns("id", STAMP))

    def drop(self, ids: Set[str]) -> None:
        """Write parts anew without some images."""
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        for path in self.paths():
            table = pq.read_table(path)
            dropped = pc.is_in(table["id"], pa.array(sorted(ids)))
            if pc.any(dropped).as_py():
                with writing(path) as aside:
                    pq.write_table(table.filter(pc.invert(dropped)), aside)

    def _columns(self, *names: str) -> Iterator[tuple[Any, ...]]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        for path in self.paths():
            try:
                with pq.ParquetFile(path) as part:
                    for batch in part.iter_batches(columns=list(names)):
                        yield from zip(*(batch[name].to_pylist() for name in names), strict=True)
            except (OSError, pa.ArrowException, KeyError) as error:
                raise WorkzoneError(
                    f"{path} cannot be read: {error}. Delete it and run the same command again: "
                    "its images are scored anew"
                ) from error

    def add(self, rows: Iterable[Row]) -> None:
        """Write the next part."""
        numbers = [_number(path) for path in self.paths()]
        path = self.folder / f"part-{max(numbers, default=-1) + 1:05}.parquet"
        ordered = sorted(rows, key=lambda row: row["id"])
        write_rows(ordered, path, known=True, places=True, stamps=True)

    def counts(self, ids: Set[str]) -> tuple[Counter[str], Counter[str]]:
        """Decisions on some images, and reasons for doubt."""
        decisions: Counter[str] = Counter()
        reasons: Counter[str] = Counter()
        for name, decision, reason in self._columns("id", "decision", "reason"):
            if name in ids:
                decisions[decision] += 1
                reasons[reason] += 1
        del reasons[""]
        return decisions, reasons

    def describe(self, identity: Mapping[str, str]) -> None:
        """Write `JOB`: how the results were made, their columns, and the parts with their rows."""
        import pyarrow.parquet as pq

        from workzone import __version__

        parts = [
            {
                "path": path.name,
                "rows": pq.read_metadata(path).num_rows,
                "bytes": path.stat().st_size,
            }
            for path in self.paths()
        ]
        names = [*COLUMNS, *KNOWN_COLUMNS, STAMP, GEOMETRY]
        job = {
            "workzone": __version__,
            **{key: identity[key] for key in ("model", "engine", "precision")},
            "sources": identity["source"].splitlines(),
            "inputs": identity["inputs"],
            "images": sum(part["rows"] for part in parts),
            "columns": names,
            "parts": parts,
        }
        write_text(self.folder / JOB, json.dumps(job, indent=2) + "\n")


def _number(path: Path) -> int:
    number = path.stem.removeprefix("part-")
    return int(number) if number.isdecimal() else -1
