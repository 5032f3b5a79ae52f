"""The command line, called within the process."""

from __future__ import annotations

from typer.testing import CliRunner, Result

from workzone.cli import app

_runner = CliRunner(env={"COLUMNS": "160", "NO_COLOR": "1"})


def invoke(*arguments: object, expect: int = 0) -> Result:
    """Run a command; it must end with the exit code ``expect``, and never in a traceback."""
    result = _runner.invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == expect, f"{arguments}\n{result.output}"
    assert "Traceback" not in result.output, result.output
    return result
