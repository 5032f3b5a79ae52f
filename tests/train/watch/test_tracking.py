from __future__ import annotations

import json
import logging
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from workzone.errors import MissingExtraError, UsageError, WorkzoneError
from workzone.train.watch.services import SERVICES, scalars
from workzone.train.watch.tracking import LOG, Tracker, read_log


def made_step(number: int, stage: str = "everything", **more: Any) -> dict[str, Any]:
    return {"stage": stage, "epoch": number // 4, "step": number, "loss": 1 / (number + 1), **more}


def losses(path: Path) -> list[float]:
    return [record["loss"] for record in read_log(path)]


def test_a_line_per_record_as_plain_json(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path / "run")
    tracker.step(
        made_step(
            0,
            gradient_norm=torch.tensor(math.inf),
            kept_views=torch.tensor([1.0, 0.5]),
            expert_load=np.array([[0.25, 0.75]]),
            note=None,
        )
    )
    tracker.epoch({"stage": "everything", "epoch": 0, "step": 0, "validation_loss": math.nan})
    # without closing: each line is there at once
    first, second = (tmp_path / "run" / LOG).read_text().splitlines()
    assert json.loads(first) == {
        "event": "step",
        "stage": "everything",
        "epoch": 0,
        "step": 0,
        "loss": 1.0,
        "gradient_norm": None,
        "kept_views": [1.0, 0.5],
        "expert_load": [[0.25, 0.75]],
        "note": None,
    }
    assert json.loads(second)["validation_loss"] is None
    assert json.loads(second)["event"] == "epoch"


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    tracker = Tracker(services=["tensorboard"])
    tracker.step(made_step(0))
    tracker.rewind(0)
    assert tracker.position() == 0
    tracker.close()
    assert list(tmp_path.iterdir()) == []


def test_after_a_crash_the_log_has_each_step_once(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path)
    for number in range(4):
        tracker.step(made_step(number))
    position = tracker.position()
    assert position == (tmp_path / LOG).stat().st_size
    for number in range(4, 7):  # told after the checkpoint; then the process dies
        tracker.step(made_step(number))
    with (tmp_path / LOG).open("ab") as file:
        file.write(b'{"event":"step","sta')
    resumed = Tracker(tmp_path, position=position)
    for number in range(4, 9):
        resumed.step(made_step(number))
    assert [record["step"] for record in read_log(tmp_path / LOG)] == list(range(9))
    assert resumed.position() == (tmp_path / LOG).stat().st_size


def test_without_a_position_only_a_broken_line_is_dropped(tmp_path: Path) -> None:
    Tracker(tmp_path).step(made_step(0))
    with (tmp_path / LOG).open("ab") as file:
        file.write(b'{"event":' + b'"' + b"x" * 200_000)
    Tracker(tmp_path).step(made_step(1))
    assert [record["step"] for record in read_log(tmp_path / LOG)] == [0, 1]


def test_a_log_that_was_cut_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tracker = Tracker(tmp_path)
    tracker.step(made_step(0))
    tracker.rewind(tracker.position() + 7)
    tracker.step(made_step(1))
    assert "lost its last 7 bytes" in caplog.text
    assert [record["step"] for record in read_log(tmp_path / LOG)] == [0, 1]


def test_listeners_hear_the_same_records(tmp_path: Path) -> None:
    heard: list[tuple[str, Mapping[str, Any]]] = []
    listener = SimpleNamespace(
        step=lambda record: heard.append(("step", record)),
        epoch=lambda record: heard.append(("epoch", record)),
    )
    tracker = Tracker()
    tracker.listen(listener)
    tracker.step(made_step(3))
    tracker.epoch({"stage": "everything"})
    assert heard == [("step", made_step(3)), ("epoch", {"stage": "everything"})]


def test_an_unknown_service_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot track with 'tensorbord'; did you mean 'tensorboa"):
        Tracker(tmp_path, services=["tensorbord"])


@pytest.mark.parametrize("name", SERVICES)
def test_a_missing_package_names_its_extra(tmp_path: Path, monkeypatch: Any, name: str) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        MissingExtraError, match=rf"tracking with {name} needs .* 'workzone\[{name}\]'"
    ):
        Tracker(tmp_path, services=[name])


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkzoneError, match=r"cannot write .*log\.jsonl: Not a directory\. Free"):
        Tracker(tmp_path / "file" / "run")


@pytest.mark.parametrize("line", ["no json", "[1]", '{"event": "step"}'])
def test_a_line_that_is_no_record_is_named(tmp_path: Path, line: str) -> None:
    Tracker(tmp_path).step(made_step(0))
    with (tmp_path / LOG).open("a") as file:
        file.write(line + "\n")
    with pytest.raises(WorkzoneError, match=r"log\.jsonl, line 2: .*give a log\.jsonl that"):
        read_log(tmp_path / LOG)
    with pytest.raises(WorkzoneError, match=r"cannot read .*none\.jsonl: No such file"):
        read_log(tmp_path / "none.jsonl")


