"""Which teachers there are, and one of them by its name."""

from __future__ import annotations

from pathlib import Path

from workzone.errors import UsageError, nearest
from workzone.features.spec import Precision
from workzone.teach.owlv2 import load_owlv2
from workzone.teach.prompts import Prompts
from workzone.teach.sam3 import SAM3, SAM3_LITE, load_sam3
from workzone.teach.teacher import Teacher

TEACHERS = ("sam3", "sam3-lite", "owlv2")


def load_teacher(
    name: str,
    prompts: Prompts,
    weights: Path | None = None,
    *,
    device: str = "cpu",
    precision: Precision = "float32",
    semantic: bool = False,
) -> Teacher:
    """A teacher with what it is asked.

    Args:
        name: one of `TEACHERS`.
        prompts: phrases and thresholds; their lengths are checked before weights are read.
        weights: folder with its files; None: fetched from the Hugging Face hub.
        device: as torch calls it.
        precision: in which it computes.
        semantic: also give the mask of each class as a whole; SAM 3 alone can.

    Raises:
        UsageError: an unknown name, phrases that are too long, or what the teacher cannot give.
        TeacherError: weights that cannot be had, or are damaged.
    """
    if name in ("sam3", "sam3-lite"):
        published = SAM3 if name == "sam3" else SAM3_LITE
        return load_sam3(
            prompts,
            weights,
            published=published,
            device=device,
            precision=precision,
            semantic=semantic,
        )
    if name == "owlv2":
        if semantic:
            raise UsageError("owlv2 gives boxes, no semantic masks; leave --semantic out")
        return load_owlv2(prompts, weights, device=device, precision=precision)
    raise UsageError(f"unknown teacher {name!r}; {nearest(name, TEACHERS)}")
