from __future__ import annotations

import io
import math
from typing import Any

import pytest
from rich.console import Console

from workzone import progress
from workzone.progress import bar
from workzone.train.watch.display import Display, sparkline


class Slot:
    """In the place of a bar."""

    def note(self, shown: Any) -> None:
        self.shown = shown

    def text(self) -> list[str]:
        console = Console(file=io.StringIO(), width=120)
        console.print(self.shown)
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue().splitlines()


def made_step(stage: str, epoch: int, rate: float = 100.0) -> dict[str, Any]:
    return {
        "stage": stage,
        "epoch": epoch,
        "loss": 0.5,
        "learning_rate": 0.00012,
        "images_per_second": rate,
    }


def made_epoch(epoch: int, loss: float, area: float | None = None) -> dict[str, Any]:
    return {"epoch": epoch, "validation_loss": loss, "validation_auc": area}


def test_two_lines_tell_of_the_step_and_of_validation() -> None:
    slot = Slot()
    display = Display(slot)  # type: ignore[arg-type]
    assert slot.text() == []
    for epoch, (loss, area) in enumerate([(0.9, 0.7), (0.2, 0.95), (0.55, 0.9)]):
        display.step(made_step("fold-1-of-2", epoch))
        display.epoch(made_epoch(epoch, loss, area))
    assert slot.text() == [
        "  fold-1-of-2, epoch 3: loss 0.500, learning rate 1.2e-04, 100 images/s",
        "  validation loss 0.550 █▁▅ best 0.200 (epoch 2), AUC 0.900, best 0.950",
    ]
    display.step(made_step("everything", 0, rate=2000.0))
    display.step(made_step("everything", 0, rate=1000.0))
    display.epoch({"epoch": 0})  # nothing validates
    assert slot.text() == [
        "  everything, epoch 1: loss 0.500, learning rate 1.2e-04, 1,900 images/s"
    ]


def test_no_area_is_told_where_one_class_validates() -> None:
    slot = Slot()
    display = Display(slot)  # type: ignore[arg-type]
    display.step(made_step("fold-1-of-1", 0))
    display.epoch(made_epoch(0, 0.4))
    display.epoch(made_epoch(1, math.nan))  # cannot be drawn
    assert slot.text()[1] == "  validation loss 0.400 ▁ best 0.400 (epoch 1)"


def test_a_sparkline_goes_from_lowest_to_highest() -> None:
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"
    assert sparkline([3.0, 3.0]) == "▁▁"


@pytest.mark.parametrize(
    ("terminal", "notes", "seen"),
    [(True, True, True), (False, True, False), (True, False, False)],
)
def test_a_note_is_shown_on_a_terminal_unless_json_was_asked_for(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, notes: bool, seen: bool
) -> None:
    monkeypatch.setattr(progress, "enabled", True)
    monkeypatch.setattr(progress, "notes", notes)
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal)
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    with bar("training", 3) as handle:
        display = Display(handle)
        display.step(made_step("everything", 1))
        handle._show()
        handle.advance()
    shown = stream.getvalue()
    assert "1/3" in shown
    assert ("everything, epoch 2" in shown) is seen
