"""A prediction in words: a sentence for one image, a place in the frame, a name that fits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.cells import cell_len

from workzone.decide.threshold import HALF
from workzone.types import OBJECT_CLASSES, Box, FoundObject, Prediction

_WHOLE = 0.9
"""A box at least this long, as a fraction of the frame, says nothing of where along that side."""
NO_OBJECT = "no object found"
"""What is said where `evidence` has nothing to say."""
_EDGE = 0.01
"""A box at most this far from the frame's edge, in fractions, touches it."""


def sentence(
    name: str,
    prediction: Prediction,
    *,
    takes_metadata: bool = False,
    objects: str | None = None,
) -> str:
    """The answer for one image: ``street.jpg: road work, 0.93, strongest at the left edge``.

    Args:
        name: what to call the image.
        prediction: of the image.
        objects: in it, see `evidence`, which then stand behind; None: nobody looked.
        takes_metadata: whether the model looks at metadata where there are some; then the sentence
            says what it looked at.
    """
    parts = [
        f"{printable(name)}: {decision(prediction)}",
        shown_probability(prediction.probability),
    ]
    if prediction.decision == "roadwork":
        parts.append(f"strongest {where(prediction.box)}")
    if prediction.reason:
        parts.append(
            f"{'' if prediction.decision == 'unsure' else 'in doubt: '}{prediction.reason}"
        )
    if takes_metadata:
        both = prediction.inputs == "image+metadata"
        parts.append(f"from the image {'and its metadata' if both else 'alone'}")
    told = "" if objects is None else f"; {objects or NO_OBJECT}"
    return ", ".join(parts) + told


def decision(prediction: Prediction) -> str:
    """``road work``, ``no road work`` or ``unsure``."""
    words = {"roadwork": "road work", "none": "no road work", "unsure": "unsure"}
    return words[prediction.decision]


def shown_probability(value: float, digits: int = 2) -> str:
    """So many digits, more where these would read as certain or as the other decision."""
    for more in range(digits, 5):
        text = f"{value:.{more}f}"
        if float(text) not in (0, 1) and (float(text) > HALF) == (value > HALF):
            return text
    if value < 0.1:
        return "below 0.0001"
    return "above 0.9999" if value > 0.9 else "just above 0.5"


def where(box: Box) -> str:
    """Where a box lies in the frame, in plain words such as ``at the top left``."""
    x0, y0, x1, y1 = box
    across = _third(x0, x1, ("left", "middle", "right"))
    down = _third(y0, y1, ("top", "middle", "bottom"))
    if across is None and down is None:
        return "in the whole frame"
    if across is None:
        return "across the middle" if down == "middle" else f"along the {down}"
    if down is None:
        return "in the middle, from top to bottom" if across == "middle" else f"along the {across}"
    if across == down:  # both in the middle
        return "in the centre"
    if down == "middle":
        touches = x0 <= _EDGE or x1 >= 1 - _EDGE
        return f"at the {across} edge" if touches else f"on the {across}"
    if across == "middle":
        touches = y0 <= _EDGE or y1 >= 1 - _EDGE
        return f"at the {down} edge" if touches else f"at the {down}"
    return f"at the {down} {across}"


def evidence(objects: Sequence[FoundObject]) -> str:
    """What was found, counted, and on which side: ``4 cones, 1 sign, on the right``; "" of none."""
    counts = Counter(one.name for one in objects)
    if not counts:
        return ""
    named = [
        f"{counts[name]} {_plural(name, counts[name])}" for name in OBJECT_CLASSES if counts[name]
    ]
    sides = Counter(
        _third(one.box[0], one.box[2], ("on the left", "ahead", "on the right")) or "ahead"
        for one in objects
    )
    (side, most), *_ = sides.most_common()
    return ", ".join([*named, side if most > len(objects) / 2 else "on several sides"])


def _plural(name: str, count: int) -> str:
    if name == "equipment":
        return "pieces of equipment" if count > 1 else "piece of equipment"
    return f"{name}s" if count > 1 else name


def _third(start: float, end: float, names: tuple[str, str, str]) -> str | None:
    """The third of a side in which a part of it has its middle; None for (nearly) all of it."""
    if end - start >= _WHOLE:
        return None
    return names[min(2, max(0, int((start + end) / 2 * 3)))]


def printable(name: str) -> str:
    """A name with line breaks and control characters written as escapes such as ``\\n``."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in name)


def shortened(name: str, width: int) -> str:
    """A name in at most ``width`` columns of a terminal, cut in its middle.

    Two thirds of the room are the end's, or as much as the name after the last ``/`` needs.
    """
    if cell_len(name) <= width:
        return name
    last = f"/{name.rsplit('/', 1)[-1]}"
    room = min(width - 1, max((width - 1) * 2 // 3, cell_len(last)))
    tail = name
    while tail and cell_len(tail) > room:
        tail = tail[1:]
    head = name[: len(name) - len(tail)]
    while head and cell_len(head) + 1 + cell_len(tail) > width:
        head = head[:-1]
    return f"{head}…{tail}"
