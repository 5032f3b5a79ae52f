"""What an audit found, and the sentences that say it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sized
from dataclasses import asdict, dataclass
from typing import Any

from workzone.data.coordinates import FAR_METRES, READINGS, Misplaced
from workzone.data.copies import FoundCopies, Repeats
from workzone.data.leaks import ColumnLeak
from workzone.data.prints import UnreadableImage
from workzone.data.shared_places import SharedPlaces


@dataclass(frozen=True)
class Facts:
    """What the manifest holds, without judgement.

    ``labels``: rows by label (``road work``, ``none``, ``unlabelled``); ``splits``: the same for
    each split; ``missing``: rows without a field; ``sizes``: the most frequent image sizes,
    ``width x height`` in pixels; ``shorter_side``: least, median and largest, in pixels.
    """

    rows: int
    labels: dict[str, int]
    splits: dict[str, dict[str, int]]
    groups: int
    sources: int
    missing: dict[str, int]
    sizes: dict[str, int]
    shorter_side: tuple[int, int, int] | None
    blank: int


@dataclass(frozen=True)
class AuditReport:
    """The findings of an audit; ``problems`` and ``verdict`` say them in sentences."""

    facts: Facts
    unreadable: tuple[UnreadableImage, ...]
    changed: tuple[str, ...]  # ids of images whose bytes are not those that were imported
    copies: FoundCopies
    labels_cleared: tuple[str, ...]  # ids of images that the source lists with both labels
    groups_across_splits: tuple[str, ...]
    places_across_splits: SharedPlaces
    places_across_groups: SharedPlaces
    misplaced: tuple[Misplaced, ...]
    leaks: tuple[ColumnLeak, ...]
    near_distance: int
    place_metres: float

    @property
    def problems(self) -> list[str]:
        """What must be put right, one plain sentence each; empty where all is well."""
        found = []
        labels = self.facts.labels
        work, none = labels["road work"], labels["none"]
        if not work and not none:
            found.append(f"No row has a label: {_rows(self.facts.rows)} that teach nothing.")
        elif not work or not none:
            found.append(
                f"No row {'is without' if work else 'has'} road work: {_rows(none)} with label 0, "
                f"{work} with label 1; a model needs both."
            )
        if self.unreadable:
            codes = Counter(image.code for image in self.unreadable)
            kinds = ", ".join(f"{count} {code}" for code, count in codes.most_common())
            found.append(f"{_count(self.unreadable, 'image', 'images')} cannot be read ({kinds}).")
        if self.changed:
            found.append(
                f"{_count(self.changed, 'image', 'images')} changed since the import; import again."
            )
        both = self.copies.two_labels
        if both.images:
            found.append(
                f"{_rows(both.images)} show pictures that occur with both labels "
                f"({_example(both)}): one of the labels must be wrong."
            )
        if self.labels_cleared:
            found.append(
                f"{_count(self.labels_cleared, 'image was', 'images were')} listed with both "
                "labels, which the import cleared; correct them and import again."
            )
        if self.groups_across_splits:
            found.append(
                f"{_count(self.groups_across_splits, 'group lies', 'groups lie')} on both sides "
                "of a split; split by group: `workzone data split`."
            )
        if self.places_across_splits.pairs:
            least = self.places_across_splits.nearest[0].metres
            found.append(
                f"{self.places_across_splits.pairs} pairs of images in different splits are at "
                f"most {self.place_metres:g} m apart (the nearest {least:.1f} m); split by place: "
                "`workzone data split`."
            )
        crossing = self.copies.duplicates_across_splits
        if crossing.images:
            found.append(
                f"{crossing.images} images show pictures that are on both sides of a split "
                f"({_example(crossing)}); split by looks: `workzone data split`."
            )
        found += [
            f"{_count(rows, 'row is', 'rows are')} far from where the others are, and among them "
            f"with {reading} ({_place(rows[0])}); correct the coordinates, or leave them out."
            for reading in READINGS
            if (rows := [row for row in self.misplaced if row.reading == reading])
        ]
        found += [
            f"Column {leak.column} gives the label away: {leak.note}."
            for leak in self.leaks
            if leak.verdict == "leak"
        ]
        return found

    @property
    def notes(self) -> list[str]:
        """What is worth knowing but no fault."""
        found = []
        same, alike = self.copies.exact_duplicates, self.copies.near_duplicates
        if same.images:
            found.append(f"{_count(same.sets, 'image occurs', 'images occur')} more than once.")
        if alike.images:
            found.append(f"{alike.images} images look like others ({_example(alike)}).")
        shared = self.copies.duplicates_across_groups
        if shared.images:
            found.append(
                f"{shared.images} images of different groups show the same picture "
                f"({_example(shared)}); `workzone data split` keeps them together."
            )
        if self.places_across_groups.sides:
            near = self.places_across_groups.nearest[0]
            found.append(
                f"{self.places_across_groups.sides} groups share places: at most "
                f"{self.place_metres:g} m apart ({near.first} and {near.second}, "
                f"{near.metres:.1f} m, for one); `workzone data split` keeps them together."
            )
        far = [row for row in self.misplaced if row.reading is None]
        if far:
            found.append(
                f"{_count(far, 'row is', 'rows are')} over {FAR_METRES / 1000:g} km from where the "
                f"others are ({_place(far[0])})."
            )
        if self.facts.blank:
            found.append(
                f"{self.facts.blank} images are blank or too even to compare with others (one flat "
                "colour, fog, night)."
            )
        found += [
            f"Column {leak.column} is suspicious: {leak.note}."
            for leak in self.leaks
            if leak.verdict == "suspicious"
        ]
        return found

    @property
    def verdict(self) -> str:
        """The whole audit in one sentence."""
        if not self.problems:
            return f"No problems found in {self.facts.rows} rows."
        plural = "problem" if len(self.problems) == 1 else "problems"
        return f"{len(self.problems)} {plural} found in {self.facts.rows} rows; mend them first."

    def to_json(self) -> dict[str, Any]:
        """As plain values, with problems, notes and verdict.

        Copies and shared places are lists (the nearest of them) with a count beside each.
        """
        sentences = {"verdict": self.verdict, "problems": self.problems, "notes": self.notes}
        plain: dict[str, Any] = sentences | asdict(self)
        for name, found in plain.pop("copies").items():
            plain |= {name: found["sets"], f"{name}_count": found["images"]}
        for name in ("places_across_splits", "places_across_groups"):
            found = plain[name]
            plain |= {name: found["nearest"], f"{name}_count": found["pairs"]}
        return plain


def _rows(count: int) -> str:
    return f"{count} {'row' if count == 1 else 'rows'}"


def _count(items: Sized, one: str, many: str) -> str:
    return f"{len(items)} {one if len(items) == 1 else many}"


def _example(repeats: Repeats) -> str:
    first = repeats.sets[0]
    return f"{' and '.join(first.ids[:2])}, {first.kind}, for one"


def _place(row: Misplaced) -> str:
    apart = "" if row.kilometres is None else f", {row.kilometres:,.0f} km from the median"
    return f"{row.id} at {row.latitude:g}, {row.longitude:g}, of {row.among}{apart}"
