"""What is odd in the masks of a manifest: to be looked at before anything learns from them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from workzone.data.manifest import Manifest
from workzone.data.masks import rle
from workzone.data.masks.merge import believed, frame_size, in_words
from workzone.data.masks.objects import ImageMasks, MaskObject
from workzone.data.masks.references import read_said
from workzone.errors import ManifestError, StoreError, UsageError
from workzone.progress import track
from workzone.types import OBJECT_CLASSES, Sample

GIANT = 0.6
"""Of the frame: a single object that covers more is suspicious."""
OUTSIDE = 2.0
"""Pixels by which a box may reach beyond the frame, or a mask beyond its box."""
PRESENCE = 0.5
"""A class with objects, and with less presence than this by the model's own word, is doubtful."""
SURE = 0.5
"""Score from which an object of a model contradicts label 0."""

KINDS: Mapping[str, str] = {
    "unreadable": "masks that cannot be read",
    "empty": "an object without a pixel",
    "giant": f"a single object over more than {GIANT:.0%} of the frame",
    "outside": "a box beyond the frame, or a mask beyond its box",
    "label": "label 0 with objects, or label 1 with none though all classes were looked for",
    "presence": f"objects of a class of presence below {PRESENCE}",
}
"""What is looked for, by code."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is odd."""

    id: str  # of the sample
    code: str  # of KINDS
    source: str  # the teacher; "" of all together
    reason: str


@dataclass(frozen=True, slots=True)
class MaskAudit:
    """What an audit found; ``objects``: believed ones, by class."""

    samples: int  # with masks
    objects: Mapping[str, int]
    knowledge: Mapping[str, int]  # objects of all sources, by where they are from
    findings: tuple[Finding, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Findings by code."""
        counted = Counter(finding.code for finding in self.findings)
        return {code: counted[code] for code in KINDS}


def audit_masks(manifest: Manifest) -> MaskAudit:
    """Look at all masks that a manifest refers to.

    Raises:
        UsageError: no sample has masks.
    """
    masked = [sample for sample in manifest if sample.masks is not None]
    if not masked:
        raise UsageError(
            "no sample of the manifest has masks; add some with `workzone data masks import`"
        )
    objects: Counter[str] = Counter()
    knowledge: Counter[str] = Counter()
    findings: list[Finding] = []
    for sample in track(masked, "auditing masks"):
        try:
            found = _audit_sample(sample, manifest.root, objects, knowledge)
            findings += found
        except (ManifestError, StoreError) as error:
            findings.append(Finding(sample.id, "unreadable", "", str(error)))
    by_class = {name: objects[name] for name in OBJECT_CLASSES}
    return MaskAudit(len(masked), by_class, dict(sorted(knowledge.items())), tuple(findings))


def _audit_sample(
    sample: Sample, root: Path, objects: Counter[str], knowledge: Counter[str]
) -> list[Finding]:
    said = read_said(sample.masks or "", root)
    frame_size(said)
    findings = []
    for source, masks in said:
        knowledge.update(item.knowledge for item in masks.objects)
        for code, reason in _of_source(masks):
            findings.append(Finding(sample.id, code, source.teacher, reason))
    classes = {name: believed(name, said) for name in OBJECT_CLASSES}
    sure: list[MaskObject] = []
    for name, one in classes.items():
        everything = (*one.objects, *one.boxes)
        objects[name] += len(everything)
        sure += [item for item in everything if item.score is None or item.score >= SURE]
    told = in_words(sure)
    if sample.label == 0 and told:
        findings.append(Finding(sample.id, "label", "", f"label 0, and {told}"))
    if sample.label == 1 and not told and all(one.looked for one in classes.values()):
        findings.append(Finding(sample.id, "label", "", "label 1, and nothing was found"))
    return findings


def _of_source(masks: ImageMasks) -> Iterator[tuple[str, str]]:
    for number, item in enumerate(masks.objects):
        name = f"object {number} ({item.name})"
        area = rle.area(item.counts)
        if not area:
            yield "empty", f"{name} covers no pixel"
        elif area > GIANT * masks.height * masks.width and not item.crowd:
            yield "giant", f"{name} covers {area / (masks.height * masks.width):.0%} of the frame"
        beyond = _beyond(item, masks)
        if beyond > OUTSIDE:
            yield "outside", f"{name}: by {beyond:.0f} pixels"
    for name, presence in masks.looked.items():
        count = sum(item.name == name for item in masks.objects)
        if count and presence is not None and presence < PRESENCE:
            yield "presence", f"{count} {name}, presence {presence:.2f}"


def _beyond(item: MaskObject, masks: ImageMasks) -> float:
    """By how many pixels a box leaves the frame, or the mask its box."""
    left, top, right, bottom = item.box
    far = max(-left, -top, right - masks.width, bottom - masks.height)
    if rle.area(item.counts) and not item.crowd:
        x0, y0, x1, y1 = rle.bounds(item.counts, masks.height, masks.width)
        far = max(far, left - x0, top - y0, x1 - right, y1 - bottom)
    return far
