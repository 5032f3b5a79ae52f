"""Folders of images, and zip or tar archives with the same structure."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from workzone.data.archives import ARCHIVE_ERRORS, member_names, repeats_note
from workzone.data.find_files import FoundFiles, find_files, find_in_names
from workzone.data.kinds import IMAGE_SUFFIXES
from workzone.data.passed_over import counted
from workzone.data.sources.paths import with_slashes
from workzone.data.sources.record import Record, Source
from workzone.data.sources.values import LABEL_WORDS, label_hint, normalise_word, parse_split
from workzone.errors import ManifestError, UsageError
from workzone.types import ImageRef

ARCHIVE_SUFFIXES = frozenset({".zip", ".tar"})
_SPLIT_NAMES = ("train", "val", "test")


@dataclass(frozen=True, slots=True)
class Placed:
    """What an image's place below the source says of it."""

    name: str
    label: int | None
    group: str | None
    split: str | None


def open_folder(path: Path) -> Source:
    """A folder of class folders, with or without ``train``, ``val``, ``test`` folders above them.

    The group is the folder between the class and the image, if there is one; sequences are not
    guessed from file names. Without any class folder the images are unlabelled. The id is the
    path below ``path``. Which files count is said by :mod:`workzone.data.find_files`.

    Raises:
        UsageError: no images, or a folder beside class folders that is not one.
    """
    found = find_files(path)
    stored = _by_name(found.images)
    found = dataclasses.replace(found, images=tuple(sorted(stored)))
    return _source(path, found, lambda name: ImageRef(str(path / stored[name])))


def open_archive(path: Path) -> Source:
    """A zip or uncompressed tar archive, structured like a folder (see :func:`open_folder`).

    Raises:
        ManifestError: a damaged archive.
        UsageError: as :func:`open_folder`.
    """
    try:
        members = member_names(path)
    except (OSError, *ARCHIVE_ERRORS) as error:
        raise ManifestError(f"{path} is not a readable archive: {error}") from error
    stored = _by_name(members)
    source = _source(path, find_in_names(stored), lambda name: ImageRef(str(path), stored[name]))
    repeats = repeats_note(str(path), len(members) - len(stored))
    return dataclasses.replace(source, warnings=(*source.warnings, *repeats))


def place(
    names: Sequence[str], *, where: str, noun: str = "image"
) -> tuple[list[Placed], list[str]]:
    """Read label, group and split off paths below a source.

    Args:
        names: paths.
        where: the source, for messages.
        noun: what lies at the paths, for messages.

    Returns:
        One `Placed` per name, and warnings.

    Raises:
        UsageError: a folder beside class folders that is not one.
    """
    depth = _class_depth(names)
    if depth is None:
        warning = (
            f"{where} has no class folders (such as roadwork and none); its {noun}s are unlabelled"
        )
        return [Placed(name, None, _folder_below(name, 0), None) for name in names], [warning]
    placed = []
    loose = 0
    for name in names:
        folders = PurePosixPath(name).parts[:-1]
        split = parse_split(folders[depth - 1]) if depth else None
        if len(folders) <= depth:
            loose += 1
            placed.append(Placed(name, None, None, None))
            continue
        word = normalise_word(folders[depth])
        if word not in LABEL_WORDS:
            allowed = ", ".join(sorted(LABEL_WORDS))
            raise UsageError(
                f"{where}: the folder {folders[depth]!r} is not a class; "
                f"{label_hint(word)}allowed: {allowed}. Rename it or move it away."
            )
        group = _folder_below(name, depth + 1)
        known_split = split if split in _SPLIT_NAMES else None
        placed.append(Placed(name, LABEL_WORDS[word], group, known_split))
    warnings = [f"{where}: {counted(loose, noun)} in no class folder: unlabelled"] if loose else []
    return placed, warnings


def left_out(path: Path, found: FoundFiles, nouns: str) -> list[str]:
    """Warnings of the folders that could not be listed, and of what may lie in them."""
    return [
        f"{path}: the folder {name} cannot be listed: its {nouns} are left out"
        for name in found.unlisted
    ]


def _class_depth(names: Sequence[str]) -> int | None:
    """How many folders stand above the class folders; None where there are none.

    Above them may stand one folder that holds everything, as archives often have, and the splits.
    """
    folders = [PurePosixPath(name).parts[:-1] for name in names]
    for depth in range(3):
        level = {parts[depth] for parts in folders if len(parts) > depth}
        if any(normalise_word(name) in LABEL_WORDS for name in level):
            return depth
        if len(level) != 1 and not any(parse_split(name) in _SPLIT_NAMES for name in level):
            return None
    return None


def _folder_below(name: str, depth: int) -> str | None:
    return "/".join(PurePosixPath(name).parts[depth:-1]) or None


def _source(path: Path, found: FoundFiles, image: Callable[[str], ImageRef]) -> Source:
    if not found.images:
        raise UsageError(
            f"{path} holds no images ({', '.join(sorted(IMAGE_SUFFIXES))}): {found.holdings()}"
        )
    placed, warnings = place(found.images, where=str(path))
    if found.passed_over.total:
        warnings.append(f"{path}: {found.passed_over}")
    warnings += left_out(path, found, "images")

    def records() -> Iterator[Record]:
        for item in placed:
            values = {"label": item.label, "group": item.group, "split": item.split}
            yield Record(item.name, item.name, image(item.name), values)

    return Source(path.stem, len(placed), records, {}, tuple(warnings))


def _by_name(stored: Iterable[str]) -> dict[str, str]:
    """Names as they are stored, by their path with slashes.

    Archives made on Windows may hold backslashes, and so do the files that some programs unpack
    from them. A name that has both forms beside it keeps its own.
    """
    plain = list(stored)
    taken = {str(PurePosixPath(name)) for name in plain}
    names = {}
    for name in plain:
        path = str(PurePosixPath(with_slashes(name)))
        names[str(PurePosixPath(name)) if path in taken else path] = name
    return names
