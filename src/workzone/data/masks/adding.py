"""From annotations of any format to masks of a manifest's samples."""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from workzone.data.images import read_bytes
from workzone.data.manifest import Manifest
from workzone.data.masks.categories import choose_classes
from workzone.data.masks.fit import SIDEWAYS, Frame, fitting_orientation, frame_of
from workzone.data.masks.formats.shapes import AnnotatedImage, Annotations
from workzone.data.masks.matching import SampleNames
from workzone.data.masks.merge import check_rivals
from workzone.data.masks.objects import ImageMasks, Knowledge, MaskSource
from workzone.data.masks.references import (
    place_shapes,
    read_said,
    split_reference,
    split_store,
    store_reference,
)
from workzone.data.masks.store import MaskStore, MaskWriter
from workzone.errors import ImageError, ManifestError, UsageError
from workzone.progress import track
from workzone.types import OBJECT_CLASSES, Sample

_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Added:
    """What came of annotations."""

    manifest: Manifest  # with references to the masks
    images: int  # that got masks
    objects: Mapping[str, int]  # by class
    passed_over: Mapping[str, str]  # images as annotated, and why
    warnings: tuple[str, ...]


def add_masks(
    manifest: Manifest,
    annotations: Annotations,
    folder: Path,
    *,
    name: str,
    mapping: Mapping[str, str] | None = None,
    knowledge: Knowledge = "polygon",
    orientation: int | None = None,
) -> Added:
    """Write the masks that annotations give into a store, and refer the samples to it.

    What other stores say of a sample is copied, so that each has one store. Images of which
    another source of the same knowledge says something of the same classes are passed over, see
    `workzone.data.masks.merge`.

    Args:
        manifest: whose samples are annotated.
        annotations: of some of its images.
        folder: of the store, made if need be.
        name: of the source; masks of the same name are replaced.
        mapping: category to class, beside what is known; "" leaves a category out.
        knowledge: what the annotations rest on, where they do not tell; mere boxes are told as
            such.
        orientation: EXIF's, of the pixels that the annotations are of, where sizes do not tell.

    Raises:
        UsageError: a wrong mapping, or no category that is known.
        ManifestError: not one image of the manifest is annotated.
    """
    own = annotations.source is not None
    bits = set(annotations.looked) == set(OBJECT_CLASSES) and annotations.categories is not None
    classes = choose_classes(annotations.looked, mapping, own=own or bits)
    source = annotations.source or MaskSource(annotations.knowledge or knowledge, name)
    names = SampleNames(manifest.samples)
    owners = _owners(annotations, names)
    passed: dict[str, str] = {}
    done: dict[str, str] = {}
    objects: Counter[str] = Counter()
    with MaskWriter(folder, source) as writer:
        for image in track(annotations.images, "adding masks"):
            try:
                sample = _sample(image, names, owners, done)
                frame = frame_of(read_bytes(sample.image, manifest.root), str(sample.image))
                turn = _turn(image, frame, orientation)
                masks = place_shapes(
                    image, sample.id, frame, classes, turn=turn, knowledge=source.knowledge
                )
                check_rivals(
                    source, masks, _said_before(sample, manifest.root, folder, annotations)
                )
            except (ManifestError, ImageError) as error:
                passed[image.where] = str(error)
                continue
            writer.add(masks)
            done[sample.id] = image.where
            objects.update(item.name for item in masks.objects)
    if not done:
        told = "; ".join(f"{where}: {why}" for where, why in list(passed.items())[:_EXAMPLES])
        raise ManifestError(
            f"{annotations.path}: none of its {len(annotations.images)} images gives masks to a "
            f"sample of the manifest ({told})"
        )
    left_out = sorted(set(annotations.looked) - set(classes))
    warnings = list(annotations.warnings)
    if left_out:
        warnings.append(f"{annotations.path}: left out are the categories {', '.join(left_out)}")
    referred = refer_samples(manifest, folder, set(done), source, annotations=annotations.path)
    return Added(referred, len(done), objects, passed, tuple(warnings))


def _owners(annotations: Annotations, names: SampleNames) -> dict[str, set[str]]:
    """By sample, the names among the annotated images' that fit it best."""
    best: dict[str, tuple[int, bool]] = {}
    owners: dict[str, set[str]] = {}
    for name in {image.name for image in annotations.images}:
        found = names.find(name)
        if len(found) != 1:
            continue
        sample = found[0]
        likeness = names.likeness(name, sample)
        if likeness > best.get(sample.id, (0, False)):
            best[sample.id], owners[sample.id] = likeness, set()
        if likeness == best[sample.id]:
            owners[sample.id].add(name)
    return owners


