"""A file to what is wrong with it: WZDx where it is JSON, DATEX II where it is XML."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

from workzone.errors import FeedError
from workzone.geo.validate.datex import check_datex
from workzone.geo.validate.report import Report
from workzone.geo.validate.wzdx import check_wzdx
from workzone.geo.validate.xml import read_xml

_BEFORE = b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n"  # byte order marks and white space


def validate_feed(path: Path) -> Report:
    """Check a feed of anybody's, without any network.

    Raises:
        FeedError: the file is missing, or neither JSON nor XML that can be read.
        MissingExtraError: the extra ``geo`` is not installed, and the feed is WZDx.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise FeedError(
            f"{path}: {error.strerror or error}. Name a file that can be read."
        ) from error
    try:
        if content.lstrip(_BEFORE).startswith(b"<"):
            return check_datex(read_xml(content))
        return check_wzdx(_read_json(content))
    except FeedError as error:
        raise FeedError(f"{path}: {error}") from error


def _read_json(content: bytes) -> dict[str, Any]:
    try:
        feed = json.loads(content, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise FeedError(
            f"neither JSON (WZDx) nor XML (DATEX II): {error}. "
            "Name a feed as its publisher sends it."
        ) from error
    if not isinstance(feed, dict):
        raise FeedError("WZDx is a JSON object with 'feed_info' and 'features'")
    return feed


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")
