"""What a manifest's masks hold, in formats that others read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from workzone.data.manifest import Manifest
from workzone.data.masks.formats.bit_images import write_bit_image
from workzone.data.masks.formats.coco_writer import write_coco
from workzone.data.masks.merge import Said, believed, frame_size, merge_masks
from workzone.data.masks.objects import ImageMasks, Knowledge, MaskSource, weakest
from workzone.data.masks.references import read_said
from workzone.errors import UsageError, nearest
from workzone.progress import track
from workzone.types import OBJECT_CLASSES, Sample


def source_keys(manifest: Manifest) -> dict[str, MaskSource]:
    """The sources that say something of any sample, by key."""
    return {
        source.key: source
        for sample in manifest
        if sample.masks is not None
        for source, _ in read_said(sample.masks, manifest.root)
    }


def export_coco(manifest: Manifest, output: Path, source: str | None = None) -> int:
    """Write masks as one COCO file, whose file names are those of the images.

    Args:
        manifest: of the samples.
        output: a ``.json`` file.
        source: the key or the teacher of one source; None: what is believed of all.

    Returns:
        How many objects were written.

    Raises:
        UsageError: another suffix, an unknown source, or no sample has masks.
    """
    if output.suffix != ".json":
        raise UsageError(f"a COCO file is a .json file, got {str(output)!r}")
    sources = source_keys(manifest)
    _check_any(sources)
    names = {s.id: _file_name(s) for s in manifest}
    if source is None:
        least = weakest(one.knowledge for one in sources.values())
        merged = MaskSource(least, "merged")  # read again, it is believed no more than its parts
        return write_coco(output, _believed(manifest), merged, names)
    keys = [key for key, one in sources.items() if source in (key, one.teacher)]
    if len(keys) != 1:
        known = [f"{key} ({one.teacher})" for key, one in sources.items()]
        what = "is that of several sources" if keys else "is unknown"
        raise UsageError(f"source {source!r} {what}; {nearest(source, known)}")
    return write_coco(output, _of_source(manifest, keys[0]), sources[keys[0]], names)


def export_bits(manifest: Manifest, folder: Path) -> int:
    """Write what is believed as bit images, a file ``ID.png`` for each sample with masks.

    Bit images have no place for what is unknown: it is written as nothing.

    Returns:
        How many images were written.

    Raises:
        UsageError: no sample has masks, or an id that is no name of a file.
    """
    masked = [sample for sample in manifest if sample.masks is not None]
    _check_any(masked)
    for sample in track(masked, "exporting masks"):
        path = folder / f"{sample.id}.png"
        if not path.resolve().is_relative_to(folder.resolve()):
            raise UsageError(f"the id {sample.id!r} leads out of {folder}; export as COCO")
        said = read_said(sample.masks or "", manifest.root)
        masks = merge_masks(said, *frame_size(said)).covered
        write_bit_image(masks, path, knowledge=_of_bits(said))
    return len(masked)


def _of_bits(said: Said) -> Knowledge:
    """What merged bits rest on; what they cover within a person's box, a model outlined."""
    least = weakest(source.knowledge for source, _ in said)
    return "polygon" if least == "box" else least


def _check_any(found: object) -> None:
    if not found:
        raise UsageError(
            "no sample of the manifest has masks; add some with `workzone data masks import`"
        )


def _file_name(sample: Sample) -> str:
    return sample.image.member or sample.image.path


def _believed(manifest: Manifest) -> Iterator[ImageMasks]:
    for sample in track(manifest.samples, "exporting masks"):
        if sample.masks is None:
            continue
        said = read_said(sample.masks, manifest.root)
        classes = {name: believed(name, said) for name in OBJECT_CLASSES}
        objects = tuple(item for one in classes.values() for item in (*one.objects, *one.boxes))
        looked = dict.fromkeys(name for name, one in classes.items() if one.looked)
        yield ImageMasks(sample.id, *frame_size(said), looked, objects)


def _of_source(manifest: Manifest, key: str) -> Iterator[ImageMasks]:
    for sample in track(manifest.samples, "exporting masks"):
        if sample.masks is not None:
            for source, masks in read_said(sample.masks, manifest.root):
                if source.key == key:
                    yield masks