def _sample(
    image: AnnotatedImage,
    names: SampleNames,
    owners: Mapping[str, set[str]],
    done: Mapping[str, str],
) -> Sample:
    found = names.find(image.name)
    if not found:
        raise ManifestError(f"no image of the manifest is named {image.name!r}")
    if len(found) > 1:
        told = ", ".join(sample.id for sample in found[:_EXAMPLES])
        raise ManifestError(f"{image.name!r} may be any of {len(found)} samples: {told}")
    fitting = owners[found[0].id]
    if image.name not in fitting:
        raise ManifestError(
            f"the sample {found[0].id!r} is rather {min(fitting)!r}, whose folders fit better"
        )
    if len(fitting) > 1:
        told = ", ".join(map(repr, sorted(fitting)[:_EXAMPLES]))
        raise ManifestError(
            f"the sample {found[0].id!r} may be any of {len(fitting)} annotated images: {told}; "
            "leave out those that it is not"
        )
    if found[0].id in done:
        raise ManifestError(
            f"the sample {found[0].id!r} is annotated before, in {done[found[0].id]}"
        )
    return found[0]


def _said_before(
    sample: Sample, root: Path, folder: Path, annotations: Annotations
) -> list[tuple[MaskSource, ImageMasks]]:
    """What a sample's reference and the store say of it, but for the annotations themselves."""
    said = MaskStore(folder).image(sample.id)
    if sample.masks is not None and not _is_of(sample.masks, root.resolve(), annotations.path):
        said += read_said(sample.masks, root)
    return said


def _turn(image: AnnotatedImage, frame: Frame, stated: int | None) -> int:
    if image.size is None:  # of fractions, which are of the frame as seen
        return stated or 1
    size = image.size[::-1] if stated in SIDEWAYS else image.size
    return fitting_orientation(size, frame, stated)


def refer_samples(
    manifest: Manifest,
    folder: Path,
    ids: set[str],
    own: MaskSource,
    *,
    annotations: Path | None = None,
) -> Manifest:
    """The manifest with references to a store in the rows of these ids.

    What they refer to so far is copied into this one, over copies that an earlier run made, but
    for what is in it already: the source ``own``, and ``annotations``, a file or folder.

    Raises:
        ManifestError, StoreError: what they refer to so far cannot be read, or contradicts what the
            store holds, see `check_rivals`.
    """
    store = MaskStore(folder)
    root = manifest.root.resolve()
    named = Path(os.path.relpath(folder.resolve(), root)).as_posix()
    samples = []
    copied: dict[str, tuple[MaskSource, list[ImageMasks]]] = {}
    for sample in manifest:
        reference = store_reference(named, sample.id)
        if sample.id not in ids or sample.masks == reference:
            samples.append(sample)
            continue
        known = sample.masks is None or _is_of(sample.masks, root, annotations)
        for source, masks in () if known else read_said(sample.masks or "", root):
            if source.key == own.key:
                continue
            check_rivals(source, masks, store.image(sample.id))
            of_source = copied.setdefault(source.key, (source, []))
            of_source[1].append(dataclasses.replace(masks, id=sample.id))
        samples.append(dataclasses.replace(sample, masks=reference))
    for source, images in copied.values():
        with MaskWriter(folder, source) as writer:
            for masks in images:
                if store.said_by(source.key, masks.id) != masks:
                    writer.add(masks)
    return manifest.with_samples(samples)


def _is_of(reference: str, root: Path, annotations: Path | None) -> bool:
    """Whether a reference is to a file of annotations, or to one in their folder."""
    if annotations is None:
        return False
    path = (root / split_reference(reference)[0]).resolve()
    return split_store(reference) is None and path.is_relative_to(annotations.resolve())


def store_beside(manifest: Path) -> Path:
    """The folder of the mask store of a manifest's file.

    Raises:
        UsageError: it is no .parquet file.
    """
    if manifest.suffix != ".parquet":
        raise UsageError(f"a manifest is a .parquet file, got {str(manifest)!r}")
    return manifest.with_suffix(".masks")
