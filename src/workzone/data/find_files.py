"""The images below a folder, or in a list of names: the one way in which files are found.

Hidden and system files and folders are passed over, wherever they lie: what begins with a dot
(``.Trash-1000``, ``._a.jpg``, ``.thumbnails``) and `SYSTEM_NAMES`. So are the masks of images that
lie beside them, overlays that ``workzone predict --explain`` drew, annotated videos, and the frames
that an earlier run took of videos, unless their own folder is the one that is searched.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from workzone.data.kinds import IMAGE_SUFFIXES, VIDEO_SUFFIXES
from workzone.data.passed_over import (
    ANNOTATED,
    FRAMES,
    MASK,
    OVERLAY,
    SPECIAL,
    UPWARD,
    PassedOver,
    kind_of,
)
from workzone.errors import WorkzoneError

SYSTEM_NAMES = frozenset(
    {
        *("__macosx", "desktop.ini", "icon\r"),  # macOS archives, Windows, macOS
        *("@eadir", "#recycle", "@tmp", "#snapshot", "@recycle", "@recently-snapshot"),  # NAS
        *("thumbs.db", "ehthumbs.db", "$recycle.bin", "recycler", "system volume information"),
        *("lost+found", "lost.dir", "found.000"),
    }
)
"""In lower case; files and folders that systems leave beside a user's own."""

OVERLAY_SUFFIX = ".overlay.jpg"
OBJECTS_SUFFIX = ".objects.jpg"
"""How names of overlays end."""

ANNOTATED_SUFFIX = ".annotated.mp4"
"""How names of annotated videos end."""

FRAMES_LIST = "frames.json"
FRAMES_FIELDS = frozenset({"key", "frames", "remarks"})
"""The list in a folder of frames that were taken of a video, and what it holds."""

_MASK_FOLDERS = frozenset({"mask", "masks"})


@dataclass(frozen=True)
class FoundFiles:
    """What lies below a folder or in an archive; names have ``/`` between folders."""

    images: tuple[str, ...]  # sorted; empty folders named like images are among them
    unlisted: tuple[str, ...]  # sorted: folders that could not be listed
    passed_over: PassedOver
    videos: tuple[str, ...] = ()  # sorted; they are among those passed over

    def holdings(self) -> str:
        """What there is beside images, in a few words."""
        unlisted = [f"the folder {name} cannot be listed" for name in self.unlisted[:3]]
        return "; ".join([self.passed_over.holdings(), *unlisted])


def find_files(root: Path) -> FoundFiles:
    """Search a folder to any depth.

    Links to folders are followed, each folder being searched once; links to a folder above ``root``
    are not. Named pipes, sockets and devices are never opened. A link to a file that is gone
    counts as the file that its name says.

    Raises:
        WorkzoneError: ``root`` itself cannot be listed.
    """
    passed_over = PassedOver()
    unlisted: list[str] = []
    names = list(_walk(root, passed_over, unlisted))
    listed = {mask for name in names for mask in _masks_of_manifest(root, name)}
    images = _sort(names, passed_over, masks=listed)
    videos = sorted(
        name
        for name in names
        if PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES and not _is_annotated(name)
    )
    return FoundFiles(images, tuple(sorted(unlisted)), passed_over, tuple(videos))


