"""The one way from files to results: order, bounds, batches, failures."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from made_images import blob_image
from predictors import backbone_of, bundle_of, bundle_predictor
from told import told_bundle
from trained import Tiny
from workzone import parallel
from workzone.decide.description import Description
from workzone.engine.program import Answer, Array, Arrays, Engine, GraphName, Program, Seen
from workzone.errors import BundleError, ImageError
from workzone.run import pipeline
from workzone.run.images import Encoded, encoded
from workzone.run.pipeline import LOOKS_AHEAD, Pipeline, Result
from workzone.run.predictor import Predictor
from workzone.types import ImageRef, Sample

BAD = 7
"""Every seventh image of a stream cannot be read."""


class StandIn:
    """An engine that computes nothing, and keeps which threads began to compute on it."""

    name, precision = "stand-in", "float32"

    def __init__(self, device: str = "cpu", *, streams: int = 2, views_at_once: int = 1) -> None:
        self.device, self.streams, self.views_at_once = device, streams, views_at_once
        self.begun: list[int] = []

    def begin_stream(self) -> None:
        self.begun.append(threading.get_ident())

    def run(self, graph: GraphName, inputs: Arrays) -> dict[str, Array]:
        raise AssertionError("no graph is run")


class Counting(Program):
    """Answers without a model: the mean of the pixels. Keeps how many images came at once."""

    def __init__(
        self, description: Description, engine: Engine | None = None, broken: int | None = None
    ) -> None:
        super().__init__(description, engine or StandIn())
        self.batches: list[int] = []
        self.threads: set[int] = set()
        self.broken = broken  # a value of pixels on which the model fails

    def run(self, images: Sequence[Seen], *, masks: bool = False) -> list[Answer]:
        self.threads.add(threading.get_ident())
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
            scene=np.zeros(1, np.float32),
            with_metadata=False,
        )


WAYS = {"processor": 0, "GPU, one by one": 1, "GPU, three at once": 3, "GPU, many": 40}
"""Images that the engine is best given at once; 0: one for each core."""


@pytest.fixture(params=WAYS)
def at_once(request: pytest.FixtureRequest) -> int:
    return WAYS[request.param]


@pytest.fixture
def counting(predictor: Predictor, at_once: int) -> Counting:
    return counting_of(predictor.description, at_once)


def counting_of(
    description: Description, at_once: int, *, looks: int = 1, **options: int
) -> Counting:
    """On a stand-in for a processor, or for a GPU that is best given so many images."""
    if not at_once:
        return Counting(description, StandIn(**options))
    views = at_once * looks * description.views_read
    return Counting(description, StandIn("cuda", views_at_once=views, **options))


def plain(number: int) -> Encoded:
    """An image of one grey, or a file that is none."""
    if number % BAD == BAD - 1:
        raise ImageError("unreadable", f"image {number}: not an image")
    return encoded(np.full((32, 32, 3), number, np.uint8), str(number))


def numbered(count: int) -> Iterator[tuple[str, int]]:
    return ((str(number), number) for number in range(count))


def test_results_come_in_order_and_bad_images_take_no_other_with_them(
    counting: Counting, at_once: int
) -> None:
    results = list(Pipeline(counting).run(numbered(30), plain))
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
    assert max(counting.batches) <= max(1, at_once)


def test_on_a_gpu_what_is_ready_is_judged_together(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "core_count", lambda: 2)
    counting, released = counting_of(predictor.description, 3), threading.Event()

    def load(number: int) -> Encoded:
        if number == 0:
            assert released.wait(10)
        if number == 6:
            released.set()  # of two threads one waits, and the other has done 1 to 5
        return encoded(np.full((32, 32, 3), number, np.uint8), str(number))

    results = Pipeline(counting).run(numbered(7), load)
    assert [name for name, _ in results] == list("0123456")
    assert counting.batches[0] == max(counting.batches) == 3
    assert sum(counting.batches) == 7


def test_a_gpu_is_given_as_many_views_as_it_is_best_given(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of images of several looks, each of several views; of one image at least."""
    asked: list[int | None] = []

    def judged(*_: Any, at_once: int | None, **__: Any) -> Iterator[Any]:
        asked.append(at_once)
        yield from ()

    monkeypatch.setattr(pipeline, "judged_ahead", judged)
    description = bundle_of(predictor)
    assert description.views_read > 1
    for told, views in (
        (description, 7 * description.views_read),
        (description, 7 * description.views_read - 1),
        (description.with_test_time(2), 7 * description.views_read),
        (description, 1),
    ):
        list(Pipeline(Counting(told, StandIn("cuda", views_at_once=views))).run([], plain))
    assert asked == [7, 6, 2, 1]


