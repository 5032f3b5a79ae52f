"""Which engine and precision run a folder where nobody names them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from workzone.decide.bundle_json import shipped_program
from workzone.engine import choose
from workzone.engine.choose import load_program
from workzone.engine.folder import read_exported
from workzone.engine.onnx_engine import OnnxEngine
from workzone.engine.program import Engine
from workzone.errors import MissingExtraError, UsageError

make = choose.make_engine


def made_as_far_as(
    monkeypatch: pytest.MonkeyPatch, refusal: Exception | None
) -> list[tuple[str, str]]:
    """Let OpenVINO refuse, or be another engine under its name; the attempts."""
    tried: list[tuple[str, str]] = []

    def attempt(engine: str, files: Mapping[Any, Path], *, precision: str, **more: Any) -> Engine:
        tried.append((engine, precision))
        if engine == "openvino" and refusal is not None:
            raise refusal
        return make("onnx", files, precision="float32", **more)

    monkeypatch.setattr(choose, "make_engine", attempt)
    return tried


def test_what_passed_the_gate_and_is_faster_runs_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = made_as_far_as(monkeypatch, None)
    load_program(shipped_program())
    assert tried == [("openvino", "bfloat16")]


@pytest.mark.parametrize(
    "refusal",
    [MissingExtraError("openvino", "openvino", "engine openvino"), UsageError("no bfloat16 here")],
)
def test_where_it_cannot_run_the_folders_own_engine_does(
    monkeypatch: pytest.MonkeyPatch, refusal: Exception
) -> None:
    tried = made_as_far_as(monkeypatch, refusal)
    program = load_program(shipped_program())
    assert tried == [("openvino", "bfloat16"), ("onnx", "float32")]
    assert isinstance(program.engine, OnnxEngine)


@pytest.mark.parametrize(
    ("wanted", "runs"),
    [
        ({"engine": "onnx"}, ("onnx", "float32")),
        ({"precision": "float32"}, ("onnx", "float32")),
        ({"engine": "openvino"}, ("openvino", "float32")),
    ],
)
def test_what_is_named_is_what_runs(
    monkeypatch: pytest.MonkeyPatch, wanted: dict[str, str], runs: tuple[str, str]
) -> None:
    tried = made_as_far_as(monkeypatch, None)
    load_program(shipped_program(), **wanted)
    assert tried == [runs]


def test_a_folder_without_such_a_record_runs_as_it_was_exported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = dataclasses.replace(read_exported(shipped_program()), faster=None)
    monkeypatch.setattr(choose, "read_exported", lambda _: plain)
    tried = made_as_far_as(monkeypatch, None)
    load_program(shipped_program())
    assert tried == [("onnx", "float32")]
