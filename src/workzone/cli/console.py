"""What all commands share: output, exit codes, and errors without stack traces."""

from __future__ import annotations

import functools
import inspect
import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, ParamSpec, TypeVar

import typer
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.text import Text

from workzone import progress
from workzone.errors import UsageError, WorkzoneError, needing_train

P = ParamSpec("P")
R = TypeVar("R")

# A file may be called :car:.jpg, which must not become a picture.
out = Console(emoji=False)
err = Console(stderr=True, emoji=False)

FAILED = 1
WRONG_USE = 2

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def print_whole(table: RenderableType) -> None:
    """Print a table to fit the terminal; in a pipe or a file all of it, a row to a line."""
    (out if out.is_terminal else Console(width=10_000)).print(table)


def command(function: Callable[P, R]) -> Callable[P, R]:
    """Turn the package's errors into one line on standard error and exit code 1 or 2."""
    # Typer keeps line breaks: a paragraph becomes one line, which it wraps to the terminal.
    paragraphs = inspect.cleandoc(function.__doc__ or "").split("\n\n")
    function.__doc__ = "\n\n".join(" ".join(part.split()) for part in paragraphs)

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        progress.enabled, progress.notes = True, not kwargs.get("as_json")
        try:
            level = logging.WARNING if kwargs.get("as_json") else logging.INFO
            with _log_shown(level), _warnings_shown(), needing_train("this command"):
                return function(*args, **kwargs)
        except UsageError as error:
            _complain(error)
            raise typer.Exit(WRONG_USE) from error
        except WorkzoneError as error:
            _complain(error)
            raise typer.Exit(FAILED) from error
        except BrokenPipeError:
            # The reader went away (`| head`): quiet, and no second error at shutdown.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            raise typer.Exit(FAILED) from None
        finally:
            progress.enabled = False

    return run


class _ErrorStream(logging.Handler):
    """Log lines on standard error, beside bars and warnings."""

    def emit(self, record: logging.LogRecord) -> None:
        err.print(record.getMessage(), style="dim", markup=False, soft_wrap=True)


@contextmanager
def _log_shown(level: int) -> Iterator[None]:
    """Show what the package logs from ``level`` on."""
    logger, handler = logging.getLogger("workzone"), _ErrorStream()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


@contextmanager
def _warnings_shown() -> Iterator[None]:
    """Show Python warnings as a line of their text, without the place in the code."""

    def show(message: Warning | str, *_: object) -> None:
        err.print(f"warning: {message}", style="yellow", markup=False, soft_wrap=True)

    with warnings.catch_warnings():
        warnings.showwarning = show  # type: ignore[assignment]
        yield


def examples(*lines: str) -> str:
    """The epilog that shows how a command is called."""
    return "[bold]Examples[/]\n\n" + "\n\n".join(f"  [cyan]{escape(line)}[/]" for line in lines)


def _complain(error: WorkzoneError) -> None:
    # Text, not markup: messages name things like file.parquet[image][3].
    err.print(Text.assemble(("error: ", "bold red"), str(error)), soft_wrap=True)


def print_json(value: Any) -> None:
    """Print a value as JSON on standard output, never with NaN."""
    typer.echo(json.dumps(value, indent=2, allow_nan=False))
