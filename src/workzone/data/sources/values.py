"""From raw values, as data sets spell them, to text, labels and splits."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

LABEL_WORDS: Mapping[str, int] = {
    **dict.fromkeys(
        (
            "roadwork",
            "roadworks",
            "workzone",
            "construction",
            "positive",
            "pos",
            "yes",
            "true",
            "1",
        ),
        1,
    ),
    **dict.fromkeys(
        (
            *("none", "noroadwork", "noroadworks", "notroadwork", "noworkzone", "noconstruction"),
            *("negative", "neg", "no", "false", "0"),
        ),
        0,
    ),
}
"""Spellings of a label, also as names of class folders; case, spaces, ``_`` and ``-`` are free."""

_MISSING = frozenset({"", "nan", "null", "nat", "na", "n/a", "<na>"})
_SPLITS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_FOLD = re.compile(r"(?:cv|k)?[\s_-]*folds?[\s_-]*0*(\d+)(?:\.0*)?", re.IGNORECASE)
_WHOLE = re.compile(r"0*(\d+)(?:\.0*)?")
_LIST = re.compile(r"[\[({]\s*(.*?)\s*[\])}]", re.DOTALL)
_QUOTED = r"'[^']*'|\"[^\"]*\"|None|null|nan"
_LIST_OF_TEXTS = re.compile(rf"(?:{_QUOTED})(?:[\s,]+(?:{_QUOTED}))*,?")
_LIST_OF_WORDS = re.compile(r"[^\W\d_][\w -]*(?:,\s*[^\W\d_][\w -]*)*")
_ARRAY = re.compile(r"(?:numpy\.|np\.)?array\((\[[^()]*?\])(?:,\s*dtype=[^()\[\],]*)?\)")
_SHOWN = 60  # characters of a value in a message


class FieldError(ValueError):
    """A value that cannot be used; ``code`` is the word for the quarantine table."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def as_text(value: Any) -> str | None:
    """A value as text; None where it is missing (null, NaN, empty, ``n/a``).

    Whole floats lose their ``.0`` (tables turn half-empty integer columns into floats), lists are
    joined by commas.
    """
    if value is None:
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, (list, tuple)):
        parts = [as_text(part) for part in value]
        value = ", ".join(part for part in parts if part is not None)
    elif isinstance(value, dict):
        value = json.dumps(value, default=str)
    elif isinstance(value, (datetime, date)):
        value = value.isoformat()
    text = str(value).strip()
    return None if text.lower() in _MISSING else text


def as_word(value: Any) -> str | None:
    """Text; ``None`` as text, which Python programs leave in tables, counts as missing."""
    text = as_text(value)
    return None if text is None or text.lower() == "none" else text


def as_tag(value: Any) -> str | None:
    """A tag's text, a list in text as the list itself: ``"['Rain', 'Fog']"`` is ``Rain, Fog``.

    Tables hold such lists as Python, JSON or NumPy write them, the last without commas or as
    ``array(...)``, also a list in a list, and leave a comma at the end.
    """
    text = as_text(value)
    if text is None:
        return None
    found = _LIST.fullmatch(_ARRAY.sub(r"\1", text))
    if found is None:
        return as_text(text.removesuffix(","))
    inside = found[1]
    if inside.startswith("[") and inside.endswith("]"):
        inside = re.sub(r"\][\s,]*\[", ", ", inside[1:-1]).strip()
    if not inside:
        return None
    if _LIST_OF_TEXTS.fullmatch(inside):
        return as_text([part.strip("'\"") for part in re.findall(_QUOTED, inside)])
    words = inside.removesuffix(",")
    return as_text(words.split(",")) if _LIST_OF_WORDS.fullmatch(words) else text


def as_number(text: str) -> int | None:
    """The whole number that a text is (``000002``, ``2.0``), or None."""
    match = _WHOLE.fullmatch(text)
    return int(match[1]) if match and len(match[1]) <= 18 else None


def quoted(value: Any) -> str:
    """A value as messages show it: in quotes, and cut where it is long."""
    text = str(value)
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "...")


def normalise_word(text: str) -> str:
    """Lower case without the spaces, underscores and hyphens between words (``-1`` keeps its)."""
    return re.sub(r"(?<=[^\W_])[\s_-]+(?=[^\W_])", "", text.strip().lower())


def parse_label(value: Any) -> int | None:
    """1 road work, 0 none, None where the value is missing.

    Raises:
        FieldError: ``label-unknown``.
    """
    text = as_text(value)
    if text is None:
        return None
    word = normalise_word(text.removesuffix(".0").removesuffix(",0"))
    if word not in LABEL_WORDS:
        raise FieldError("label-unknown", f"label {quoted(text)} is unknown; {_right_label(word)}")
    return LABEL_WORDS[word]


def label_hint(word: str) -> str:
    """A question that names the label of which a word is a misspelling; else nothing.

    A label within a longer word, such as ``underconstruction``, is no misspelling: what stands
    around it may turn its meaning. No word for road work begins like one for none, so that the
    same first letter keeps a misspelling on its side.
    """
    if any(len(label) > 2 and label in word for label in LABEL_WORDS):
        return ""
    same_side = [label for label in LABEL_WORDS if label[0] == word[:1]]
    close = difflib.get_close_matches(word[:_SHOWN], same_side, n=1, cutoff=0.75)
    return f"did you mean {close[0]!r}? " if close else ""


def _right_label(word: str) -> str:
    if word == "-1":
        return (
            "it stands for no label in some data sets and for none in others: leave rows without a "
            "label empty, else write 1 or roadwork, 0 or none"
        )
    return f"{label_hint(word)}write 1 or roadwork, 0 or none"


def parse_split(text: str | None, *, folds: bool = False) -> str | None:
    """The usual names of splits in one spelling: ``validation`` is ``val``, ``Fold 1`` ``fold-1``.

    Args:
        text: the name.
        folds: whether it stands in a column of folds, where a number is that of a fold.
    """
    if text is None:
        return None
    fold = _FOLD.fullmatch(text) or (_WHOLE.fullmatch(text) if folds else None)
    return f"fold-{int(fold[1])}" if fold else _SPLITS.get(text.lower(), text)


def is_read_split(split: str) -> bool:
    """Whether training or evaluation looks at a split of this name unasked."""
    name = split.removeprefix("not-")
    return name in _SPLITS.values() or re.fullmatch(r"fold-\d+", name) is not None


def split_of_path(parts: tuple[str, ...]) -> str | None:
    """The split that a path names, such as ``data/train-00000-of-00002.parquet``."""
    for part in reversed(parts):
        for word in re.split(r"[^a-z]+", part.lower()):
            if word in _SPLITS:
                return _SPLITS[word]
    return None
