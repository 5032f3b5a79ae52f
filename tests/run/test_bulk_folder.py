"""Results as parts in a folder: each image once, whatever was stopped when."""

from __future__ import annotations

import io
import json
import shutil
import struct
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from made_images import blob_image
from means import Mean
from workzone.data.manifest import Manifest, write_manifest
from workzone.errors import ImageError, UsageError, WorkzoneError
from workzone.run import bulk, parts
from workzone.run.bulk import BulkJob, predict_many
from workzone.run.bulk_summary import BulkSummary
from workzone.run.selection import select_images
from workzone.run.sources import find_images
from workzone.types import ImageRef, Sample


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(23):
        blob_image(number, number % 2).save(folder / f"{number:02}.png")
    (folder / "bad.jpg").write_bytes(b"no image")
    long = "b" * 240 + ".jpg"  # longer than an id in the quarantine table
    (folder / long).touch()
    return folder


def rows(folder: Path) -> list[str]:
    return sorted(pq.read_table(folder, columns=["id"])["id"].to_pylist())


def score(photos: Path, output: Path, **options: Any) -> BulkSummary:
    return predict_many(Mean(), photos, output, part_rows=options.pop("part_rows", 8), **options)


def test_a_folder_of_parts_reads_as_one_table(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "scores"
    summary = score(photos, output)
    assert (summary.scored, summary.quarantined, summary.resumed) == (23, 2, 0)
    assert rows(output) == [f"{number:02}.png" for number in range(23)]
    job = json.loads((output / "_job.json").read_text())
    assert job["model"] == "stand-in" and job["images"] == 23
    assert sum(part["rows"] for part in job["parts"]) == 23
    assert len((output / "_quarantine.csv").read_text().splitlines()) == 3
    assert pq.read_table(output).column_names == job["columns"]


def test_a_rerun_does_nothing_and_new_images_are_added(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "scores"
    score(photos, output)
    before = {path: path.read_bytes() for path in output.glob("part-*")}
    again = Mean()
    summary = predict_many(again, photos, output)
    assert again.judged == [] and summary.resumed == 25 and summary.scored == 23
    assert {path: path.read_bytes() for path in output.glob("part-*")} == before
    blob_image(99, 1).save(photos / "new.png")
    assert len(BulkJob(Mean(), photos, output).left()) == 1
    summary = predict_many(again, photos, output)
    assert again.judged == ["new.png"] and summary.scored == 24
    (photos / "00.png").unlink()  # what was scored stays
    assert predict_many(again, photos, output).scored == 23 and "00.png" in rows(output)


def test_what_could_not_be_read_is_tried_again_when_asked(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "scores"
    score(photos, output)
    blob_image(5, 1).save(photos / "bad.jpg", format="JPEG")
    assert len(BulkJob(Mean(), photos, output, retry=True).left()) == 2
    summary = score(photos, output, retry=True)
    assert (summary.scored, summary.quarantined) == (24, 1)
    assert "bad.jpg" in rows(output)


@pytest.mark.parametrize("after", [1, 2, 5, 6])
def test_stopped_between_any_two_writes(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    """A part is written, then the ledger without its rows: a stop between doubles nothing."""
    output = tmp_path / "scores"
    monkeypatch.setattr(bulk, "FLUSH_EVERY", 4)
    calls = [0]
    for module, name in ((parts, "write_rows"), (bulk.Journal, "replace")):
        monkeypatch.setattr(module, name, _breaking(getattr(module, name), calls, after))
    with pytest.raises(KeyboardInterrupt):
        score(photos, output)
    monkeypatch.undo()
    (output / ".part-00009.parquet.1.part").write_bytes(b"half")
    summary = score(photos, output)
    assert summary.scored == 23 and summary.quarantined == 2
    assert rows(output) == [f"{number:02}.png" for number in range(23)]
    assert not list(output.glob(".*.part"))


def _breaking(real: Callable[..., Any], calls: list[int], after: int) -> Callable[..., Any]:
    """Stop before every second call, and after the others, once so many were made."""

    def broken(*arguments: Any, **options: Any) -> Any:
        calls[0] += 1
        if calls[0] == after and after % 2:
            raise KeyboardInterrupt
        result = real(*arguments, **options)
        if calls[0] == after:
            raise KeyboardInterrupt
        return result

    return broken


def test_a_damaged_part_is_told(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "scores"
    score(photos, output)
    (output / "part-00001.parquet").write_bytes(b"damaged")
    with pytest.raises(WorkzoneError, match=r"part-00001\.parquet cannot be read.*Delete it"):
        score(photos, output)
    (output / "part-00001.parquet").unlink()
    assert score(photos, output).scored == 23
    assert rows(output) == [f"{number:02}.png" for number in range(23)]


def test_folders_that_are_not_of_results(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no folder of results"):
        score(photos, photos)
    with pytest.raises(UsageError, match="is a file: name a folder"):
        (tmp_path / "file").touch()
        score(photos, tmp_path / "file")
    with pytest.raises(UsageError, match="the share is found by"):
        score(photos, tmp_path / "new", find_share=True)


def test_time_and_place_of_a_manifest_stand_beside_the_results(
    photos: Path, tmp_path: Path
) -> None:
    time = datetime(2026, 11, 1, 12, tzinfo=UTC)
    samples = [
        Sample("a", ImageRef("photos/00.png"), group="d", time=time, latitude=52.5, longitude=13.4),
        Sample("b", ImageRef("photos/01.png")),
    ]
    manifest = tmp_path / "manifest.parquet"
    write_manifest(Manifest(samples, tmp_path), manifest)
    score(manifest, tmp_path / "scores")
    part = tmp_path / "scores" / "part-00000.parquet"
    table = pq.read_table(part)
    a, b = table.to_pylist()
    assert (a["group"], a["time"], a["longitude"], a["latitude"]) == ("d", time, 13.4, 52.5)
    assert a["geometry"] == struct.pack("<BIdd", 1, 1, 13.4, 52.5)
    assert b["time"] is b["longitude"] is b["geometry"] is None
    geo = json.loads(pq.read_schema(part).metadata[b"geo"])
    assert geo["version"] == "1.1.0" and geo["primary_column"] == "geometry"
    assert table.schema.field("time").type == pa.timestamp("us", "UTC")
    score(manifest, tmp_path / "scores.csv")
    lines = (tmp_path / "scores.csv").read_text().splitlines()
    assert lines[0].endswith("group,time,longitude,latitude")
    assert lines[1].endswith("d,2026-11-01T12:00:00+00:00,13.4,52.5")


def test_a_replaced_image_is_scored_anew(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "scores"
    score(photos, output)
    before = {r["id"]: r["probability"] for r in pq.read_table(output).to_pylist()}
    blob_image(77, 1).resize((200, 120)).save(photos / "04.png")
    assert len(BulkJob(Mean(), photos, output).left()) == 1
    again = Mean()
    summary = predict_many(again, photos, output)
    assert again.judged == ["04.png"] and summary.scored == 23
    after = {r["id"]: r["probability"] for r in pq.read_table(output).to_pylist()}
    assert len(after) == 23 and after["04.png"] != before.pop("04.png")
    assert all(after[name] == value for name, value in before.items())


def test_what_is_known_anew_of_an_image_replaces_its_row(photos: Path, tmp_path: Path) -> None:
    manifest, output = tmp_path / "manifest.parquet", tmp_path / "scores"
    for hour in (12, 20):
        time = datetime(2026, 11, 1, hour, tzinfo=UTC)
        samples = [
            Sample("a", ImageRef("photos/00.png"), time=time, content_hash="0" * 32),
            Sample("b", ImageRef("photos/01.png"), content_hash="1" * 32),
        ]
        write_manifest(Manifest(samples, tmp_path), manifest)
        model = Mean()
        predict_many(model, manifest, output)
        assert model.judged == (["a", "b"] if hour == 12 else ["a"])
        rows = {row["id"]: row["time"] for row in pq.read_table(output).to_pylist()}
        assert rows == {"a": time, "b": None}


def test_a_first_few_do_not_decide_what_columns_there_are(photos: Path, tmp_path: Path) -> None:
    samples = [
        Sample("a", ImageRef("photos/00.png")),
        Sample("b", ImageRef("photos/01.png"), latitude=52.5, longitude=13.4),
    ]
    write_manifest(Manifest(samples, tmp_path), tmp_path / "manifest.parquet")
    found = find_images(tmp_path / "manifest.parquet")
    for few in (select_images(found, limit=1), found):
        predict_many(Mean(), few, tmp_path / "scores")
    rows = {r["id"]: r["longitude"] for r in pq.read_table(tmp_path / "scores").to_pylist()}
    assert rows == {"a": None, "b": 13.4}


def test_some_of_the_images_leave_the_quarantine_table_whole(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "scores"
    score(photos, output)
    predict_many(Mean(), select_images(find_images(photos), limit=2), output)
    assert len((output / "_quarantine.csv").read_text().splitlines()) == 3


def test_numbers_of_parts_have_no_end(tmp_path: Path) -> None:
    folder = parts.Parts(tmp_path)
    (tmp_path / "part-99999.parquet").touch()
    for name in ("a", "b"):
        folder.add([{"id": name, "probability": 0.5}])
    assert [p.stem for p in folder.paths()] == ["part-99999", "part-100000", "part-100001"]


class Cut(Mean):
    """A store that is gone after some images, or loses every second one."""

    def __init__(self, *, after: int = 0, every: int = 1, code: str = "unreachable") -> None:
        super().__init__()
        self._after, self._every, self._code = after, every, code

    def score(self, inputs: Any, load: Any, *, sample_of: Any = None) -> Any:
        for number, (name, source) in enumerate(inputs):
            if number < self._after or number % self._every:
                yield from super().score([(name, source)], load)
            else:
                yield name, ImageError(self._code, f"{name}: the token has run out")


@pytest.fixture
def store(tmp_path: Path) -> str:
    """An object store in memory with 150 images; its address."""
    import fsspec

    system = fsspec.filesystem("memory")
    for number in range(150):
        buffer = io.BytesIO()
        blob_image(number % 5, 1).save(buffer, "JPEG")
        system.pipe(f"/{tmp_path.name}/{number:03}.jpg", buffer.getvalue())
    return f"memory://{tmp_path.name}"


@pytest.mark.parametrize("code", ["unreachable", "denied"])
def test_a_job_stops_where_its_store_is_gone(store: str, tmp_path: Path, code: str) -> None:
    with pytest.raises(WorkzoneError, match=r"images in a row .*the token has run out"):
        predict_many(Cut(after=10, code=code), store, tmp_path / "scores")
    summary = predict_many(Mean(), store, tmp_path / "scores")
    assert (summary.scored, summary.quarantined, summary.resumed) == (150, 0, 10)


def test_scattered_losses_stop_nothing(store: str, tmp_path: Path) -> None:
    summary = predict_many(Cut(every=2), store, tmp_path / "scores")
    assert (summary.scored, summary.quarantined) == (75, 75)


def test_files_that_may_not_be_read_are_listed(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(90):
        blob_image(number % 5, 1).save(folder / f"{number:02}.png")
    summary = predict_many(Cut(code="denied"), folder, tmp_path / "scores")
    assert (summary.scored, summary.quarantined) == (0, 90)


def test_parts_hold_as_many_as_asked_for(photos: Path, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(bulk, "FLUSH_EVERY", 1)
    score(photos, tmp_path / "scores", part_rows=10)
    parts_ = sorted((tmp_path / "scores").glob("part-*"))
    assert [pq.read_metadata(path).num_rows for path in parts_] == [10, 10, 3]


def test_a_job_of_another_model_says_what_to_delete(photos: Path, tmp_path: Path) -> None:
    output = tmp_path / "scores"
    score(photos, output)

    class Other(Mean):
        def identity(self) -> str:
            return "other"

    with pytest.raises(WorkzoneError, match=rf"^{output} is left from another model .*delete it"):
        predict_many(Other(), photos, output)
    shutil.rmtree(output)
    assert predict_many(Other(), photos, output).scored == 23
