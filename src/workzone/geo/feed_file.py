"""The content of a feed, of anybody's: XML or JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

from workzone.errors import FeedError

_BEFORE = b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n"  # byte order marks and white space


def read_content(path: Path) -> bytes:
    """The bytes of a feed.

    Raises:
        FeedError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise FeedError(
            f"{path}: {error.strerror or error}. Name a file that can be read."
        ) from error


def is_xml(content: bytes) -> bool:
    """Whether it begins as XML does; else it should be JSON."""
    return content.lstrip(_BEFORE).startswith(b"<")


def parsed_json(content: bytes, kinds: str) -> Any:
    """What JSON says.

    Args:
        content: of a file.
        kinds: of feeds that it may be, for the error.

    Raises:
        FeedError: it is no JSON.
    """
    try:
        return json.loads(content, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise FeedError(
            f"neither JSON ({kinds}) nor XML (DATEX II): {error}. Name a feed as its publisher "
            "sends it."
        ) from error


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")
