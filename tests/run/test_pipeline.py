"""The one way from files to results: order, bounds, batches, failures."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from conftest import Tiny
from made_images import blob_image
from predictors import backbone_of, bundle_of, bundle_predictor
from told import told_bundle
from workzone.engine.program import Answer, Program, Seen
from workzone.errors import BundleError, ImageError, UsageError
from workzone.run.images import Encoded, encoded
from workzone.run.pipeline import LOOKS_AHEAD, Pipeline, Result
from workzone.run.predictor import Predictor
from workzone.types import ImageRef, Sample

BAD = 7
"""Every seventh image of a stream cannot be read."""


class Counting(Program):
    """Answers without a model: the mean of the pixels. Keeps how many images came at once."""

    def __init__(self, program: Program, broken: int | None = None) -> None:
        super().__init__(program.description, program.engine)
        self.batches: list[int] = []
        self.broken = broken  # a value of pixels on which the model fails

    def run(self, images: Sequence[Seen]) -> list[Answer]:
        self.batches.append(len(images))
        if any(image.pixels.max() == self.broken for image in images):
            raise BundleError("not a finite number")
        return [self._answer(image) for image in images]

    def _answer(self, image: Seen) -> Answer:
        count = len(image.boxes)
        return Answer(
            probability=float(image.pixels.mean()) / 255,
            raw=0.5,
            boxes=image.boxes,
            view_shares=np.full(count, 1 / count, np.float32),
            read=np.arange(count),
            penultimate=np.zeros(1, np.float32),
            with_metadata=False,
        )


@pytest.fixture
def counting(predictor: Predictor) -> Counting:
    return Counting(predictor.program)


def plain(number: int) -> Encoded:
    """An image of one grey, or a file that is none."""
    if number % BAD == BAD - 1:
        raise ImageError("unreadable", f"image {number}: not an image")
    return encoded(np.full((32, 32, 3), number, np.uint8), str(number))


def numbered(count: int) -> Iterator[tuple[str, int]]:
    return ((str(number), number) for number in range(count))


@pytest.mark.parametrize("batch", [1, 3, 8, 40])
def test_results_come_in_order_and_bad_images_take_no_other_with_them(
    counting: Counting, batch: int
) -> None:
    results = list(Pipeline(counting).run(numbered(30), plain, batch=batch))
    assert [name for name, _ in results] == [str(number) for number in range(30)]
    for number, (name, result) in enumerate(results):
        if number % BAD == BAD - 1:
            assert isinstance(result, ImageError)
            assert f"image {number}" in str(result)
        else:
            assert isinstance(result, Result)
            assert result.prediction.id == name
            assert result.prediction.probability == pytest.approx(number / 255)
            assert result.file.name == f"image {number}"
    assert sum(counting.batches) == 26
    assert max(counting.batches) <= batch


def test_what_is_ready_is_judged_together_and_nothing_waits_for_a_full_batch(
    counting: Counting,
) -> None:
    released, others = threading.Event(), threading.Event()

    def load(number: int) -> Encoded:
        if number == 1:
            assert released.wait(10)
        if number == 6:
            others.set()  # of two threads one waits, and the other has done 2 to 5
        return encoded(np.full((32, 32, 3), number, np.uint8), str(number))

    results = Pipeline(counting).run(numbered(7), load, batch=3)
    assert next(results)[0] == "0"  # although 1 holds the batch up
    assert others.wait(10)
    released.set()
    assert [name for name, _ in results] == list("123456")
    assert sum(counting.batches) == 7
    assert 1 < max(counting.batches) <= 3


@pytest.mark.parametrize("batch", [1, 4])
def test_memory_is_bounded_however_slow_the_consumer(counting: Counting, batch: int) -> None:
    loaded = 0
    lock = threading.Lock()

    def load(number: int) -> Encoded:
        nonlocal loaded
        with lock:
            loaded += 1
        return plain(number)

    taken = furthest = 0
    for _ in Pipeline(counting).run(numbered(200), load, batch=batch):
        taken += 1
        if taken % 20 == 1:
            time.sleep(0.05)  # threads go as far as they may
        furthest = max(furthest, loaded - taken)
    assert (taken, loaded) == (200, 200)
    assert furthest <= LOOKS_AHEAD + batch


def test_copies_count_in_what_is_kept(predictor: Predictor, tiny: Tiny) -> None:
    description = bundle_of(predictor).with_test_time(7)
    counting = Counting(Program(description, predictor.program.engine))
    loaded = 0

    def load(path: Path) -> Encoded:
        nonlocal loaded
        loaded += 1
        return encoded(path, path.name)

    paths = [(str(number), tiny.root / "01.png") for number in range(12)]
    results = Pipeline(counting).run(paths, load)
    next(results)
    time.sleep(0.05)
    assert loaded <= 1 + LOOKS_AHEAD // 8
    assert len(list(results)) == 11
    assert set(counting.batches) == {8}


@pytest.mark.parametrize("copies", [0, 2])
def test_a_batch_answers_as_single_images_do(predictor: Predictor, tiny: Tiny, copies: int) -> None:
    told = told_bundle(bundle_of(predictor)).with_test_time(copies)
    model = bundle_predictor(told, backbone_of(predictor))
    times = ("night", None, "day")
    inputs = []
    for number, sample in enumerate(list(tiny.manifest)[:7]):
        metadata = Sample(sample.id, ImageRef(""), daytime=times[number % 3])
        inputs.append((sample.id, (tiny.root / sample.image.path, metadata)))
    inputs.insert(3, ("gone", (tiny.root / "gone.png", Sample("gone", ImageRef("")))))
    outcomes = []
    for batch in (1, 5):
        results = model.score(
            inputs,
            lambda pair: encoded(pair[0], "image"),
            sample_of=lambda pair: pair[1],
            batch=batch,
        )
        outcomes.append(list(results))
    for (name, single), (same_name, together) in zip(*outcomes, strict=True):
        assert name == same_name
        if isinstance(single, ImageError):
            assert isinstance(together, ImageError)
            assert (name, str(together)) == ("gone", str(single))
            continue
        assert not isinstance(together, ImageError)
        assert together.prediction.probability == pytest.approx(
            single.prediction.probability, abs=1e-6
        )
        assert together.prediction.inputs == single.prediction.inputs
        np.testing.assert_allclose(together.view_shares, single.view_shares, atol=1e-5)
    assert {r.prediction.inputs for _, r in outcomes[0] if not isinstance(r, ImageError)} == {
        "image",
        "image+metadata",
    }


def test_a_model_that_fails_on_an_image_names_it_after_the_results_before(
    predictor: Predictor,
) -> None:
    counting = Counting(predictor.program, broken=4)
    results = Pipeline(counting).run(numbered(6), plain, batch=6)
    assert [next(results)[0] for _ in range(4)] == list("0123")
    with pytest.raises(BundleError, match="4: not a finite number"):
        next(results)


def test_closing_early_leaves_no_threads(counting: Counting) -> None:
    before = threading.active_count()
    results = Pipeline(counting).run(numbered(200), plain, batch=2)
    next(results)
    assert threading.active_count() > before
    results.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


@pytest.mark.parametrize("good", [0, 1, 2, 40])
def test_an_exception_of_the_source_comes_after_the_results_before(
    counting: Counting, good: int
) -> None:
    def source() -> Iterator[tuple[str, int]]:
        yield from numbered(good)
        raise OSError("the camera is gone")

    names = []
    with pytest.raises(OSError, match="the camera is gone"):
        for name, _ in Pipeline(counting).run(source(), plain, batch=4):
            names.append(name)
    assert names == [str(number) for number in range(good)]


def test_an_exception_of_load_that_is_no_image_error_surfaces_at_its_turn(
    counting: Counting,
) -> None:
    def load(number: int) -> Encoded:
        if number == 2:
            raise KeyError("two")
        return plain(number)

    results = Pipeline(counting).run(numbered(5), load, batch=4)
    assert [next(results)[0] for _ in range(2)] == ["0", "1"]
    with pytest.raises(KeyError, match="two"):
        next(results)


def test_a_stream_may_be_empty_and_a_batch_may_not(counting: Counting) -> None:
    assert list(Pipeline(counting).run([], plain)) == []
    with pytest.raises(UsageError, match="batch=0: at least one image"):
        list(Pipeline(counting).run(numbered(1), plain, batch=0))


def test_overlays_go_the_same_way(predictor: Predictor, tmp_path: Path) -> None:
    for number in range(3):
        blob_image(number, number % 2).save(tmp_path / f"{number}.png")
    paths = [(str(number), tmp_path / f"{number}.png") for number in range(4)]
    *good, (name, bad) = predictor.explain_stream(paths, lambda path: encoded(path, str(path)))
    assert (name, isinstance(bad, ImageError)) == ("3", True)
    for (name, result), (_, path) in zip(good, paths, strict=False):
        assert not isinstance(result, ImageError)
        prediction, picture = result
        alone, same = predictor.explain(path)
        assert dataclasses.replace(alone, id=name) == prediction
        np.testing.assert_array_equal(np.asarray(picture), np.asarray(same))
