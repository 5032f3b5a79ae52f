"""WZDx work zone feeds, held to version 4.2.

They are held to the schema that USDOT publishes, and to what it lets pass: see `wzdx_names` and
`wzdx_rules`.
"""

from __future__ import annotations

import re
from typing import Any

from workzone.errors import FeedError, needing_geo
from workzone.geo.validate.report import Finding, Report
from workzone.geo.validate.wording import findings_of
from workzone.geo.validate.wzdx_names import names_of
from workzone.geo.validate.wzdx_rules import VERSION, broken_rules
from workzone.geo.validate.wzdx_schema import validator


def check_wzdx(feed: dict[str, Any]) -> Report:
    """All that is wrong with a feed, by event, without any network.

    Raises:
        FeedError: it is a feed of devices, or no feed at all.
        MissingExtraError: the extra ``geo`` is not installed.
    """
    features = feed.get("features")
    events = features if isinstance(features, list) else []
    _refuse_others(feed, events)
    found, meant = names_of(feed)
    with needing_geo("checking WZDx"):
        found += findings_of(validator().iter_errors(feed), meant)
    found += broken_rules(feed)
    found = [_with_event(one, events) for one in dict.fromkeys(found)]
    return Report(f"WZDx {VERSION}", len(events), tuple(sorted(found, key=_event_number)))


def _refuse_others(feed: dict[str, Any], events: list[Any]) -> None:
    if not feed.keys() & {"feed_info", "road_event_feed_info", "features"}:
        raise FeedError("WZDx is a JSON object with 'feed_info' and 'features'; this has neither")
    for event in events:
        properties = event.get("properties") if isinstance(event, dict) else None
        core = properties.get("core_details") if isinstance(properties, dict) else None
        if isinstance(core, dict) and "device_type" in core:
            raise FeedError("this is a WZDx feed of devices; feeds of work zones are checked")


def _event_number(finding: Finding) -> int:
    """Of the feature; -1 of the feed."""
    match = re.match(r"\$\.features\[(\d+)\]", finding.where)
    return int(match[1]) if match else -1


def _with_event(finding: Finding, events: list[Any]) -> Finding:
    number = _event_number(finding)
    event = events[number] if number >= 0 and isinstance(events[number], dict) else {}
    name = event.get("id")
    return Finding(
        finding.where, finding.what, name if isinstance(name, str) else None, finding.level
    )
