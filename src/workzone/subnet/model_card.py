"""`model_card.json`: what the subnet wants to read in a model's repository.

Keys and types as the guide for miners and the registry of models in the subnet's repository have
them (natixnetwork/streetvision-subnet:
its guide "Mining", `natix/utils/model_format.py`, `natix/validator/model_registry.py`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from workzone.errors import WorkzoneError
from workzone.subnet.keys import check_address

NAME = "model_card.json"
KEYS: dict[str, type] = {
    "model_name": str,
    "description": str,
    "version": str,
    "submitted_by": str,
    "submission_time": int,
}
"""All are needed; ``submission_time`` is in seconds since 1970."""

_VERSION = re.compile(r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}")
_FIRST = 1_700_000_000
"""Seconds since 1970; the subnet is younger."""


class ModelCardError(WorkzoneError):
    """A model card that the subnet would not take."""


def check_model_card(card: Mapping[str, Any], *, where: str = NAME) -> dict[str, Any]:
    """A model card, as it came.

    Raises:
        ModelCardError: all that is wrong with it.
    """
    wrong = [f"{name}: missing" for name in KEYS if name not in card]
    wrong += [f"{name}: not known to the subnet" for name in card if name not in KEYS]
    for name, kind in KEYS.items():
        value = card.get(name)
        if name in card and (not isinstance(value, kind) or isinstance(value, bool)):
            wrong.append(f"{name}: {value!r} is no {'text' if kind is str else 'whole number'}")
    if not wrong:
        wrong += [f"{name}: empty" for name in ("model_name", "description") if not card[name]]
        if not _VERSION.fullmatch(card["version"]):
            wrong.append(f"version: {card['version']!r} is not like 1.0.0")
        if card["submission_time"] < _FIRST:
            wrong.append(f"submission_time: {card['submission_time']} is before the subnet began")
        try:
            check_address(card["submitted_by"], where="submitted_by")
        except WorkzoneError as error:
            wrong.append(str(error))
    if wrong:
        raise ModelCardError(f"{where}: " + "; ".join(wrong))
    return dict(card)


def read_model_card(path: Path) -> dict[str, Any]:
    """The model card in a file.

    Raises:
        ModelCardError: it cannot be read, or is none that the subnet would take.
    """
    try:
        said = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise ModelCardError(f"{path} cannot be read: {error}") from error
    if not isinstance(said, dict):
        raise ModelCardError(f"{path} holds no keys and values")
    return check_model_card(said, where=str(path))
