"""From what a user names to the images meant: files, folders, manifests, archives, addresses."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from workzone.data.find_files import find_files, nearest_name
from workzone.data.images import read_bytes
from workzone.data.kinds import (
    IMAGE_SUFFIXES,
    NOT_READ,
    VIDEO_SUFFIXES,
    address_advice,
    is_video,
    local_path,
)
from workzone.data.passed_over import PassedOver, counted
from workzone.data.remote import is_remote
from workzone.errors import ImageError, UsageError
from workzone.run.images import Encoded
from workzone.run.standard_input import STANDARD_INPUT, read_standard_input
from workzone.types import ImageRef, Sample

if TYPE_CHECKING:
    from workzone.run.containers import Named
    from workzone.run.videos import VideoFrames

SourceLike = str | Path
"""An image, a folder, a manifest, an archive, an address, or `STANDARD_INPUT`."""

_CONTAINERS = {".parquet", ".zip", ".tar"}
_DATA_SETS = {".csv", ".tsv", ".xlsx", ".tgz", ".gz", ".jsonl"}
_UNREAD = (
    "of a parquet file that is no manifest the images alone are read; `workzone data import` reads "
    "times, places and labels too"
)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)
_ESCAPED_BYTE = re.compile(r"\\x[89a-f][0-9a-f]")


@dataclass(frozen=True)
class Item:
    """One image that was found."""

    ref: ImageRef
    root: Path  # absolute: other processes read it too
    sample: Sample | None = None  # what a manifest says of the image
    data: bytes | None = None  # of standard input
    problem: tuple[str, str] | None = None  # code and reason of a video without a frame

    def load(self) -> Encoded:
        """The image's file.

        Raises:
            ImageError: it cannot be read.
        """
        if self.problem is not None:
            raise ImageError(*self.problem)
        data = read_bytes(self.ref, self.root) if self.data is None else self.data
        return Encoded(data, str(self.ref))

    def known(self) -> Sample | None:
        """What is known of the image beside its pixels."""
        return self.sample

    def place(self) -> tuple[str, str | None, int | None]:
        """Where the image is, alike for all ways of naming the same file."""
        if is_remote(self.ref.path):
            return self.ref.path, self.ref.member, self.ref.row
        folder, name = os.path.split(self.root / self.ref.path)
        return f"{os.path.realpath(folder)}/{name}", self.ref.member, self.ref.row


@dataclass(frozen=True)
class Found:
    """The images of one or more sources."""

    images: Sequence[tuple[str, Item]]  # ids, no two alike
    passed_over: PassedOver = field(default_factory=PassedOver)
    sources: tuple[str, ...] = ()  # what was named, in order, so that another job can be told apart
    remarks: tuple[str, ...] = ()  # what else a user should know of the sources
    positions: str = ""  # how exact they are, where they were rounded
    videos: tuple[Path, ...] = ()  # whose frames were taken, or that have none

    @property
    def remote(self) -> bool:
        """Whether any image is read over a network."""
        return any(is_remote(item.ref.path) for _, item in self.images)

    def notes(self) -> list[str]:
        """What a user should know of it, in sentences."""
        return [*([str(self.passed_over)] if self.passed_over.total else []), *self.remarks]


Sources = SourceLike | Iterable[SourceLike] | Found
"""One or more sources, or what was found in them."""


def find_images(sources: Sources, frames: VideoFrames | None = None) -> Found:
    """The images of files, folders, manifests and standard input, in the order given.

    Folders are searched as :func:`workzone.data.find_files.find_files` says. The id of an image is
    its path below the folder, or the path by which it was named; of several sources, the path that
    begins with the folder's name. Folders that cannot be listed are among the images, to be
    reported. An image that several sources hold is found once, at its first place.

    Args:
        sources: see above.
        frames: take frames of videos, each an image with its time and place; the id is the video's
            and the frame's millisecond. Videos in a folder with images are passed over, unless
            ``frames`` says which frames. None: all are.

    Raises:
        UsageError: no images, nothing at a path, a data set that is not imported yet, two images
            with one id, frames are asked for and there is no video, or a start and several.
        MissingExtraError: there are videos, and PyAV is not installed.
        WorkzoneError: a folder that cannot be listed.
    """
    if isinstance(sources, Found):
        return sources
    named = [sources] if isinstance(sources, str | Path) else list(sources)
    if not named:
        raise UsageError("no source: name an image, a folder or a manifest")
    if sum(str(source) == STANDARD_INPUT for source in named) > 1:
        raise UsageError(
            f"{STANDARD_INPUT} is named more than once: one image comes through standard input; "
            "name it once"
        )
    seen: set[Path] = set()
    takes = [_Takes(frames, folder, seen) for folder in _folders(named, frames)]
    parts = [
        _one(source, take, alone=len(named) == 1) for source, take in zip(named, takes, strict=True)
    ]
    found = _distinct(parts[0]) if len(parts) == 1 else _joined(parts)
    if not found.images:
        (first, *more) = [str(source) for source in named]
        where = f"{first} and {len(more)} other sources" if more else first
        raise UsageError(
            f"no images in {where}: {found.passed_over.holdings()}; known suffixes: "
            f"{', '.join(sorted(IMAGE_SUFFIXES))}"
            f"{''.join(f'; {remark}' for part in parts for remark in part.remarks)}"
        )
    return found if frames is None else _with_frames(found, frames)


@dataclass(frozen=True)
class _Takes:
    """Which frames of a source's videos are taken, and where they go; None: none are.

    ``seen``: the videos so far, of all sources.
    """

    frames: VideoFrames | None
    folder: Path | None
    seen: set[Path]

    def of(self, root: Path, names: Sequence[str], lead: str) -> Found:
        """The frames of videos below ``root``."""
        from workzone.data.video.choose import FrameSettings
        from workzone.run.videos import frames_of

        assert self.frames is not None
        assert self.folder is not None
        settings = self.frames.settings or FrameSettings()
        places = {name: (root / name).parent.resolve() / Path(name).name for name in names}
        new = [name for name, place in places.items() if place not in self.seen]
        self.seen.update(places.values())
        settings.check_videos("what is named", len(self.seen))
        taken = frames_of(root, new, self.folder, settings, lead=lead)
        images = [
            (as_text(name), Item(ref, Path.cwd(), replace(sample, id=as_text(name))))
            for name, ref, sample in taken.frames
        ]
        images += [
            (as_text(name), Item(ref, Path.cwd(), problem=why))
            for name, ref, why in taken.unreadable
        ]
        videos = tuple((root / name).absolute() for name in names)
        again = len(names) - len(new)
        said = [f"{counted(again, 'video')} named again: frames are taken once"] if again else []
        return Found(images, remarks=(*taken.warnings, *said), videos=videos)


def _folders(named: Sequence[SourceLike], frames: VideoFrames | None) -> Sequence[Path | None]:
    if frames is None:
        return [None] * len(named)
    from workzone.run.videos import folders_of

    return folders_of(named, frames.store)


def _with_frames(found: Found, frames: VideoFrames) -> Found:
    """Round positions, and write down what is known of the frames that were taken."""
    if frames.settings is not None and not found.videos:
        raise UsageError(
            f"which frames is for videos, but {', '.join(found.sources)} holds none; leave the "
            "options for videos out"
        )
    if frames.metres is not None:
        found = _rounded(found, frames.metres)
    if found.videos:
        from workzone.run.videos import write_list

        store = frames.store.absolute()
        samples = [item.sample for _, item in found.images if item.sample is not None]
        write_list([s for s in samples if Path(s.image.path).is_relative_to(store)], frames.store)
    return found


def _rounded(found: Found, metres: float) -> Found:
    """The same images, of whose positions nobody downstream knows more than these metres."""
    from workzone.run.rounding import rounded_sample

    images = [
        (
            name,
            item
            if item.sample is None
            else replace(item, sample=rounded_sample(item.sample, metres)),
        )
        for name, item in found.images
    ]
    return replace(found, images=images, positions=f"rounded to {metres:g} m")


def _distinct(found: Found) -> Found:
    """The same, if no two images of one source have one id."""
    images: dict[str, Item] = {}
    for name, item in found.images:
        if images.setdefault(name, item) is not item:
            raise _same_id(name, images[name], item, "rename one of them, or score its file apart")
    return found


def _same_id(name: str, one: Item, two: Item, fix: str) -> UsageError:
    return UsageError(f"two images have the id {name!r}: {one.ref} and {two.ref}; {fix}")


def _joined(parts: Sequence[Found]) -> Found:
    images: dict[str, Item] = {}
    places: set[tuple[str, str | None, int | None]] = set()
    passed_over = PassedOver()
    remarks = [remark for part in parts for remark in part.remarks]
    for part in parts:
        passed_over.merge(part.passed_over)
        if not part.images and not part.videos:
            remarks.append(f"no images in {', '.join(part.sources)}")
        for name, item in part.images:
            place = item.place()
            if place in places:
                continue
            if name in images:
                raise _same_id(name, images[name], item, "score these sources one by one")
            places.add(place)
            images[name] = item
    if repeated := sum(len(part.images) for part in parts) - len(images):
        remarks.append(f"{counted(repeated, 'image')} named again: scored once")
    sources = tuple(source for part in parts for source in part.sources)
    videos = tuple(dict.fromkeys(video for part in parts for video in part.videos))
    return Found(list(images.items()), passed_over, sources, tuple(remarks), videos=videos)


def _one(source: SourceLike, takes: _Takes, *, alone: bool) -> Found:
    if str(source) == STANDARD_INPUT:
        return _standard_input()
    if isinstance(source, str):
        source = local_path(source)
        if is_remote(source):
            return _at_address(source, alone=alone)
    path = Path(source)
    named = (str(path.absolute()),)
    _check(str(source), path, videos=takes.frames is not None)
    if is_video(path) and not path.is_dir():
        above = path.parent.as_posix()
        lead = "" if alone or above == "." else f"{above}/"
        return replace(takes.of(path.parent, [path.name], lead), sources=named)
    lead = "" if alone or path == Path() else f"{path.as_posix().rstrip('/')}/"
    if path.is_file() and path.suffix.lower() in _CONTAINERS:
        return _in_container(path, lead, named)
    if not path.is_dir():
        item = Item(ImageRef(str(path)), Path.cwd())
        return Found([(as_text(path.as_posix()), item)], sources=named)
    files = find_files(path)
    names: Sequence[str] = sorted((*files.images, *files.unlisted))
    videos: Sequence[str] = ()
    if takes.frames is not None:
        names = takes.frames.outside(path, names)
        if not names or takes.frames.settings is not None:
            videos = takes.frames.outside(path, files.videos)
    images = [(as_text(f"{lead}{name}"), Item(ImageRef(name), path.absolute())) for name in names]
    unopened = files.passed_over.unopened(path)
    if not videos:
        return Found(images, files.passed_over, named, unopened)
    taken = takes.of(path, videos, lead)
    images += taken.images
    remarks = (*taken.remarks, *unopened)
    passed_over = files.passed_over.without(VIDEO_SUFFIXES)
    return replace(taken, images=images, passed_over=passed_over, sources=named, remarks=remarks)


def _in_container(path: Path, lead: str, named: tuple[str, ...]) -> Found:
    """The images of a manifest, another parquet file, or an archive."""
    if path.suffix.lower() != ".parquet":
        from workzone.run.containers import images_in_archive

        held = images_in_archive(path)
        return Found(_items(held.images, lead), held.passed_over, named, held.remarks)
    from workzone.data.manifest import read_manifest  # pyarrow, for these alone
    from workzone.data.sources.parquet import is_manifest

    if not is_manifest(path):
        from workzone.run.containers import images_in_table

        return Found(_items(images_in_table(path), lead), sources=named, remarks=(_UNREAD,))
    manifest = read_manifest(path)
    root = manifest.root.absolute()
    return Found([(s.id, Item(s.image, root, s)) for s in manifest], sources=named)


def _at_address(address: str, *, alone: bool) -> Found:
    from workzone.run.containers import images_at

    held = images_at(address)
    lead = "" if alone else f"{address.rstrip('/')}/"
    return Found(_items(held.images, lead), held.passed_over, (address,), held.remarks)


def _items(listed: Sequence[Named], lead: str) -> list[tuple[str, Item]]:
    return [
        (as_text(name if sample is not None else f"{lead}{name}"), Item(ref, Path.cwd(), sample))
        for name, ref, sample in listed
    ]


def _check(source: str, path: Path, *, videos: bool) -> None:
    """Refuse what is no image, folder or manifest, as far as its name and place say it.

    ``videos``: whether their frames are images.
    """
    if not path.exists() and not path.is_symlink():
        if _ADDRESS.match(source):
            raise UsageError(address_advice(source))
        if re.search(r"[*?[]", source):
            raise UsageError(
                f"{source} is a pattern: nothing matches it, or it stands in quotes; leave them "
                "away, or name the folder"
            )
        raise UsageError(
            f"{source} does not exist: name an image, a folder or a manifest{nearest_name(path)}"
        )
    if path.suffix.lower() in _DATA_SETS and path.is_file():
        raise UsageError(
            f"{source} is neither an image nor a manifest; import it first: "
            f"workzone data import {shlex.quote(source)} -o manifest.parquet"
        )
    if is_video(path) and path.is_file():
        if videos:
            return
        raise UsageError(
            f"{source} is a video: name what to write, such as -o scores.parquet, beside which "
            "its frames go; or take frames first, with `workzone data import VIDEO -o "
            "manifest.parquet`"
        )
    if (kind := NOT_READ.get(path.suffix.lower())) and path.is_file():
        raise UsageError(f"{source} is {kind}")
    if path.exists() and not path.is_file() and not path.is_dir():
        raise UsageError(
            f"{source} is a named pipe or device, not a file; send one image through standard "
            f"input: ... | workzone predict {STANDARD_INPUT}"
        )


def _standard_input() -> Found:
    data = read_standard_input()
    item = Item(ImageRef("standard input"), Path(), data=data)
    digest = hashlib.blake2b(data, digest_size=8).hexdigest()
    return Found([(STANDARD_INPUT, item)], sources=(f"standard input {digest}",))


def as_text(path: str) -> str:
    """A path that any table can hold: bytes that are not UTF-8 are written as ``\\xff``.

    Different paths stay different: where the result would hold such an escape, real or literal,
    backslashes of the path are doubled.
    """
    raw = os.fsencode(path)
    text = raw.decode("utf-8", "backslashreplace")
    if not _ESCAPED_BYTE.search(text):
        return text
    return raw.replace(b"\\", b"\\\\").decode("utf-8", "backslashreplace")
