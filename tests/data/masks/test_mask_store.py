"""The mask store: what is written is read, a killed writer loses a part at most."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workzone.data.masks.objects import ImageMasks, MaskObject, MaskSource, looked_for
from workzone.data.masks.store import MaskStore, MaskWriter, write_masks
from workzone.errors import ManifestError, StoreError, UsageError

SOURCE = MaskSource(
    "pseudo", "a-teacher", "1", {"cone": ("orange cone", "traffic cone")}, {"threshold": 0.5}
)


def square(name="cone", top=1, score=0.7, **more):
    mask = np.zeros((8, 12), bool)
    mask[top : top + 3, 2:6] = True
    return MaskObject.from_mask(name, "pseudo", mask, score=score, **more)


def image(name, *objects, looked=("cone", "sign"), presence=0.25):
    return ImageMasks(name, 8, 12, dict.fromkeys(looked, presence), objects)


def test_what_is_written_is_read(tmp_path):
    first = image("a", square(category="Drum"), square("sign", crowd=True, box=(1.5, 2, 3.25, 4)))
    other = MaskSource("polygon", "people")
    write_masks(tmp_path / "s", SOURCE, [first, image("b", presence=None)])
    write_masks(tmp_path / "s", other, [image("b")])
    store = MaskStore(tmp_path / "s")
    assert store.sources == {source.key: source for source in (SOURCE, other)}
    assert store.ids() == ["a", "b"]
    assert store.image("a") == [(SOURCE, first)]
    assert dict(store.image("b")[0][1].looked).keys() == {"cone", "sign"}
    assert {source.teacher for source, _ in store.image("b")} == {"a-teacher", "people"}
    assert store.image("c") == []
    assert [masks.id for masks in store.images(SOURCE.key)] == ["a", "b"]


@pytest.mark.parametrize(
    "change",
    [
        {"teacher": "another"},
        {"version": "2"},
        {"knowledge": "polygon"},
        {"prompts": {"cone": ("orange cone",)}},
        {"settings": {"threshold": 0.4}},
    ],
)
def test_the_key_covers_everything(change):
    assert dataclasses.replace(SOURCE, **change).key != SOURCE.key
    assert MaskSource.from_json(json.loads(json.dumps(SOURCE.to_json()))).key == SOURCE.key


def test_parts_are_written_as_they_fill_and_the_last_word_counts(tmp_path):
    with MaskWriter(tmp_path, SOURCE, part_images=2) as writer:
        for name in "abc":
            writer.add(image(name))
        assert len(list(tmp_path.rglob("part-*.parquet"))) == 1
        assert writer.done == {"a", "b", "c"}
    with MaskWriter(tmp_path, SOURCE) as writer:
        assert writer.done == {"a", "b", "c"}
        writer.add(image("a", square()))
    store = MaskStore(tmp_path)
    assert len(store.image("a")[0][1].objects) == 1
    assert sorted(m.id for m in store.images(SOURCE.key)) == ["a", "b", "c"]


def test_small_parts_are_joined_at_the_end_of_a_job(tmp_path):
    def parts():
        return sorted(tmp_path.rglob("part-*.parquet"))

    words = [image(name, square(top=1)) for name in "abcdefg"]
    with MaskWriter(tmp_path, SOURCE, part_images=4) as writer:
        for one in words:
            writer.add(one)
            writer.flush()
        writer.add(image("b", square(top=2)))  # replaces the first
        assert len(parts()) == 7
    assert len(parts()) == 2  # of four and of three
    assert [masks.id for masks in MaskStore(tmp_path).images(SOURCE.key)] == list("acdefgb")
    expected = [words[0], *words[2:], image("b", square(top=2))]
    assert list(MaskStore(tmp_path).images(SOURCE.key)) == expected
    before = parts()
    with MaskWriter(tmp_path, SOURCE, part_images=4):
        pass
    assert parts() == before  # no fewer could hold them


def test_a_stop_between_joined_and_deleted_parts_loses_nothing(tmp_path, monkeypatch):
    words = [image(name, square()) for name in "abc"]
    with pytest.raises(RuntimeError), MaskWriter(tmp_path, SOURCE) as writer:
        for one in words:
            writer.add(one)
            writer.flush()
        raise RuntimeError
    with monkeypatch.context() as patch, pytest.raises(OSError, match="stopped"):
        patch.setattr("pathlib.Path.unlink", stopped)
        with MaskWriter(tmp_path, SOURCE):
            pass
    assert len(list(tmp_path.rglob("part-*.parquet"))) == 4
    assert list(MaskStore(tmp_path).images(SOURCE.key)) == words
    with MaskWriter(tmp_path, SOURCE):
        pass
    assert len(list(tmp_path.rglob("part-*.parquet"))) == 1
    assert list(MaskStore(tmp_path).images(SOURCE.key)) == words


def stopped(path, **_):
    if path.suffix == ".parquet":
        raise OSError("stopped")


def test_a_job_that_fails_keeps_what_it_has(tmp_path):
    with pytest.raises(RuntimeError), MaskWriter(tmp_path, SOURCE) as writer:
        writer.add(image("a"))
        raise RuntimeError
    assert MaskStore(tmp_path).ids() == ["a"]


KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from data.masks.test_mask_store import SOURCE, image
from workzone.data.masks.store import MaskWriter
from pathlib import Path
with MaskWriter(Path({folder!r}), SOURCE, part_images=2) as writer:
    for name in "abc":
        writer.add(image(name))
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_writer_loses_a_part_at_most(tmp_path):
    tests = str(__import__("pathlib").Path(__file__).parents[2])
    code = KILLED.format(tests=tests, folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], check=False, env=os.environ)
    assert done.returncode == -signal.SIGKILL
    with MaskWriter(tmp_path, SOURCE) as writer:
        assert writer.done == {"a", "b"}
        writer.add(image("c"))
    assert MaskStore(tmp_path).ids() == ["a", "b", "c"]


def test_one_writer_at_a_time(tmp_path):
    with (
        MaskWriter(tmp_path, SOURCE),
        pytest.raises(StoreError, match="is being written by another process"),
    ):
        MaskWriter(tmp_path, SOURCE)
    MaskWriter(tmp_path, SOURCE).__exit__(None, None, None)


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (image("a", square("worker")), r"of 'a': object 0 \(worker\): its class is not among"),
        (image("a", looked=("cones",)), "class 'cones' is unknown; did you mean 'cone'"),
        (image("a", square(score=1.5)), "score 1.5 is not within 0..1"),
        (image("a", square(score=float("nan"))), "score nan is not within 0..1"),
        (image("a", square(box=(5, 0, 1, 2))), "is no box of left, top, right, bottom"),
        (image(""), "they have no id"),
        (dataclasses.replace(image("a"), height=0), "a frame of 12 x 0 pixels"),
        (dataclasses.replace(image("a", square()), width=13), "run lengths are of 96 pixels"),
        (
            image("a", dataclasses.replace(square(), knowledge="polygons", counts=b"!")),
            "knowledge 'polygons'; did you mean 'polygon'",
        ),
    ],
)
def test_masks_that_are_not_whole_are_refused(tmp_path, masks, message):
    with MaskWriter(tmp_path, SOURCE) as writer, pytest.raises(ManifestError, match=message):
        writer.add(masks)
    assert MaskStore(tmp_path).ids() == []


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(ManifestError, match=r"score 2.*; class|class 'x' .*score 2"):
        image("a", square(score=2), looked=("cone", "x")).check()
    with pytest.raises(UsageError, match="class 'signs' is unknown; did you mean 'sign'"):
        looked_for(["cone", "signs"])
    assert looked_for(["cone"]) == {"cone": None}


def test_damaged_stores_name_the_file(tmp_path):
    with pytest.raises(StoreError, match=r"no mask store at .*none"):
        MaskStore(tmp_path / "none").ids()
    write_masks(tmp_path, SOURCE, [image("a", square())])
    part = tmp_path / SOURCE.key / "part-00000.parquet"
    whole = part.read_bytes()
    part.write_bytes(whole[:-20])
    with pytest.raises(StoreError, match=r"part-00000\.parquet is damaged: .*; delete it"):
        MaskStore(tmp_path).image("a")
    pq.write_table(pa.table({"id": ["a"]}), part)
    with pytest.raises(StoreError, match=r"part-00000\.parquet is damaged"):
        MaskStore(tmp_path).image("a")
    part.write_bytes(whole)
    assert MaskStore(tmp_path).ids() == ["a"]
    described = tmp_path / SOURCE.key / "source.json"
    described.write_text(described.read_text().replace("a-teacher", "b-teacher"))
    with pytest.raises(StoreError, match=r"source\.json describes the source \w+, its folder"):
        MaskStore(tmp_path).ids()
    described.write_text('{"teacher": 3}')
    with pytest.raises(StoreError, match=r"source\.json is damaged"):
        MaskStore(tmp_path).ids()
