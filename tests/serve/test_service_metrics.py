"""What `/metrics` counts is what the page lists and what the board asks for."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from serving import Running, picture

ROOT = Path(__file__).parents[2]
BOARD = json.loads((ROOT / "deploy/grafana/dashboards/workzone.json").read_text(encoding="utf-8"))
QUERIES = [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]]
PAGE = (ROOT / "docs/serving.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def samples(service: Running) -> dict[str, set[str]]:
    """Names of samples, with the labels that they have."""
    assert service.predict(picture(1)).status == 200
    text = service.ask("GET", "/metrics").body.decode()
    found: dict[str, set[str]] = defaultdict(set)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] |= sample.labels.keys()
    return found


@pytest.mark.parametrize("query", QUERIES)
def test_the_board_asks_for_what_there_is(samples: dict[str, set[str]], query: str) -> None:
    names = re.findall(r"\bworkzone_\w+", query)
    assert names and set(names) <= samples.keys()
    matched = [m for part in re.findall(r"\{(.*?)\}", query) for m in re.findall(r"(\w+)=", part)]
    grouped = [w for part in re.findall(r"by \((.*?)\)", query) for w in part.split(", ")]
    labels = set.union(*(samples[name] for name in names))
    assert {*matched, *grouped} <= labels


def test_legends_name_labels_that_there_are(samples: dict[str, set[str]]) -> None:
    for panel in BOARD["panels"]:
        for target in panel["targets"]:
            told = set(re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat", "")))
            names = re.findall(r"\bworkzone_\w+", target["expr"])
            assert told <= set.union(*(samples[name] for name in names))


def test_the_page_lists_all_of_it(samples: dict[str, set[str]]) -> None:
    rows = re.findall(r"^\| `(workzone_\w+)` \| (.*?) \|", PAGE, re.MULTILINE)
    listed = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    there: dict[str, set[str]] = defaultdict(set)
    for name, labels in samples.items():
        if not name.endswith("_created"):
            there[re.sub(r"_(bucket|count|sum)$", "", name)] |= labels - {"le"}
    assert listed == there
    assert set(re.findall(r"workzone_\w+", PAGE)) <= listed.keys()
