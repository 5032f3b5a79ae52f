"""SAM 3 as a teacher, through transformers: an object for each thing that a phrase names.

Meta, "SAM 3: Segment Anything with Concepts" (https://ai.meta.com/sam3). An image is encoded once;
the phrases, encoded once for all images, run as rows of one batch. The score of an object is
``sigmoid(logit) * sigmoid(presence)``, presence being that of the phrase in the picture.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import torch

from workzone.errors import MissingExtraError, TeacherError
from workzone.features.spec import Precision
from workzone.teach.exemplars import Exemplar
from workzone.teach.findings import Area, Findings, Instance
from workzone.teach.prompts import Prompts, check_lengths
from workzone.teach.teacher import About, Picture
from workzone.teach.weights import (
    Published,
    load_model,
    load_processor,
    weights_folder,
    weights_hash,
)

SAM3 = Published("sam3", "facebook/sam3", ("sam3", "sam3_video"))
SAM3_LITE = Published(
    "sam3-lite", "yonigozlan/sam3-litetext-s0", ("sam3_lite_text", "sam3_lite_text_video")
)
"""The same with a lighter text tower; its vision tower is as large."""

TOKENS = 32
"""To which transformers' processor pads phrases; longer ones are not cut, and end in an error."""
ROWS = 8
"""Phrases of an image that run together."""


@dataclass(frozen=True)
class _Query:
    """A row of a batch: a phrase, and boxes shown beside it."""

    row: int  # of the encoded phrases
    name: str
    phrase: str
    exemplars: tuple[Exemplar, ...]


class Sam3Teacher:
    """SAM 3 with the phrases that it is asked; see :func:`load_sam3`."""

    takes_exemplars = True

    def __init__(
        self,
        model: Any,
        processor: Any,
        prompts: Prompts,
        *,
        name: str = "sam3",
        weights: str = "",
        semantic: bool = False,
        rows: int = ROWS,
    ) -> None:
        """Encode the phrases.

        Args:
            model: transformers' ``Sam3Model`` or ``Sam3LiteTextModel``.
            processor: its ``Sam3Processor``.
            prompts: what is asked.
            name: of the teacher.
            weights: hash of its files.
            semantic: also give the mask of each class as a whole.
            rows: phrases of an image that run together; less memory with fewer.
        """
        self._model, self._processor, self._semantic, self._rows = model, processor, semantic, rows
        self.prompts = prompts
        self._dtype = next(model.parameters()).dtype
        self.about = About(
            name=name,
            weights=weights,
            gives="masks",
            side=processor.image_processor.size["height"],
            parameters=sum(tensor.numel() for tensor in model.parameters()),
            settings={"precision": str(self._dtype).removeprefix("torch."), "semantic": semantic},
        )
        # "visual" is what SAM 3 learned to be told where boxes alone say what is meant.
        self._pairs = [*prompts.pairs(), *((name, "visual") for name in prompts.silent)]
        self._encode([phrase for _, phrase in self._pairs])

    @torch.inference_mode()
    def _encode(self, phrases: Sequence[str]) -> None:
        tokens = self._processor.tokenizer(
            phrases,
            padding="max_length",
            max_length=token_limit(self._model.config),
            return_tensors="pt",
        ).to(self._model.device)
        self._attention = tokens["attention_mask"]
        self._text = self._model.get_text_features(
            input_ids=tokens["input_ids"], attention_mask=self._attention
        ).pooler_output  # [phrases, tokens, width]

    @torch.inference_mode()
    def look(
        self, pictures: Sequence[Picture], exemplars: Sequence[Sequence[Exemplar]]
    ) -> list[Findings]:
        """See `workzone.teach.teacher.Teacher.look`."""
        images = [torch.from_numpy(picture).permute(2, 0, 1) for picture in pictures]
        prepared = self._processor.image_processor(images, return_tensors="pt")
        pixels = prepared["pixel_values"].to(self._model.device, self._dtype)
        vision = self._model.get_vision_features(pixels)
        return [
            self._findings(vision, row, picture.shape[:2], shown)
            for row, (picture, shown) in enumerate(zip(pictures, exemplars, strict=True))
        ]

    def _findings(
        self, vision: Any, picture: int, size: tuple[int, int], exemplars: Sequence[Exemplar]
    ) -> Findings:
        instances: list[Instance] = []
        presence = dict.fromkeys(self.prompts.classes, 0.0)
        regions: dict[str, Area] = {}
        for queries in self._batches(exemplars):
            outputs = self._answers(vision, picture, size, queries)
            for row, query in enumerate(queries):
                present = float(outputs.presence_logits[row].float().sigmoid())
                presence[query.name] = max(present, presence.get(query.name, 0.0))
                instances += self._instances(outputs, row, query, size)
                if self._semantic and present > self.prompts.of(query.name).threshold:
                    area = self._region(outputs.semantic_seg[row, 0], query.name, size)
                    if area is not None:
                        old = regions.get(query.name)
                        regions[query.name] = area if old is None else old.joined(area)
        return Findings(tuple(instances), presence, regions)

    def _batches(self, exemplars: Sequence[Exemplar]) -> Iterator[list[_Query]]:
        """Rows that run together: each with as many boxes as the others.

        A row without boxes beside rows with some would score differently than alone.
        """
        queries = []
        for row, (name, phrase) in enumerate(self._pairs):
            shown = tuple(item for item in exemplars if item.name == name)
            if self.prompts.of(name).phrases or shown:
                queries.append(_Query(row, name, phrase, shown))
        queries.sort(key=lambda query: len(query.exemplars))  # stable: else in order
        for _, alike in groupby(queries, key=lambda query: len(query.exemplars)):
            group = list(alike)
            for start in range(0, len(group), self._rows):
                yield group[start : start + self._rows]

    def _answers(
        self, vision: Any, picture: int, size: tuple[int, int], queries: Sequence[_Query]
    ) -> Any:
        """The model's raw output for one encoded picture, a row for each query."""

        def rows(tensors: Iterable[torch.Tensor]) -> tuple[torch.Tensor, ...]:
            return tuple(
                tensor[picture : picture + 1].expand(len(queries), *tensor.shape[1:])
                for tensor in tensors
            )

        image = type(vision)(
            fpn_hidden_states=rows(vision.fpn_hidden_states),
            fpn_position_encoding=rows(vision.fpn_position_encoding),
        )
        phrases = [query.row for query in queries]
        text = _Text(self._text[phrases])
        boxes: dict[str, torch.Tensor] = {}
        if queries[0].exemplars:
            boxes = _boxes(queries, size, self._text)
        outputs = self._model(
            vision_embeds=image,
            text_embeds=text,
            attention_mask=self._attention[phrases],
            **boxes,
        )
        for scores in (outputs.pred_logits, outputs.presence_logits):
            if not torch.isfinite(scores).all():
                raise TeacherError(
                    f"{self.about.name} gives scores that are no finite numbers in "
                    f"{self.about.settings['precision']}; compute with --precision float32"
                )
        return outputs

    def _instances(
        self, outputs: Any, row: int, query: _Query, size: tuple[int, int]
    ) -> Iterator[Instance]:
        """What transformers' ``post_process_instance_segmentation`` keeps, where it has pixels."""
        prompt = self.prompts.of(query.name)
        height, width = size
        presence = outputs.presence_logits[row].float().sigmoid()
        scores = outputs.pred_logits[row].float().sigmoid() * presence
        scale = torch.tensor([width, height, width, height], dtype=torch.float32)
        for number in torch.nonzero(scores > prompt.threshold)[:, 0].tolist():
            mask = _enlarged(outputs.pred_masks[row, number], size) > prompt.mask_threshold
            area = Area.of(mask.cpu().numpy())
            if area is not None:
                box = (outputs.pred_boxes[row, number].float().cpu() * scale).tolist()
                score = float(scores[number])
                yield Instance(query.name, query.phrase, score, tuple(box), area)

    def _region(self, logits: torch.Tensor, name: str, size: tuple[int, int]) -> Area | None:
        mask = _enlarged(logits, size) > self.prompts.of(name).mask_threshold
        return Area.of(mask.cpu().numpy())


