"""OWLv2 as a teacher, through transformers: boxes of what phrases name.

Minderer et al., "Scaling Open-Vocabulary Object Detection", NeurIPS 2023, arXiv 2306.09683. Its
weights are free to fetch. It gives boxes alone, and of one object often several: of those that
overlap the surest stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from workzone.errors import TeacherError
from workzone.features.spec import Precision
from workzone.teach.exemplars import Exemplar
from workzone.teach.findings import Area, Findings, Instance, PixelBox
from workzone.teach.prompts import Prompts, check_lengths
from workzone.teach.teacher import About, Picture
from workzone.teach.weights import (
    Published,
    load_model,
    load_processor,
    weights_folder,
    weights_hash,
)

OWLV2 = Published("owlv2", "google/owlv2-base-patch16-ensemble", ("owlv2",))
DOUBLE = 0.5
"""Intersection over union of boxes of a class, above which only the surest stays."""


class Owlv2Teacher:
    """OWLv2 with the phrases that it is asked; see :func:`load_owlv2`."""

    takes_exemplars = False

    def __init__(self, model: Any, processor: Any, prompts: Prompts, *, weights: str = "") -> None:
        """Tokenize the phrases.

        Args:
            model: transformers' ``Owlv2ForObjectDetection``.
            processor: its ``Owlv2Processor``.
            prompts: what is asked.
            weights: hash of its files.
        """
        self._model, self._processor, self.prompts = model, processor, prompts
        self._dtype = next(model.parameters()).dtype
        self._pairs = list(prompts.pairs())
        tokens = processor.tokenizer(
            [phrase for _, phrase in self._pairs],
            padding="max_length",
            max_length=model.config.text_config.max_position_embeddings,
            return_tensors="pt",
        )
        self._tokens = {name: tokens[name].to(model.device) for name in tokens}
        self.about = About(
            name="owlv2",
            weights=weights,
            gives="boxes",
            side=processor.image_processor.size["height"],
            parameters=sum(tensor.numel() for tensor in model.parameters()),
            settings={"precision": str(self._dtype).removeprefix("torch."), "double": DOUBLE},
        )

    @torch.inference_mode()
    def look(
        self, pictures: Sequence[Picture], exemplars: Sequence[Sequence[Exemplar]]
    ) -> list[Findings]:
        """See `workzone.teach.teacher.Teacher.look`; exemplars it cannot use."""
        images = [torch.from_numpy(picture).permute(2, 0, 1) for picture in pictures]
        prepared = self._processor.image_processor(images, return_tensors="pt")
        pixels = prepared["pixel_values"].to(self._model.device, self._dtype)
        tokens = {name: rows.repeat(len(pictures), 1) for name, rows in self._tokens.items()}
        outputs = self._model(pixel_values=pixels, **tokens)
        if not torch.isfinite(outputs.logits).all():
            raise TeacherError(
                f"owlv2 gives scores that are no finite numbers in "
                f"{self.about.settings['precision']}; compute with --precision float32"
            )
        return [
            self._findings(outputs.logits[row].float(), outputs.pred_boxes[row].float(), picture)
            for row, picture in enumerate(pictures)
        ]

    def _findings(self, logits: torch.Tensor, boxes: torch.Tensor, picture: Picture) -> Findings:
        """As transformers' ``post_process_grounded_object_detection``, doubles left out.

        Args:
            logits: ``[boxes, phrases]``.
            boxes: ``[boxes, 4]``, centre and size in fractions of the picture made square below
                or at the right.
            picture: which it was.
        """
        from torchvision.ops import batched_nms

        height, width = picture.shape[:2]
        highest, phrases = logits.max(dim=1)
        best = highest.sigmoid()
        names = [self.prompts.classes.index(name) for name, _ in self._pairs]
        classes = torch.tensor(names, device=phrases.device)[phrases]
        limits = torch.tensor([self.prompts.of(n).threshold for n in self.prompts.classes])
        found = torch.nonzero(best > limits.to(best.device)[classes])[:, 0]
        x, y, w, h = (boxes[found] * max(height, width)).unbind(-1)
        corners = torch.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], dim=-1)
        kept = batched_nms(corners, best[found], classes[found], DOUBLE)
        presence = dict.fromkeys(self.prompts.classes, 0.0)
        for number, (name, _) in enumerate(self._pairs):
            presence[name] = max(presence[name], float(logits[:, number].max().sigmoid()))
        instances = []
        for number in kept.tolist():
            left, top, right, bottom = corners[number].tolist()
            area = _inside((left, top, right, bottom), height, width)
            if area is not None:
                name, phrase = self._pairs[int(phrases[found[number]])]
                score = float(best[found[number]])
                instances.append(Instance(name, phrase, score, (left, top, right, bottom), area))
        return Findings(tuple(instances), presence)


def _inside(box: PixelBox, height: int, width: int) -> Area | None:
    """The pixels of a picture whose centres a box holds; None: no pixel."""
    left, top, right, bottom = (round(edge) for edge in box)
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    if left >= right or top >= bottom:
        return None
    return Area(left, top, np.ones((bottom - top, right - left), np.bool_))


def load_owlv2(
    prompts: Prompts,
    folder: Path | None = None,
    *,
    device: str = "cpu",
    precision: Precision = "float32",
) -> Owlv2Teacher:
    """OWLv2 from a folder, or from the hub; phrases are checked before weights are read.

    Raises:
        TeacherError: no weights, and how to get them, or damaged ones.
        UsageError: phrases that are too long.
    """
    from transformers import Owlv2Config, Owlv2ForObjectDetection, Owlv2Processor

    folder = weights_folder(OWLV2, folder)
    processor = load_processor(Owlv2Processor, folder)
    config = Owlv2Config.from_pretrained(str(folder), local_files_only=True)
    check_lengths(
        prompts,
        lambda phrase: len(processor.tokenizer(phrase)["input_ids"]),
        config.text_config.max_position_embeddings,
        "owlv2",
    )
    model = load_model(Owlv2ForObjectDetection, folder, dtype=getattr(torch, precision))
    return Owlv2Teacher(model.to(device), processor, prompts, weights=weights_hash(folder))
