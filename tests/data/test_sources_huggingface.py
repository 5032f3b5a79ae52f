"""Data sets of the package ``datasets``, saved to disk; nothing is fetched."""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bad_images import two_halves
from workzone.data.images import decode, read_bytes
from workzone.data.sources.huggingface import is_saved_dataset, open_huggingface
from workzone.errors import MissingExtraError, WorkzoneError

datasets = pytest.importorskip("datasets")


def made(labels: list[int], folder: Path) -> datasets.Dataset:
    """Images as files beside the set, so that their bytes must be fetched into the parquet."""
    folder.mkdir(exist_ok=True)
    names = [folder / f"{number}.png" for number in range(len(labels))]
    for name in names:
        two_halves().save(name)
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=["roadwork", "none"]),
            "city": datasets.Value("string"),
        }
    )
    rows = {"image": list(map(str, names)), "label": labels, "city": ["Rome"] * len(labels)}
    return datasets.Dataset.from_dict(rows, features=features)


def test_a_saved_set_with_splits(tmp_path):
    saved = datasets.DatasetDict(
        {"train": made([0, 1], tmp_path / "a"), "test": made([1], tmp_path / "b")}
    )
    saved.save_to_disk(tmp_path / "saved")
    assert is_saved_dataset(tmp_path / "saved")
    store = tmp_path / "m.images"
    source = open_huggingface(str(tmp_path / "saved"), store, None)
    rows = [(r.values["split"], r.values["label"], r.extra) for r in source.records()]
    assert rows == [  # the names of classes, not their numbers
        ("train", "roadwork", {"city": "Rome"}),
        ("train", "none", {"city": "Rome"}),
        ("test", "none", {"city": "Rome"}),
    ]
    assert sorted(file.name for file in store.iterdir()) == ["test.parquet", "train.parquet"]
    for record in source.records():
        pixels = decode(read_bytes(record.image, tmp_path))
        assert pixels[:, 0, 0].tolist() == [230, 110, 20]


def test_it_is_written_once_and_again_when_it_changed(tmp_path):
    store, saved = tmp_path / "m.images", tmp_path / "saved"
    made([0, 1], tmp_path / "a").save_to_disk(saved)
    open_huggingface(str(saved), store, None)
    (file,) = store.iterdir()
    before = file.stat().st_ino
    open_huggingface(str(saved), store, None)
    assert file.stat().st_ino == before
    made([0, 1, 1], tmp_path / "a").save_to_disk(tmp_path / "other")
    open_huggingface(str(tmp_path / "other"), store, None)
    assert pq.read_metadata(file).num_rows == 3


def test_a_rest_of_a_killed_run_is_written_anew(tmp_path):
    made([0], tmp_path / "a").save_to_disk(tmp_path / "saved")
    (tmp_path / "m.images").mkdir()
    (tmp_path / "m.images" / "all.parquet").write_text("half")
    source = open_huggingface(str(tmp_path / "saved"), tmp_path / "m.images", None)
    assert len(list(source.records())) == 1


def test_splits_of_another_set_are_not_taken(tmp_path):
    store = tmp_path / "m.images"
    datasets.DatasetDict({"train": made([0], tmp_path / "a")}).save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"test": made([1], tmp_path / "b")}).save_to_disk(tmp_path / "two")
    open_huggingface(str(tmp_path / "one"), store, None)
    records = open_huggingface(str(tmp_path / "two"), store, None).records()
    assert [record.values["split"] for record in records] == ["test"]


def test_a_set_that_cannot_be_had(tmp_path, monkeypatch):
    def offline(name):
        raise ConnectionError("no network")

    monkeypatch.setattr(datasets, "load_dataset", offline)
    with pytest.raises(WorkzoneError, match=r"'org/name' cannot be loaded: no network"):
        open_huggingface("org/name", tmp_path, None)


def test_without_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(
        MissingExtraError, match=r"reading org/name needs .*workzone\[huggingface\]"
    ):
        open_huggingface("org/name", tmp_path, None)


def test_images_that_stay_encoded_and_a_split_without_rows(tmp_path):
    features = datasets.Features(
        {"image": datasets.Image(decode=False), "label": datasets.Value("int64")}
    )
    two_halves().save(tmp_path / "a.png")
    rows = {"image": [str(tmp_path / "a.png"), None], "label": [1, 0]}
    filled = datasets.Dataset.from_dict(rows, features=features)
    none = datasets.Dataset.from_dict({"image": [], "label": []}, features=features)
    datasets.DatasetDict({"train": filled, "test": none}).save_to_disk(tmp_path / "saved")
    records = list(open_huggingface(str(tmp_path / "saved"), tmp_path / "m.images", None).records())
    assert [record.values["split"] for record in records] == ["train", "train"]
    assert read_bytes(records[0].image, tmp_path) == (tmp_path / "a.png").read_bytes()
    assert records[1].problem == ("missing", "the image column is empty")


def test_a_saved_set_without_any_rows(tmp_path):
    none = datasets.Dataset.from_dict({"image": []})
    datasets.DatasetDict({"test": none}).save_to_disk(tmp_path / "saved")
    with pytest.raises(WorkzoneError, match="has no rows"):
        open_huggingface(str(tmp_path / "saved"), tmp_path / "m.images", None)


def test_files_that_went_after_the_set_was_saved_are_missing_and_no_more(tmp_path, monkeypatch):
    dataset = made([0, 1], tmp_path / "a")
    monkeypatch.setattr("workzone.data.sources.huggingface._load", lambda source: {"all": dataset})
    (tmp_path / "a" / "1.png").unlink()
    first, second = open_huggingface("saved", tmp_path / "m.images", None).records()
    assert len(read_bytes(first.image, tmp_path)) > 0
    assert second.image.path == str(tmp_path / "a" / "1.png")
