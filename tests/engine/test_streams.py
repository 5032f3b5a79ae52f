"""Threads that run an engine at the same time, each with a core of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save

from engine.made_models import images, made
from workzone.engine.onnx_engine import OnnxEngine
from workzone.engine.openvino_engine import OpenVinoEngine
from workzone.engine.per_core import OnePerCore
from workzone.engine.program import Array, Program
from workzone.engine.torch_engine import TorchEngine, graphs_of

WIDTH, THREADS = 64, 3


def in_threads(work: Callable[[int], object], begin: Callable[[], None] | None = None) -> list:
    """What several threads make of their numbers, all of them at the same time."""
    together = threading.Barrier(THREADS)

    def one(number: int) -> object:
        together.wait(10)
        return work(number)

    with ThreadPoolExecutor(THREADS, initializer=begin) as executor:
        return list(executor.map(one, range(THREADS)))


def test_what_threads_share_is_made_once_when_the_first_one_begins() -> None:
    made_in: list[int] = []

    def make() -> object:
        made_in.append(threading.get_ident())
        return object()

    shared = OnePerCore(make)
    assert made_in == []
    assert shared.mine() is None
    found = in_threads(lambda _: shared.mine(), shared.begin)
    assert len(made_in) == 1
    assert found[0] is not None
    assert all(one is found[0] for one in found)
    assert shared.mine() is None  # this thread did not begin
    assert in_threads(lambda _: shared.mine()) == [None] * THREADS
    shared.begin()
    assert shared.mine() is found[0]


def test_what_could_not_be_made_is_tried_again() -> None:
    tries = iter([MemoryError("too little"), "made"])

    def make() -> str:
        outcome = next(tries)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    shared = OnePerCore(make)
    with pytest.raises(MemoryError, match="too little"):
        shared.begin()
    assert shared.mine() is None
    shared.begin()
    assert shared.mine() == "made"


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """A matrix product and its positive part, of any number of rows."""
    weights = np.random.default_rng(0).normal(size=(WIDTH, WIDTH)).astype(np.float32)
    nodes = [
        helper.make_node("MatMul", ["pixels", "weights"], ["product"]),
        helper.make_node("Relu", ["product"], ["grid"]),
    ]
    slots = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", WIDTH])
        for name in ("pixels", "grid")
    ]
    made = helper.make_graph(
        nodes, "reader", slots[:1], slots[1:], [numpy_helper.from_array(weights, "weights")]
    )
    opset = [helper.make_opsetid("", 20)]
    save(helper.make_model(made, opset_imports=opset, ir_version=10), tmp_path / "reader.onnx")
    return tmp_path / "reader.onnx"


def rows(number: int) -> Array:
    """Input of a thread of its own."""
    random = np.random.default_rng(100 + number)
    return random.normal(size=(2 + number, WIDTH)).astype(np.float32)


@pytest.mark.parametrize("kind", [OnnxEngine, OpenVinoEngine])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_thread_with_a_core_of_its_own_gets_what_one_with_all_of_them_gets(
    graph: Path, kind: type[OnnxEngine | OpenVinoEngine], threads: int
) -> None:
    engine = kind({"reader": graph}, threads=threads)
    assert (engine.device, engine.streams) == ("cpu", threads)
    expected = [engine.run("reader", {"pixels": rows(n)})["grid"].copy() for n in range(THREADS)]

    def repeatedly(number: int) -> list[Array]:
        return [engine.run("reader", {"pixels": rows(number)})["grid"] for _ in range(20)]

    for begin in (None, engine.begin_stream):
        for found, wanted in zip(in_threads(repeatedly, begin), expected, strict=True):
            for one in found:  # also those of before: each call gives an array of its own
                np.testing.assert_allclose(one, wanted, rtol=1e-5, atol=1e-5)


def test_sessions_of_streams_have_one_thread_each(graph: Path) -> None:
    engine = OnnxEngine({"reader": graph}, threads=2)
    assert threads_of(engine._sessions) == 2
    (found,) = {
        threads_of(mine) for mine in in_threads(lambda _: mine_of(engine), engine.begin_stream)
    }
    assert found == 1
    alone = OnnxEngine({"reader": graph}, threads=1)
    alone.begin_stream()
    assert mine_of(alone) is alone._sessions  # loaded once


def mine_of(engine: OnnxEngine) -> dict:
    mine = engine._of_streams.mine()
    assert mine is not None
    return mine


def threads_of(sessions: dict) -> int:
    count: int = sessions["reader"].get_session_options().intra_op_num_threads
    return count


def test_models_of_streams_run_as_many_requests_at_the_same_time(graph: Path) -> None:
    engine = OpenVinoEngine({"reader": graph}, threads=2)
    reader = engine._models["reader"]
    told = [reader.get_property(name) for name in ("NUM_STREAMS", "INFERENCE_NUM_THREADS")]
    assert told == [2, 2]  # one core each


def test_torch_gives_the_same_in_streams() -> None:
    bundle, backbone = made("frames in their own shape")
    program = Program(bundle, TorchEngine(graphs_of(bundle, backbone)))
    seen = [image.seen for image in images(bundle, THREADS)]
    expected = [answer.raw for answer in program.run(seen)]
    found = in_threads(
        lambda number: program.run([seen[number]])[0].raw, program.engine.begin_stream
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)