def find_in_names(names: Iterable[str]) -> FoundFiles:
    """As `find_files`, among the names of files, such as those of an archive's members."""
    passed_over = PassedOver()
    shown = []
    for name in names:
        if any(is_hidden(part) for part in PurePosixPath(name).parts):
            passed_over.hidden += 1
        else:
            shown.append(name)
    return FoundFiles(_sort(shown, passed_over, masks=set()), (), passed_over)


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name, without the folders above it, is passed over.

    A name with backslashes is a path from Windows, as some programs unpack them.
    """
    parts = name.split("\\")
    return any(part.startswith(".") or part.lower() in SYSTEM_NAMES for part in parts)


def is_image_name(name: str) -> bool:
    """Whether a name ends as those of images that are read."""
    return PurePosixPath(name).suffix.lower() in IMAGE_SUFFIXES


def nearest_name(path: Path) -> str:
    """What lies near a path at which there is nothing, as the end of a sentence."""
    if not path.parent.is_dir():
        return f"; {path.parent} is not there either"
    try:
        names = os.listdir(path.parent)  # noqa: PTH208 (names alone, of folders of any size)
    except OSError:
        return ""
    near = difflib.get_close_matches(path.name, names, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _walk(root: Path, passed_over: PassedOver, unlisted: list[str]) -> Iterator[str]:
    """Relative paths of files; folders that cannot be listed are added to ``unlisted``."""
    top = os.path.realpath(root)
    searched: set[str] = set()
    folders = [("", top)]  # a relative path, and the real one
    links: list[tuple[str, str]] = []
    while folders or links:
        if not folders:  # real folders first: they give their images their names
            links.sort(reverse=True)
            folders.append(links.pop())
        below, real = folders.pop()
        if real in searched:
            continue
        searched.add(real)
        try:
            with os.scandir(root / below) as listing:
                entries = list(listing)
        except OSError as error:
            if not below:
                raise WorkzoneError(
                    f"{root} cannot be listed: {error.strerror}; allow reading it, or copy it"
                ) from error
            unlisted.append(below)
            continue
        if below and any(entry.name == FRAMES_LIST and _lists_frames(entry) for entry in entries):
            passed_over.add(FRAMES, below)
            continue
        if not entries and is_image_name(below):
            yield below
        for entry in entries:
            name = f"{below}/{entry.name}" if below else entry.name
            if is_hidden(entry.name):
                passed_over.hidden += 1
            elif _is(entry, "dir"):
                if not entry.is_symlink():
                    folders.append((name, os.path.join(real, entry.name)))  # noqa: PTH118
                elif _holds(target := os.path.realpath(entry.path), top):
                    passed_over.add(UPWARD, name)
                else:
                    links.append((name, target))
            elif _is(entry, "file") or _is_broken_link(entry):
                yield name
            else:
                passed_over.add(SPECIAL, name)


def _lists_frames(entry: os.DirEntry[str]) -> bool:
    """Whether a file is a list of frames that we took, not another program's of this name."""
    try:
        listed = json.loads(Path(entry.path).read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(listed, dict) and listed.keys() == FRAMES_FIELDS


def _is_annotated(name: str) -> bool:
    return name.lower().endswith(ANNOTATED_SUFFIX)


def _is(entry: os.DirEntry[str], kind: str) -> bool:
    """Of links, what they lead to; False where that cannot be told."""
    try:
        return entry.is_dir() if kind == "dir" else entry.is_file()
    except OSError:
        return False


def _is_broken_link(entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() and not os.path.exists(entry.path)  # noqa: PTH110


def _holds(folder: str, other: str) -> bool:
    """Whether a folder, by its real path, is above another one or the same."""
    return os.path.commonpath([folder, other]) == folder


def _sort(names: Iterable[str], passed_over: PassedOver, *, masks: set[str]) -> tuple[str, ...]:
    """The images among names, sorted; the rest is counted."""
    images = []
    for name in names:
        if name.lower().endswith((OVERLAY_SUFFIX, OBJECTS_SUFFIX)):
            passed_over.add(OVERLAY, name)
        elif _is_annotated(name):
            passed_over.add(ANNOTATED, name)
        elif is_image_name(name):
            images.append(name)
        else:
            passed_over.add(kind_of(PurePosixPath(name).suffix.lower()), name)
    images.sort()
    masks = masks | _masks_beside_images(images)
    for name in images:
        if name in masks:
            passed_over.add(MASK, name)
    return tuple(name for name in images if name not in masks)


def _masks_of_manifest(root: Path, name: str) -> Iterator[str]:
    """Masks that a manifest of this name lists, relative to ``root``."""
    if not name.endswith(".parquet"):
        return
    import pyarrow as pa  # as long as judging a photograph, were it at the top
    import pyarrow.parquet as pq

    from workzone.data.manifest import SCHEMA

    try:
        file = pq.ParquetFile(root / name)
        if not set(file.schema_arrow.names) >= set(SCHEMA.names):
            return
        listed = file.read(columns=["masks"]).column("masks").unique().to_pylist()
    except (pa.ArrowException, OSError):
        return  # no manifest that can be read: what it lists cannot be told
    folder = PurePosixPath(name).parent
    for mask in listed:
        if isinstance(mask, str):
            yield os.path.normpath(folder / mask)


def _masks_beside_images(images: Iterable[str]) -> set[str]:
    """PNG files in a folder ``masks`` whose like lies beside that folder, or in one beside it.

    ``a/masks/7.png`` is the mask of ``a/images/7.jpg``, and of ``a/7.jpg``.
    """
    candidates: dict[str, list[tuple[str, str]]] = {}  # folder above: the mask, what it is like
    others = []
    for name in images:
        parts = PurePosixPath(name).parts
        depth = next((d for d, part in enumerate(parts[:-1]) if part.lower() in _MASK_FOLDERS), -1)
        if depth < 0 or not name.lower().endswith(".png"):
            others.append(parts)
            continue
        like = os.path.splitext("/".join(parts[depth + 1 :]))[0]  # noqa: PTH122
        candidates.setdefault("/".join(parts[:depth]), []).append((name, like))
    if not candidates:
        return set()
    beside: dict[str, set[str]] = {folder: set() for folder in candidates}
    for parts in others:
        for depth in range(len(parts)):
            likes = beside.get("/".join(parts[:depth]))
            if likes is not None:
                for rest in (parts[depth:], parts[depth + 1 :]):
                    likes.add(os.path.splitext("/".join(rest))[0])  # noqa: PTH122
    return {
        name
        for folder, masks in candidates.items()
        for name, like in masks
        if like in beside[folder]
    }
