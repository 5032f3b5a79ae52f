"""One image through standard input."""

from __future__ import annotations

import sys

from workzone.data.images import MAX_BYTES
from workzone.errors import UsageError

STANDARD_INPUT = "-"
"""Named in place of a file: one image comes through standard input."""


def read_standard_input() -> bytes:
    """The bytes of the image.

    Raises:
        UsageError: standard input is a terminal, empty, or too large.
    """
    if sys.stdin is None or sys.stdin.isatty():
        raise UsageError(
            f"{STANDARD_INPUT} reads one image from standard input, which is a terminal; send one: "
            f"cat street.jpg | workzone predict {STANDARD_INPUT}"
        )
    data = sys.stdin.buffer.read(MAX_BYTES + 1)
    if not data:
        raise UsageError("standard input is empty: the command before it gave no image")
    if len(data) > MAX_BYTES:
        raise UsageError(
            f"standard input: over {MAX_BYTES >> 20} MiB encoded; one image is read from it"
        )
    return data
