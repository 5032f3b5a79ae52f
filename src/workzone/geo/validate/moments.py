"""Dates and times as feeds write them."""

from __future__ import annotations

from datetime import datetime


def moment(text: object) -> datetime | None:
    """The moment that a date and time with zone says (ISO 8601); None of anything else."""
    try:
        found = datetime.fromisoformat(text.strip().upper()) if isinstance(text, str) else None
    except ValueError:
        return None
    return found if found is not None and found.tzinfo is not None else None
