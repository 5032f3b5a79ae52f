from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cli_invoke import invoke
from trained import Tiny
from workzone.data.joining import moved
from workzone.data.manifest import Manifest, read_manifest, write_manifest
from workzone.data.pseudo_labels import SOURCE, pseudo_label, read_scores
from workzone.errors import UsageError
from workzone.run.predictor import Predictor
from workzone.types import ImageRef, Sample


def manifest_of(labels: dict[str, int | None]) -> Manifest:
    rows = [
        Sample(name, ImageRef(f"{name}.jpg"), label=label, source="cam", split="val", group="clip")
        for name, label in labels.items()
    ]
    return Manifest(rows, Path())


def test_what_is_sure_gets_a_label_and_nothing_else() -> None:
    names = ("above", "at", "below", "middle", "low", "lowest")
    unlabelled = manifest_of(dict.fromkeys([*names, "broken"]) | {"known": 0})
    values = (0.97, 0.9, 0.89, 0.5, 0.1, 0.01)
    scores = dict(zip(names, values, strict=True)) | {"known": 0.99}
    found = pseudo_label(unlabelled, scores, sure=0.9)
    assert {row.id: row.label for row in found.manifest} == {
        "above": 1,
        "at": 1,
        "low": 0,
        "lowest": 0,
    }
    counts = (found.roadwork, found.none, found.unsure, found.labelled, found.unscored)
    assert counts == (2, 2, 2, 1, 1)
    first = next(iter(found.manifest))
    assert (first.source, first.split, first.group) == (SOURCE, None, "clip")
    assert first.extra["pseudo_probability"] == "0.970000"
    assert first.extra["pseudo_source"] == "cam"
    halves = pseudo_label(unlabelled, {"middle": 0.5, "above": 0.51}, sure=0.5).manifest
    assert {row.id: row.label for row in halves} == {"middle": 0, "above": 1}  # as 0.5 is decided
    assert len(pseudo_label(unlabelled, scores, sure=0.95).manifest) == 2


@pytest.mark.parametrize(
    ("scores", "sure", "message"),
    [
        ({"a": 0.9}, 0.4, r"--sure 0\.4: give a probability from 0\.5"),
        ({"a": 0.9}, 1.0, r"--sure 1\.0: give a probability"),
        ({"a": 1.5}, 0.9, r"'a': probability 1\.5; it must be a number in 0\.\.1"),
        ({"a": float("nan")}, 0.9, "'a': probability nan"),
        ({"other": 0.9}, 0.9, "1 scores are of images that the manifest does not have"),
        ({"a": 0.6}, 0.9, "no label is sure: of 2 rows 1 have one already, 0 have no score, and 1"),
    ],
)
def test_mistakes_are_told(scores: dict[str, float], sure: float, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        pseudo_label(manifest_of({"a": None, "b": 1}), scores, sure=sure)


def test_scores_are_read_from_every_format_that_predict_writes(tmp_path: Path) -> None:
    expected = {"a": 0.25, 'b,"c': 1.0}
    rows = [{"id": name, "probability": value, "view": 0} for name, value in expected.items()]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "s.parquet")
    (tmp_path / "s.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "s.csv").write_text('id,probability\na,0.25\n"b,""c",1.0\n')
    for suffix in ("parquet", "jsonl", "csv"):
        assert read_scores(tmp_path / f"s.{suffix}") == expected
    (tmp_path / "excel.csv").write_text("\ufeffid,probability\na,0.25\n")
    assert read_scores(tmp_path / "excel.csv") == {"a": 0.25}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("s.txt", "", "cannot tell the format of .*s.txt"),
        ("s.csv", "id,score\na,1\n", "row 1: id 'a', probability None: a row needs both"),
        ("s.csv", "id,probability\na,1\nb,much\n", "row 2: id 'b', probability 'much'"),
        ("s.csv", "id,probability\na,1\na,0\n", "row 2: 'a' has a score already"),
        ("s.jsonl", '{"id": "a"\n', "s.jsonl cannot be read as scores: row 1, .*, is no JSON"),
        ("s.jsonl", "[1]\n", r"row 1, '\[1\]\\n', is no object"),
        ("s.jsonl", '{"id": "a", "probability": [1]}\n', r"row 1: id 'a', probability \[1\]"),
        ("s.jsonl", '{"id": 1, "probability": 0}\n' * 2, "row 2: 1 has a score already"),
        (
            "s.csv",
            'id,probability\n"' + "a" * 140_000,
            "s.csv cannot be read as scores: field larger",
        ),
        ("s.csv", "id,probability\n", "s.csv holds no scores"),
        ("s.parquet", "no table", "s.parquet cannot be read as scores"),
        ("missing/s.csv", None, "s.csv cannot be read as scores: .*No such file"),
    ],
)
def test_scores_that_are_none_are_refused(
    tmp_path: Path, name: str, text: str | None, message: str
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=message):
        read_scores(tmp_path / name)


def test_a_table_without_the_columns_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["a"]}), tmp_path / "s.parquet")
    with pytest.raises(UsageError, match="has no column probability"):
        read_scores(tmp_path / "s.parquet")


def test_from_scores_to_a_manifest_to_train_on(
    tiny: Tiny, predictor: Predictor, tmp_path: Path
) -> None:
    rows = list(tiny.manifest)
    unlabelled = [Sample(s.id, s.image, group=s.group) for s in rows[:20]] + rows[20:23]
    frames = moved(Manifest(unlabelled, tiny.root), tmp_path)
    write_manifest(frames, tmp_path / "frames.parquet")
    scores, output = tmp_path / "scores.parquet", tmp_path / "out" / "sure.parquet"
    invoke("predict", tmp_path / "frames.parquet", "--model", tiny.bundle, "-o", scores)
    arguments = ("pseudo-label", tmp_path / "frames.parquet", scores, "-o", output, "--sure", "0.7")
    told = json.loads(invoke(*arguments, "--json").stdout)
    sure = read_manifest(output)
    assert told["roadwork"] == sum(s.label == 1 for s in sure) > 0
    assert told["none"] == sum(s.label == 0 for s in sure) > 0
    assert told["labelled"] == 3
    assert told["unsure"] == 20 - len(sure)
    for sample in sure:
        assert (sure.root / sample.image.path).exists()
        probability = predictor.predict(sure.root / sample.image.path)[0].probability
        assert sample.label == (probability > 0.5)
        assert sample.extra["pseudo_probability"] == f"{probability:.6f}"
    assert f"{told['roadwork']} images with road work" in invoke(*arguments).stdout
    for given in (tmp_path / "frames.parquet", scores):
        before = given.read_bytes()
        refused = invoke(*arguments[:3], "-o", given, expect=2)
        assert "is what is read from: rows would be lost" in refused.stderr
        assert given.read_bytes() == before
