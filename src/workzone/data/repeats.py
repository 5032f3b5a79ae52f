"""Rows that name one image again: one sample for each id, and no label that another row denies."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from workzone.data.quarantine import QuarantineEntry
from workzone.data.sources.values import quoted
from workzone.types import ImageRef, Sample

LABEL_CONFLICT = "label-conflict"
"""The quarantine's code, and the key in ``extra`` of an image whose labels were cleared for it."""

_LABELS = {1: "roadwork", 0: "none", None: "an unknown word"}
_FIELDS = {
    **{name: (name,) for name in ("label", "group", "time", "weather", "daytime", "scene", "text")},
    "place": ("latitude", "longitude"),
    **{name: (name,) for name in ("masks", "split")},
}


@dataclass
class Collected:
    """The samples kept so far, and what the quarantine says of rows that came again.

    Rows with one id become one sample: what any of them says holds. What two of them say
    differently is cleared and listed, never taken from the first. Rows with one image file and
    several ids all stay, without labels if these differ.
    """

    samples: list[Sample] = field(default_factory=list)
    entries: list[QuarantineEntry] = field(default_factory=list)
    _where: list[str] = field(default_factory=list)  # of each sample, for messages
    _of_id: dict[str, int] = field(default_factory=dict)
    _of_image: dict[ImageRef, list[int]] = field(default_factory=dict)
    _unread: set[int] = field(default_factory=set)  # samples whose label could not be read
    _cleared: dict[int, set[str]] = field(default_factory=dict)  # fields in conflict, by sample

    def add(self, sample: Sample, where: str, *, label_unread: bool) -> None:
        """Take a row in.

        Args:
            sample: what the row says.
            where: the row, for messages.
            label_unread: whether it has a label that cannot be read.
        """
        number = self._of_id.get(sample.id)
        if number is not None:
            self._merge(number, sample, where, label_unread=label_unread)
            return
        number = self._of_id[sample.id] = len(self.samples)
        self.samples.append(sample)
        self._where.append(where)
        if label_unread:
            self._unread.add(number)
        if sample.image.row is None:  # a parquet file has each row once
            numbers = self._of_image.setdefault(sample.image, [])
            numbers.append(number)
            self._compare_labels(numbers)

    def _compare_labels(self, numbers: list[int]) -> None:
        """Clear the labels of one image file under several ids where they differ."""
        contested = [n for n in numbers if LABEL_CONFLICT in self.samples[n].extra]
        if len({self.samples[n].label for n in numbers} - {None}) + bool(contested) < 2:
            return
        said = contested and self.samples[contested[0]].extra[LABEL_CONFLICT]
        said = said or " and ".join(
            f"{_LABELS[self.samples[n].label]} in {self._where[n]}"
            for n in numbers
            if self.samples[n].label is not None
        )
        for number in numbers:
            if self.samples[number].label is not None:
                self._clear_label(number, said)

    def _clear_label(self, number: int, said: str) -> None:
        first = self.samples[number]
        reason = (
            f"{self._where[number]}: one image has both labels, {said}; they are cleared, correct "
            "one of the rows"
        )
        self._say(first, "field cleared", LABEL_CONFLICT, reason)
        extra = {**first.extra, LABEL_CONFLICT: said}
        self.samples[number] = dataclasses.replace(first, label=None, extra=extra)

    def _merge(self, number: int, sample: Sample, where: str, *, label_unread: bool) -> None:
        """Take in a row whose id was there before."""
        first, before = self.samples[number], self._where[number]
        if self._is_contested(number, sample, label_unread=label_unread):
            said = first.extra.get(LABEL_CONFLICT, f"{_LABELS[first.label]} in {before}")
            said = f"{said} and {_LABELS[sample.label]} in {where}"
            if LABEL_CONFLICT not in first.extra:
                self._clear_label(number, said)
            reason = (
                f"{where}: the id {quoted(sample.id)} has both labels, {said}; both are cleared"
            )
            self._say(sample, "row left out", LABEL_CONFLICT, reason)
        else:
            reason = f"{where}: {self._duplicate(first, sample, before)}"
            self._say(sample, "row left out", "duplicate-id", reason)
            if label_unread:
                self._unread.add(number)
        if _same(first, sample):
            self._merge_fields(number, sample, where)

    def _is_contested(self, number: int, sample: Sample, *, label_unread: bool) -> bool:
        """Whether the label of a sample is denied by another row of its id."""
        first = self.samples[number]
        if LABEL_CONFLICT in first.extra:
            return sample.label is not None or label_unread
        if first.label is None:
            return number in self._unread and sample.label is not None
        return sample.label not in (None, first.label) or label_unread

    def _duplicate(self, first: Sample, sample: Sample, before: str) -> str:
        said = f"the id {quoted(sample.id)} occurred before, in {before}"
        if not _same(first, sample):
            return f"{said}, with another image; the first row is kept"
        both = sorted(sample.extra.keys() & first.extra.keys())
        other = [name for name in both if sample.extra[name] != first.extra[name]]
        if other:
            return f"{said}, with another {quoted(', '.join(other))}, which stays as it is there"
        return f"{said}; one row is kept"

    def _merge_fields(self, number: int, sample: Sample, where: str) -> None:
        cleared = self._cleared.setdefault(number, set())
        contested = LABEL_CONFLICT in self.samples[number].extra
        for name, columns in _FIELDS.items():
            first = self.samples[number]
            if name == "label" and contested:
                continue
            old, new = _values(first, columns), _values(sample, columns)
            if name in cleared or new == old or new[0] is None:
                continue
            if old[0] is not None:
                cleared.add(name)
                reason = (
                    f"{self._where[number]}: {name} is {_shown(old)} here and {_shown(new)} in "
                    f"{where}, which have one id; it is cleared, correct one of the rows"
                )
                self._say(first, "field cleared", "field-conflict", reason)
                new = (None,) * len(columns)
            changes: dict[str, Any] = dict(zip(columns, new, strict=True))
            self.samples[number] = dataclasses.replace(first, **changes)
        first = self.samples[number]
        self.samples[number] = dataclasses.replace(first, extra={**sample.extra, **first.extra})
        if first.image in self._of_image:
            self._compare_labels(self._of_image[first.image])

    def _say(self, sample: Sample, action: Any, code: str, reason: str) -> None:
        entry = QuarantineEntry(sample.id, str(sample.image), action, code, reason)
        self.entries.append(entry)


def _same(first: Sample, second: Sample) -> bool:
    return first.content_hash == second.content_hash


def _values(sample: Sample, columns: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(getattr(sample, column) for column in columns)


def _shown(values: tuple[Any, ...]) -> str:
    return quoted(", ".join(map(str, values)))