@dataclass
class _Text:
    """All that ``Sam3Model.forward`` reads of encoded phrases; a bare tensor it refuses."""

    pooler_output: torch.Tensor  # [rows, tokens, width]


def _boxes(
    queries: Sequence[_Query], size: tuple[int, int], like: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Boxes as centre and size in fractions ``[rows, boxes, 4]``, and 1 or 0 for each."""
    height, width = size
    corners = torch.tensor([[item.box for item in query.exemplars] for query in queries])
    left, top, right, bottom = (corners / torch.tensor([width, height, width, height])).unbind(-1)
    boxes = torch.stack([(left + right) / 2, (top + bottom) / 2, right - left, bottom - top], -1)
    labels = [[int(item.positive) for item in query.exemplars] for query in queries]
    return {
        "input_boxes": boxes.to(like),
        "input_boxes_labels": torch.tensor(labels, device=like.device),
    }


def _enlarged(logits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Probabilities ``[h, w]`` of the model's grid in a picture's size."""
    probabilities = logits.float().sigmoid()[None, None]
    return torch.nn.functional.interpolate(
        probabilities, size=size, mode="bilinear", align_corners=False
    )[0, 0]


def token_limit(config: Any) -> int:
    """Tokens of a phrase, start and end among them, that the model reads."""
    return min(TOKENS, int(config.text_config.max_position_embeddings))


def load_sam3(
    prompts: Prompts,
    folder: Path | None = None,
    *,
    published: Published = SAM3,
    device: str = "cpu",
    precision: Precision = "float32",
    semantic: bool = False,
) -> Sam3Teacher:
    """SAM 3 from a folder, or from the hub; phrases are checked before weights are read.

    Raises:
        TeacherError: no weights, and how to get them, or damaged ones.
        UsageError: phrases that are too long.
    """
    try:
        from transformers import Sam3Config, Sam3LiteTextConfig, Sam3LiteTextModel, Sam3Processor
        from transformers import Sam3Model as Sam3
    except ImportError as error:  # an older one
        raise MissingExtraError("transformers>=5.23", "sam3", "the teacher SAM 3") from error

    folder = weights_folder(published, folder)
    processor = load_processor(Sam3Processor, folder)
    kind, config_kind = (
        (Sam3LiteTextModel, Sam3LiteTextConfig) if published is SAM3_LITE else (Sam3, Sam3Config)
    )
    config = config_kind.from_pretrained(str(folder), local_files_only=True)
    config = getattr(config, "detector_config", None) or config  # of the video model's folder
    if isinstance(config, dict):
        config = config_kind(**config)
    check_lengths(
        prompts,
        lambda phrase: len(processor.tokenizer(phrase)["input_ids"]),
        token_limit(config),
        published.name,
    )
    model = load_model(kind, folder, dtype=getattr(torch, precision)).to(device)
    return Sam3Teacher(
        model,
        processor,
        prompts,
        name=published.name,
        weights=weights_hash(folder),
        semantic=semantic,
    )
