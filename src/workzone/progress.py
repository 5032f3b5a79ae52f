"""Progress bars for long work: count, rate and remaining time, on standard error."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

T = TypeVar("T")

PATIENCE = 2.0
"""Seconds of work before a bar appears."""

enabled = False
"""Off in the library; the command line turns it on."""

notes = True
"""Whether notes are shown below bars, on a terminal; the command line turns them off for JSON."""
_open = threading.local()
"""Whether a bar is open in this thread: the terminal has room for one."""


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:.1f}/s" if speed else "-/s", style="progress.data.speed")


class _Progress(Progress):
    """With a note below its bars, where somebody watches."""

    note: RenderableType | None = None

    def get_renderables(self) -> Iterable[RenderableType]:
        yield from super().get_renderables()
        if self.note is not None and notes and self.console.is_terminal:
            yield self.note


@dataclass
class Bar:
    """A handle to advance a bar by hand."""

    _progress: _Progress
    _task: TaskID
    shown: bool = False

    def advance(self, count: int = 1) -> None:
        """Move on by ``count`` items."""
        self._progress.advance(self._task, count)

    def note(self, note: RenderableType) -> None:
        """Show something below the bar while it is there; it is drawn ten times a second."""
        self._progress.note = note

    def _show(self) -> None:
        if enabled:  # the command may have ended while a forgotten iterator lives on
            self._progress.start()
            self.shown = True


@contextmanager
def bar(description: str, total: int | None) -> Iterator[Bar]:
    """A bar of ``total`` items (None: unknown); silent unless the command line enabled bars.

    It appears once the work has lasted `PATIENCE`, even if not one item is done by then. A bar
    inside another one stays silent.
    """
    progress = _Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(file=sys.stderr),
        # Redirected output is printed above the bar, on standard error: results that go into a
        # file or a pipe must not be.
        redirect_stdout=sys.stdout.isatty(),
    )
    handle = Bar(progress, progress.add_task(description, total=total))
    if not enabled or getattr(_open, "bar", False):
        yield handle
        return
    _open.bar = True
    timer = threading.Timer(PATIENCE, handle._show)
    timer.name = f"bar: {description}"
    timer.daemon = True
    timer.start()
    try:
        yield handle
    finally:
        _open.bar = False
        timer.cancel()
        timer.join()  # it may be showing the bar just now
        if handle.shown:
            progress.stop()


def track(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """Yield ``items`` under a bar; ``total`` is taken from ``len(items)`` where it has one."""
    if total is None and isinstance(items, Sized):
        total = len(items)
    with bar(description, total) as handle:
        for item in items:
            yield item
            handle.advance()
