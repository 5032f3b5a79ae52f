"""What a search for images left out, counted and put into words."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from workzone.data.kinds import NOT_READ

OTHER, MASK, OVERLAY = "other file", "mask", "overlay"
UNKNOWN, SPECIAL = "file without a known suffix", "special file"
UPWARD = "link to a folder above"

_DATA_SUFFIXES = frozenset(
    {
        *(".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".parquet", ".arrow", ".xml"),
        *(".geojson", ".gpx", ".kml", ".nmea", ".srt", ".xmp", ".aae", ".md", ".htm", ".html"),
        *(".npy", ".npz", ".pkl", ".pt", ".safetensors", ".db", ".sqlite", ".py", ".sh", ".ipynb"),
        *(".yaml", ".yml", ".toml", ".ini", ".cfg", ".log", ".lock", ".md5", ".sha256", ".crc"),
    }
)
"""What may well lie beside images: counted, but nothing that a user misses."""
_SUFFIX = re.compile(r"\.[a-z][a-z0-9_~-]{0,9}")
_PLURALS = {
    UNKNOWN: "files without a known suffix",
    UPWARD: "links to folders above",
    "hidden or system entry": "hidden or system entries",
}
_ADVICE = {SPECIAL: "a named pipe, socket or device", **NOT_READ}
_QUIET = frozenset({OTHER, MASK, OVERLAY})
_TOLD_KINDS = 6


def kind_of(suffix: str) -> str:
    """The kind that files with a suffix, in lower case, are counted as."""
    if suffix in _DATA_SUFFIXES:
        return OTHER
    return suffix if _SUFFIX.fullmatch(suffix) else UNKNOWN


def counted(number: int, noun: str) -> str:
    """A number and a noun, such as ``1 file`` and ``2 files``."""
    return f"1 {noun}" if number == 1 else f"{number:,} {_PLURALS.get(noun, f'{noun}s')}"


@dataclass
class PassedOver:
    """What a search left out, counted by kind.

    A kind is a suffix in lower case (``.heic``), or a few words for those that have none.
    """

    kinds: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)  # the first name of each kind
    hidden: int = 0  # hidden and system files and folders; what such folders hold is not counted

    def add(self, kind: str, name: str) -> None:
        """Count one file."""
        self.kinds[kind] += 1
        self.examples.setdefault(kind, name)

    def merge(self, other: PassedOver) -> None:
        """Count what another search left out, too."""
        self.kinds += other.kinds
        self.examples = other.examples | self.examples
        self.hidden += other.hidden

    def without(self, kinds: Iterable[str]) -> PassedOver:
        """The same but for some kinds."""
        left_out = set(kinds)
        rest = Counter({k: count for k, count in self.kinds.items() if k not in left_out})
        return PassedOver(rest, self.examples, self.hidden)

    @property
    def total(self) -> int:
        """Files, hidden ones not counted."""
        return self.kinds.total()

    @property
    def missed(self) -> bool:
        """Whether there are files among them that a user may have wanted to be read."""
        return any(kind not in _QUIET for kind in self.kinds)

    def __str__(self) -> str:
        """A sentence such as ``3 files passed over: 1 .mp4 (a video), 2 other files``."""
        if self.kinds.keys() == {OTHER}:
            return f"{counted(self.total, OTHER)} passed over"
        ranked = sorted(self.kinds.items(), key=lambda item: (item[0] in _QUIET, -item[1], item[0]))
        said: set[str] = set()
        parts = [self._part(kind, count, said) for kind, count in ranked[:_TOLD_KINDS]]
        if rest := sum(count for _, count in ranked[_TOLD_KINDS:]):
            parts.append(f"{rest:,} of {len(ranked) - _TOLD_KINDS} other kinds")
        return f"{counted(self.total, 'file')} passed over: {', '.join(parts)}"

    def holdings(self) -> str:
        """What there is where no images are, in a few words."""
        parts = [str(self)] if self.total else []
        if self.hidden:
            parts.append(f"{counted(self.hidden, 'hidden or system entry')} passed over")
        return "; ".join(parts) or "nothing else is there"

    def _part(self, kind: str, count: int, said: set[str]) -> str:
        """One kind with an example or the advice for it, which is given once."""
        part = f"{count:,} {kind}" if kind.startswith(".") else counted(count, kind)
        note = _ADVICE.get(kind) or f"such as {self.examples[kind]}"
        if kind in _QUIET or note in said:
            return part
        said.add(note)
        return f"{part} ({note})"
