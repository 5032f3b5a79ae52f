"""A file to what is wrong with it: WZDx where it is JSON, DATEX II where it is XML."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from workzone.errors import FeedError, UsageError
from workzone.geo.feed_file import is_xml, parsed_json, read_content
from workzone.geo.validate.datex import check_datex
from workzone.geo.validate.report import Report
from workzone.geo.validate.wzdx import check_wzdx
from workzone.geo.validate.xml import read_xml
from workzone.geo.validate.xsd import check_schema


def validate_feed(path: Path, *, schema: Path | None = None) -> Report:
    """Check a feed of anybody's, without any network.

    Args:
        path: of the feed.
        schema: an XML schema that DATEX II is held to as well; see `check_schema`.

    Raises:
        FeedError: the file is missing, or neither JSON nor XML that can be read.
        UsageError: the schema cannot be read, or the feed is WZDx.
        MissingExtraError: the extra ``geo`` is not installed, and the feed is WZDx or there is a
            schema.
    """
    content = read_content(path)
    try:
        if not is_xml(content):
            if schema is not None:
                raise UsageError(
                    f"{path} is no XML, and WZDx has its schema within the package: leave "
                    "--schema out"
                )
            return check_wzdx(_read_json(content))
        root = read_xml(content)
        report = check_datex(root)
        more = () if schema is None else check_schema(content, root.tag, schema)
        return replace(report, findings=(*report.findings, *more))
    except FeedError as error:
        raise FeedError(f"{path}: {error}") from error


def _read_json(content: bytes) -> dict[str, Any]:
    feed = parsed_json(content, "WZDx")
    if not isinstance(feed, dict):
        raise FeedError("WZDx is a JSON object with 'feed_info' and 'features'")
    return feed
