"""A file to what is wrong with it: WZDx where it is JSON, DATEX II where it is XML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workzone.errors import FeedError
from workzone.geo.feed_file import is_xml, parsed_json, read_content
from workzone.geo.validate.datex import check_datex
from workzone.geo.validate.report import Report
from workzone.geo.validate.wzdx import check_wzdx
from workzone.geo.validate.xml import read_xml


def validate_feed(path: Path) -> Report:
    """Check a feed of anybody's, without any network.

    Raises:
        FeedError: the file is missing, or neither JSON nor XML that can be read.
        MissingExtraError: the extra ``geo`` is not installed, and the feed is WZDx.
    """
    content = read_content(path)
    try:
        if is_xml(content):
            return check_datex(read_xml(content))
        return check_wzdx(_read_json(content))
    except FeedError as error:
        raise FeedError(f"{path}: {error}") from error


def _read_json(content: bytes) -> dict[str, Any]:
    feed = parsed_json(content, "WZDx")
    if not isinstance(feed, dict):
        raise FeedError("WZDx is a JSON object with 'feed_info' and 'features'")
    return feed
