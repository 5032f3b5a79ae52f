"""Videos among the sources: frames taken once, into a folder beside what is written."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from workzone.data.places import check_grid
from workzone.types import ImageRef, Sample

if TYPE_CHECKING:  # with pyarrow behind them: as long as judging a photograph
    from workzone.data.sources.record import Record
    from workzone.data.video.choose import FrameSettings

MANIFEST = "manifest.parquet"
"""In the folder of the frames: what is known of each of them."""


@dataclass(frozen=True)
class VideoFrames:
    """Which frames are taken of videos, and where they go.

    ``store``: their folder. ``output``: what is written of them, a file or a folder; what lies in
    it, or in ``store``, is no source. ``settings``: None: one a second, but not beside images.
    ``metres``: to which all positions are rounded, see
    :func:`workzone.data.places.round_places`; None: they are not.
    """

    store: Path
    output: Path
    settings: FrameSettings | None = None
    metres: float | None = None

    def __post_init__(self) -> None:
        """Refuse a grid without width before a video is read.

        Raises:
            UsageError: ``metres`` is not above 0.
        """
        if self.metres is not None:
            check_grid(self.metres)

    def outside(self, root: Path, names: Sequence[str]) -> list[str]:
        """Names below a folder without those that an earlier run wrote."""
        top = root.resolve()
        own = [
            made.resolve().relative_to(top).parts
            for made in (self.store, self.output)
            if made.resolve().is_relative_to(top)
        ]
        return [
            name
            for name in names
            if not any(PurePosixPath(name).parts[: len(parts)] == parts for parts in own)
        ]


def frames_beside(
    output: Path, settings: FrameSettings | None = None, metres: float | None = None
) -> VideoFrames:
    """Frames in ``<output>.frames``."""
    return VideoFrames(output.with_name(f"{output.name}.frames"), output, settings, metres)


@dataclass(frozen=True)
class Taken:
    """Frames as ``(id, image, what is known of it)``, videos without one, and warnings."""

    frames: list[tuple[str, ImageRef, Sample]]
    unreadable: list[tuple[str, ImageRef, tuple[str, str]]]  # id, the video, code and reason
    warnings: list[str]


def frames_of(
    root: Path, names: Sequence[str], folder: Path, settings: FrameSettings, *, lead: str = ""
) -> Taken:
    """Take the frames of videos, or find those that an earlier run took.

    Args:
        root: where names begin.
        names: videos below it.
        folder: for their frames.
        settings: which frames.
        lead: that ids and groups begin with.

    Raises:
        UsageError: a start for several videos.
        MissingExtraError: PyAV is not installed.
    """
    from workzone.data.sources.folder import Placed
    from workzone.data.sources.video import take_frames

    placed = [Placed(name, None, _folder_of(name), None) for name in names if _is_text(name)]
    records, warnings = take_frames(root, placed, folder, settings)
    taken = Taken([], [], warnings)
    for name in names:
        if not _is_text(name):
            problem = ("unreadable", f"{root / name}: its name is no UTF-8; rename the video")
            taken.unreadable.append((f"{lead}{name}", ImageRef(str(root / name)), problem))
    for record in records:
        name = f"{lead}{record.default_id}"
        if record.image is None or record.problem is not None:
            assert record.problem is not None
            video = ImageRef(str((root / record.default_id).absolute()))
            taken.unreadable.append((name, video, record.problem))
        else:
            ref = ImageRef(str(Path(record.image.path).absolute()))
            taken.frames.append((name, ref, _sample(name, ref, record, lead)))
    return taken


def folders_of(sources: Sequence[str | Path], store: Path) -> list[Path]:
    """Where the frames of each source go: of one to ``store``, of several nowhere twice.

    A folder of videos has a folder of its own; videos lie in ``store`` by their names.
    """
    if len(sources) == 1:
        return [store]
    folders = []
    taken: set[Path] = set()
    for path in map(Path, sources):
        own = store / path.absolute().name
        numbered = (store / str(number) for number in count(1))
        if own in taken:
            own = next(folder for folder in numbered if folder not in taken)
            folders.append(own)
        else:
            folders.append(own if path.is_dir() else store)
        taken.add(own)
    return folders


def write_list(samples: Sequence[Sample], store: Path) -> None:
    """Write the manifest of frames.

    Raises:
        WorkzoneError: it cannot be written.
    """
    from workzone.data.manifest import Manifest, write_manifest

    root = store.absolute()
    below = [
        dataclasses.replace(s, image=ImageRef(Path(s.image.path).relative_to(root).as_posix()))
        for s in samples
    ]
    write_manifest(Manifest(below, root), store / MANIFEST)


def _is_text(name: str) -> bool:
    """Whether a manifest can hold a name."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _folder_of(name: str) -> str | None:
    return "/".join(PurePosixPath(name).parts[:-1]) or None


def _sample(name: str, image: ImageRef, record: Record, lead: str) -> Sample:
    values = record.values
    moment = values.get("time")
    return Sample(
        id=name,
        image=image,
        group=f"{lead}{values['group']}",
        latitude=values.get("latitude"),
        longitude=values.get("longitude"),
        time=None if moment is None else datetime.fromisoformat(moment),
        content_hash=values["content_hash"],
        extra=dict(record.extra),
    )
