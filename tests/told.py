"""A model that takes metadata, made by hand from one that does not, so that all is known of it."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence

import torch

from workzone.decide.bundle import Bundle
from workzone.decide.calibration import Calibration
from workzone.features.text_model import SentenceModel
from workzone.features.text_spec import TextSpec
from workzone.model.detector import Detector
from workzone.model.metadata.config import MetadataConfig

NIGHT = 3.0
"""What daytime "night" adds to the logit; "day", and all that is not known, adds nothing."""
TEXT = 2.0
"""What the first number of a text's vector is multiplied with before it is added to the logit."""
TOLD = Calibration(0.3, 0.8)
"""Of probabilities given with metadata."""


class HashModel(SentenceModel):
    """Vectors of 4 numbers from a hash of the text; remembers what it was asked."""

    def __init__(self, weight_hash: str = "00") -> None:
        self.spec = TextSpec(
            model="some/model", weight_hash=weight_hash, width=4, pooling="mean", max_tokens=8
        )
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> torch.Tensor:
        self.asked += texts
        digests = [list(hashlib.sha256(text.encode()).digest()[:4]) for text in texts]
        return torch.nn.functional.normalize(torch.tensor(digests).float() - 127, dim=-1)


def told_bundle(bundle: Bundle, *, text: TextSpec | None = None) -> Bundle:
    """``bundle``, whose head is one linear layer, that also takes daytime and, if asked, text.

    With nothing known it answers as ``bundle`` does.
    """
    metadata = MetadataConfig(
        position=0,
        weather=0,
        scene=0,
        daytime=2,
        text=0 if text is None else text.width,
        daytime_values=("day", "night"),
        text_key="" if text is None else text.key(),
    )
    detector = Detector(dataclasses.replace(bundle.detector.config, metadata=metadata))
    state = bundle.detector.state_dict()
    weight = state.pop("head.1.weight")
    detector.load_state_dict(state, strict=False)
    last, encoder = detector.head[-1], detector.metadata
    assert isinstance(last, torch.nn.Linear)
    assert encoder is not None
    with torch.no_grad():
        last.weight.zero_()
        last.weight[:, : weight.shape[1]] = weight
        encoder.tables["daytime"].known.copy_(torch.tensor([[0.0, 0.0], [1.0, 0.0]]))  # day, night
        last.weight[1, weight.shape[1]] = NIGHT
        if text is not None:  # its vectors come at length sqrt(width)
            last.weight[1, weight.shape[1] + 2] = TEXT / text.width**0.5
    return dataclasses.replace(
        bundle, detector=detector.eval(), metadata_calibration=TOLD, text_model=text
    )


def raised(probability: float, by: float) -> float:
    """A probability whose logit is higher by ``by``."""
    odds = probability / (1 - probability) * float(torch.tensor(by, dtype=torch.float64).exp())
    return odds / (1 + odds)
