"""Which sentence model makes the vectors of texts, and how texts are compared."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

DEFAULT_TEXT_MODEL = "all-MiniLM-L6-v2"
"""Comes with the package of the extra ``text``: no download (Apache-2.0, 384 wide)."""


Pooling = Literal["mean", "cls", "lasttoken"]
"""How token states become one vector, in sentence-transformers' words."""


@dataclass(frozen=True, kw_only=True)
class TextSpec:
    """Everything that changes a sentence vector."""

    model: str  # name, as asked for
    weight_hash: str  # of weights and vocabulary
    width: int  # W
    pooling: Pooling
    max_tokens: int  # what follows is cut off

    def key(self) -> str:
        """16 hex digits that change with anything that changes a vector."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def folder(self, root: Path) -> Path:
        """Where vectors of this spec lie below ``root``."""
        return root / f"{re.sub(r'[^A-Za-z0-9.-]+', '-', self.model)[-60:]}-{self.key()}"


def clean(text: str | None) -> str:
    """The text with single spaces; empty where there is none."""
    return " ".join((text or "").split())
