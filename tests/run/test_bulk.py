from __future__ import annotations

import csv
import dataclasses
import errno
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bad_images import make_bad_images
from made_images import blob_image
from predictors import backbone_of, bundle_of, bundle_predictor
from told import told_bundle
from trained import Tiny
from workzone.data.manifest import Manifest, read_manifest, write_manifest
from workzone.decide.bundle import read_bundle, write_bundle
from workzone.decide.calibration import Calibration
from workzone.decide.share import estimate_share
from workzone.engine.program import Program
from workzone.errors import ImageError, UsageError, WorkzoneError
from workzone.files import hold
from workzone.run import bulk, sources
from workzone.run.bulk import predict_many, stream
from workzone.run.predictor import Predictor, Scored
from workzone.run.share import at_estimated_share
from workzone.types import ImageRef, Sample


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Nested folders with 10 images, a file that is none, and two images that cannot be read."""
    folder = tmp_path / "photos"
    for number in range(10):
        path = folder / ("a", "b/deep", ".")[number % 3] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        blob_image(number, number % 2).save(path)
    (folder / "notes.txt").write_text("not an image")
    (folder / "a" / "broken.jpg").write_bytes(b"no image")
    (folder / "b" / "empty.jpg").touch()
    return folder


TEXTS = ("id", "decision", "inputs", "engine", "precision", "reason")


def read_output(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
        return rows
    with path.open(newline="") as handle:
        if path.suffix == ".jsonl":
            return [json.loads(line) for line in handle]
        return [
            {
                name: cell if name in TEXTS else json.loads(cell or "null")
                for name, cell in row.items()
            }
            for row in csv.DictReader(handle)
        ]


def read_quarantine(output: Path) -> dict[str, str]:
    with output.with_name(output.name + ".quarantine.csv").open(newline="") as handle:
        return {row["id"]: row["code"] for row in csv.DictReader(handle)}


def test_every_kind_of_image_is_scored_or_listed(predictor: Predictor, tmp_path: Path) -> None:
    expected = make_bad_images(tmp_path / "images")
    good = {name for name, code in expected.items() if code is None}
    bad = {name: code for name, code in expected.items() if code is not None}
    output = tmp_path / "out" / "scores.jsonl"
    summary = predict_many(predictor, tmp_path / "images", output)
    rows = read_output(output)
    assert {row["id"] for row in rows} == good
    assert len(rows) == len(good) == summary.scored
    assert read_quarantine(output) == bad
    assert summary.quarantined == len(bad) == 8
    assert summary.roadwork == sum(row["decision"] == "roadwork" for row in rows)


def test_all_formats_hold_the_same(predictor: Predictor, photos: Path, tmp_path: Path) -> None:
    spec = bundle_of(predictor).spec
    layout = dataclasses.replace(spec.layout, overlap=0.3)  # boxes that no binary fraction is
    other = dataclasses.replace(bundle_of(predictor), spec=dataclasses.replace(spec, layout=layout))
    predictor = bundle_predictor(other, backbone_of(predictor))
    outputs = [tmp_path / f"scores.{kind}" for kind in ("jsonl", "csv", "parquet")]
    for output in outputs:
        predict_many(predictor, photos, output)
    first, second, third = (read_output(output) for output in outputs)
    assert first == second == third
    assert len(first) == 10
    alone = {p.id: p for p in predictor.predict([photos / row["id"] for row in first])}
    for row in first:
        prediction = alone[str(photos / row["id"])]
        assert row["probability"] == prediction.probability
        assert row["decision"] == prediction.decision
        assert (row["x0"], row["y0"], row["x1"], row["y1"]) == prediction.box
    assert not list(tmp_path.glob(".*"))  # the journal is gone


def test_probabilities_hold_for_the_share_that_the_images_speak_for(
    predictor: Predictor, photos: Path, tmp_path: Path
) -> None:
    for number in range(20, 50):  # beside five with road work: rare, where the model knew a half
        blob_image(number, 0).save(photos / f"{number}.png")
    balanced = bundle_predictor(bundle_of(predictor).with_share(0.5), backbone_of(predictor))
    scored = [result for _, result in stream(balanced, photos) if isinstance(result, Scored)]
    share = estimate_share([result.prediction.probability for result in scored])
    summary = predict_many(predictor, photos, tmp_path / "scores.csv", find_share=True)
    assert summary.share == share < 0.35
    rows = read_output(tmp_path / "scores.csv")
    moved = Calibration().at_share(share)
    given = predict_many(balanced, photos, tmp_path / "plain.csv")
    before = {row["id"]: row["probability"] for row in read_output(tmp_path / "plain.csv")}
    assert given.share is None
    assert len(rows) == len(before) == summary.scored == 40
    for row in rows:
        assert row["probability"] == float(moved.apply(before[row["id"]])) < before[row["id"]]
        assert (row["decision"] == "roadwork") == (row["probability"] > 0.5)
    assert summary.roadwork == sum(row["decision"] == "roadwork" for row in rows)

    found, of_stream = at_estimated_share(list(stream(balanced, photos)))
    assert of_stream == share
    for name, result in found:
        if isinstance(result, Scored):
            row = next(row for row in rows if row["id"] == name)
            assert result.prediction.probability == row["probability"]
            assert result.prediction.decision == row["decision"]
    assert sum(isinstance(result, ImageError) for _, result in found) == 2


def test_a_share_is_not_found_where_nothing_can_be_read(
    predictor: Predictor, tmp_path: Path
) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "broken.jpg").write_bytes(b"no image")
    summary = predict_many(predictor, tmp_path / "bad", tmp_path / "scores.csv", find_share=True)
    assert (summary.scored, summary.share) == (0, None)
    assert at_estimated_share(list(stream(predictor, tmp_path / "bad")))[1] is None


def test_a_folder_that_cannot_be_listed_is_reported(
    predictor: Predictor, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if Path(path).name == "deep":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    summary = predict_many(predictor, photos, tmp_path / "scores.csv")
    assert "b/deep" in read_quarantine(tmp_path / "scores.csv")
    assert summary.scored == 7


def test_names_that_are_not_utf8_are_scored(predictor: Predictor, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    blob_image(1, 1).save(folder / "plain.png")
    name = os.fsencode(folder) + b"/stra\xdfe.png"
    try:
        Path(os.fsdecode(name)).write_bytes((folder / "plain.png").read_bytes())
        Path(os.fsdecode(name[:-4] + b"-bad.png")).write_bytes(b"no image")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    for kind in ("jsonl", "csv", "parquet"):
        output = tmp_path / f"scores.{kind}"
        predict_many(predictor, folder, output)
        assert {row["id"] for row in read_output(output)} == {"plain.png", r"stra\xdfe.png"}
        assert set(read_quarantine(output)) == {r"stra\xdfe-bad.png"}


def test_a_journal_with_a_result_twice_is_refused(
    predictor: Predictor, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "scores.csv"
    journal = partial(predictor, photos, output, monkeypatch)
    with journal.open("a") as handle:
        handle.write(journal.read_text().splitlines(keepends=True)[1])
    message = (
        r"\.scores\.csv\.journal holds 13 results of 12 images, .*; delete it and run the same"
    )
    with pytest.raises(WorkzoneError, match=message):
        predict_many(predictor, photos, output)
    assert not output.exists()
    journal.unlink()
    assert predict_many(predictor, photos, output).scored == 10


def test_one_image_is_a_source_too(predictor: Predictor, photos: Path) -> None:
    path = photos / "a" / "0.png"
    ((name, result),) = stream(predictor, path)
    assert name == str(path)
    assert isinstance(result, Scored)
    assert result.prediction == predictor.predict(path)[0]


def test_a_manifest_is_a_source_also_of_images_inside_parquet(
    predictor: Predictor, photos: Path, tmp_path: Path
) -> None:
    picture = (photos / "a" / "0.png").read_bytes()
    cells = [{"bytes": picture}, {"bytes": b"no image"}, {"bytes": None}]
    pq.write_table(pa.Table.from_pylist([{"image": c} for c in cells]), tmp_path / "images.parquet")
    samples = [
        Sample("file", ImageRef("photos/a/0.png")),
        Sample("cell", ImageRef("images.parquet", "image", 0)),
        Sample("bad", ImageRef("images.parquet", "image", 1)),
        Sample("void", ImageRef("images.parquet", "image", 2)),
        Sample("gone", ImageRef("images.parquet", "image", 9)),
    ]
    write_manifest(Manifest(samples, tmp_path), tmp_path / "manifest.parquet")
    output = tmp_path / "scores.jsonl"
    summary = predict_many(predictor, tmp_path / "manifest.parquet", output)
    file, cell = read_output(output)
    assert (file["id"], cell["id"]) == ("file", "cell")
    assert file["probability"] == cell["probability"]
    assert read_quarantine(output) == {"bad": "unreadable", "void": "empty", "gone": "missing"}
    assert summary.ignored == 0


def test_nothing_is_read_twice(
    predictor: Predictor, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: Counter[str] = Counter()
    real = sources.read_bytes

    def counted(ref: ImageRef, root: Path) -> bytes:
        read[str(ref)] += 1
        return real(ref, root)

    monkeypatch.setattr(sources, "read_bytes", counted)
    predict_many(predictor, photos, tmp_path / "scores.csv")
    assert len(read) == 12
    assert set(read.values()) == {1}


def stop_after(images: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the scoring of a job break off, as a full disk or a lost session would."""
    real = bulk._score

    def broken(*arguments: Any, **options: Any) -> Any:
        for number, result in enumerate(real(*arguments, **options)):
            if number == images:
                raise KeyboardInterrupt
            yield result

    monkeypatch.setattr(bulk, "_score", broken)


