"""Images as annotations name them, and the samples that these are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

from workzone.types import Sample

_SUFFIXES = ("_leftImg8bit",)
"""What file names of images end with, and their annotations do not."""


class SampleNames:
    """Finds samples by names of files: alike from the end, folder by folder, without suffixes."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._by_stem: dict[str, list[tuple[tuple[str, ...], Sample]]] = defaultdict(list)
        for sample in samples:
            image = sample.image
            names = {image.member if image.row is None and image.member else image.path, sample.id}
            for name in names:
                parts = _parts(name)
                if parts:
                    self._by_stem[parts[-1]].append((parts, sample))

    def find(self, name: str) -> list[Sample]:
        """The samples that a name means: one, several that it does not tell apart, or none."""
        wanted = _parts(name)
        if not wanted:
            return []
        alike = [(_common(parts, wanted), s) for parts, s in self._by_stem.get(wanted[-1], ())]
        best = max((count for count, _ in alike), default=0)
        return list({s.id: s for count, s in alike if count == best}.values())

    def likeness(self, name: str, sample: Sample) -> tuple[int, bool]:
        """How well a name fits a sample that it means: parts alike, and whether all of its are."""
        wanted = _parts(name)
        return max(
            (count := _common(parts, wanted), count == len(wanted))
            for parts, one in self._by_stem[wanted[-1]]
            if one.id == sample.id
        )


def _parts(name: str) -> tuple[str, ...]:
    path = PurePosixPath(name.replace("\\", "/"))
    if not path.name:
        return ()
    stem = path.stem if path.suffix[1:].isalnum() and not path.suffix[1:].isdecimal() else path.name
    for suffix in _SUFFIXES:
        stem = stem.removesuffix(suffix)
    return (*(part for part in path.parts[:-1] if part not in ("/", ".", "..")), stem)


def _common(first: tuple[str, ...], second: tuple[str, ...]) -> int:
    """How many parts are equal, from the end."""
    count = 0
    for one, other in zip(reversed(first), reversed(second), strict=False):
        if one != other:
            break
        count += 1
    return count
