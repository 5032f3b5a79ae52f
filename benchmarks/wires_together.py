"""Several outcomes as one, for the clients of wires.py; it runs beside any bittensor."""

from __future__ import annotations

from typing import Any


def together(each: list[dict[str, Any]]) -> dict[str, Any]:
    """The outcome of several that should be alike; None: they are not."""
    statuses = {one["status"] for one in each}
    predictions = {one["prediction"] for one in each}
    return {
        "status": statuses.pop() if len(statuses) == 1 else None,
        "prediction": predictions.pop() if len(predictions) == 1 else None,
        "message": "",
    }