def test_on_a_processor_streams_take_an_image_each_at_the_same_time(predictor: Predictor) -> None:
    together, loaded_in = threading.Barrier(2), {}

    class Meeting(Counting):
        def run(self, images: Sequence[Seen], *, masks: bool = False) -> list[Answer]:
            together.wait(10)  # fails if the other stream never comes
            (image,) = images
            assert loaded_in[int(image.pixels.max())] == threading.get_ident()
            return super().run(images)

    def load(number: int) -> Encoded:
        loaded_in[number] = threading.get_ident()
        return encoded(np.full((32, 32, 3), number, np.uint8), str(number))

    engine = StandIn(streams=2)
    counting = Meeting(predictor.description, engine)
    assert len(list(Pipeline(counting).run(numbered(8), load))) == 8
    assert counting.batches == [1] * 8
    assert len(engine.begun) == 2
    assert set(engine.begun) == counting.threads
    assert threading.get_ident() not in engine.begun


def test_on_a_gpu_streams_compute_and_other_threads_prepare(predictor: Predictor) -> None:
    loaded_in: set[int] = set()

    def load(number: int) -> Encoded:
        loaded_in.add(threading.get_ident())
        return plain(number)

    counting = counting_of(predictor.description, 3, streams=2)
    assert len(list(Pipeline(counting).run(numbered(30), load))) == 30
    engine = counting.engine
    assert isinstance(engine, StandIn)
    assert counting.threads <= set(engine.begun)
    assert len(engine.begun) <= 2
    assert threading.get_ident() not in counting.threads | loaded_in
    assert not counting.threads & loaded_in


def test_a_single_image_is_the_callers_and_has_all_cores(counting: Counting) -> None:
    def load(number: int) -> Encoded:
        assert threading.current_thread() is caller
        return plain(number)

    caller = threading.current_thread()
    ((name, result),) = Pipeline(counting).run(numbered(1), load)
    assert name == "0"
    assert isinstance(result, Result)
    assert counting.threads == {threading.get_ident()}
    assert isinstance(counting.engine, StandIn)
    assert counting.engine.begun == []


@pytest.mark.parametrize("at_once", [0, 1, 4])
def test_memory_is_bounded_however_slow_the_consumer(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(parallel, "core_count", lambda: 2)
    counting = counting_of(predictor.description, at_once, streams=2)
    loaded = 0
    lock = threading.Lock()

    def load(number: int) -> Encoded:
        nonlocal loaded
        with lock:
            loaded += 1
        return plain(number)

    taken = furthest = 0
    for _ in Pipeline(counting).run(numbered(200), load):
        taken += 1
        if taken % 20 == 1:
            time.sleep(0.05)  # threads go as far as they may
        furthest = max(furthest, loaded - taken)
    assert (taken, loaded) == (200, 200)
    assert furthest <= LOOKS_AHEAD + 3 * at_once  # beside it two streams and what is handed on


def test_copies_count_in_what_is_kept(predictor: Predictor, tiny: Tiny) -> None:
    description = bundle_of(predictor).with_test_time(7)
    counting = counting_of(description, 0, streams=1)
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


class AsOnGpu(StandIn):
    """An engine of a processor that is given batches, as one of a GPU is."""

    def __init__(self, engine: Engine) -> None:
        super().__init__("cuda", views_at_once=100)
        self.engine = engine

    def run(self, graph: GraphName, inputs: Arrays) -> dict[str, Array]:
        return self.engine.run(graph, inputs)


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
    on_gpu = Predictor(Program(model.description, AsOnGpu(model.program.engine)))
    for way in (model, on_gpu):
        results = way.score(
            inputs, lambda pair: encoded(pair[0], "image"), sample_of=lambda pair: pair[1]
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
    counting: Counting, at_once: int
) -> None:
    counting.broken = 4
    names = []
    with pytest.raises(BundleError, match="4: not a finite number"):
        for name, _ in Pipeline(counting).run(numbered(6), plain):
            names.append(name)
    judged_together = max(0, at_once - 1)  # with it at most, and given up with it
    assert names == list("0123")[: len(names)]
    assert len(names) >= 4 - judged_together


def test_closing_early_leaves_no_threads(counting: Counting) -> None:
    before = threading.active_count()
    results = Pipeline(counting).run(numbered(200), plain)
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
        for name, _ in Pipeline(counting).run(source(), plain):
            names.append(name)
    assert names == [str(number) for number in range(good)]


def test_an_exception_of_load_that_is_no_image_error_surfaces_at_its_turn(
    counting: Counting,
) -> None:
    def load(number: int) -> Encoded:
        if number == 2:
            raise KeyError("two")
        return plain(number)

    results = Pipeline(counting).run(numbered(5), load)
    assert [next(results)[0] for _ in range(2)] == ["0", "1"]
    with pytest.raises(KeyError, match="two"):
        next(results)


def test_a_stream_may_be_empty(counting: Counting) -> None:
    assert list(Pipeline(counting).run([], plain)) == []


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
