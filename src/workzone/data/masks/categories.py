"""What data sets call objects, and which of the six classes that is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from workzone.errors import UsageError, nearest
from workzone.types import OBJECT_CLASSES

CATEGORY_CLASSES: Mapping[str, str | None] = {
    "Cone": "cone",
    "Traffic Cone": "cone",
    "Drum": "cone",
    "Tubular Marker": "cone",
    "Vertical Panel": "cone",
    "Barricade": "barrier",
    "Barrier": "barrier",
    "Fence": "barrier",
    "Temporary Traffic Control Sign": "sign",
    "Temporary Traffic Control Message Board": "sign",
    "Arrow Board": "sign",
    "Worker": "worker",
    "Police Officer": "worker",
    "Work Vehicle": "vehicle",
    "Police Vehicle": "vehicle",
    "Work Equipment": "equipment",
    "Other Roadwork Objects": "equipment",
    "Bike Lane": None,
}
"""ROADWork's categories, and a clear one, to ours; None: known, but no object of a work zone."""


def _plain(name: str) -> str:
    return " ".join(re.split(r"[\s_-]+", name.strip().casefold()))


_CLASSES = {_plain(name): owner for name, owner in CATEGORY_CLASSES.items()}
_SIGN = _plain("Temporary Traffic Control Sign")


def is_known_category(name: str) -> bool:
    """Whether a category of the annotations has a place in :data:`CATEGORY_CLASSES`."""
    return _plain(name) in _CLASSES or _plain(name).startswith(_SIGN)


def choose_classes(
    categories: Iterable[str],
    mapping: Mapping[str, str] | None = None,
    *,
    own: bool = False,
    some: bool = True,
) -> dict[str, str]:
    """Which of our classes categories are; others are left out.

    Args:
        categories: as the annotations name them.
        mapping: category to class, which wins over what is known; an empty class leaves it out.
        own: whether they are the names of our classes.
        some: whether at least one has to be known.

    Raises:
        UsageError: a mapping to no class or of no category, or nothing that is known.
    """
    names = list(dict.fromkeys(categories))
    given = {_plain(name): owner for name, owner in (mapping or {}).items()}
    wrong = [
        f"{name}={owner}: class {owner!r} is unknown; {nearest(owner, OBJECT_CLASSES)}"
        for name, owner in (mapping or {}).items()
        if owner and owner not in OBJECT_CLASSES
    ]
    wrong += [
        f"{name}={owner}: the annotations have no category {name!r}; {nearest(name, names)}"
        for name, owner in (mapping or {}).items()
        if _plain(name) not in set(map(_plain, names))
    ]
    if wrong:
        raise UsageError("; ".join(wrong))
    chosen = {}
    for name in names:
        owner = given.get(_plain(name), name if own else class_of_category(name))
        if owner in OBJECT_CLASSES:
            chosen[name] = owner
    if some and not chosen:
        raise UsageError(
            f"none of the categories ({', '.join(names[:20])}) is known to be of road work; say "
            "which are by --map, such as --map 'orange cone=cone'"
        )
    return chosen


def class_of_category(name: str) -> str | None:
    """Which of our classes a category belongs to; None: none, or unknown.

    Letter case, ``_`` and ``-`` are free. The files ``*_with_signs.json`` carry one category per
    kind of sign; all begin alike.
    """
    return "sign" if _plain(name).startswith(_SIGN) else _CLASSES.get(_plain(name))
