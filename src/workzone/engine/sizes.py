"""That an array fits the graph it goes into."""

from __future__ import annotations

from collections.abc import Sequence

from workzone.errors import UsageError


def check_sizes(graph: str, name: str, got: Sequence[int], fixed: Sequence[int | None]) -> None:
    """Make sure that an input has the sizes which its graph was fixed to.

    Args:
        graph: to name.
        name: of the input.
        got: its shape.
        fixed: the shape that the graph takes; None: any.

    Raises:
        UsageError: it has another.
    """
    if len(got) != len(fixed) or any(
        size is not None and size != have for have, size in zip(got, fixed, strict=True)
    ):
        takes = ", ".join("any" if size is None else str(size) for size in fixed)
        raise UsageError(
            f"graph {graph} takes {name} of [{takes}], got {list(got)}: it was made for that size; "
            "export the model again (workzone export), which makes graphs of any batch"
        )
