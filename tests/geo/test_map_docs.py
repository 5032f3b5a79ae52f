"""The examples in Python of docs/map.md and docs/feeds.md run as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

from made_drives import drives, street, write_frames

DOCS = Path(__file__).parents[2] / "docs"


def example(page: str) -> str:
    (code,) = re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text(), re.S | re.M)
    return str(code)


def test_the_map_is_made_and_written_as_the_pages_say(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_frames(Path("frames.jsonl"), drives(6, street(), lambda _: [(600.0, 800.0)]))
    names = {}
    exec(example("map.md").replace("frames.parquet", "frames.jsonl"), names)
    (event,) = names["events"]
    assert event.state == "present"
    exec(example("feeds.md"), names)
    assert event.id in Path("zones.geojson").read_text()
    assert event.id in Path("wzdx.json").read_text()