def partial(
    predictor: Predictor, photos: Path, output: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A job that was stopped after five images; gives its journal."""
    with monkeypatch.context() as patch:
        patch.setattr(bulk, "FLUSH_EVERY", 1)
        stop_after(5, patch)
        with pytest.raises(KeyboardInterrupt):
            predict_many(predictor, photos, output)
    journal = output.with_name(f".{output.name}.journal")
    assert len(journal.read_text().splitlines()) == 1 + 5
    assert not output.exists()
    return journal


def test_a_stopped_job_goes_on_without_scoring_again(
    predictor: Predictor, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict_many(predictor, photos, tmp_path / "whole.csv")
    output = tmp_path / "scores.csv"
    partial(predictor, photos, output, monkeypatch)
    real = sources.read_bytes
    read: list[Any] = []
    monkeypatch.setattr(sources, "read_bytes", lambda *a: read.append(a) or real(*a))
    summary = predict_many(predictor, photos, output)
    assert summary.resumed == 5
    assert len(read) == 12 - 5
    assert output.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert read_quarantine(output) == read_quarantine(tmp_path / "whole.csv")


@pytest.mark.parametrize("tail", [b'{"id": "9.p', b"\x00\x00\x00\x00", b'{"id"\n{"id": 3}\n'])
def test_a_torn_journal_is_cut_off(
    tail: bytes,
    predictor: Predictor,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    predict_many(predictor, photos, tmp_path / "whole.csv")
    output = tmp_path / "scores.csv"
    journal = partial(predictor, photos, output, monkeypatch)
    with journal.open("ab") as handle:
        handle.write(tail)
    assert predict_many(predictor, photos, output).resumed == 5
    assert output.read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_a_journal_torn_in_its_first_line_starts_anew(
    predictor: Predictor, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / ".scores.csv.journal").write_text('{"model": "ab')
    assert predict_many(predictor, photos, tmp_path / "scores.csv").resumed == 0
    assert len(read_output(tmp_path / "scores.csv")) == 10


def test_an_image_deleted_since_the_stop_is_not_in_the_output(
    predictor: Predictor, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "scores.csv"
    journal = partial(predictor, photos, output, monkeypatch)
    gone = json.loads(journal.read_text().splitlines()[1])["id"]
    (photos / gone).unlink()
    summary = predict_many(predictor, photos, output)
    assert summary.resumed == 4
    assert gone not in {row["id"] for row in read_output(output)}
    assert summary.scored == 9


def test_the_journal_of_another_model_is_refused(
    tiny: Tiny,
    predictor: Predictor,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = tmp_path / "scores.csv"
    journal = partial(predictor, photos, output, monkeypatch)
    before = journal.read_bytes()
    other = read_bundle(tiny.bundle)
    other.detector.head[-1].bias.data += 0.1
    write_bundle(other, tmp_path / "other")
    message = r"\.scores\.csv\.journal is left from another model or source, or .*; delete it to st"
    with pytest.raises(WorkzoneError, match=message):
        predict_many(bundle_predictor(other, backbone_of(predictor)), photos, output)
    with pytest.raises(WorkzoneError, match=message):
        predict_many(predictor, photos / "a", output)
    assert journal.read_bytes() == before


@pytest.mark.parametrize(
    ("engine", "precision"), [("onnx", "float32"), ("torch", "bfloat16"), ("openvino", "bfloat16")]
)
def test_a_job_does_not_go_on_with_another_engine_or_precision(
    engine: str,
    precision: str,
    predictor: Predictor,
    photos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    output = tmp_path / "scores.csv"
    journal = partial(predictor, photos, output, monkeypatch)
    before = journal.read_bytes()

    class Other:
        name = engine

        def __init__(self) -> None:
            self.precision = precision

        run = predictor.program.engine.run

    other = Predictor(Program(predictor.description, Other()))
    message = (
        rf"\.scores\.csv\.journal was begun by engine torch in float32, this is engine {engine} in "
        rf"{precision}, whose .*: go on with the same model, --engine and --precision, delete it"
    )
    with pytest.raises(WorkzoneError, match=message):
        predict_many(other, photos, output)
    assert journal.read_bytes() == before
    assert predict_many(predictor, photos, output).resumed == 5


def test_a_job_of_several_sources_goes_on_with_the_same_in_order_only(
    predictor: Predictor, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "scores.csv"
    named = [photos / "a", photos / "b", photos / "2.png"]
    with monkeypatch.context() as patch:
        patch.setattr(bulk, "FLUSH_EVERY", 1)
        stop_after(3, patch)
        with pytest.raises(KeyboardInterrupt):
            predict_many(predictor, named, output)
    for others in (named[::-1], named[:2], photos / "a"):
        with pytest.raises(WorkzoneError, match="is left from another model or source"):
            predict_many(predictor, others, output)
    summary = predict_many(predictor, named, output)
    assert summary.resumed == 3
    ids = [row["id"] for row in read_output(output)]
    assert len(ids) == len(set(ids)) == summary.scored
    assert f"{photos}/2.png" in ids
    assert all(Path(name).is_file() for name in ids)


def test_two_jobs_do_not_share_an_output(
    predictor: Predictor, photos: Path, tmp_path: Path
) -> None:
    lock = hold(tmp_path / ".scores.csv.journal.lock")
    with pytest.raises(WorkzoneError, match=r"another process is writing to .*; wait for it, "):
        predict_many(predictor, photos, tmp_path / "scores.csv")
    lock.release()
    predict_many(predictor, photos, tmp_path / "scores.csv")
    assert {path.name for path in tmp_path.glob("*scores*")} == {
        "scores.csv",
        "scores.csv.quarantine.csv",
    }


def test_a_full_disk_is_told_and_nothing_is_lost(
    predictor: Predictor, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "scores.csv"
    real, calls = os.fsync, 0

    def fsync(handle: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    with monkeypatch.context() as patch:
        patch.setattr(bulk, "FLUSH_EVERY", 1)
        patch.setattr(os, "fsync", fsync)
        with pytest.raises(
            WorkzoneError, match=r"No space left on device\. What was scored so far"
        ):
            predict_many(predictor, photos, output)
    assert not output.exists()
    assert predict_many(predictor, photos, output).resumed >= 3
    assert len(read_output(output)) == 10


def test_a_place_that_cannot_be_written_is_told(
    predictor: Predictor, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(
        WorkzoneError, match=r"cannot write .*/scores\.csv: .*/file is a file, not a"
    ):
        predict_many(predictor, photos, tmp_path / "file" / "scores.csv")


def test_an_empty_folder_is_told(predictor: Predictor, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(UsageError, match=r"no images in .*: 1 other file passed over; known suf"):
        predict_many(predictor, tmp_path, tmp_path / "scores.csv")


def test_a_source_that_does_not_exist_is_told(predictor: Predictor, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="gone does not exist: name an image, a folder or a man"):
        predict_many(predictor, tmp_path / "gone", tmp_path / "scores.csv")


def test_an_unknown_output_format_is_told(predictor: Predictor, photos: Path) -> None:
    message = r"format of 'scores\.json'; did you mean '\.jsonl'\? allowed: \.csv, \.jsonl, \.parq"
    with pytest.raises(UsageError, match=message):
        predict_many(predictor, photos, Path("scores.json"))


def test_an_error_in_a_stream_is_a_result(predictor: Predictor, photos: Path) -> None:
    results = dict(stream(predictor, photos))
    broken = results["a/broken.jpg"]
    assert isinstance(broken, ImageError)
    assert "broken.jpg: not an image" in str(broken)
    assert isinstance(results["a/0.png"], Scored)


@pytest.fixture(scope="module")
def told(predictor: Predictor) -> Predictor:
    return bundle_predictor(told_bundle(bundle_of(predictor)), backbone_of(predictor))


@pytest.fixture
def dated(photos: Path, tmp_path: Path) -> Path:
    """A manifest of three images: by night, by a daytime that is not known, by day."""
    times = {"a/0.png": "night", "b/deep/1.png": None, "2.png": "day"}
    samples = [
        Sample(name, ImageRef(f"photos/{name}"), daytime=daytime) for name, daytime in times.items()
    ]
    write_manifest(Manifest(samples, tmp_path), tmp_path / "manifest.parquet")
    return tmp_path / "manifest.parquet"


def test_a_manifest_brings_its_metadata(
    predictor: Predictor, told: Predictor, photos: Path, dated: Path, tmp_path: Path
) -> None:
    outputs = [tmp_path / f"scores.{kind}" for kind in ("jsonl", "csv", "parquet")]
    for output in outputs:
        predict_many(told, dated, output)
    first, second, third = (read_output(output) for output in outputs)
    assert first == second == third
    assert [row["inputs"] for row in first] == ["image+metadata", "image", "image+metadata"]
    expected = told.predict(
        [photos / row["id"] for row in first], [{"daytime": "night"}, {}, {"daytime": "day"}]
    )
    assert [row["probability"] for row in first] == [p.probability for p in expected]
    streamed = [r.prediction.inputs for _, r in stream(told, dated) if isinstance(r, Scored)]
    assert streamed == [row["inputs"] for row in first]
    predict_many(predictor, dated, tmp_path / "alone.csv")
    assert {row["inputs"] for row in read_output(tmp_path / "alone.csv")} == {"image"}


def test_the_image_alone_can_be_asked_for(
    told: Predictor, photos: Path, dated: Path, tmp_path: Path
) -> None:
    predict_many(told, dated, tmp_path / "scores.csv", image_only=True)
    rows = read_output(tmp_path / "scores.csv")
    assert [row["inputs"] for row in rows] == ["image"] * 3
    alone = told.predict([photos / row["id"] for row in rows])
    assert [row["probability"] for row in rows] == [p.probability for p in alone]
    results = [r for _, r in stream(told, dated, image_only=True) if isinstance(r, Scored)]
    assert [r.prediction.probability for r in results] == [p.probability for p in alone]


def test_a_job_does_not_go_on_with_other_inputs(
    told: Predictor, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    partial(told, photos, tmp_path / "scores.csv", monkeypatch)
    message = "choice of --image-only, --unsure, --share or --round-positions; delete"
    with pytest.raises(WorkzoneError, match=message):
        predict_many(told, photos, tmp_path / "scores.csv", image_only=True)
    assert predict_many(told, photos, tmp_path / "scores.csv").resumed == 5


def test_a_job_does_not_go_on_with_other_metadata(
    told: Predictor, dated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "scores.csv"
    with monkeypatch.context() as patch:
        patch.setattr(bulk, "FLUSH_EVERY", 1)
        stop_after(1, patch)
        with pytest.raises(KeyboardInterrupt):
            predict_many(told, dated, output)
    manifest = read_manifest(dated)
    changed = [dataclasses.replace(s, daytime="night") for s in manifest]
    write_manifest(manifest.with_samples(changed), dated)
    with pytest.raises(WorkzoneError, match="delete it"):
        predict_many(told, dated, output)
    write_manifest(manifest, dated)
    assert predict_many(told, dated, output).resumed == 1


def test_to_a_model_of_the_image_alone_the_choice_is_none(
    predictor: Predictor, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    partial(predictor, photos, tmp_path / "scores.csv", monkeypatch)
    assert predict_many(predictor, photos, tmp_path / "scores.csv", image_only=True).resumed == 5