def test_scalars_of_nested_lists_are_numbered() -> None:
    record = made_step(5, expert_load=[[0.25, 0.75], [1.0, None]], averaged=True, note="x")
    assert dict(scalars({"event": "step", **record})) == {
        "epoch": 1.0,
        "loss": 1 / 6,
        "expert_load/0/0": 0.25,
        "expert_load/0/1": 0.75,
        "expert_load/1/0": 1.0,
        "averaged": 1.0,
    }


def shown_by_tensorboard(folder: Path, stage: str, name: str) -> list[tuple[int, float]]:
    events = EventAccumulator(str(folder / "tensorboard" / stage))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(name)]


def test_tensorboard_shows_each_step_once_after_a_crash(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path, services=["tensorboard"])
    for number in range(3):
        tracker.step(made_step(number, "fold-1-of-1"))
    for number in range(4):
        tracker.step(made_step(number))
    tracker.epoch({"stage": "everything", "epoch": 0, "step": 3, "validation_loss": 0.5})
    position = tracker.position()
    for number in range(4, 6):
        tracker.step(made_step(number, loss=9.0))
    tracker.close()  # all of it had reached the disk
    resumed = Tracker(tmp_path, services=["tensorboard"], position=position)
    for number in range(4, 8):
        resumed.step(made_step(number))
    resumed.close()
    expected = [(number, pytest.approx(1 / (number + 1))) for number in range(8)]
    assert shown_by_tensorboard(tmp_path, "everything", "loss") == expected
    assert shown_by_tensorboard(tmp_path, "fold-1-of-1", "loss") == expected[:3]
    assert shown_by_tensorboard(tmp_path, "everything", "validation_loss") == [(3, 0.5)]


def stand_in(calls: list[Any], **fails: str) -> Any:
    """A module with what wandb and trackio have in common; it writes down how it is called."""

    def called(name: str) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            if fails.get("at") == name:
                raise ConnectionError("no network")
            calls.append((name, *args, kwargs))
            return module

        return call

    module = SimpleNamespace(**{name: called(name) for name in ("init", "log", "finish")})
    return module


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_services_get_lines_by_number_and_keep_the_run(
    tmp_path: Path, monkeypatch: Any, name: str
) -> None:
    calls: list[Any] = []
    monkeypatch.setitem(sys.modules, name, stand_in(calls))
    folder = tmp_path / "model.run"
    tracker = Tracker(folder, services=[name, name], settings={"epochs": 3})
    tracker.step(made_step(0, kept_views=[1.0, 0.5], gradient_norm=math.nan))
    position = tracker.position()
    tracker.step(made_step(1))
    tracker.close()
    (_, began), first, second, (last, _) = calls
    assert (began["project"], began["resume"], began["config"]) == (
        "workzone",
        "allow",
        {"epochs": 3},
    )
    assert first == (
        "log",
        {
            "everything/epoch": 0.0,
            "everything/loss": 1.0,
            "everything/kept_views/0": 1.0,
            "everything/kept_views/1": 0.5,
            "everything/step": 0,
        },
        {"step": 0},
    )
    assert second[-1] == {"step": 1}
    assert last == "finish"
    calls.clear()
    resumed = Tracker(folder, services=[name], position=position)
    resumed.step(made_step(1))
    assert calls[0][-1] == began | {"config": {}}  # the same id, or name
    assert calls[1][-1] == {"step": 1}
    calls.clear()
    Tracker(folder, services=[name], position=0)
    identity = "id" if name == "wandb" else "name"
    assert calls[0][-1][identity] != began[identity]  # another run in the same folder


@pytest.mark.parametrize("at", ["init", "log", "finish"])
def test_a_service_that_fails_is_warned_of_once(
    tmp_path: Path, monkeypatch: Any, caplog: pytest.LogCaptureFixture, at: str
) -> None:
    calls: list[Any] = []
    monkeypatch.setitem(sys.modules, "wandb", stand_in(calls, at=at))
    with caplog.at_level(logging.WARNING, logger="workzone"):
        tracker = Tracker(tmp_path, services=["wandb"])
        for number in range(5):
            tracker.step(made_step(number))
        assert len(read_log(tmp_path / LOG)) == 5
        tracker.close()
    (warning,) = caplog.messages
    assert warning.startswith("wandb is told nothing more (ConnectionError: no network); training")
    assert str(tmp_path / LOG) in warning
